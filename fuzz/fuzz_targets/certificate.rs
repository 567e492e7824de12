//! check-websocket before a certificate in DER form: no crash, no hang, no raw byte in what it prints.

#![no_main]

use check_websocket::outside;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let said = outside::certificate(bytes);
    assert_eq!(outside::raw(&said), None);
});
