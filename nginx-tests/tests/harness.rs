//! The harness itself, against an nginx without the module and the configuration that people
//! write by hand.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use nginx_tests::client::{self, SAMPLE_KEY};
use nginx_tests::environment::nginx_version;
use nginx_tests::wait::wait_within;
use nginx_tests::wire::Wire;
use nginx_tests::{
    Certificate, Client, DEADLINE, EchoBackend, Frame, Handshake, Listen, Nginx, ScriptedBackend,
    http2, wait_until,
};
use rustix::process::Signal;

const BY_HAND: &str = "
    location / {
        proxy_pass http://%BACKEND%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }";

#[test]
fn a_handshake_and_an_echo_pass_through_a_stock_nginx() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(BY_HAND)
        .set("BACKEND", backend.address())
        .without_module()
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/chat");
    client.echo("hello");
    client.close_politely();
    let host = format!("Host: {}\r\n", backend.address());
    let by_hand = "Upgrade: websocket\r\nConnection: upgrade\r\n";
    let lines = if nginx_version() < (1, 31, 4) {
        format!("{by_hand}{host}")
    } else {
        format!("{host}{by_hand}")
    };
    assert_eq!(
        backend.request(0).head.text(),
        format!(
            "GET /chat HTTP/1.1\r\n{lines}\
             Sec-WebSocket-Key: {SAMPLE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    );
    assert!(
        backend
            .received(0)
            .ends_with(&Frame::close(1000, "").masked().bytes())
    );
    assert_eq!(backend.connections(), 1);
    nginx.stop();
}

#[test]
fn tungstenite_on_both_ends_agrees_on_a_subprotocol() {
    let backend = EchoBackend::on(Listen::Tcp, &["chat"]);
    let nginx = Nginx::server(BY_HAND)
        .set("BACKEND", backend.address())
        .without_module()
        .start();
    let wire = Wire::connect(nginx.port()).unwrap();
    let offer = [("Sec-WebSocket-Protocol", "talk, chat")];
    let (mut socket, response) = client::tungstenite_over(wire, "/", &offer).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "chat");
    socket.send("hello".into()).unwrap();
    assert_eq!(socket.read().unwrap(), "hello".into());
    assert_eq!(backend.request(0).head.header("Upgrade"), Some("websocket"));
}

#[test]
fn tls_to_nginx_and_from_nginx_to_the_backend() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::on(
        Listen::Tls(certificate.clone()),
        nginx_tests::backend::standard,
    );
    let nginx = Nginx::http(format!(
        "server {{
            listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            {}
        }}",
        BY_HAND.replace("http://", "https://")
    ))
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .without_module()
    .start();
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    client.establish("/");
    client.echo("hello");
    client.close_politely();
}

#[test]
fn a_unix_socket_in_nginx_s_directory() {
    let setup = Nginx::server(BY_HAND.replace("%BACKEND%", "unix:%PREFIX%/backend.sock:"));
    let socket = Listen::Unix(setup.path("backend.sock"));
    let backend = ScriptedBackend::on(socket, nginx_tests::backend::standard);
    let nginx = setup.without_module().start();
    Client::connect(nginx.port()).establish("/");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_scripted_backend_answers_in_pieces_when_told() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.send("HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nContent-Length: 4\r\n\r\nab")?;
        conn.pause()?;
        conn.send("cd")
    });
    let nginx = Nginx::server(BY_HAND)
        .set("BACKEND", backend.address())
        .without_module()
        .start();
    let mut client = Client::connect(nginx.port());
    let head = client.ask(&Handshake::plain("/"));
    assert_eq!(client.read_bytes(2).unwrap(), b"ab");
    backend.resume();
    assert_eq!(client.read_bytes(2).unwrap(), b"cd");
    assert_eq!(head.header("Content-Length"), Some("4"));
}

#[test]
fn a_scripted_backend_resets_a_connection() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.reset();
        Ok(())
    });
    let nginx = Nginx::server(BY_HAND)
        .set("BACKEND", backend.address())
        .without_module()
        .start();
    assert_eq!(client::get(nginx.port(), "/").status(), 502);
    nginx.wait_for_log("Connection reset by peer");
}

#[test]
fn a_hanging_backend_is_let_go_at_the_end_of_the_test() {
    let backend = ScriptedBackend::start(|conn| conn.hang());
    let nginx = Nginx::server(BY_HAND)
        .set("BACKEND", backend.address())
        .without_module()
        .start();
    let mut client = Client::connect(nginx.port());
    client.send(Handshake::new("/").bytes()).unwrap();
    wait_until("the backend to be asked", || {
        backend.connections() == 1 && !backend.received(0).is_empty()
    });
    assert!(client.silent_for(std::time::Duration::from_millis(50)));
}

#[test]
fn a_panic_in_a_script_fails_the_test() {
    let backend = ScriptedBackend::start(|_| panic!("a script went wrong"));
    let _ = Wire::connect(backend.port()).unwrap().read_to_close();
    let lost = catch_unwind(AssertUnwindSafe(|| drop(backend))).unwrap_err();
    assert_eq!(lost.downcast_ref::<&str>(), Some(&"a script went wrong"));
}

#[test]
fn an_alarming_log_line_fails_the_test_unless_allowed() {
    for allowed in [false, true] {
        let mut nginx = Nginx::server("").without_module().start();
        if allowed {
            nginx.allow_log("exited on signal 9");
        }
        let worker = nginx.worker_pids()[0];
        let pid = rustix::process::Pid::from_raw(worker as i32).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        nginx.wait_for_log("exited on signal 9");
        let end = catch_unwind(AssertUnwindSafe(|| nginx.stop()));
        assert_eq!(end.is_ok(), allowed);
    }
}

#[test]
fn a_reload_brings_new_workers_and_a_new_configuration() {
    let mut nginx = Nginx::server("return 200 one;")
        .without_module()
        .workers(2)
        .start();
    assert_eq!(client::get(nginx.port(), "/").text(), "one");
    let old = nginx.worker_pids();
    nginx.reload_with("server { listen 127.0.0.1:%PORT%; return 200 two; }");
    assert!(nginx.worker_pids().iter().all(|pid| !old.contains(pid)));
    wait_until("the new configuration to answer", || {
        client::get(nginx.port(), "/").text() == "two"
    });
}

#[test]
fn one_process_alone() {
    let nginx = Nginx::server("return 204;")
        .without_module()
        .single_process()
        .start();
    assert_eq!(client::get(nginx.port(), "/").status(), 204);
    assert_eq!(nginx.worker_pids(), [nginx.pid()]);
    assert_eq!(nginx.wait_for_access("access.log", 1).len(), 1);
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let check = Nginx::server("no_such_directive on;")
        .without_module()
        .check();
    assert!(!check.ok);
    let line = check.line_of("no_such_directive");
    assert!(
        check.at_level("emerg")[0].ends_with(&format!("nginx.conf:{line}")),
        "{check:?}"
    );
    let start = catch_unwind(|| {
        Nginx::server("no_such_directive on;")
            .without_module()
            .start()
    });
    assert!(start.is_err());
}

#[test]
fn http_2_and_chunked_bodies() {
    let backend = ScriptedBackend::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    );
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT% http2;
            location / { proxy_pass http://%BACKEND%; proxy_http_version 1.1; }
            location /created { return 201; }
        }
        server {
            listen 127.0.0.1:%PORT2%;
            location / { proxy_pass http://%BACKEND%; proxy_http_version 1.1; }
        }",
    )
    .set("BACKEND", backend.address())
    .without_module()
    .start();
    let mut wire = Wire::connect(nginx.port()).unwrap();
    let answer = http2::get(&mut wire, "/", &[("x-long", &"x".repeat(300))]).unwrap();
    assert_eq!(
        answer,
        http2::Answer {
            status: 200,
            body: b"abc".to_vec()
        }
    );
    assert_eq!(
        backend.request(0).head.header("x-long").map(str::len),
        Some(300)
    );
    let mut wire = Wire::connect(nginx.port()).unwrap();
    assert_eq!(http2::get(&mut wire, "/created", &[]).unwrap().status, 201);
    assert_eq!(client::get(nginx.port_of("PORT2"), "/").body, b"abc");
}

#[test]
fn ws_echo_and_ws_try_find_each_other() -> io::Result<()> {
    use std::io::{BufRead, BufReader};
    let mut server = Command::new(env!("CARGO_BIN_EXE_ws-echo"))
        .arg("127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    let attempt = |url: &str| Command::new(env!("CARGO_BIN_EXE_ws-try")).arg(url).output();
    let good = attempt(&format!("ws://{address}/"))?;
    let refused = {
        let nginx = Nginx::server("return 403;").without_module().start();
        attempt(&format!("ws://127.0.0.1:{}/", nginx.port()))?
    };
    server.kill()?;
    server.wait()?;
    let text = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{text}");
    assert!(
        text.starts_with("HTTP/1.1 101 Switching Protocols\n"),
        "{text}"
    );
    assert!(
        text.ends_with("sent \"hello\"\nreceived \"hello\"\n"),
        "{text}"
    );
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text.starts_with("HTTP/1.1 403 Forbidden\n"), "{text}");
    Ok(())
}

#[test]
fn ws_crowd_comes_to_all_addresses() -> io::Result<()> {
    let backend = EchoBackend::on(Listen::Tcp, &[]);
    let urls = ["a", "b"].map(|path| format!("ws://{}/{path}", backend.address()));
    let mut crowd = Command::new(env!("CARGO_BIN_EXE_ws-crowd"))
        .arg("3")
        .args(urls)
        .spawn()?;
    let came = wait_within(*DEADLINE, || {
        let mut came: Vec<_> = backend
            .requests()
            .iter()
            .map(|request| request.head.start.clone())
            .collect();
        came.sort();
        came.dedup();
        (backend.requests().len() >= 3 && came.len() == 2).then_some(came)
    });
    crowd.kill()?;
    crowd.wait()?;
    assert_eq!(
        came.expect("three clients"),
        ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]
    );
    Ok(())
}
