//! `post_action`: a request that nginx makes when the one of the client is over, out of the same.

use nginx_tests::{Client, Handshake, ScriptedBackend, wait_until};

use crate::case::{NOT_FOUND, assert_carried, assert_failed, said, to, visit};

const ACCOUNTED: &str = "
    location / { post_action /done; proxy_pass http://%BACKEND%; }
    location = /done { internal; proxy_pass http://%ACCOUNT%; }";

fn account() -> ScriptedBackend {
    ScriptedBackend::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn it_is_sent_when_a_tunnel_has_ended() {
    for more in ["", "websocket_tunnel off;"] {
        let (backend, account) = (ScriptedBackend::standard(), account());
        let nginx = to(&backend, format!("{ACCOUNTED} {more}"))
            .set("ACCOUNT", account.address())
            .start();
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        client.echo("hello");
        assert_eq!(account.connections(), 0);
        client.close_politely();
        let head = account.request(0).head;
        assert_eq!((head.target(), head.header("Upgrade")), ("/done", None));
        let outcomes = nginx.wait_for_access("outcome.log", 1);
        assert!(outcomes[0].ends_with(" established "), "{outcomes:?}");
        let said = said(&nginx.stop());
        let right = matches!(&said[..], [first, second]
            if first.starts_with("websocket established") && second.starts_with("websocket closed"));
        assert!(right, "{more} {said:#?}");
        assert_eq!(account.requests().len(), 1);
    }
}

#[test]
fn it_is_sent_when_a_handshake_has_failed() {
    let (backend, account) = (ScriptedBackend::answering(NOT_FOUND), account());
    let nginx = to(&backend, ACCOUNTED)
        .set("ACCOUNT", account.address())
        .start();
    let head = Client::connect(nginx.port()).ask(&Handshake::new("/"));
    assert_eq!(head.status(), 404);
    assert_eq!(account.request(0).head.target(), "/done");
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert!(
        outcomes[0].ends_with(" failed upstream-not-found"),
        "{outcomes:?}"
    );
    let seen = "upstream-not-found: upstream answered 404 where 101 was expected";
    assert_failed(&nginx.stop(), seen);
}

#[test]
fn its_own_failure_is_not_the_tunnel_s() {
    let backend = ScriptedBackend::standard();
    let slow = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.hang()
    });
    for (account, line) in [
        ("127.0.0.1:1".to_owned(), "Connection refused"),
        (slow.address(), "upstream timed out"),
    ] {
        let nginx = to(&backend, format!("proxy_read_timeout 200ms; {ACCOUNTED}"))
            .set("ACCOUNT", account)
            .start();
        visit(&nginx, "/");
        nginx.wait_for_log(line);
        assert_carried(&nginx.stop());
    }
}

#[test]
fn it_may_go_through_a_location_by_hand() {
    let (backend, account) = (ScriptedBackend::standard(), account());
    let nginx = to(
        &backend,
        ACCOUNTED.replace("internal;", "internal; websocket off; %BY_HAND%"),
    )
    .set("ACCOUNT", account.address())
    .start();
    visit(&nginx, "/");
    assert_eq!(account.request(0).head.target(), "/done");
    assert_carried(&nginx.stop());
}

#[test]
fn it_does_not_hold_a_worker_that_exits() {
    let (backend, account) = (ScriptedBackend::standard(), account());
    let nginx = to(&backend, format!("websocket_drain 100ms; {ACCOUNTED}"))
        .set("ACCOUNT", account.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    nginx.reload();
    let close = client.frame();
    assert_eq!(close.close_code(), Some(1012));
    client.send(close.masked().bytes()).unwrap();
    assert_eq!(client.read_until_close(), b"");
    assert_eq!(account.request(0).head.target(), "/done");
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}
