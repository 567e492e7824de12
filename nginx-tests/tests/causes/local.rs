//! nginx answers by itself: what its own directives say.

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::http2::session::Session;
use nginx_tests::wire::Wire;
use nginx_tests::{Certificate, Client, Handshake, ScriptedBackend, client, http2, wait_until};

use websocket_protocol::Finding;

use crate::case::{Case, Seen, ask, causes};

const PROXY: &str = "proxy_pass http://%BACKEND%;";

causes! {
    local_redirect: LocalRedirect = {
        in_location("return 301 https://localhost$request_uri;").rejected(
            301,
            "nginx answered 301, redirecting to \"https://localhost/\", before any upstream was asked",
        )
    }

    local_redirect_of_the_server: LocalRedirect = {
        Case::server("return 308 https://example.com/;")
            .rejected(308, "nginx answered 308, redirecting to \"https://example.com/\", before any upstream was asked")
    }

    local_redirect_by_rewrite: LocalRedirect = {
        in_location("rewrite ^ /there redirect;")
            .rejected(302, "nginx answered 302, redirecting to \"*/there\", before any upstream was asked")
    }

    local_redirect_to_the_slash: LocalRedirect = {
        Case::server(format!("location /chat/ {{ {PROXY} }}"))
            .backend(ScriptedBackend::standard())
            .ask(Handshake::new("/chat"))
            .rejected(301, "nginx answered 301, redirecting to \"*/chat/\", before any upstream was asked")
            .found(Finding::SlashMissing)
    }

    local_unauthorized: LocalUnauthorized = {
        in_location("auth_basic closed; auth_basic_user_file users;")
            .with(|setup| setup.file("users", "user:{PLAIN}password\n"))
            .rejected(401, "nginx answered 401 before any upstream was asked")
    }

    local_unauthorized_by_a_subrequest: LocalUnauthorized = {
        Case::server(format!(
            "location / {{ auth_request /auth; {PROXY} }} location = /auth {{ return 401; }}"
        ))
        .backend(ScriptedBackend::standard())
        .rejected(401, "nginx answered 401 before any upstream was asked")
    }

    local_forbidden: LocalForbidden = {
        in_location("deny all;")
            .rejected(403, "nginx answered 403 before any upstream was asked")
    }

    local_not_found: LocalNotFound = {
        Case::server("location / { root files; }")
            .ask(Handshake::new("/chat"))
            .rejected(404, "nginx answered 404 before any upstream was asked")
    }

    local_not_found_by_try_files: LocalNotFound = {
        in_location("try_files $uri =404;")
            .ask(Handshake::new("/chat"))
            .rejected(404, "nginx answered 404 before any upstream was asked")
    }

    local_limited: LocalLimited = {
        Case::http(
            "limit_conn_zone $binary_remote_addr zone=all:64k;",
            format!("location / {{ limit_conn all 1; {PROXY} }}"),
        )
        .backend(ScriptedBackend::standard())
        .act(|nginx, backends| {
            let mut first = Client::connect(nginx.port());
            first.establish("/first");
            let head = ask(nginx, "/");
            assert_eq!(backends[0].requests().len(), 1);
            Some(head.status())
        })
        .rejected(503, "nginx answered 503 before any upstream was asked")
    }

    local_limited_by_rate: LocalLimited = {
        by_rate("").rejected(503, "nginx answered 503 before any upstream was asked")
    }

    local_limited_with_another_status: LocalLimited = {
        by_rate("limit_req_status 429;")
            .rejected(429, "nginx answered 429 before any upstream was asked")
    }

    local_limited_by_no_limit: LocalLimited = {
        in_location("return 503;")
            .found(Finding::NothingLimited)
            .rejected(503, "nginx answered 503 before any upstream was asked")
    }

    local_header_too_large: LocalHeaderTooLarge = {
        with_cookie("large_client_header_buffers 2 1k;", "c=".to_owned() + &"x".repeat(2000))
    }

    local_header_too_large_by_many_lines: LocalHeaderTooLarge = {
        with_cookie(
            "client_header_buffer_size 1k; large_client_header_buffers 1 1k;",
            vec!["c=".to_owned() + &"x".repeat(98); 20].join("\r\nCookie: "),
        )
    }

    local_body_too_large: LocalBodyTooLarge = {
        in_location("client_max_body_size 1k;")
            .ask(Handshake::new("/").add("Content-Length", "1025"))
            .rejected(413, "nginx answered 413 before any upstream was asked")
    }

    local_plain_to_tls: LocalPlainToTls = {
        by_tls("", |port, _, _| Client::connect(port))
    }

    local_certificate_missing: LocalCertificateMissing = {
        by_tls(ASKS, |port, server, _| Client::connect_tls(port, server))
    }

    local_certificate_refused: LocalCertificateRefused = {
        by_tls(ASKS, |port, server, other| {
            Client::over(Wire::connect_tls_as(port, server, Some(other)).expect("nginx accepts TLS"))
        })
    }

    local_certificate_refused_where_one_is_optional: LocalCertificateRefused = {
        by_tls(&ASKS.replace("client on", "client optional"), |port, server, other| {
            Client::over(Wire::connect_tls_as(port, server, Some(other)).expect("nginx accepts TLS"))
        })
    }

    over_http2_before_it_is_judged: OverHttp2 = {
        Case::server("listen 127.0.0.1:%PORT2% http2; location / { return 400; }")
            .act(|nginx, _| {
                let mut wire = Wire::connect(nginx.port_of("PORT2")).expect("nginx accepts");
                let headers = [("sec-websocket-key", SAMPLE_KEY)];
                let answer = http2::get(&mut wire, "/", &headers).expect("nginx answers");
                Some(answer.status)
            })
            .rejected(400, "request is HTTP/2")
    }

    local_status_whatever_the_certificate_is: LocalStatus = {
        by_tls("ssl_verify_client off; return 400;", |port, server, _| {
            Client::connect_tls(port, server)
        })
    }

    local_websocket_off: LocalWebsocketOff = {
        over_http2("websocket_http2 on; location / { websocket off; }")
            .rejected(501, "extended CONNECT, and \"websocket\" is off in its location")
    }

    local_websocket_off_with_a_page_of_its_own: LocalWebsocketOff = {
        over_http2("websocket_http2 on; error_page 501 = /sorry; location / { websocket off; } location /sorry { return 403; }")
            .rejected(403, "extended CONNECT, and \"websocket\" is off in its location")
            .instead_of(501)
    }

    local_websocket_off_over_http2: LocalWebsocketOff = {
        over_http2("location / { return 204; }")
            .rejected(501, "extended CONNECT, and \"websocket_http2\" is off in its server")
    }

    local_status_of_auth_request: LocalStatus = {
        Case::server(format!(
            "location / {{ auth_request /auth; {PROXY} }} location = /auth {{ return 302 /login; }}"
        ))
        .backend(ScriptedBackend::standard())
        .rejected(500, "nginx answered 500 before any upstream was asked")
        .found(Finding::AuthRequestFailed)
    }

    /// Nor does it matter that its page is missing.
    local_forbidden_without_the_page: LocalForbidden = {
        Case::server(format!(
            "location / {{ deny all; error_page 403 /missing.html; {PROXY} }}
             location = /missing.html {{ websocket off; root files; }}"
        ))
        .backend(ScriptedBackend::standard())
        .rejected(404, "nginx refused access, and answered 404")
    }

    local_status: LocalStatus = {
        in_location("return 418;")
            .rejected(418, "nginx answered 418 before any upstream was asked")
    }

    local_status_of_success: LocalStatus = {
        in_location("return 200 hello;")
            .rejected(200, "nginx answered 200 before any upstream was asked")
    }

    local_status_of_a_file: LocalStatus = {
        Case::server("root files; location / { try_files $uri /index.html; }")
            .with(|setup| setup.file("files/index.html", "an application"))
            .found(Finding::FileServed)
            .rejected(200, "nginx answered 200 before any upstream was asked")
    }

    local_status_before_any_location: LocalStatus = {
        in_location("")
            .ask(Handshake::new("/").without("Host"))
            .rejected(400, "nginx answered 400 before any upstream was asked")
    }

    client_gone: ClientGone = {
        Case::server(format!("location / {{ {PROXY} }}"))
            .backend(ScriptedBackend::start(|conn| {
                conn.read_request()?;
                conn.hang()
            }))
            .act(|nginx, backends| leave(nginx, || !backends[0].requests().is_empty()))
            .failed(499, "client closed the connection after # ms")
    }

    client_gone_while_it_waited: ClientGone = {
        Case::http(
            "limit_req_zone $binary_remote_addr zone=all:64k rate=1r/m;",
            format!("location / {{ limit_req zone=all burst=1; {PROXY} }}"),
        )
        // Before that it misses a close that comes with the request.
        .since((1, 19, 9))
        .backend(ScriptedBackend::standard())
        .act(|nginx, _| {
            client::get(nginx.port(), "/first");
            leave(nginx, || true)
        })
        .failed(499, "client closed the connection after # ms")
    }
}

fn in_location(text: &str) -> Case {
    Case::server(format!("location / {{ {text} {PROXY} }}")).backend(ScriptedBackend::standard())
}

/// A handshake with a cookie, behind what makes it one.
fn with_cookie(text: &str, cookie: String) -> Case {
    Case::server(format!("{text} location / {{ {PROXY} }}"))
        .backend(ScriptedBackend::standard())
        .ask(Handshake::new("/").add("Cookie", &cookie))
        .not_over_http2("nginx ends the whole connection for it, and there is no request")
        .rejected(400, "nginx answered 400 before any upstream was asked")
}

const ASKS: &str = "ssl_verify_client on; ssl_client_certificate cert.pem;";

/// A handshake to a port that speaks TLS. The client's connection is made with the port, the server's
/// certificate and another that nothing trusts.
fn by_tls(
    text: &str,
    connect: impl Fn(u16, &Certificate, &Certificate) -> Client + 'static,
) -> Case {
    let (server, other) = (Certificate::localhost(), Certificate::localhost());
    let text = format!(
        "listen 127.0.0.1:%TLSPORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;
        {text} location / {{ {PROXY} }}"
    );
    Case::server(text)
        .with(|setup| setup.certificate(&server))
        .backend(ScriptedBackend::standard())
        .act(move |nginx, _| {
            let mut client = connect(nginx.port_of("TLSPORT"), &server, &other);
            Some(client.ask(&Handshake::new("/")).status())
        })
        .rejected(400, "nginx answered 400 before any upstream was asked")
}

/// An extended CONNECT to a server with this text, at an address where another server has `websocket_http2 on`.
fn over_http2(text: &str) -> Case {
    let certificate = Certificate::localhost();
    let tls = "listen 127.0.0.1:%TLSPORT% ssl http2; ssl_certificate cert.pem; ssl_certificate_key key.pem;";
    Case::http(
        format!("server {{ {tls} server_name other; websocket_http2 on; }}"),
        format!("{tls} server_name localhost; {text}"),
    )
    .with(|setup| {
        let deprecated = "the \"listen ... http2\" directive is deprecated";
        setup.certificate(&certificate).allow_log(deprecated)
    })
    .act(move |nginx, _| {
        let mut session = Session::ready(nginx.port_of("TLSPORT"), &certificate);
        let stream = session.open("/");
        Some(session.status(stream))
    })
}

/// The second request of a minute, where there may be one.
fn by_rate(text: &str) -> Case {
    let backend = ScriptedBackend::start(|_| Ok(()));
    Case::http(
        "limit_req_zone $binary_remote_addr zone=all:64k rate=1r/m;",
        format!("location / {{ limit_req zone=all; {text} {PROXY} }}"),
    )
    .backend(backend)
    .act(|nginx, _| {
        assert_eq!(client::get(nginx.port(), "/").status(), 502);
        Some(ask(nginx, "/").status())
    })
}

/// Sends a handshake, and closes the connection once nginx is busy with it.
fn leave(nginx: &nginx_tests::Nginx, busy: impl Fn() -> bool) -> Seen {
    let mut client = Client::connect(nginx.port());
    let handshake = Handshake::new("/").bytes();
    client.send(handshake).expect("nginx reads the handshake");
    wait_until("nginx to be busy with the handshake", busy);
    client.close();
    None
}
