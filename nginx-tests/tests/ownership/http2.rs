//! A request of HTTP/2 that asks for a WebSocket is refused, however lenient one is: a 101
//! would mean nothing on its stream.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::wire::Wire;
use nginx_tests::{ScriptedBackend, http2};

use crate::case::{assert_failed, said, to};

#[test]
fn it_is_refused_however_lenient_one_is() {
    let full: &[(&str, &str)] = &[
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-key", SAMPLE_KEY),
        ("sec-websocket-version", "13"),
    ];
    for lines in ["", "websocket_handshake lenient;"] {
        for headers in [full, &full[..1], &full[..2], &full[..3]] {
            let backend = ScriptedBackend::standard();
            let nginx = to(
                &backend,
                format!(
                    "listen 127.0.0.1:%PORT2% http2; {lines}
                    location / {{ proxy_pass http://%BACKEND%; }}"
                ),
            )
            .start();
            let mut wire = Wire::connect(nginx.port_of("PORT2")).unwrap();
            let answer = http2::get(&mut wire, "/", headers).unwrap();
            assert_eq!(answer.status, 400, "{lines} {headers:?}");
            drop(wire);
            let outcomes = nginx.wait_for_access("outcome.log", 1);
            assert_eq!(outcomes, ["400 rejected over-http2"], "{lines} {headers:?}");
            let log = nginx.stop();
            assert_failed(&log, "over-http2: request is HTTP/2");
            assert_eq!(backend.connections(), 0, "{lines} {headers:?}");
        }
    }
}

#[test]
fn a_plain_request_of_http_2_passes() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "listen 127.0.0.1:%PORT2% http2; websocket_handshake lenient;
        location / { proxy_pass http://%BACKEND%; }",
    )
    .start();
    let mut wire = Wire::connect(nginx.port_of("PORT2")).unwrap();
    let answer = http2::get(&mut wire, "/", &[("x-own", "1")]).unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"plain"[..]));
    drop(wire);
    assert_eq!(said(&nginx.stop()), [""; 0]);
}
