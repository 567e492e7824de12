//! A client's connection of HTTP/2, whatever it sends and however it comes: cut as it is read by someone who has
//! all of it. What takes the place of a block says the same, and leaves the table as the client has it.

#![no_main]

#[path = "../../protocol/tests/http2/hpack.rs"]
#[allow(dead_code)]
mod hpack;
#[path = "../../protocol/tests/http2/naive.rs"]
mod naive;

use hpack::{Arena, Lent};
use libfuzzer_sys::fuzz_target;
use websocket_fuzz::input::Input;
use websocket_protocol::http2::{asks_for_websocket, rewrite, rewritten_size};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let flags = input.byte();
    let limit = usize::from(input.short());
    let count = usize::from(input.byte());
    let pieces: Vec<usize> = input.take(count).iter().map(|&size| size.into()).collect();
    let beginning = if flags & 1 != 0 { &[] } else { naive::PREFACE };
    let stream = [beginning, input.0].concat();
    let is_ours = |stream: u32| stream & u32::from(flags >> 1) == 1;

    let found = naive::cut(&stream, limit, is_ours, pieces);
    naive::agree(&found, &naive::read(&stream, limit, is_ours));
    assert_eq!(found, naive::cut(&stream, limit, is_ours, []));

    let mut table = hpack::Codec::default();
    for (_, block) in &found.blocks {
        stands_in(block, &mut table, limit);
    }
});

const KEY: &[u8; 24] = b"AAAAAAAAAAAAAAAAAAAAAA==";

fn stands_in(block: &[u8], table: &mut hpack::Codec, limit: usize) {
    let arena = Arena::for_block(block.len());
    let mut lent = Lent::new(table, &arena);
    let asks = asks_for_websocket(block, &mut lent);
    assert_eq!(lent.codec, *table);

    let mut read = table.clone();
    let fields = read.read(block);
    let mut room = vec![0; rewritten_size(block.len(), limit)];
    let Some(length) = rewrite(block, &mut lent, limit, KEY, &mut room) else {
        let size = |fields: Vec<hpack::Field>| -> usize {
            fields
                .iter()
                .map(|field| field.0.len() + field.1.len())
                .sum()
        };
        assert!(fields.is_none_or(|fields| size(fields) > limit));
        *table = read;
        return;
    };
    let fields = fields.expect("it is a block");
    assert_eq!(lent.codec, read);
    *table = read;
    let written = hpack::Codec::default()
        .read(&room[..length])
        .expect("it is a block");
    assert_eq!(written, hpack::get(&fields, KEY));
    let has = |wanted: &[u8]| fields.iter().any(|field| field.0 == wanted);
    assert!(!asks || (has(b":method") && has(b":protocol") && has(b":path") && has(b":scheme")));
}
