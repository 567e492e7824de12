//! A tunnel that is handed over is listed as it was, and is closed by request wherever it is.

use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::{EchoBackend, Frame, Nginx, ScriptedBackend, wait_for, wait_until};

use crate::case::{SERVER, close, join, progress, status};

#[test]
fn one_that_has_moved_is_closed_by_its_id() {
    if is_skipped_over_http2("a stream is not handed over") {
        return;
    }
    let backend = EchoBackend::start();
    let nginx = Nginx::http(format!("websocket_handover on; {SERVER}"))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx, "/chat");
    client.echo("one");
    let listed = || status(&nginx, "")["tunnels"]["list"].clone();
    let before = listed();
    nginx.reload();
    wait_until("the old worker to be gone", || {
        nginx.exiting_worker_pids().is_empty()
    });
    client.echo("two");
    let after = wait_for("both messages to be listed", || {
        let list = listed();
        (list[0]["from_client"]["messages"] == 2).then_some(list)
    });
    for name in ["id", "client", "uri", "upstream", "label"] {
        assert_eq!(before[0][name], after[0][name], "{name}");
    }
    let posted = close(
        &nginx,
        &format!("id={}&code=4001&reason=bye", after[0]["id"]),
    );
    assert_eq!(posted["matched"], 1);
    assert_eq!(client.frame(), Frame::close(4001, "bye"));
    client
        .send(Frame::close(4001, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
    wait_until("the end", || {
        progress(&nginx, &posted["action"])["done"] == true
    });
}

/// The new worker has looked at all that it has when this one comes, for a service has taken its time to let it in.
#[test]
fn one_that_is_on_its_way_is_closed_when_it_comes() {
    if is_skipped_over_http2("a stream is not handed over") {
        return;
    }
    let backend = EchoBackend::start();
    let auth = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        if conn.number() > 0 {
            conn.pause()?;
        }
        conn.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    });
    let asking =
        "location /asked { proxy_pass http://%BACKEND%; websocket on; auth_request /auth; }
        location = /auth { internal; proxy_pass http://%AUTH%; }
        location /status/";
    let nginx = Nginx::http(format!(
        "websocket_handover on; {}",
        SERVER.replacen("location /status/", asking, 1)
    ))
    .set("BACKEND", backend.address())
    .set("AUTH", auth.address())
    .start();
    let mut client = join(&nginx, "/asked");
    client.echo("one");
    nginx.reload();
    auth.request(1);
    wait_until("the old worker to be gone", || {
        nginx.exiting_worker_pids().is_empty()
    });
    let action = close(&nginx, "client=127.0.0.1&code=4001&reason=bye")["action"].clone();
    wait_until("all workers to have looked", || {
        progress(&nginx, &action)["done"] == true
    });
    auth.resume();
    assert_eq!(client.frame(), Frame::close(4001, "bye"));
    client
        .send(Frame::close(4001, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
    let state = wait_for("the end", || {
        let state = progress(&nginx, &action);
        (state["done"] == true).then_some(state)
    });
    assert_eq!((&state["matched"], &state["open"]), (&1.into(), &0.into()));
}
