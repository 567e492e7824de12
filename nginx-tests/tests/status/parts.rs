//! Requests that are not a client's own, and answers that something comes in between of.

use std::net::TcpStream;

use nginx_tests::client::get;
use nginx_tests::environment::nginx_version;
use nginx_tests::{EchoBackend, Nginx, http2, wait_until, wire::Wire};

const SERVER: &str = "
    server {
        listen 127.0.0.1:%PORT%;
        location = /plain { return 200 plain; }
        location = /page { websocket_status html; }
        location = /json { websocket_status json; }
        location /shown/ { websocket_status; websocket_control on; }
        location = /asked { auth_request /page; proxy_pass http://127.0.0.1:%PORT%/plain; }
        location = /copied { mirror /page; proxy_pass http://127.0.0.1:%PORT%/plain; }
        location = /followed { post_action /page; proxy_pass http://127.0.0.1:%PORT%/plain; }
        location = /steered { mirror /shown/close; proxy_pass http://127.0.0.1:%PORT%/plain; }
    }";

/// Of what is asked for beside a request only whether it succeeds is wanted, and the client's
/// connection goes on.
#[test]
fn no_body_is_sent_that_nobody_wants() {
    let nginx = Nginx::http(SERVER).start();
    for target in ["/asked", "/copied", "/followed"] {
        let mut wire = Wire::connect(nginx.port()).expect("a connection");
        for _ in 0..2 {
            wire.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
                .expect("nginx reads");
            let answer = wire.read_message().expect("an answer");
            assert_eq!(answer.status(), 200, "{target}");
            assert_eq!(answer.text(), "plain", "{target}");
        }
    }
}

#[test]
fn a_copy_of_a_request_closes_nothing() {
    let backend = EchoBackend::start();
    let tunnel = "location = /tunnel { proxy_pass http://%BACKEND%; websocket on; }";
    let nginx =
        Nginx::http(SERVER.replace("location = /plain", &format!("{tunnel} location = /plain")))
            .set("BACKEND", backend.address())
            .start();
    let mut client = crate::case::join(&nginx, "/tunnel");
    let mut wire = Wire::connect(nginx.port()).expect("a connection");
    for _ in 0..2 {
        wire.send(
            "POST /steered?older=0 HTTP/1.1\r\nHost: x\r\nX-WebSocket-Control: 1\r\n\
             Content-Length: 0\r\n\r\n",
        )
        .expect("nginx reads");
        assert_eq!(wire.read_message().expect("an answer").text(), "plain");
    }
    client.echo("still here");
    assert!(nginx.log_lines("websocket_control closes").is_empty());
}

/// The table is so large that it takes a while to look through.
#[test]
fn a_worker_that_is_to_exit_ends_its_answers() {
    let nginx = Nginx::http(format!("websocket_zone large:2048m; {SERVER}")).start();
    let mut wire = Wire::connect(nginx.port()).expect("a connection");
    wire.send("GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("nginx reads");
    // The worker has read that one, too.
    assert_eq!(get(nginx.port(), "/plain").text(), "plain");
    nginx.reload();
    let answer = wire.read_message().expect("an answer");
    let value: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(value["version"], 1);
    wait_until("the old worker to have exited", || {
        nginx.exiting_worker_pids().is_empty()
    });
    assert!(TcpStream::connect(("127.0.0.1", nginx.port())).is_ok());
}

/// And doesn't keep its memory until the client would have taken too long.
#[test]
fn an_answer_ends_with_its_stream() {
    let (listen, http2) = if nginx_version() >= (1, 25, 1) {
        ("", "http2 on;")
    } else {
        ("http2", "")
    };
    let nginx = Nginx::http(format!(
        "server {{
            listen 127.0.0.1:%PORT% {listen};
            {http2}
            access_log logs/page.log;
            send_timeout 1h;
            location = /page {{ websocket_status html; }}
        }}"
    ))
    .start();
    let mut wire = Wire::connect(nginx.port()).expect("a connection");
    http2::give_up(&mut wire, "/page", 1000).expect("nginx reads");
    nginx.wait_for_access("page.log", 1);
}
