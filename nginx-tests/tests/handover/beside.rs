//! What can't be handed over drains as it would without, in the same reload.

use std::fs;
use std::time::{Duration, Instant};

use nginx_tests::client::get;
use nginx_tests::http::Message;
use nginx_tests::tunnels::{assert_gets, left_by_a_reset};
use nginx_tests::{Certificate, Client, Handshake, Nginx, wait_until};
use serde_json::Value;

use crate::case::{PROXIED, assert_closed, echo, gone, hand_over, head, http, join};

#[test]
fn tls_on_either_side_drains() {
    let (backend, certificate) = (echo(), Certificate::localhost());
    let by_tls =
        nginx_tests::ScriptedBackend::on(nginx_tests::Listen::Tls(certificate.clone()), |conn| {
            let handshake = conn.read_request()?.head;
            conn.accept(&handshake)?;
            conn.echo_frames()
        });
    let nginx = Nginx::http(format!(
        "{} websocket_drain 1s;
        server {{
            listen 127.0.0.1:%PORT%; listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem; ssl_certificate_key key.pem;
            location / {{ {PROXIED} }}
            location /tls {{ proxy_pass https://%TLS%; websocket on; }}
        }}",
        head("on")
    ))
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .set("TLS", by_tls.address())
    .start();
    let mut plain = crate::case::join(&nginx);
    let mut encrypted = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    encrypted.establish("/");
    encrypted.echo("over TLS");
    let mut behind = Client::connect(nginx.port());
    behind.establish("/tls");
    behind.echo("to TLS");
    plain.echo("plain");
    nginx.reload();
    let told = nginx.wait_for_log("websocket handover: 1 tunnel handed over in ");
    assert!(told.ends_with("2 stay"), "{told}");
    plain.echo("still there");
    assert_closed(encrypted, 1012);
    assert_closed(behind, 1012);
    gone(&nginx);
    plain.echo("after all");
}

/// A handshake that is under way when its worker is told to exit becomes a tunnel there, and is handed over then.
#[test]
fn a_handshake_that_is_under_way() {
    let backend = nginx_tests::ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.pause()?;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client
        .send(nginx_tests::Handshake::new("/").bytes())
        .unwrap();
    backend.request(0);
    nginx.reload();
    assert_eq!(nginx.exiting_worker_pids().len(), 1);
    backend.resume();
    assert_eq!(client.read_head().unwrap().status(), 101);
    client.echo("just begun");
    gone(&nginx);
    client.echo("and gone on");
    hand_over(&nginx);
    client.echo("twice");
}

/// A line of the access log when a tunnel begins is written when it begins, and no more.
#[test]
fn the_open_line_is_written_once() {
    let backend = echo();
    let nginx = Nginx::http(http(&format!("{PROXIED} websocket_log_open on;")))
        .set("BACKEND", backend.address())
        .start();
    let mut client = crate::case::join(&nginx);
    for _ in 0..2 {
        hand_over(&nginx);
        client.echo("there");
    }
    client.close_politely();
    assert_eq!(nginx.wait_for_access("tunnel.log", 2).len(), 2);
}

/// WebSocket over HTTP/2 stands at the same listening sockets.
#[test]
fn it_goes_on_where_tunnels_come_over_http_2_as_well() {
    let backend = echo();
    let http = format!("websocket_http2 on; {}", http(PROXIED));
    let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
    let mut client = join(&nginx);
    client.echo("before");
    hand_over(&nginx);
    client.echo("behind");
    assert_eq!(backend.connections(), 1);
    client.close_politely();
}

/// It has been looked at where it was, and is not judged by what has become of it since.
#[test]
fn an_action_of_long_ago_closes_no_tunnel_that_comes_later() {
    let backend = echo();
    let nginx = Nginx::http(format!(
        "{} websocket_zone one:1m;
        server {{
            listen 127.0.0.1:%PORT%; access_log off;
            location / {{ {PROXIED} }}
            location /status/ {{ websocket_status json; websocket_control on; }}
        }}",
        head("on")
    ))
    .set("BACKEND", backend.address())
    .start();
    let mut tunnel = join(&nginx);
    let since = Instant::now();
    let lasts = |least| wait_until("it to last", || since.elapsed() > least);
    lasts(Duration::from_millis(200));
    assert_eq!(close(&nginx, "older=1500ms")["matched"], 0);
    // It would be meant now.
    lasts(Duration::from_millis(1600));
    hand_over(&nginx);
    // The new worker looks at this, and at whatever else it has not looked at.
    let action = close(&nginx, "id=0")["action"].clone();
    wait_until("it to look", || {
        let target = format!("/status/close?action={action}");
        json(&get(nginx.port(), &target))["done"] == true
    });
    tunnel.echo("still there");
}

fn close(nginx: &Nginx, query: &str) -> Value {
    let request = Handshake::plain(&format!("/status/close?{query}"))
        .method("POST")
        .set("X-WebSocket-Control", "1")
        .add("Connection", "close");
    json(&Client::connect(nginx.port()).exchange(&request))
}

fn json(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// In another worker nothing could be told of its socket, and what the client has not taken would be lost.
#[test]
fn what_a_reset_has_left_stays() {
    let (nginx, client, sent) = left_by_a_reset(&http(PROXIED), None);
    // With this answer the worker has heard of the reset.
    get(nginx.port(), "/status");
    nginx.reload();
    nginx.wait_for_log("1 stays");
    assert_gets(client, &sent);
    gone(&nginx);
}

/// Nor does the kernel wake it for each message of the channel to others.
#[test]
fn a_worker_that_stays_hears_no_more_of_the_channel() {
    let (backend, certificate) = (echo(), Certificate::localhost());
    let nginx = Nginx::http(format!(
        "{} websocket_drain 1m;
        server {{
            listen 127.0.0.1:%TLSPORT% ssl; listen 127.0.0.1:%PORT%;
            ssl_certificate cert.pem; ssl_certificate_key key.pem;
            location / {{ {PROXIED} }}
        }}",
        head("on")
    ))
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .start();
    let mut stays = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    stays.establish("/");
    nginx.reload();
    nginx.wait_for_log("websocket handover: ");
    let old = nginx.exiting_worker_pids()[0];
    wait_until("nothing to be told of that is closed", || {
        told_of_what_is_closed(old).is_empty()
    });
    stays.close_politely();
    gone(&nginx);
}

/// What a process is told of by epoll, and has no descriptor of.
fn told_of_what_is_closed(pid: u32) -> Vec<String> {
    let link = |descriptor: &str| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    };
    let is_epoll =
        |descriptor: &String| link(descriptor).as_deref() == Some("anon_inode:[eventpoll]");
    let is_open = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let inode = words.iter().find_map(|word| word.strip_prefix("ino:"));
        let inode = inode.and_then(|inode| u64::from_str_radix(inode, 16).ok());
        let socket = inode.map(|inode| format!("socket:[{inode}]"));
        // What is no socket shares its inode with others of its kind.
        link(words[1]).is_some_and(|link| !link.starts_with("socket:") || Some(link) == socket)
    };
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the worker runs")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(is_epoll)
        .flat_map(|epoll| {
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{epoll}"));
            let lines = info.expect("the worker runs");
            assert!(lines.contains("\ntfd:"), "{lines}");
            let lines = lines.lines().filter(|line| line.starts_with("tfd:"));
            lines
                .filter(|line| !is_open(line))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}
