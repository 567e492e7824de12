//! A client's connection is cut in the same way however it comes, and what is not a tunnel's stays as it was.

mod hpack;
mod naive;

use hpack::{Arena, Field, Lent};
use naive::{PREFACE, Whose, agree, cut, read};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use websocket_protocol::http2::{
    FrameHeader, Kind, ReceiveWindow, asks_for_websocket, rewrite, rewritten_size,
};

/// Under Miri each takes a thousand times longer.
const CASES: u32 = if cfg!(miri) { 10 } else { 1024 };

const LIMIT: usize = 200;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_connection_without_tunnels_is_the_servers(
        frames in vec(frame(), 0..12),
        pieces in vec(1..40usize, 0..100),
    ) {
        let stream = stream(&frames);
        let found = cut(&stream, LIMIT, |_| false, pieces);
        prop_assert!(found.data.is_empty());
        // Every byte is given to it in its turn, or is of a block that it gets if that doesn't ask for a tunnel.
        prop_assert!(found.bytes.iter().all(|whose| !matches!(whose, Whose::Data(_))));
    }

    #[test]
    fn a_connection_is_cut_as_it_is_read(
        frames in vec(frame(), 0..12),
        pieces in vec(1..40usize, 0..100),
    ) {
        let stream = stream(&frames);
        let found = cut(&stream, LIMIT, is_ours, pieces);
        agree(&found, &read(&stream, LIMIT, is_ours));
        prop_assert_eq!(found, cut(&stream, LIMIT, is_ours, []));
    }

    #[test]
    fn any_bytes_are_cut_as_they_are_read(
        bytes in vec(prop_oneof![any::<u8>(), 0..10u8], 0..200),
        pieces in vec(1..9usize, 0..200),
    ) {
        let stream = [PREFACE, &bytes].concat();
        let found = cut(&stream, LIMIT, is_ours, pieces);
        agree(&found, &read(&stream, LIMIT, is_ours));
        prop_assert_eq!(found, cut(&stream, LIMIT, is_ours, []));
    }

    #[test]
    fn no_block_that_asks_for_a_tunnel_is_missed(
        fields in fields(),
        before in vec((0..3u8, select(hpack::POOL), select(hpack::POOL)), 0..6),
        choices in vec(any::<u8>(), 20),
        cuts in vec(1..30usize, 0..40),
    ) {
        let mut encoder = hpack::Codec::default();
        let mut decoder = hpack::Codec::default();
        for (_, name, value) in before {
            encoder.put_in(name.as_bytes(), value.as_bytes());
            decoder.put_in(name.as_bytes(), value.as_bytes());
        }
        let block = encoder.write(&fields, &choices);
        let header = FrameHeader {
            length: block.len() as u32,
            kind: Kind::HEADERS,
            flags: FrameHeader::END_HEADERS,
            stream: 1,
        };
        let stream = [PREFACE, &header.bytes(), &block].concat();
        let found = cut(&stream, 4096, |_| false, cuts);
        let arena = Arena::for_block(block.len());
        let asks = !found.blocks.is_empty() && asks_for_websocket(&block, &mut Lent::new(&decoder, &arena));
        prop_assert_eq!(asks, is_extended_connect(&fields));
    }

    #[test]
    fn what_takes_the_place_of_a_block_says_the_same(
        fields in fields(),
        before in vec((0..3u8, select(hpack::POOL), select(hpack::POOL)), 0..6),
        choices in vec(any::<u8>(), 20),
    ) {
        let mut encoder = hpack::Codec::default();
        let mut decoder = hpack::Codec::default();
        for (_, name, value) in before {
            encoder.put_in(name.as_bytes(), value.as_bytes());
            decoder.put_in(name.as_bytes(), value.as_bytes());
        }
        let block = encoder.write(&fields, &choices);
        let mut expected = decoder.clone();
        let read = expected.read(&block).expect("it is a block");
        prop_assert_eq!(&read, &fields);

        let mut room = vec![0; rewritten_size(block.len(), 4096)];
        let key = *b"AAAAAAAAAAAAAAAAAAAAAA==";
        let arena = Arena::for_block(block.len());
        let mut table = Lent::new(&decoder, &arena);
        let length = rewrite(&block, &mut table, 4096, &key, &mut room).expect("it is a block");
        prop_assert_eq!(&table.codec, &expected, "the table is as the client has it");
        // It refers to no table but the static one, and adds nothing.
        let mut fresh = hpack::Codec::default();
        let written = fresh.read(&room[..length]).expect("it is a block");
        prop_assert_eq!(fresh, hpack::Codec::default());
        prop_assert_eq!(written, hpack::get(&fields, &key));
    }

    #[test]
    fn no_byte_of_a_window_is_lost(
        initial in 0..200u32,
        size in 1..1000u32,
        steps in vec((0..4u8, 0..400u32), 0..100),
    ) {
        let mut window = ReceiveWindow::new(initial);
        // What the client knows, and what is kept of what it has sent.
        let (mut client, mut kept) = (initial, 0);
        window.grow(size);
        for (step, count) in steps {
            match step {
                0 | 1 => {
                    let is_right = count <= client;
                    prop_assert_eq!(window.received(count).is_ok(), is_right);
                    if is_right {
                        client -= count;
                        kept += count;
                    }
                }
                2 => {
                    let count = count.min(kept);
                    window.passed_on(count);
                    kept -= count;
                }
                _ => client += window.update().unwrap_or(0),
            }
            prop_assert_eq!(window.held(), kept);
            prop_assert_eq!(window.size(), initial.max(size));
            prop_assert!(client + kept <= window.size());
        }
        // Who has nothing to wait for can send.
        window.passed_on(kept);
        client += window.update().unwrap_or(0);
        prop_assert!(client > 0 && client >= window.size() / 4);
    }
}

fn is_ours(stream: u32) -> bool {
    stream % 4 == 1
}

fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    [PREFACE, &frames.concat()].concat()
}

/// A frame whose parts go together often enough.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = select(vec![0, 0, 0, 1, 1, 3, 4, 6, 8, 9, 9, 0xee]);
    let flags = select(vec![0, 1, 4, 4, 5, 8, 9, 0x0c, 0x20, 0x24, 0x2c, 0xff]);
    let beginning = select(vec![
        &b""[..],
        b"\x00",
        b"\x02",
        b"\x42\x07CONNECT",
        b"\x02\x07CONNECT\x84",
        b"\x82\x84",
        b"\xbe\xbf",
        b"\x41\x01a\x87",
    ]);
    let payload = prop_oneof![vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..250)];
    let length = select(vec![0, 0, 0, 0, 0, 0, 1, 20]);
    (kind, flags, 1..6u32, beginning, payload, length).prop_map(
        |(kind, flags, stream, beginning, payload, missing)| {
            let mut payload = [beginning, &payload].concat();
            let header = FrameHeader {
                length: payload.len() as u32,
                kind: Kind(kind),
                flags,
                stream,
            };
            payload.truncate(payload.len().saturating_sub(missing));
            [&header.bytes(), &payload[..]].concat()
        },
    )
}

/// Mostly those of an extended CONNECT, in any order.
fn fields() -> impl Strategy<Value = Vec<Field>> {
    let pseudo = select(vec![
        (":method", "CONNECT"),
        (":method", "CONNECT"),
        (":method", "GET"),
        (":method", "PATCHED"),
        (":status", "200"),
    ]);
    let right = Just(vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "example.com"),
    ])
    .prop_shuffle();
    let wrong = (
        vec(pseudo, 0..3),
        vec(select(vec![(":path", "/"), (":scheme", "http")]), 0..3),
    )
        .prop_map(|(a, b)| [a, b].concat());
    let others = vec((select(hpack::NAMES), select(hpack::POOL)), 0..6);
    (prop_oneof![3 => right, 1 => wrong.prop_shuffle()], others).prop_map(|(pseudo, others)| {
        pseudo
            .into_iter()
            .chain(others)
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    })
}

fn is_extended_connect(fields: &[Field]) -> bool {
    let values = |wanted: &str| -> Vec<&[u8]> {
        fields
            .iter()
            .filter(|(name, _)| name == wanted.as_bytes())
            .map(|(_, value)| &value[..])
            .collect()
    };
    values(":method") == [b"CONNECT"]
        && values(":protocol") == [b"websocket"]
        && values(":scheme").len() == 1
        && values(":path").len() == 1
        && values(":authority").len() <= 1
        && values(":status").is_empty()
}
