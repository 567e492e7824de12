//! What subrequests do and suffer is not what becomes of the handshake.

use std::io;

use nginx_tests::backend::Conn;
use nginx_tests::{Client, Handshake, ScriptedBackend};

use crate::case::{NOBODY, NOT_FOUND, assert_carried, assert_failed, said, server, to, visit};

/// A way to fail a request, and nginx's own line on it.
struct Failure {
    line: &'static str,
    script: Option<fn(&mut Conn) -> io::Result<()>>,
}

const FAILURES: [Failure; 4] = [
    Failure {
        line: "Connection refused",
        script: None,
    },
    Failure {
        line: "upstream prematurely closed connection",
        script: Some(|conn| conn.read_request().map(drop)),
    },
    Failure {
        line: "upstream sent invalid header",
        script: Some(|conn| {
            conn.read_request()?;
            conn.send("HTTP/1.1 200 OK\r\nno\0header\r\n\r\n")
        }),
    },
    Failure {
        line: "upstream timed out",
        script: Some(|conn| {
            conn.read_request()?;
            conn.hang()
        }),
    },
];

impl Failure {
    fn start(&self) -> Option<ScriptedBackend> {
        self.script.map(ScriptedBackend::start)
    }
}

fn address(backend: Option<&ScriptedBackend>) -> String {
    backend.map_or(NOBODY.to_owned(), ScriptedBackend::address)
}

const MIRRORED: &str = "
    location / { mirror /mirror; proxy_pass http://%BACKEND%; }
    location = /mirror { internal; proxy_read_timeout 100ms; proxy_pass http://%MIRROR%; }";

#[test]
fn a_mirror_that_fails_first_is_not_the_cause() {
    for failure in FAILURES {
        let backend = ScriptedBackend::start(|conn| {
            conn.read_request()?;
            conn.pause()?;
            conn.send(NOT_FOUND)
        });
        let mirror = failure.start();
        let nginx = to(&backend, MIRRORED)
            .set("MIRROR", address(mirror.as_ref()))
            .start();
        let mut client = Client::connect(nginx.port());
        client.send(Handshake::new("/").bytes()).unwrap();
        nginx.wait_for_log(failure.line);
        backend.resume();
        assert_eq!(client.read_head().unwrap().status(), 404);
        drop(client);
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(
            outcomes,
            ["404 failed upstream-not-found"],
            "{}",
            failure.line
        );
        let seen = "upstream-not-found: upstream answered 404 where 101 was expected";
        assert_failed(&nginx.stop(), seen);
    }
}

#[test]
fn a_mirror_that_fails_before_the_101_changes_nothing() {
    for failure in FAILURES {
        let backend = ScriptedBackend::start(|conn| {
            let head = conn.read_request()?.head;
            conn.pause()?;
            conn.accept(&head)?;
            conn.echo_frames()
        });
        let mirror = failure.start();
        let nginx = to(&backend, MIRRORED)
            .set("MIRROR", address(mirror.as_ref()))
            .start();
        let mut client = Client::connect(nginx.port());
        client.send(Handshake::new("/").bytes()).unwrap();
        nginx.wait_for_log(failure.line);
        backend.resume();
        assert_eq!(client.read_head().unwrap().status(), 101);
        client.echo("hello");
        client.close_politely();
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert_eq!(outcomes, ["101 established "], "{}", failure.line);
        assert_carried(&nginx.stop());
    }
}

#[test]
fn a_mirror_that_fails_beside_a_tunnel_is_not_its_end() {
    let backend = ScriptedBackend::standard();
    let mirror = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.pause()
    });
    let config = MIRRORED.replace("proxy_read_timeout 100ms;", "");
    let nginx = to(&backend, config).set("MIRROR", mirror.address()).start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("before");
    mirror.resume();
    nginx.wait_for_log("upstream prematurely closed connection");
    client.echo("after");
    client.close_politely();
    assert_carried(&nginx.stop());
}

/// The subrequest has to be made again by the next server, and then allows all.
const ASKED: &str = "
    location /first/ { error_page 502 = @second; proxy_pass http://%NOBODY%; }
    location @second { auth_request /ask; proxy_pass http://%BACKEND%; }
    location = /ask { internal; error_page 502 = /yes; proxy_pass http://%NOBODY%; }
    location = /yes { internal; return 204; }";

#[test]
fn a_subrequest_between_two_attempts_is_none_of_them() {
    let backend = ScriptedBackend::answering(NOT_FOUND);
    let nginx = to(&backend, ASKED).start();
    let head = Client::connect(nginx.port()).ask(&Handshake::new("/first/"));
    assert_eq!(head.status(), 404);
    let log = nginx.stop();
    let seen = format!(
        "upstream-not-found: upstream answered 404 where 101 was expected, for path \"/first/\", 2 upstreams tried: \
         {NOBODY} upstream-refused, {} upstream-not-found",
        backend.address()
    );
    assert_failed(&log, &seen);
}

#[test]
fn a_subrequest_between_two_attempts_does_not_hinder_the_second() {
    let backend = ScriptedBackend::standard();
    let nginx = to(&backend, ASKED).start();
    visit(&nginx, "/first/");
    assert_carried(&nginx.stop());
}

#[test]
fn an_include_that_fails_is_not_the_cause() {
    let body = "<!--#include virtual=\"/include\" -->";
    let backend = ScriptedBackend::answering(format!(
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let nginx = to(
        &backend,
        "location / { ssi on; proxy_pass http://%BACKEND%; }
        location = /include { proxy_pass http://%NOBODY%; }",
    )
    .start();
    let message = Client::connect(nginx.port()).exchange(&Handshake::new("/"));
    assert_eq!(message.status(), 404);
    nginx.wait_for_log("Connection refused");
    let seen = "upstream-not-found: upstream answered 404 where 101 was expected";
    assert_failed(&nginx.stop(), seen);
}

#[test]
fn a_plain_request_with_subrequests_that_fail_is_not_spoken_of() {
    let nginx = server(
        "location / { auth_request /ask; proxy_pass http://%NOBODY%; }
        location = /ask { internal; proxy_pass http://%NOBODY%; }",
    )
    .start();
    assert_eq!(nginx_tests::client::get(nginx.port(), "/").status(), 500);
    assert_eq!(said(&nginx.stop()), [""; 0]);
}
