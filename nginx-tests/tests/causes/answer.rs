//! The upstream's answer is no WebSocket handshake's, or none comes.

use nginx_tests::client::SAMPLE_ACCEPT;
use nginx_tests::{Certificate, Client, Handshake, Listen, ScriptedBackend, backend};
use websocket_protocol::Finding;

use crate::case::{Case, causes, expected_accept};

causes! {
    upstream_closed: UpstreamClosed = {
        doing(|conn| conn.read_request().map(drop)).failed(
            502,
            "upstream prematurely closed connection, for path \"/\"",
        )
    }

    upstream_closed_within_the_header: UpstreamClosed = {
        doing(|conn| {
            conn.read_request()?;
            conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
        })
        .failed(502, "upstream prematurely closed connection, for path \"/\"")
    }

    upstream_closed_by_reset: UpstreamClosed = {
        doing(|conn| {
            conn.read_request()?;
            conn.reset();
            Ok(())
        })
        .failed(502, "recv() failed (104: Connection reset by peer), for path \"/\"")
    }

    upstream_response_timeout: UpstreamResponseTimeout = {
        with_timeout(|conn| {
            conn.read_request()?;
            conn.hang()
        })
    }

    upstream_response_timeout_within_the_header: UpstreamResponseTimeout = {
        with_timeout(|conn| {
            conn.read_request()?;
            conn.send("HTTP/1.1 101 Switching ")?;
            conn.hang()
        })
    }

    upstream_response_invalid: UpstreamResponseInvalid = {
        answering("SSH-2.0-OpenSSH_9.2\r\n")
            .failed(502, "upstream sent no valid HTTP/1.0 header")
    }

    upstream_response_invalid_whatever_it_says: UpstreamResponseInvalid = {
        answering("HTTP/1.1 101 no live upstreams\r\nx could not be resolved (\0): 1\r\n\r\n")
            // Before that nginx doesn't say which.
            .since((1, 21, 1))
            .failed(502, "upstream sent invalid header: \"x*")
    }

    upstream_response_invalid_from_a_tls_port: UpstreamResponseInvalid = {
        Case::server("location / { proxy_pass http://%BACKEND%; }")
            .backend(ScriptedBackend::on(
                Listen::Tls(Certificate::localhost()),
                backend::standard,
            ))
            .failed(502, "upstream sent no valid HTTP/1.0 header")
    }

    upstream_response_invalid_header: UpstreamResponseInvalid = {
        answering("HTTP/1.1 101 Switching Protocols\r\nUp\u{1}grade: websocket\r\n\r\n")
            // Before that it takes such a name.
            .since((1, 21, 1))
            .failed(502, "upstream sent invalid header: \"Up\\x01*\"")
    }

    upstream_header_too_big: UpstreamHeaderTooBig = {
        Case::server("location / { proxy_pass http://%BACKEND%; proxy_buffer_size 2k; }")
            .backend(ScriptedBackend::answering(format!(
                "HTTP/1.1 101 Switching Protocols\r\nX-Padding: {}\r\n\r\n",
                "x".repeat(2048)
            )))
            .failed(502, "upstream sent too big header (proxy_buffer_size 2k)")
    }

    upstream_redirect: UpstreamRedirect = {
        answering("HTTP/1.1 302 Found\r\nLocation: https://chat.example/?code=secret\r\nContent-Length: 0\r\n\r\n")
            .failed(
                302,
                "upstream answered 302, redirecting to \"https://chat.example/?...\", where 101 was expected",
            )
            .found(Finding::ElsewhereForNow)
    }

    upstream_redirect_to_tls: UpstreamRedirect = {
        answering("HTTP/1.1 301 Moved\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n")
            .failed(301, "upstream answered 301, redirecting to \"https://localhost/\", where 101 was expected")
            .found(Finding::SchemeMissing)
    }

    upstream_redirect_to_the_slash: UpstreamRedirect = {
        asked_at("proxy_pass http://%BACKEND%/app/", "/app/chat/", 301)
            .failed(301, "upstream answered 301, redirecting to \"/app/chat/\", where 101 was expected")
            .found(Finding::SlashMissing)
    }

    upstream_redirect_elsewhere: UpstreamRedirect = {
        asked_at("proxy_pass http://%BACKEND%", "/app/chat/", 301)
            .failed(301, "upstream answered 301, redirecting to \"/app/chat/\", where 101 was expected")
    }

    upstream_bad_request: UpstreamBadRequest = {
        with_status(400).failed(400, &format!("{}no Origin", refused(400)))
            .found(Finding::HostChangedOriginMissing)
    }

    upstream_bad_request_from_a_tls_port: UpstreamBadRequest = {
        answering("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            .failed(400, &format!("{}no Origin", refused(400)))
            .found(Finding::TlsWanted)
    }

    upstream_refused_by_fastcgi: UpstreamRefused = {
        Case::server("location / { fastcgi_pass 127.0.0.1:%CLOSED_PORT%; }")
            .failed(502, "upstream could not be asked")
            .found(Finding::PassedOtherwise)
    }

    upstream_closed_by_grpc: UpstreamClosed = {
        Case::server("location / { grpc_pass grpc://%BACKEND%; }")
            .backend(ScriptedBackend::start(|conn| conn.read_request().map(drop)))
            .failed(502, "upstream closed the connection without an answer")
            .found(Finding::PassedOtherwise)
    }

    upstream_status_interim: UpstreamStatus = {
        answering("HTTP/1.1 102 Processing\r\n\r\n")
            .failed(102, "upstream answered 102 where 101 was expected")
            .found(Finding::InterimFirst)
    }

    upstream_unauthorized: UpstreamUnauthorized = { with_status(401) }

    upstream_forbidden: UpstreamForbidden = {
        from("http://%HOST%", 403, "")
            .failed(403, &format!("{}Origin \"http://*\"", refused(403)))
            .found(Finding::HostChanged)
    }

    upstream_forbidden_without_the_port: UpstreamForbidden = {
        from("http://%HOST%", 403, "proxy_set_header Host $host;")
            .failed(
                403,
                "upstream answered 403 where 101 was expected, for path \"/\" with \
                 Host \"127.0.0.1\" (the client's is \"127.0.0.1:#\") and Origin \"http://*\"",
            )
            .found(Finding::HostChanged)
    }

    upstream_forbidden_with_the_host: UpstreamForbidden = {
        from("http://%HOST%", 403, "proxy_set_header Host $http_host;")
            .failed(
                403,
                "upstream answered 403 where 101 was expected, for path \"/\" with \
                 Host \"127.0.0.1:#\" and Origin \"http://*\"",
            )
            .found(Finding::OriginAgrees)
    }

    upstream_forbidden_to_a_foreign_page: UpstreamForbidden = {
        from("https://other.example", 403, "proxy_set_header Host $http_host;")
            .failed(
                403,
                "upstream answered 403 where 101 was expected, for path \"/\" with \
                 Host \"127.0.0.1:#\" and Origin \"https://other.example\"",
            )
            .found(Finding::OriginElsewhere)
    }

    upstream_forbidden_to_a_foreign_page_of_another_host: UpstreamForbidden = {
        from("https://other.example", 403, "")
            .failed(403, &format!("{}Origin \"https://other.example\"", refused(403)))
            .found(Finding::HostAndOriginDiffer)
    }

    upstream_forbidden_where_origin_is_taken_away: UpstreamForbidden = {
        from("https://other.example", 403, "proxy_set_header Origin '';")
            .failed(403, &format!("{}no Origin", refused(403)))
            .found(Finding::HostChangedOriginMissing)
    }

    upstream_forbidden_without_an_origin: UpstreamForbidden = {
        Case::server("location / { proxy_pass http://%BACKEND%; proxy_set_header Host $http_host; }")
            .backend(ScriptedBackend::answering("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"))
            .failed(403, "upstream answered 403 where 101 was expected, for path \"/\" with Host \"localhost\" and no Origin")
            .found(Finding::OriginMissing)
    }

    upstream_not_found: UpstreamNotFound = {
        with_status(404).failed(404, &at_path(404))
    }

    /// The query is the client's or the configuration's secret.
    upstream_not_found_at_another_path: UpstreamNotFound = {
        Case::server("location / { proxy_pass http://%BACKEND%/app/?token=secret&; }")
            .backend(ScriptedBackend::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"))
            .failed(404, "upstream answered 404 where 101 was expected, for path \"/app/\"")
    }

    upstream_version: UpstreamVersion = { with_status(426) }
    upstream_overloaded: UpstreamOverloaded = { with_status(503) }
    upstream_overloaded_by_one_client: UpstreamOverloaded = { with_status(429) }
    upstream_not_websocket: UpstreamNotWebsocket = { with_status(200).failed(200, &at_path(200)) }
    upstream_without_content: UpstreamNotWebsocket = { with_status(204).failed(204, &at_path(204)) }
    upstream_error: UpstreamError = { with_status(500) }
    upstream_behind_the_upstream: UpstreamError = { with_status(502) }
    upstream_status: UpstreamStatus = { with_status(418) }

    response_upgrade: ResponseUpgrade = {
        switching(&[("Connection", "Upgrade"), ("Sec-WebSocket-Accept", SAMPLE_ACCEPT)])
            .failed(502, "no Upgrade header")
    }

    response_upgrade_to_something_else: ResponseUpgrade = {
        switching(&[
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", SAMPLE_ACCEPT),
        ])
        .failed(502, "Upgrade is \"h2c\"")
    }

    response_connection: ResponseConnection = {
        switching(&[("Upgrade", "websocket"), ("Sec-WebSocket-Accept", SAMPLE_ACCEPT)])
            .failed(502, "no Connection header")
    }

    accept_missing: AcceptMissing = {
        switching(&[("Upgrade", "websocket"), ("Connection", "Upgrade")])
            .failed(502, "no Sec-WebSocket-Accept header")
    }

    accept_mismatch: AcceptMismatch = {
        switching(&[
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ])
        .failed(
            502,
            &format!(
                "Sec-WebSocket-Accept is \"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\" where \"{}\" was expected",
                expected_accept()
            ),
        )
    }

    subprotocol_not_offered: SubprotocolNotOffered = {
        choosing("Sec-WebSocket-Protocol", "v2")
            .ask(Handshake::new("/").add("Sec-WebSocket-Protocol", "v1, v3"))
            .failed(502, "Sec-WebSocket-Protocol has \"v2\", which was not offered")
    }

    subprotocol_where_none_was_offered: SubprotocolNotOffered = {
        choosing("Sec-WebSocket-Protocol", "v2")
            .failed(502, "Sec-WebSocket-Protocol has \"v2\", which was not offered")
    }

    extension_not_offered: ExtensionNotOffered = {
        choosing("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")
            .ask(Handshake::new("/").add("Sec-WebSocket-Extensions", "x-other"))
            .failed(
                502,
                "Sec-WebSocket-Extensions has \"permessage-deflate\", which was not offered",
            )
    }

    response_unasked: ResponseUnasked = {
        switching(&[("Upgrade", "websocket"), ("Connection", "Upgrade")])
            .ask(Handshake::plain("/"))
            .failed(502, "upstream answered 101 to a request that asked for no upgrade")
    }

    response_accel_redirect: ResponseAccelRedirect = {
        Case::server(
            "location / { proxy_pass http://%BACKEND%; }
            location = /elsewhere { return 410; }",
        )
        .backend(ScriptedBackend::answering(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\nX-Accel-Redirect: /elsewhere\r\n\r\n"
        )))
        .failed(410, "upstream answered 101 with X-Accel-Redirect \"/elsewhere\"")
    }
}

fn doing(
    script: impl Fn(&mut backend::Conn) -> std::io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case::server("location / { proxy_pass http://%BACKEND%; }")
        .backend(ScriptedBackend::start(script))
}

fn with_timeout(
    script: impl Fn(&mut backend::Conn) -> std::io::Result<()> + Send + Sync + 'static,
) -> Case {
    Case::server("location / { proxy_pass http://%BACKEND%; proxy_read_timeout 300ms; }")
        .backend(ScriptedBackend::start(script))
        .failed(
            504,
            "upstream timed out (110: Connection timed out) after # ms (proxy_read_timeout 300ms)",
        )
}

/// A backend that answers these bytes and closes.
fn answering(answer: impl Into<String>) -> Case {
    let answer = answer.into();
    doing(move |conn| {
        conn.read_request()?;
        conn.send(&answer)
    })
}

fn with_status(status: u16) -> Case {
    answering(format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n")).failed(
        status,
        &format!("upstream answered {status} where 101 was expected"),
    )
}

fn at_path(status: u16) -> String {
    format!("upstream answered {status} where 101 was expected, for path \"/\"")
}

/// Up to the Origin, where nginx puts the name in `proxy_pass` in the place of the client's Host.
fn refused(status: u16) -> String {
    format!(
        "{} with Host \"127.0.0.1:#\" (the client's is \"*\") and ",
        at_path(status)
    )
}

/// A page of this origin that is refused; `%HOST%` is nginx's own address.
fn from(origin: &'static str, status: u16, lines: &str) -> Case {
    let backend =
        ScriptedBackend::answering(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"));
    Case::server(format!(
        "location / {{ proxy_pass http://%BACKEND%; {lines} }}"
    ))
    .backend(backend)
    .act(move |nginx, _| {
        let host = format!("127.0.0.1:{}", nginx.port());
        let handshake = Handshake::new("/")
            .set("Host", &host)
            .add("Origin", &origin.replace("%HOST%", &host));
        Some(Client::connect(nginx.port()).ask(&handshake).status())
    })
}

/// A redirect of `/x/chat`.
fn asked_at(pass: &str, location: &str, status: u16) -> Case {
    Case::server(format!("location /x/ {{ {pass}; proxy_redirect off; }}"))
        .backend(ScriptedBackend::answering(format!(
            "HTTP/1.1 {status} So\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        )))
        .ask(Handshake::new("/x/chat?a=b"))
}

/// A backend that answers 101 with these headers.
fn switching(headers: &[(&str, &str)]) -> Case {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
    Case::server("websocket_handshake strict; location / { proxy_pass http://%BACKEND%; }").backend(
        ScriptedBackend::start(move |conn| {
            let request = conn.read_request()?.head;
            conn.answer(&request, answer.as_bytes())
        }),
    )
}

/// A backend that answers a right 101 with one more header.
fn choosing(name: &str, value: &str) -> Case {
    switching(&[
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", SAMPLE_ACCEPT),
        (name, value),
    ])
}
