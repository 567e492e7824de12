use super::*;
use crate::tunnel::{Bounds, Guard, Lifetime, Limits, Saved, Side, Tunnel};
use core::num::NonZeroU64;

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

fn account() -> Account {
    Account {
        connection: 17,
        requests: 1,
        connection_age: 5000,
        start_sec: 1_700_000_000,
        start_msec: 999,
        request_length: 62,
        handshake_time: 3,
        client_sent: 1000,
        upstream_sent: 2000,
        upstream_received: 3000,
        upstream_age: 4998,
        connect_time: Some(0),
        header_time: None,
        id: 12,
        begun: 1_700_000_001_003,
        age: 4990,
        handovers: 2,
        written_at: 777,
    }
}

/// Calls with a message of which every part is there.
fn with_message(look: impl FnOnce(Message<'_>)) {
    let bounds = Bounds {
        rate: NonZeroU64::new(100),
        ..Bounds::default()
    };
    let mut guard = Guard::new(bounds, 0).unwrap();
    let mut tunnel = Tunnel::new(Limits::default(), 0, 7, [1; 4]);
    tunnel.hold_to(&mut guard);
    let lifetime = Lifetime {
        age: 60_000,
        code: 4000,
        is_spread: false,
    };
    tunnel.live(lifetime, 0, 0);
    tunnel.received(Side::Client, 3, 5);
    let mut saved = [0; 1024];
    let length = tunnel.save(&mut saved, 9).unwrap();
    look(Message {
        account: account(),
        tunnel: Saved::read(&saved[..length]).unwrap(),
        proxy: b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        request: REQUEST,
        answer: ANSWER,
        host: b"backend",
        server: b"127.0.0.1:80",
        from_client: b"abc",
        from_upstream: b"",
    });
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.room()];
    let length = message.write(&mut bytes).expect("room() says how much");
    bytes.truncate(length);
    bytes
}

#[test]
fn what_is_written_is_read() {
    with_message(|message| {
        let bytes = written(&message);
        assert_eq!(Message::read(&bytes), Ok(message));
    });
}

#[test]
fn a_message_without_room_is_none() {
    with_message(|message| {
        let length = written(&message).len();
        for room in 0..length {
            assert_eq!(message.write(&mut vec![0; room]), None, "{room}");
        }
    });
}

#[test]
fn a_part_of_a_message_is_none() {
    with_message(|message| {
        let bytes = written(&message);
        for length in 0..bytes.len() {
            assert!(Message::read(&bytes[..length]).is_err(), "{length}");
        }
        let more = [&bytes[..], b"\0"].concat();
        assert_eq!(Message::read(&more), Err(Fault::Malformed));
    });
}

#[test]
fn a_message_of_another_version_is_none() {
    with_message(|message| {
        let mut bytes = written(&message);
        bytes[4] = 2;
        assert_eq!(Message::read(&bytes), Err(Fault::Version(2)));
        bytes[0] = b'W';
        assert_eq!(Message::read(&bytes), Err(Fault::Malformed));
    });
}

#[test]
fn each_field_is_looked_at() {
    with_message(|message| {
        let with = |change: &dyn Fn(&mut Message<'_>)| {
            let mut message = message;
            change(&mut message);
            let bytes = written(&message);
            Message::read(&bytes).err()
        };
        let field = |name| Some(Fault::Field(name));
        assert_eq!(with(&|m| m.account.start_msec = 1000), field("start_msec"));
        assert_eq!(
            with(&|m| m.account.client_sent = 1 << 62),
            field("client_sent")
        );
        assert_eq!(with(&|m| m.account.id = u64::MAX), field("id"));
        for request in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        ] {
            assert_eq!(
                with(&|m| m.request = request),
                field("request"),
                "{request:?}"
            );
        }
        for answer in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 101",
            b"HTTP/1.1 101 Switching\r\n\r\nmore\r\n\r\n",
            b"HTTP/2 101 Switching\r\n\r\n",
        ] {
            assert_eq!(with(&|m| m.answer = answer), field("answer"), "{answer:?}");
        }
        for proxy in [
            &b"PROXY TCP4 1 2"[..],
            b"PROXY \r\nGET / HTTP/1.1\r\n",
            b"GET /\r\n",
        ] {
            assert_eq!(with(&|m| m.proxy = proxy), field("proxy"), "{proxy:?}");
        }
        assert_eq!(with(&|m| m.proxy = b""), None);
        assert_eq!(with(&|m| m.tunnel = Saved(b"none")), field("tunnel"));
    });
}

/// Whatever one byte of a message is, it is read as a message that is written the same, or not at all.
#[test]
#[cfg_attr(miri, ignore = "each byte six times, one like the other")]
fn a_changed_byte_makes_another_message_or_none() {
    with_message(|message| {
        let bytes = written(&message);
        for at in 0..bytes.len() {
            for byte in [0, 1, 2, 0x7F, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                if let Ok(message) = Message::read(&changed) {
                    assert_eq!(written(&message), changed, "{at}");
                }
            }
        }
    });
}
