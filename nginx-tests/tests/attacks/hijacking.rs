//! A page of another site that opens a connection in the name of its visitor.

use nginx_tests::{Client, Handshake, ScriptedBackend};

use crate::case::guarded;

#[test]
fn look_alikes_of_an_allowed_origin_are_refused() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded(
        "websocket_allow_origin https://app.example https://*.partner.example;",
        &backend,
    );
    let from = |origin: &str| {
        let request = Handshake::new("/")
            .add("Cookie", "session=visitor")
            .add("Origin", origin);
        Client::connect(nginx.port()).ask(&request).status()
    };
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://evilapp.example",
        "https://app.example@evil.example",
        "https://evil.example/https://app.example",
        "https://evil.example#https://app.example",
        "https://app.example, https://evil.example",
        "https://evil.example https://app.example",
        "https://partner.example",
        "https://evilpartner.example",
        "https://a.partner.example.evil.example",
        "https://app_example",
        "null",
        "",
    ] {
        assert_eq!(from(origin), 403, "{origin:?}");
    }
    assert_eq!(backend.connections(), 0);
    assert_eq!(from("https://app.example"), 101);
    assert_eq!(from("https://a.partner.example"), 101);
}

#[test]
fn two_origins_are_no_allowed_one() {
    let backend = ScriptedBackend::standard();
    let nginx = guarded("websocket_allow_origin https://app.example;", &backend);
    let request = Handshake::new("/")
        .add("Origin", "https://evil.example")
        .add("Origin", "https://app.example");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 403);
    assert_eq!(backend.connections(), 0);
}
