//! `websocket_verify`, and what is said where several servers were tried.

use nginx_tests::environment::{is_over_http2, nginx_version};
use nginx_tests::http2::translator::without_tunnel;
use nginx_tests::{Client, Nginx, ScriptedBackend};

use crate::case::{ask, expected_accept, glob, http, lines, outcomes, said, server, states};

fn mismatch() -> String {
    let expected = expected_accept();
    format!("accept-mismatch: Sec-WebSocket-Accept is \"wrong\" where \"{expected}\" was expected")
}

#[test]
fn on_is_the_default_and_the_next_server_is_tried_where_an_invalid_header_says_so() {
    let (wrong, right) = (wrong(), ScriptedBackend::standard());
    let nginx = two(
        "proxy_next_upstream error invalid_header;",
        &wrong.address(),
        &right.address(),
    );
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    assert_eq!((wrong.connections(), right.connections()), (1, 1));
    assert_eq!(states(&nginx, 1), ["101 established "]);
    let log = nginx.stop();
    assert_eq!(lines(&log, "handshake failed"), [""; 0]);
    assert_eq!(lines(&log, "websocket established").len(), 1);
}

#[test]
fn on_answers_502_where_nginx_tries_no_other() {
    let (wrong, right) = (wrong(), ScriptedBackend::standard());
    let nginx = two("", &wrong.address(), &right.address());
    assert_eq!(ask(&nginx, "/").status(), 502);
    assert_eq!((wrong.connections(), right.connections()), (1, 0));
    assert_eq!(states(&nginx, 1), ["502 failed accept-mismatch"]);
}

#[test]
fn the_last_server_names_the_cause_and_the_line_names_them_all() {
    let wrong = wrong();
    let nginx = two(
        "proxy_next_upstream error invalid_header;",
        "127.0.0.1:%CLOSED_PORT%",
        &wrong.address(),
    );
    assert_eq!(ask(&nginx, "/").status(), 502);
    assert_eq!(states(&nginx, 1), ["502 failed accept-mismatch"]);
    let closed = nginx.port_of("CLOSED_PORT");
    let expected = format!(
        "{}, 2 upstreams tried: 127.0.0.1:{closed} upstream-refused, {} accept-mismatch; *",
        mismatch(),
        wrong.address()
    );
    let said = said(&nginx);
    assert!(glob(&expected, &said), "{said}");
}

#[test]
fn what_was_seen_is_the_last_server_s_too() {
    let absent = ScriptedBackend::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let nginx = two("", "127.0.0.1:%CLOSED_PORT%", &absent.address());
    assert_eq!(ask(&nginx, "/").status(), 404);
    let closed = nginx.port_of("CLOSED_PORT");
    let expected = format!(
        "upstream-not-found: upstream answered 404 where 101 was expected, for path \"/\", 2 upstreams tried: \
         127.0.0.1:{closed} upstream-refused, {} upstream-not-found; *",
        absent.address()
    );
    let said = said(&nginx);
    assert!(glob(&expected, &said), "{said}");
}

#[test]
fn a_status_that_is_tried_elsewhere() {
    let busy = ScriptedBackend::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let nginx = two(
        "proxy_next_upstream error http_503;",
        &busy.address(),
        "127.0.0.1:%CLOSED_PORT%",
    );
    assert_eq!(ask(&nginx, "/").status(), 502);
    let closed = nginx.port_of("CLOSED_PORT");
    let expected = format!(
        "upstream-refused: connect() failed (111: Connection refused), 2 upstreams tried: \
         {} upstream-overloaded, 127.0.0.1:{closed} upstream-refused; *",
        busy.address()
    );
    let said = said(&nginx);
    assert!(glob(&expected, &said), "{said}");
}

#[test]
fn a_connection_that_was_kept_and_then_closed_is_a_try_of_its_own() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        if conn.number() == 0 {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            conn.read_request()?;
            return Ok(());
        }
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    });
    let nginx = http(
        "upstream chat { server %BACKEND%; keepalive 1; }",
        "location / { proxy_pass http://chat; }
        location /plain {
            proxy_pass http://chat; websocket off;
            proxy_http_version 1.1; proxy_set_header Connection '';
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    assert_eq!(
        nginx_tests::client::get(nginx.port(), "/plain").status(),
        200
    );
    assert_eq!(ask(&nginx, "/").status(), 403);
    let address = backend.address();
    let expected = format!(
        "upstream-forbidden: upstream answered 403 where 101 was expected, for path \"/\" with \
         Host \"chat\" (the client's is \"localhost\") and no Origin, 2 upstreams tried: \
         {address} upstream-closed, {address} upstream-forbidden; *"
    );
    let said = said(&nginx);
    assert!(glob(&expected, &said), "{said}");
}

#[test]
fn what_is_no_http_is_tried_elsewhere_too() {
    let (wrong, right) = (
        ScriptedBackend::answering("SSH-2.0-OpenSSH_9.2\r\n"),
        ScriptedBackend::standard(),
    );
    let nginx = two(
        "proxy_next_upstream invalid_header;",
        &wrong.address(),
        &right.address(),
    );
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    assert_eq!((wrong.connections(), right.connections()), (1, 1));
}

#[test]
fn hints_before_the_answer_are_no_answer() {
    if nginx_version() < (1, 29, 0) {
        nginx_tests::skipped("this nginx does not know 103 Early Hints");
        return;
    }
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")?;
        conn.accept(&request)?;
        conn.echo_frames()
    });
    let nginx = one("", &backend);
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    assert_eq!(states(&nginx, 1), ["101 established "]);
}

#[test]
fn more_servers_than_are_named_are_counted() {
    let servers: String = (0..12)
        .map(|number| format!("server 127.0.0.1:%CLOSED_PORT{number}% max_fails=0;"))
        .collect();
    let nginx = http(
        format!("upstream chat {{ {servers} }}"),
        "location / { proxy_pass http://chat; }",
    )
    .log_level("error")
    .start();
    assert_eq!(ask(&nginx, "/").status(), 502);
    let said = said(&nginx);
    assert!(
        glob(
            "upstream-refused: *, 12 upstreams tried: 127.0.0.1:# *; *",
            &said
        ),
        "{said}"
    );
    let last = nginx.port_of("CLOSED_PORT11");
    assert!(
        said.contains(&format!("127.0.0.1:{last} upstream-refused; ")),
        "{said}"
    );
}

#[test]
fn log_passes_the_answer_on_and_says_so() {
    for (setting, level) in [("", "error"), ("websocket_log_level notice;", "notice")] {
        let wrong = wrong();
        let nginx = one(&format!("websocket_verify log; {setting}"), &wrong);
        let head = ask(&nginx, "/");
        assert_eq!(head.status(), 101);
        // HTTP/2 has no such header.
        if !is_over_http2() {
            assert_eq!(head.header("Sec-WebSocket-Accept"), Some("wrong"));
        }
        assert_eq!(states(&nginx, 1), ["101 established "]);
        let log = nginx.stop();
        assert_eq!(lines(&log, "handshake failed"), [""; 0]);
        let passed = lines(&log, "websocket handshake passed on: ");
        assert_eq!(passed.len(), 1, "{log}");
        let expected = format!(
            "*[{level}] *passed on: {}; *, client: 127.0.0.1, *",
            mismatch()
        );
        assert!(glob(&expected, passed[0]), "{log}");
    }
}

#[test]
fn off_passes_the_answer_on_without_a_word() {
    let wrong = wrong();
    let nginx = one("websocket_verify off;", &wrong);
    assert_eq!(ask(&nginx, "/").status(), 101);
    assert_eq!(states(&nginx, 1), ["101 established "]);
    let log = nginx.stop();
    assert_eq!(lines(&log, "websocket handshake"), [""; 0]);
}

#[test]
fn off_still_names_what_is_no_answer_to_a_handshake() {
    let backend = ScriptedBackend::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let nginx = one("websocket_verify off;", &backend);
    let status = without_tunnel(200);
    assert_eq!(ask(&nginx, "/").status(), status);
    let expected = format!("{status} failed upstream-not-websocket");
    assert_eq!(states(&nginx, 1), [expected]);
}

#[test]
fn a_level_below_inherits_and_overrides() {
    let wrong = wrong();
    let nginx = server(
        "websocket_verify off;
        location / { proxy_pass http://%BACKEND%; }
        location /strict { proxy_pass http://%BACKEND%; websocket_verify on; }",
    )
    .set("BACKEND", wrong.address())
    .start();
    assert_eq!(ask(&nginx, "/").status(), 101);
    assert_eq!(ask(&nginx, "/strict").status(), 502);
    assert_eq!(outcomes(&nginx, 2)[1].cause, "accept-mismatch");
}

#[test]
fn an_unknown_word_is_refused() {
    let check = server("websocket_verify perhaps;").check();
    assert!(!check.ok);
    let line = check.line_of("websocket_verify");
    let emerg = check.at_level("emerg");
    assert!(
        emerg[0].contains("invalid value \"perhaps\"") && emerg[0].ends_with(&format!(":{line}")),
        "{emerg:?}"
    );
}

/// Answers 101 with the wrong `Sec-WebSocket-Accept`, and closes.
fn wrong() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: wrong\r\n\r\n",
        )
    })
}

fn one(text: &str, backend: &ScriptedBackend) -> Nginx {
    server(format!(
        "{text} location / {{ proxy_pass http://%BACKEND%; }}"
    ))
    .set("BACKEND", backend.address())
    .start()
}

fn two(text: &str, first: &str, second: &str) -> Nginx {
    http(
        format!("upstream chat {{ server {first}; server {second}; }}"),
        format!("{text} location / {{ proxy_pass http://chat; }}"),
    )
    .start()
}
