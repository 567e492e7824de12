//! What nginx counts and asks for a request, for one that is handed over.

use nginx_tests::{Client, Nginx, ScriptedBackend, wait_until};

use crate::case::{PROXIED, active, assert_closed, block, echo, gone, hand_over, head, join};

fn nginx(http: String, backend: &ScriptedBackend) -> nginx_tests::nginx::Setup {
    Nginx::http(http).set("BACKEND", backend.address())
}

fn server(value: &str, before: &str, location: &str) -> String {
    format!("{before}\n{}", block(value, location))
}

/// Handshakes that are let in, of so many.
fn let_in(nginx: &Nginx, count: usize) -> usize {
    let ask = |_: &usize| {
        let mut client = Client::connect(nginx.port());
        let head = client.ask(&nginx_tests::Handshake::new("/"));
        head.status() == 101
    };
    (0..count).filter(ask).count()
}

#[test]
fn limit_conn_counts_it_where_it_is() {
    let backend = echo();
    let zone = "limit_conn_zone $server_port zone=one:64k;";
    let http = server("on", zone, &format!("{PROXIED} limit_conn one 5;"));
    let nginx = nginx(http, &backend).workers(2).start();
    let mut clients: Vec<Client> = (0..5).map(|_| join(&nginx)).collect();
    for _ in 0..3 {
        hand_over(&nginx);
        for client in &mut clients {
            client.echo("counted");
        }
        assert_eq!(let_in(&nginx, 3), 0);
    }
    clients.pop().unwrap().close_politely();
    wait_until("the place to be free", || {
        let mut client = Client::connect(nginx.port());
        client.ask(&nginx_tests::Handshake::new("/")).status() == 101
    });
    drop(clients);
    wait_until("all to be gone", || active(&nginx) == 0);
}

/// More tunnels than the new configuration lets in: they were there first.
#[test]
fn limit_conn_ends_none() {
    let backend = echo();
    let zone = "limit_conn_zone $server_port zone=one:64k;";
    let with = |most: u32| server("on", zone, &format!("{PROXIED} limit_conn one {most};"));
    let mut nginx = nginx(with(5), &backend).start();
    let mut clients: Vec<Client> = (0..5).map(|_| join(&nginx)).collect();
    nginx.reload_with(&with(2));
    gone(&nginx);
    for client in &mut clients {
        client.echo("still there");
    }
    assert_eq!(let_in(&nginx, 2), 0);
}

#[test]
fn limit_req_asks_for_no_second_ticket() {
    let backend = echo();
    let zone = "limit_req_zone $server_port zone=one:64k rate=1r/m;";
    let http = server(
        "on",
        zone,
        &format!("{PROXIED} limit_req zone=one burst=4 nodelay;"),
    );
    let nginx = nginx(http, &backend).start();
    let mut clients: Vec<Client> = (0..5).map(|_| join(&nginx)).collect();
    for _ in 0..3 {
        hand_over(&nginx);
        for client in &mut clients {
            client.echo("let in");
        }
    }
    assert_eq!(let_in(&nginx, 2), 0);
    assert_eq!(nginx.log_lines("limiting requests").len(), 2);
}

#[test]
fn max_conns_counts_it_where_it_is() {
    let backend = echo();
    let block = "upstream one { zone one 64k; server %BACKEND% max_conns=3; }";
    let http = server("on", block, "proxy_pass http://one; websocket on;");
    let nginx = nginx(http, &backend).workers(2).start();
    let mut clients: Vec<Client> = (0..3).map(|_| join(&nginx)).collect();
    for _ in 0..3 {
        hand_over(&nginx);
        for client in &mut clients {
            client.echo("counted");
        }
    }
    assert_eq!(let_in(&nginx, 2), 0);
}

fn asking(value: &str) -> String {
    format!(
        "{} server {{ listen 127.0.0.1:%PORT%; access_log logs/tunnel.log tunnel;
            location / {{ {PROXIED} auth_request /auth; }}
            location = /auth {{ internal; proxy_pass http://%AUTH%; }} }}",
        head(value)
    )
}

#[test]
fn an_auth_service_is_asked_once_more_unless_it_is_trusted() {
    for (value, asked) in [("on", 3), ("on recheck", 3), ("on trust", 1)] {
        let backend = echo();
        let auth = ScriptedBackend::answering("HTTP/1.1 204 No Content\r\n\r\n");
        let nginx = nginx(asking(value), &backend)
            .set("AUTH", auth.address())
            .start();
        let mut client = join(&nginx);
        for _ in 0..2 {
            hand_over(&nginx);
            client.echo("let in");
        }
        assert_eq!(auth.requests().len(), asked, "{value}");
        assert_eq!(backend.connections(), 1);
        // Who is new is asked about in any case.
        join(&nginx).echo("new");
        assert_eq!(auth.requests().len(), asked + 1, "{value}");
    }
}

#[test]
fn an_auth_service_may_say_no() {
    let backend = echo();
    let auth = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        let answer = if conn.number() == 0 {
            "204 No Content"
        } else {
            "403 Forbidden"
        };
        conn.send(format!(
            "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    });
    let nginx = nginx(asking("on"), &backend)
        .set("AUTH", auth.address())
        .start();
    let mut client = join(&nginx);
    client.echo("let in");
    nginx.reload();
    assert_closed(client, 1012);
    let refused = nginx.wait_for_log("websocket handover refused");
    assert!(
        refused.contains("its request is answered 403 now"),
        "{refused}"
    );
    gone(&nginx);
}

/// While the service thinks, nothing is lost of what both sides say.
#[test]
fn an_auth_service_may_take_its_time() {
    let backend = echo();
    let auth = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        if conn.number() > 0 {
            conn.pause()?;
        }
        conn.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    });
    let nginx = nginx(asking("on"), &backend)
        .set("AUTH", auth.address())
        .start();
    let mut client = join(&nginx);
    client.echo("before");
    nginx.reload();
    auth.request(1);
    gone(&nginx);
    client
        .send(nginx_tests::Frame::text("meanwhile").masked().bytes())
        .unwrap();
    client
        .send(nginx_tests::Frame::close(4001, "").masked().bytes())
        .unwrap();
    auth.resume();
    assert_eq!(client.frame(), nginx_tests::Frame::text("meanwhile"));
    assert_eq!(client.frame().close_code(), Some(4001));
}

#[test]
fn stub_status_counts_no_request_twice() {
    let backend = echo();
    let nginx = crate::case::nginx(&backend).start();
    let requests = || {
        let text = nginx_tests::client::get(nginx.port(), "/status").text();
        let line = text.lines().nth(2).unwrap().to_owned();
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        numbers[2]
    };
    let mut clients: Vec<Client> = (0..5).map(|_| join(&nginx)).collect();
    let before = requests();
    for _ in 0..3 {
        hand_over(&nginx);
    }
    for client in &mut clients {
        client.echo("there");
    }
    assert_eq!(requests(), before + 1);
    assert_eq!(active(&nginx), 5);
}
