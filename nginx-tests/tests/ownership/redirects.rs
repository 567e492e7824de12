//! A request that comes from a location that is on to one that is off is that one's alone.

use std::thread;

use nginx_tests::backend::{standard, switching_protocols};
use nginx_tests::{Client, Frame, Handshake, ScriptedBackend, wait_until};

use crate::case::{NOT_FOUND, assert_failed, is_limited, said, server, to};

/// The ways, each with the server's text. What is off is written by hand, at `/old` and `@old`.
const WAYS: &[(&str, &str)] = &[
    (
        "a page by its name",
        "location / { error_page 502 = @old; proxy_pass http://%NOBODY%; }",
    ),
    (
        "a page by its path",
        "location / { error_page 502 = /old; proxy_pass http://%NOBODY%; }",
    ),
    (
        "a page of nginx's own answer",
        "location / { error_page 403 = @old; deny all; proxy_pass http://%NOBODY%; }",
    ),
    (
        "a page of an answer that comes before every check",
        "location / { error_page 418 = @old; return 418; }",
    ),
    (
        "a page of a subrequest's answer",
        "location / { auth_request /no; error_page 403 = @old; proxy_pass http://%NOBODY%; }
        location = /no { internal; return 403; }",
    ),
    (
        "a page of an upstream's answer",
        "location / {
            proxy_intercept_errors on; error_page 404 = @old; proxy_pass http://%NOT_FOUND%;
        }",
    ),
    (
        "a page of a 101 that is refused",
        "location / { error_page 502 = @old; proxy_pass http://%WRONG%; }",
    ),
    (
        "X-Accel-Redirect",
        "location / { proxy_pass http://%SENDS_ON%/200; }",
    ),
    (
        "X-Accel-Redirect of a 101",
        "location / { proxy_pass http://%SENDS_ON%/101; }",
    ),
    (
        "a file that is not there",
        "location / { root .; try_files /none @old; proxy_pass http://%NOBODY%; }",
    ),
    (
        "another location that is on",
        "recursive_error_pages on;
        location / { error_page 502 = @second; proxy_pass http://%NOBODY%; }
        location @second {
            proxy_intercept_errors on; error_page 404 = @old; proxy_pass http://%NOT_FOUND%;
        }",
    ),
    (
        "no location at all",
        "set $early $websocket_state; rewrite ^/chat$ /old;",
    ),
];

/// What is off, and limits of the module that would hold if it were on.
const OLD: &str = "
    websocket_max_message_size 10; websocket_timeout 100ms; websocket_drain 60s;
    proxy_read_timeout 400ms;
    location = /old { internal; websocket off; %BY_HAND% proxy_pass http://%BACKEND%; }
    location @old { websocket off; %BY_HAND% proxy_pass http://%BACKEND%; }";

#[test]
fn a_tunnel_of_a_location_that_is_off_is_nginx_s_own() {
    let backend = ScriptedBackend::standard();
    let not_found = ScriptedBackend::answering(NOT_FOUND);
    let wrong = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send(switching_protocols("another key"))
    });
    let sends_on = sends_on("/old");
    for (way, text) in WAYS {
        println!("by {way}");
        let nginx = to(&backend, format!("{OLD} {text}"))
            .set("NOT_FOUND", not_found.address())
            .set("WRONG", wrong.address())
            .set("SENDS_ON", sends_on.address())
            .start();
        let mut client = Client::connect(nginx.port());
        client.establish("/chat");
        assert!(!is_limited(&mut client), "by {way}");
        // nginx says nothing to the client when a time is over, and the module's was shorter.
        assert_eq!(client.read_until_close(), b"", "by {way}");
        let log = nginx.stop();
        assert!(log.contains("upstream timed out"), "by {way}: {log}");
        assert_eq!(said(&log), [""; 0], "by {way}");
    }
}

#[test]
fn a_tunnel_of_a_location_that_is_on_is_the_module_s_wherever_it_comes_from() {
    let backend = ScriptedBackend::standard();
    let sends_on = sends_on("/new");
    for text in [
        "location / { websocket off; error_page 502 = @new; proxy_pass http://%NOBODY%; }",
        "location / {
            websocket off; error_page 502 = @new; %BY_HAND% proxy_pass http://%NOBODY%;
        }",
        "location / { websocket off; root .; try_files /none /new; }",
        "location / { websocket off; proxy_pass http://%SENDS_ON%/200; }",
        "location / { proxy_pass http://%SENDS_ON%/200; }",
        "location / { proxy_pass http://%SENDS_ON%/101; }",
        "recursive_error_pages on;
        location / { error_page 502 = @off; proxy_pass http://%NOBODY%; }
        location @off {
            websocket off; error_page 502 = @new; %BY_HAND% proxy_pass http://%NOBODY%;
        }",
    ] {
        let nginx = to(
            &backend,
            format!(
                "websocket_max_message_size 10; {text}
                location = /new {{ proxy_pass http://%BACKEND%; }}
                location @new {{ proxy_pass http://%BACKEND%; }}"
            ),
        )
        .set("SENDS_ON", sends_on.address())
        .start();
        let mut client = Client::connect(nginx.port());
        client.establish("/chat");
        assert!(is_limited(&mut client), "{text}");
        client.close();
        let said = said(&nginx.stop());
        let right = matches!(&said[..], [first, second]
            if first.starts_with("websocket established")
                && second.contains(" by nginx: message-too-big"));
        assert!(right, "{text}: {said:#?}");
    }
}

#[test]
fn a_page_of_an_upstream_that_is_off_leaves_the_cause() {
    let page = ScriptedBackend::standard();
    let not_found = ScriptedBackend::answering(NOT_FOUND);
    for (upstream, answer, lines, status) in [
        (&page, "", "", 502),
        (&page, "=200", "", 200),
        (&not_found, "=", "", 404),
        (&not_found, "=", "%BY_HAND%", 404),
    ] {
        let nginx = to(
            upstream,
            format!(
                "location / {{ error_page 502 {answer} @page; proxy_pass http://%NOBODY%; }}
                location @page {{ websocket off; {lines} proxy_pass http://%BACKEND%; }}"
            ),
        )
        .start();
        let head = Client::connect(nginx.port()).ask(&Handshake::new("/"));
        assert_eq!(head.status(), status);
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, [format!("{status} failed upstream-refused")]);
        let seen = "upstream-refused: connect() failed (111: Connection refused)";
        assert_failed(&nginx.stop(), seen);
    }
}

#[test]
fn nginx_s_own_answer_behind_an_attempt_leaves_the_cause() {
    for (page, status) in [("return 410;", 410), ("deny all;", 403), ("root .;", 404)] {
        let nginx = server(format!(
            "location / {{ error_page 502 = @page; proxy_pass http://%NOBODY%; }}
            location @page {{ {page} }}"
        ))
        .start();
        let head = Client::connect(nginx.port()).ask(&Handshake::new("/none"));
        assert_eq!(head.status(), status);
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, [format!("{status} failed upstream-refused")]);
        let seen = "upstream-refused: connect() failed (111: Connection refused)";
        assert_failed(&nginx.stop(), seen);
    }
}

#[test]
fn nothing_of_a_request_is_left_for_the_next_on_its_connection() {
    let backend = ScriptedBackend::start(|conn| match conn.read_request()?.head {
        head if head.target() == "/missing" => conn.send(NOT_FOUND),
        head => {
            conn.accept(&head)?;
            conn.echo_frames()
        }
    });
    let nginx = to(
        &backend,
        "websocket_handshake strict; location / { proxy_pass http://%BACKEND%; }
        location /off { websocket off; %BY_HAND% proxy_pass http://%BACKEND%; }",
    )
    .start();
    for last in ["/on", "/off"] {
        let mut client = Client::connect(nginx.port());
        assert_eq!(client.exchange(&Handshake::new("/missing")).status(), 404);
        let broken = Handshake::new("/on").set("Sec-WebSocket-Version", "8");
        assert_eq!(client.exchange(&broken).status(), 426);
        client.establish(last);
        client.echo("hello");
        client.close_politely();
    }
    let said = said(&nginx.stop());
    let starts = [
        "websocket handshake failed: upstream-not-found: ",
        "websocket handshake failed: version-unsupported: ",
        "websocket established",
        "websocket closed",
        "websocket handshake failed: upstream-not-found: ",
        "websocket handshake failed: version-unsupported: ",
    ];
    let right = said.len() == starts.len()
        && said
            .iter()
            .zip(starts)
            .all(|(line, start)| line.starts_with(start));
    assert!(right, "{said:#?}");
}

#[test]
fn a_worker_that_exits_drains_its_own_tunnels_alone() {
    let backend = ScriptedBackend::start(standard);
    let nginx = to(
        &backend,
        "websocket_drain 200ms;
        location / { proxy_pass http://%BACKEND%; }
        location /new/ { error_page 502 = @old; proxy_pass http://%NOBODY%; }
        location @old { websocket off; %BY_HAND% proxy_pass http://%BACKEND%; }",
    )
    .start();
    // Those of the two kinds stand between each other in whatever list the worker has.
    let mut both: Vec<(Client, Client)> = Vec::new();
    for _ in 0..4 {
        let pair = ["/new/", "/"].map(|target| {
            let mut client = Client::connect(nginx.port());
            client.establish(target);
            client.echo("hello");
            client
        });
        both.push(pair.into());
    }
    // One that was nginx's own has gone when the worker looks through its list.
    let (gone, _kept) = both.remove(1);
    gone.close_politely();
    let old = nginx.worker_pids();
    nginx.reload();
    let parting: Vec<_> = both
        .into_iter()
        .map(|(own, mut ours)| {
            let drained = thread::spawn(move || {
                let close = Frame::close(1012, "");
                assert_eq!(ours.frame(), close);
                ours.send(close.masked().bytes())
                    .expect("the tunnel takes a frame");
                assert_eq!(ours.read_until_close(), b"");
            });
            (own, drained)
        })
        .collect();
    let mut own: Vec<Client> = Vec::new();
    for (client, drained) in parting {
        drained.join().expect("the module's own part");
        own.push(client);
    }
    assert_eq!(nginx.exiting_worker_pids(), old);
    for mut client in own {
        client.echo("still there");
        client.close_politely();
    }
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    let said = said(&nginx.stop());
    assert_eq!(said.len(), 2 * 4, "{said:#?}");
}

/// An upstream that sends nginx there, with the status that its path names.
fn sends_on(there: &'static str) -> ScriptedBackend {
    ScriptedBackend::start(move |conn| {
        let head = conn.read_request()?.head;
        let answer = if head.target() == "/101" {
            switching_protocols(head.header("Sec-WebSocket-Key").unwrap_or_default())
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
        };
        conn.send(answer.replacen("\r\n", &format!("\r\nX-Accel-Redirect: {there}\r\n"), 1))
    })
}

/// Without `=` the page has the status of what led to it; a tunnel has its own.
#[test]
fn a_second_location_s_tunnel_is_a_tunnel_whatever_led_there() {
    let (backend, not_found) = (
        ScriptedBackend::standard(),
        ScriptedBackend::answering(NOT_FOUND),
    );
    for first in [
        "error_page 502 @second; proxy_pass http://%NOBODY%;",
        "proxy_intercept_errors on; error_page 404 @second; proxy_pass http://%NOT_FOUND%;",
    ] {
        let nginx = to(
            &backend,
            format!(
                "websocket_max_message_size 10; location / {{ {first} }}
                location @second {{ proxy_pass http://%BACKEND%; }}"
            ),
        )
        .set("NOT_FOUND", not_found.address())
        .start();
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        assert!(is_limited(&mut client), "{first}");
        client.close();
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, ["101 established "], "{first}");
    }
}

#[test]
fn a_refusal_has_its_cause_also_where_its_page_is_off() {
    for (refusal, status, cause) in [
        ("deny all;", 403, "local-forbidden"),
        ("auth_request /no;", 401, "local-unauthorized"),
        (
            "websocket_allow_origin https://good.example;",
            403,
            "origin-not-allowed",
        ),
    ] {
        let nginx = server(format!(
            "location / {{ error_page 401 403 /page; {refusal} proxy_pass http://%NOBODY%; }}
            location = /no {{ internal; return 401; }}
            location = /page {{ internal; websocket off; root .; }}"
        ))
        .file("page", "a page")
        .start();
        let request = Handshake::new("/").add("Origin", "https://evil.example");
        assert_eq!(Client::connect(nginx.port()).ask(&request).status(), status);
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, [format!("{status} rejected {cause}")]);
    }
}

#[test]
fn what_is_refused_becomes_no_tunnel_of_the_page_either() {
    let page = ScriptedBackend::standard();
    let nginx = to(
        &page,
        "location / {
            websocket_allow_origin https://good.example;
            error_page 403 = @old;
            proxy_pass http://%NOBODY%;
        }
        location @old { websocket off; %BY_HAND% proxy_pass http://%BACKEND%; }",
    )
    .start();
    let request = Handshake::new("/").add("Origin", "https://evil.example");
    assert_eq!(Client::connect(nginx.port()).ask(&request).status(), 200);
    assert_eq!(page.request(0).head.header("Upgrade"), None);
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert_eq!(outcomes, ["200 rejected origin-not-allowed"]);
}

/// The joining variable is no part of the interface, and joins nothing where a user writes it.
#[test]
fn a_location_that_is_off_joins_nothing() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "websocket_max_message_size 10;
        location / { error_page 502 = @old; proxy_pass http://%NOBODY%; }
        location @old {
            websocket off; %BY_HAND%
            proxy_set_header X-Own a$websocket_injected_seam;
            proxy_pass http://%BACKEND%;
        }",
    )
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    assert!(!is_limited(&mut client));
    client.close();
    assert_eq!(backend.request(0).head.header("X-Own"), Some("a"));
    let log = nginx.stop();
    assert_eq!(said(&log), [""; 0], "{log}");
}
