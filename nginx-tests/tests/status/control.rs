//! `websocket_control`: what is asked for, what is refused, and what is told.

use nginx_tests::client::get;
use nginx_tests::{EchoBackend, Frame, Nginx, wait_for, wait_until};
use serde_json::json;

use crate::case::{SERVER, ask, close, error, join, progress, server, status};

const HEADER: (&str, &str) = ("X-WebSocket-Control", "1");

#[test]
fn one_tunnel_is_closed_by_its_id() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let mut first = join(&nginx, "/first");
    let mut second = join(&nginx, "/second");
    let list = status(&nginx, "")["tunnels"]["list"].clone();
    let id = &list[0]["id"];
    assert_eq!(list[0]["uri"], "/first");

    let counted = close(&nginx, &format!("id={id}&code=4001&reason=bye&dry_run=1"));
    assert_eq!(
        counted,
        json!({"action": null, "dry_run": true, "matched": 1, "own_loop": 0, "over": 0, "code": 4001, "reason": "bye"})
    );
    second.echo("not yet");
    assert_eq!(status(&nginx, "")["totals"]["active"], 2);

    let posted = close(&nginx, &format!("id={id}&code=4001&reason=bye"));
    let action = &posted["action"];
    assert!(action.is_u64());
    assert_eq!(posted["matched"], 1);
    assert_eq!(first.frame(), Frame::close(4001, "bye"));
    let state = progress(&nginx, action);
    assert_eq!((&state["open"], &state["done"]), (&json!(1), &json!(false)));
    // Meanwhile the table says so, too.
    let value = status(&nginx, "");
    assert_eq!(&value["tunnels"]["list"][0]["action"], action);
    first.send(Frame::close(4001, "").masked().bytes()).unwrap();
    assert_eq!(first.read_until_close(), b"");
    let state = wait_for("the end", || {
        let state = progress(&nginx, action);
        (state["done"] == true).then_some(state)
    });
    assert_eq!(
        state,
        json!({"action": action, "matched": 1, "open": 0, "done": true, "over": 0, "code": 4001, "reason": "bye"})
    );
    second.echo("still here");
    let line =
        nginx.wait_for_log("websocket_control closes 1 tunnel with code 4001 at once, action ");
    assert!(line.contains("[notice]"), "{line}");
    assert!(line.contains("client: 127.0.0.1"), "{line}");
    assert_eq!(nginx.log_lines("websocket_control closes").len(), 1);
    let end = status(&nginx, "")["ends"][0].clone();
    assert_eq!(
        (&end["by"], &end["reason"]),
        (&json!("nginx"), &json!("control"))
    );
}

#[test]
fn slices() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let mut clients: Vec<_> = (0..3).map(|at| join(&nginx, &format!("/{at}"))).collect();
    clients[0].echo("active");
    for (query, matched) in [
        ("client=127.0.0.0/8", 3),
        ("client=10.0.0.0/8", 0),
        ("client=::1", 0),
        ("label=chat.example+/", 3),
        ("label=elsewhere", 0),
        ("upstream=10.0.0.1:80", 0),
        ("subprotocol=", 3),
        ("subprotocol=mqtt", 0),
        ("older=0", 3),
        ("older=1h", 0),
        ("idle=1h", 0),
        ("id=999999", 0),
        ("older=0&client=10.0.0.0/8", 0),
    ] {
        let counted = close(&nginx, &format!("{query}&dry_run=1"));
        assert_eq!(counted["matched"], matched, "{query}");
    }
    wait_until("two to be idle for longer", || {
        clients[0].echo("active");
        close(&nginx, "idle=500ms&dry_run=1")["matched"] == 2
    });
}

#[test]
fn tunnels_of_nginxs_own_loop_are_counted_and_left_alone() {
    let backend = EchoBackend::start();
    let own_loop =
        "location /loop { proxy_pass http://%BACKEND%; websocket on; websocket_tunnel off; }";
    let nginx = Nginx::http(SERVER.replace("location / {", &format!("{own_loop} location / {{")))
        .set("BACKEND", backend.address())
        .start();
    let mut ours = join(&nginx, "/");
    let mut others = [join(&nginx, "/loop/1"), join(&nginx, "/loop/2")];
    let posted = close(&nginx, "older=0&code=4001");
    assert_eq!(
        (&posted["matched"], &posted["own_loop"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(ours.frame(), Frame::close(4001, ""));
    for other in &mut others {
        other.echo("still here");
    }
}

#[test]
fn a_page_of_another_site_closes_nothing() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let mut client = join(&nginx, "/");
    let host = format!("localhost:{}", nginx.port());
    let own = format!("http://{host}");
    let page = "the request comes from a page of another site";
    let header = "the request needs the header \"X-WebSocket-Control: 1\"";
    for (headers, expected) in [
        (vec![], header),
        (vec![("X-WebSocket-Control", "0")], header),
        (vec![HEADER, ("Origin", "http://evil.example")], page),
        (vec![HEADER, ("Origin", "null")], page),
        (vec![HEADER, ("Origin", "http://localhost:1")], page),
        (vec![HEADER, ("Sec-Fetch-Site", "cross-site")], page),
        (vec![HEADER, ("Sec-Fetch-Site", "same-site")], page),
        (
            vec![HEADER, ("Origin", &own), ("Sec-Fetch-Site", "cross-site")],
            page,
        ),
    ] {
        let headers = [headers.as_slice(), &[("Host", &host)]].concat();
        let answer = ask(&nginx, "POST", "/status/close?older=0", &headers);
        assert_eq!(answer.status(), 403, "{headers:?}");
        assert_eq!(error(&answer), expected, "{headers:?}");
    }
    client.echo("still here");
    assert_eq!(nginx.log_lines("websocket_control closes nothing").len(), 8);
    for headers in [
        vec![HEADER, ("Origin", &own), ("Sec-Fetch-Site", "same-origin")],
        vec![HEADER, ("Sec-Fetch-Site", "none")],
    ] {
        let headers = [headers.as_slice(), &[("Host", &host)]].concat();
        let answer = ask(&nginx, "POST", "/status/close?older=0&dry_run=1", &headers);
        assert_eq!(answer.status(), 200, "{headers:?}");
    }
}

#[test]
fn a_slip_closes_nothing() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let mut client = join(&nginx, "/");
    for (query, expected) in [
        ("", "\"close\" needs to know which tunnels"),
        ("over=5s", "\"close\" needs to know which tunnels"),
        ("upstraem=10.0.0.1:80", "\"upstraem\" is not known"),
        ("older=0&older=1h", "\"older\" is given twice"),
        (
            "older=0&code=1006",
            "code \"1006\" must be a code that may be sent",
        ),
        ("older=soon", "older \"soon\" must be a time"),
    ] {
        let answer = ask(&nginx, "POST", &format!("/status/close?{query}"), &[HEADER]);
        assert_eq!(answer.status(), 400, "{query}");
        assert!(error(&answer).starts_with(expected), "{}", error(&answer));
    }
    // A GET only looks.
    let answer = get(nginx.port(), "/status/close?older=0");
    assert_eq!(answer.status(), 400);
    assert_eq!(
        error(&answer),
        "\"action\" is missing: which one to tell of"
    );
    let answer = get(nginx.port(), "/status/close?action=77");
    assert_eq!(answer.status(), 404);
    assert_eq!(
        error(&answer),
        "there is no such action, or it is forgotten"
    );
    client.echo("still here");
}

#[test]
fn too_many_at_once_are_told_to_wait() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let post = || ask(&nginx, "POST", "/status/close?id=1", &[HEADER]);
    // Some may have become a second old meanwhile.
    let answers: Vec<_> = (0..200).map(|_| post()).collect();
    let (posted, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status() == 200);
    assert!(posted.len() >= 16, "{}", posted.len());
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.status(), 429);
        assert_eq!(
            error(answer),
            "there are too many actions at once: wait a second"
        );
    }
    // The next one finds a place when the first is a second old.
    wait_until("a place", || post().status() == 200);
}
