//! The request breaks a rule: it is answered before an upstream is asked.

use nginx_tests::wire::Wire;
use nginx_tests::{Handshake, ScriptedBackend, http2};

use websocket_protocol::Finding;

use crate::case::{Case, causes};

causes! {
    over_http2: OverHttp2 = {
        // nginx 1.22 knows HTTP/2 only as a word of `listen`.
        Case::server("listen 127.0.0.1:%PORT2% http2; location / { proxy_pass http://%BACKEND%; }")
            .backend(ScriptedBackend::standard())
            .act(|nginx, _| {
                let mut wire = Wire::connect(nginx.port_of("PORT2")).expect("nginx accepts");
                let headers = [
                    ("upgrade", "websocket"),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("sec-websocket-version", "13"),
                ];
                let answer = http2::get(&mut wire, "/", &headers).expect("nginx answers");
                Some(answer.status)
            })
            .rejected(400, "request is HTTP/2")
    }

    method_not_get: MethodNotGet = {
        to_echo(Handshake::new("/").method("POST").add("Content-Length", "0"))
            .answers("Allow", "GET")
            .rejected(405, "method is \"POST\"")
    }

    http_version: HttpVersion = {
        to_echo(Handshake::new("/").version("HTTP/1.0")).rejected(400, "request is HTTP/1.0")
    }

    upgrade_missing: UpgradeMissing = {
        to_what_is_not_found(Handshake::new("/").without("Upgrade").without("Connection"))
    }

    upgrade_missing_with_a_version_alone: UpgradeMissing = {
        to_what_is_not_found(Handshake::plain("/").add("Sec-WebSocket-Version", "13"))
    }

    upgrade_not_websocket: UpgradeNotWebsocket = {
        to_echo(Handshake::new("/").set("Upgrade", "h2c")).rejected(400, "Upgrade is \"h2c\"")
    }

    upgrade_not_websocket_by_order: UpgradeNotWebsocket = {
        let other = Handshake::plain("/").add("Connection", "upgrade").add("Upgrade", "TLS/1.2");
        Case::server(
            "location / { proxy_pass http://%BACKEND%; websocket_other_upgrades reject; }",
        )
        .backend(ScriptedBackend::standard())
        .ask(other)
        .rejected(400, "Upgrade is \"TLS/1.2\"")
    }

    connection_not_upgrade: ConnectionNotUpgrade = {
        to_echo(Handshake::new("/").set("Connection", "keep-alive"))
            .rejected(400, "Connection is \"keep-alive\"")
    }

    connection_missing: ConnectionNotUpgrade = {
        to_echo(Handshake::new("/").without("Connection")).rejected(400, "no Connection header")
    }

    key_missing: KeyMissing = {
        to_echo(Handshake::new("/").without("Sec-WebSocket-Key"))
            .rejected(400, "no Sec-WebSocket-Key header")
    }

    key_repeated: KeyRepeated = {
        to_echo(Handshake::new("/").add("Sec-WebSocket-Key", "c2Vjb25k"))
            .rejected(400, "2 Sec-WebSocket-Key headers")
    }

    key_invalid: KeyInvalid = {
        to_echo(Handshake::new("/").set("Sec-WebSocket-Key", "short"))
            .rejected(400, "Sec-WebSocket-Key is \"short\"")
    }

    version_missing: VersionMissing = {
        to_echo(Handshake::new("/").without("Sec-WebSocket-Version"))
            .rejected(400, "no Sec-WebSocket-Version header")
    }

    version_repeated: VersionRepeated = {
        to_echo(Handshake::new("/").set("Sec-WebSocket-Version", "13, 8"))
            .rejected(400, "Sec-WebSocket-Version is \"13, 8\"")
    }

    version_unsupported: VersionUnsupported = {
        to_echo(Handshake::new("/").set("Sec-WebSocket-Version", "8"))
            .answers("Sec-WebSocket-Version", "13")
            .rejected(426, "Sec-WebSocket-Version is \"8\"")
    }

    body_present: BodyPresent = {
        to_echo(Handshake::new("/").add("Content-Length", "2").body("hi"))
            .rejected(400, "request has a body")
    }

    body_of_chunks: BodyPresent = {
        to_echo(Handshake::new("/").add("Transfer-Encoding", "chunked").body("2\r\nhi\r\n0\r\n\r\n"))
            .rejected(400, "request has a body")
    }

    subprotocol_malformed: SubprotocolMalformed = {
        to_echo(Handshake::new("/").add("Sec-WebSocket-Protocol", "chat room"))
            .rejected(400, "Sec-WebSocket-Protocol has \" \" at character 5, which is not allowed in a subprotocol")
    }

    subprotocol_twice: SubprotocolMalformed = {
        to_echo(Handshake::new("/").add("Sec-WebSocket-Protocol", "a, b, a"))
            .rejected(400, "Sec-WebSocket-Protocol names a subprotocol twice: number 3 repeats an earlier one")
    }

    extensions_malformed: ExtensionsMalformed = {
        to_echo(Handshake::new("/").add("Sec-WebSocket-Extensions", "a b"))
            .rejected(400, "Sec-WebSocket-Extensions is \"a b\"")
    }

    origin_not_allowed: OriginNotAllowed = {
        of_one_origin(Handshake::new("/").add("Origin", "https://evil.example"))
            .rejected(403, "Origin is \"https://evil.example\"")
    }

    origin_missing: OriginNotAllowed = {
        of_one_origin(Handshake::new("/"))
            .found(Finding::NoneNotAllowed)
            .rejected(403, "no Origin header")
    }
}

fn to_what_is_not_found(request: Handshake) -> Case {
    Case::server("location / { proxy_pass http://%BACKEND%; }")
        .backend(ScriptedBackend::answering(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        ))
        .ask(request)
        .failed(
            404,
            "no Upgrade header, and upstream answered 404 where 101 was expected",
        )
}

fn to_echo(request: Handshake) -> Case {
    Case::server("websocket_handshake strict; location / { proxy_pass http://%BACKEND%; }")
        .backend(ScriptedBackend::standard())
        .ask(request)
}

fn of_one_origin(request: Handshake) -> Case {
    Case::server(
        "websocket_allow_origin https://example.com;
        location / { proxy_pass http://%BACKEND%; }",
    )
    .backend(ScriptedBackend::standard())
    .ask(request)
}
