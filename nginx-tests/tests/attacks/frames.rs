//! Lengths that overflow where they are added up.

use nginx_tests::{Client, Frame, Handshake, ScriptedBackend, memory, wait_until};

use crate::case::guarded;

/// The header of a masked frame that says it has this length.
fn header(opcode: u8, length: u64) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    [&[opcode, 0xff][..], &length.to_be_bytes(), &mask].concat()
}

/// What the Close says that comes at last.
fn close_code(client: &mut Client) -> Option<u16> {
    loop {
        let frame = client.frame();
        if frame.opcode == 8 {
            return frame.close_code();
        }
    }
}

const LENGTHS: [u64; 5] = [1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];

/// The limit is held against what a frame says, whatever that does to a sum, and though no frame has more than
/// 2^63 - 1 bytes (RFC 6455 section 5.2): some receivers may take it for one.
#[test]
fn a_limit_holds_against_every_length() {
    for length in LENGTHS {
        let backend = ScriptedBackend::standard();
        let nginx = guarded("websocket_max_message_size 1000;", &backend);
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        let part = Frame::binary(vec![1; 900]).unfinished().masked().bytes();
        let header = header(0x80, length);
        client.send([&*part, &header].concat()).unwrap();
        assert_eq!(close_code(&mut client), Some(1009), "{length:#x}");
    }
}

/// RFC 6455 has a length in its shortest form only, and many receivers take it in any.
#[test]
fn a_length_in_a_longer_form_is_no_way_around_a_limit() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded("websocket_max_message_size 1000;", &backend);
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    let ping = b"\x89\xfe\x00\x00\0\0\0\0";
    let before = [&header(0x82, 5)[..], b"Hello", ping].concat();
    client
        .send([&before[..], &header(0x82, 1001)].concat())
        .unwrap();
    assert_eq!(close_code(&mut client), Some(1009));
    wait_until("what is short enough at the upstream", || {
        let received = backend.received(0);
        received.windows(before.len()).any(|part| part == before)
    });
}

/// Without a limit it is for the ends to judge: they get what was sent, and nginx goes on with others.
#[test]
fn a_length_that_no_memory_holds_costs_none() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        conn.hang()
    });
    let nginx = guarded("", &backend);
    // What it has asked for, whether or not it is there.
    let mapped = || memory(nginx.worker_pids()[0], "VmSize");
    let before = mapped();
    for (number, length) in LENGTHS.into_iter().enumerate() {
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        let sent = [header(0x82, length), vec![7; 100_000]].concat();
        client.send(&sent).unwrap();
        let handshake = backend.request(number).head.raw.len();
        wait_until("all of it at the upstream", || {
            backend.received(number).len() == handshake + sent.len()
        });
        assert!(backend.received(number).ends_with(&sent), "{length:#x}");
    }
    assert!(mapped() - before < 16 << 20, "{} bytes", mapped() - before);
}

#[test]
fn a_handshake_with_lists_as_long_as_nginx_takes_is_judged_at_once() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded(
        "websocket_handshake strict; large_client_header_buffers 8 32k;",
        &backend,
    );
    let names = |line: usize| {
        let names: Vec<String> = (0..4500).map(|name| format!("p{line}.{name}")).collect();
        names.join(",")
    };
    let mut request = Handshake::new("/");
    for line in 0..3 {
        request = request.add("Sec-WebSocket-Protocol", &names(line)[..32_000]);
        request = request.add("Sec-WebSocket-Extensions", &names(line)[..32_000]);
    }
    let start = std::time::Instant::now();
    let mut client = Client::connect(nginx.port());
    client.accepted(&request);
    client.echo("hello");
    // Compared each with each, they would take seconds.
    let time = start.elapsed();
    assert!(
        time < nginx_tests::patient(std::time::Duration::from_secs(1)),
        "{time:?}"
    );
}
