//! The upstream is not reached.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nginx_tests::{Certificate, Listen, ScriptedBackend, backend, client};

use crate::case::{Case, ask, causes};
use crate::dns::{NO_SUCH_NAME, NameServer, SERVER_FAILURE};

causes! {
    upstream_unresolved: UpstreamUnresolved = {
        by_name(NO_SUCH_NAME).failed(502, "chat.invalid could not be resolved (3: Host not found)")
    }

    upstream_unresolved_by_a_failing_server: UpstreamUnresolved = {
        by_name(SERVER_FAILURE)
            .failed(502, "chat.invalid could not be resolved (2: Server failure)")
    }

    upstream_unresolved_without_resolver: UpstreamUnresolved = {
        Case::server("set $upstream chat.invalid; location / { proxy_pass http://$upstream; }")
            .failed(502, "no resolver defined to resolve chat.invalid")
    }

    upstream_none_live: UpstreamNoneLive = {
        Case::http(
            "upstream chat { server 127.0.0.1:%CLOSED_PORT% down; }",
            "location / { proxy_pass http://chat; }",
        )
        .failed(502, "no live upstreams")
    }

    upstream_none_live_after_failures: UpstreamNoneLive = {
        Case::http(
            "upstream chat {
                server 127.0.0.1:%CLOSED_PORT% max_fails=1;
                server 127.0.0.1:%CLOSED_PORT2% max_fails=1;
            }",
            "location / { proxy_pass http://chat; }",
        )
        .act(|nginx, _| {
            assert_eq!(client::get(nginx.port(), "/").status(), 502);
            Some(ask(nginx, "/").status())
        })
        .failed(502, "no live upstreams")
    }

    upstream_refused: UpstreamRefused = {
        Case::server("location / { proxy_pass http://127.0.0.1:%CLOSED_PORT%; }")
            .failed(502, "connect() failed (111: Connection refused)")
    }

    upstream_refused_by_a_socket: UpstreamRefused = {
        let case = Case::server("location / { proxy_pass http://unix:%PREFIX%/closed.sock; }")
            .with(|setup| {
                // A listener that is gone leaves its file.
                let path = setup.path("closed.sock");
                drop(std::os::unix::net::UnixListener::bind(path).expect("a socket"));
                setup
            });
        case.failed(502, "connect() to unix:*/closed.sock failed (111: Connection refused)")
    }

    upstream_unreachable: UpstreamUnreachable = {
        // The broadcast address of loopback: the kernel refuses it at once, and sends nothing.
        Case::server("location / { proxy_pass http://127.255.255.255:9; }")
            .failed(502, "connect() to 127.255.255.255:9 failed (101: Network is unreachable)")
    }

    upstream_unreachable_without_a_socket: UpstreamUnreachable = {
        Case::server("location / { proxy_pass http://unix:%PREFIX%/missing.sock; }")
            .with(|setup| setup.allow_log("(2: No such file or directory)"))
            .failed(502, "connect() to unix:*/missing.sock failed (2: No such file or directory)")
    }

    upstream_unreachable_from_an_address: UpstreamUnreachable = {
        // nginx calls its own inability 500.
        Case::server(
            "location / {
                proxy_pass http://127.0.0.1:%CLOSED_PORT%;
                proxy_bind 203.0.113.77;
            }",
        )
        .with(|setup| setup.allow_log("bind(203.0.113.77) failed"))
        .instead_of(502)
        .failed(500, "bind(203.0.113.77) failed (99: Cannot assign requested address)")
    }

    upstream_connect_timeout: UpstreamConnectTimeout = {
        let (listener, full) = full_listener();
        Case::server(
            "location / { proxy_pass http://%BUSY%; proxy_connect_timeout 300ms; }",
        )
        .set("BUSY", listener.local_addr().expect("a bound socket"))
        .act(move |nginx, _| {
            let head = ask(nginx, "/");
            drop((listener, full));
            Some(head.status())
        })
        .failed(
            504,
            "upstream timed out (110: Connection timed out) after # ms (proxy_connect_timeout 300ms)",
        )
    }

    upstream_tls_failed: UpstreamTlsFailed = {
        Case::server("location / { proxy_pass https://%BACKEND%; }")
            .backend(ScriptedBackend::start(|conn| {
                conn.read_bytes(1)?;
                conn.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            }))
            .failed(502, "SSL_do_handshake() failed (*wrong version number*)")
    }

    upstream_tls_failed_in_time: UpstreamTlsFailed = {
        // A server that waits for the end of a request line.
        Case::server("location / { proxy_pass https://%BACKEND%; proxy_connect_timeout 300ms; }")
            .backend(ScriptedBackend::start(|conn| conn.hang()))
            .instead_of(502)
            .failed(
                504,
                "upstream timed out (110: Connection timed out) after # ms \
                 (proxy_connect_timeout 300ms)",
            )
    }

    upstream_tls_failed_by_a_close: UpstreamTlsFailed = {
        Case::server("location / { proxy_pass https://%BACKEND%; }")
            .backend(ScriptedBackend::start(|conn| conn.read_bytes(1).map(drop)))
            // Before that nginx takes it for another failure, with OpenSSL 3.
            .since((1, 21, 2))
            .failed(502, "peer closed connection in SSL handshake*")
    }

    upstream_tls_failed_by_the_certificate: UpstreamTlsFailed = {
        let certificate = Certificate::localhost();
        Case::server(
            "location / {
                proxy_pass https://%BACKEND%;
                proxy_ssl_verify on;
                proxy_ssl_trusted_certificate other.pem;
            }",
        )
        .with(|setup| setup.file("other.pem", Certificate::localhost().pem))
        .backend(ScriptedBackend::on(Listen::Tls(certificate), backend::standard))
        .failed(502, "upstream SSL certificate verify error: (*)")
    }

    upstream_tls_failed_by_the_name: UpstreamTlsFailed = {
        let certificate = Certificate::valid_for(&["chat.example"]);
        let trusted = certificate.pem.clone();
        Case::server(
            "location / {
                proxy_pass https://%BACKEND%;
                proxy_ssl_verify on;
                proxy_ssl_trusted_certificate trusted.pem;
            }",
        )
        .with(|setup| setup.file("trusted.pem", trusted))
        .backend(ScriptedBackend::on(Listen::Tls(certificate), backend::standard))
        .failed(502, "upstream SSL certificate does not match \"127.0.0.1*\"")
    }
}

fn by_name(code: u8) -> Case {
    let server = NameServer::answering(code);
    Case::server(
        "resolver %RESOLVER% ipv6=off;
        set $upstream chat.invalid;
        location / { proxy_pass http://$upstream; }",
    )
    .set("RESOLVER", server.address())
    .act(move |nginx, _| {
        let head = ask(nginx, "/");
        drop(server);
        Some(head.status())
    })
}

/// A listener whose queue is full, so that the kernel lets further connections wait; and those
/// that fill it.
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    rustix::net::listen(&listener, 0).expect("a shorter queue");
    let address: SocketAddr = listener.local_addr().expect("a bound socket");
    let mut full = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        full.push(stream);
    }
    (listener, full)
}
