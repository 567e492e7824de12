//! check-websocket before a server's answer, and frames behind a right one: no crash, no hang, no raw byte in what it prints.

#![no_main]

use check_websocket::outside;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let said = match bytes.split_first() {
        // Made up, a handshake's answer would hardly ever be the right one.
        Some((0..0x80, frames)) => outside::frames(frames),
        _ => outside::answer(bytes),
    };
    assert_eq!(outside::raw(&said), None);
});
