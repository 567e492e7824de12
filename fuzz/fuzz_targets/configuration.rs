//! check-websocket before a configuration of nginx: no crash, no hang, no raw byte in what it prints.

#![no_main]

use check_websocket::outside;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let said = outside::configuration(bytes);
    assert_eq!(outside::raw(&said), None);
});
