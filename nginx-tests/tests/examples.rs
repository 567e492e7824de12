//! The configurations in `examples/`, as they are but for addresses and ports.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nginx_tests::backend::standard;
use nginx_tests::client::get;
use nginx_tests::environment::is_over_http2;
use nginx_tests::nginx::Setup;
use nginx_tests::{
    Certificate, Client, Frame, Handshake, Listen, Nginx, ScriptedBackend, wait_until,
};

const EXAMPLES: [&str; 7] = [
    "behind-proxy",
    "drain-and-ping",
    "load-balancing",
    "minimal",
    "routes",
    "socket-io",
    "tls",
];

#[test]
fn every_example_is_here_and_none_is_warned_of() {
    let names: BTreeSet<String> = fs::read_dir(directory())
        .expect("examples")
        .map(|entry| entry.expect("a file").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect();
    assert_eq!(names, EXAMPLES.map(str::to_owned).into());
    for name in EXAMPLES {
        let certificate = Certificate::localhost();
        let check = example(name, &[]).certificate(&certificate).check();
        assert!(check.ok, "{name}: {}", check.output);
        assert_eq!(check.at_level("warn"), [""; 0], "{name}");
    }
}

#[test]
fn minimal() {
    let backend = ScriptedBackend::standard();
    let nginx = example("minimal", &[("127.0.0.1:9000", &backend.address())]).start();
    echo(Client::connect(nginx.port()), "/chat");
    assert_eq!(get(nginx.port(), "/page").text(), "plain");
    assert_eq!(backend.request(0).head.target(), "/chat");
    assert_eq!(backend.request(1).head.target(), "/page");
    nginx.stop();
}

#[test]
fn routes() {
    let [backend, eu, us] = [(); 3].map(|()| ScriptedBackend::standard());
    let addresses = [
        ("127.0.0.1:9000", &*backend.address()),
        ("127.0.0.1:9001", &eu.address()),
        ("127.0.0.1:9002", &us.address()),
    ];
    let nginx = example("routes", &addresses).start();
    let routes = [
        (&backend, "/chat/lobby", "/chat/lobby"),
        (&backend, "/api/v1/events/today?a=1", "/stream/today?a=1"),
        (&backend, "/rooms/blue/socket", "/socket?room=blue"),
        (&eu, "/region/a", "/region/a"),
        (&us, "/region/a?region=us", "/region/a?region=us"),
    ];
    for (server, asked, seen) in routes {
        let before = server.requests().len();
        echo(Client::connect(nginx.port()), asked);
        assert_eq!(get(nginx.port(), asked).text(), "plain");
        let requests = server.requests();
        let targets: Vec<&str> = requests[before..].iter().map(|r| r.head.target()).collect();
        assert_eq!(targets, [seen, seen], "{asked}");
    }
    let mut client = Client::connect(nginx.port());
    let answer = client.ask(&Handshake::new("/downloads/file"));
    // That location is off.
    let status = if is_over_http2() { 501 } else { 200 };
    assert_eq!(answer.status(), status, "{}", answer.text());
    drop(client);
    nginx.stop();
}

#[test]
fn tls() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::on(Listen::Tls(certificate.clone()), standard);
    let nginx = example("tls", &[("127.0.0.1:9443", &backend.address())])
        .certificate(&certificate)
        .start();
    let tls = nginx.port_of("PORT443");
    echo(Client::connect_tls(tls, &certificate), "/chat");
    let plain = Handshake::plain("/").add("Connection", "close");
    let answer = Client::connect_tls(tls, &certificate).exchange(&plain);
    assert_eq!(answer.text(), "plain");
    let mut client = Client::connect(nginx.port());
    assert_eq!(client.ask(&Handshake::new("/chat")).status(), 301);
    nginx.wait_for_log("websocket handshake failed: local-redirect");
    drop(client);
    nginx.stop();
}

#[test]
fn load_balancing() {
    let [one, two] = [(); 2].map(|()| ScriptedBackend::standard());
    let nginx = of_two("load-balancing", &one, &two).start();
    for _ in 0..3 {
        echo(Client::connect(nginx.port()), "/chat");
    }
    for _ in 0..3 {
        assert_eq!(get(nginx.port(), "/page").text(), "plain");
    }
    let (used, unused) = if one.connections() > 0 {
        (&one, &two)
    } else {
        (&two, &one)
    };
    assert_eq!(unused.connections(), 0, "a client keeps its server");
    assert_eq!(used.requests().len(), 6);
    let plain: BTreeSet<usize> = used
        .requests()
        .iter()
        .filter(|request| request.head.target() == "/page")
        .map(|request| request.connection)
        .collect();
    assert_eq!(plain.len(), 1, "plain requests share a connection");
    nginx.stop();
}

#[test]
fn a_server_that_is_gone() {
    let (gone, stays) = (ScriptedBackend::standard(), ScriptedBackend::standard());
    let setup = of_two("load-balancing", &gone, &stays);
    drop(gone);
    let nginx = setup.start();
    for _ in 0..2 {
        echo(Client::connect(nginx.port()), "/chat");
    }
    assert_eq!(stays.requests().len(), 2);
    nginx.stop();
}

#[test]
fn behind_a_proxy() {
    let backend = ScriptedBackend::standard();
    let nginx = example("behind-proxy", &[("127.0.0.1:9000", &backend.address())]).start();
    let handshake = Handshake::new("/chat")
        .set("Host", "chat.example.com")
        .add("X-Forwarded-For", "203.0.113.9")
        .add("X-Forwarded-Proto", "https");
    let allowed = handshake.clone().add("Origin", "https://chat.example.com");
    let mut client = Client::connect(nginx.port());
    client.accepted(&allowed);
    client.echo("hello");
    client.close_politely();
    let head = backend.request(0).head;
    assert_eq!(head.header("Host"), Some("chat.example.com"));
    assert_eq!(head.header("X-Real-IP"), Some("203.0.113.9"));
    assert_eq!(head.header("X-Forwarded-Proto"), Some("https"));

    let other = handshake.add("Origin", "https://evil.example");
    let mut client = Client::connect(nginx.port());
    assert_eq!(client.ask(&other).status(), 403);
    drop(client);
    assert_eq!(get(nginx.port(), "/page").text(), "plain");
    nginx.stop();
}

#[test]
fn socket_io() {
    let [one, two] = [(); 2].map(|()| ScriptedBackend::standard());
    let nginx = of_two("socket-io", &one, &two).start();
    let polling = "/socket.io/?EIO=4&transport=polling";
    assert_eq!(get(nginx.port(), polling).text(), "plain");
    let target = "/socket.io/?EIO=4&transport=websocket&sid=a";
    echo(Client::connect(nginx.port()), target);
    assert_eq!(get(nginx.port(), "/index.html").text(), "plain");
    let counts = [one.requests().len(), two.requests().len()];
    assert!(counts == [3, 0] || counts == [0, 3], "{counts:?}");
    nginx.stop();
}

#[test]
fn drain_and_ping() {
    let backend = ScriptedBackend::standard();
    let replacements = [
        ("127.0.0.1:9000", &*backend.address()),
        ("websocket_ping 30s", "websocket_ping 200ms"),
        ("websocket_drain 2m", "websocket_drain 1s"),
    ];
    let nginx = example("drain-and-ping", &replacements).start();
    let mut client = Client::connect(nginx.port());
    client.establish("/chat");
    client.echo("hello");
    let ping = client.frame();
    assert_eq!(ping.opcode, 0x9);
    pong(&mut client, ping);
    nginx.reload();
    let close = loop {
        let frame = client.frame();
        if frame.opcode != 0x9 {
            break frame;
        }
        pong(&mut client, frame);
    };
    assert_eq!(close.close_code(), Some(1012));
    client
        .send(Frame::close(1012, "").masked().bytes())
        .unwrap();
    client.read_until_close();
    let line = nginx.wait_for_access("tunnels.log", 1).remove(0);
    assert!(line.contains(" nginx/drain/1012 "), "{line}");
    wait_until("the old worker to leave", || {
        nginx.exiting_worker_pids().is_empty()
    });
    nginx.stop();
}

fn pong(client: &mut Client, ping: Frame) {
    let pong = Frame::new(0xa, ping.payload);
    client.send(pong.masked().bytes()).unwrap();
}

fn echo(mut client: Client, target: &str) {
    client.establish(target);
    client.echo("hello");
    client.close_politely();
}

fn of_two(name: &str, one: &ScriptedBackend, two: &ScriptedBackend) -> Setup {
    let addresses = [
        ("127.0.0.1:9000", &*one.address()),
        ("127.0.0.1:9001", &two.address()),
    ];
    example(name, &addresses)
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The example of this name, with the texts of `replacements` replaced. `listen 80` becomes
/// `%PORT%`, any other port `%PORTnnn%`.
fn example(name: &str, replacements: &[(&str, &str)]) -> Setup {
    let path = directory().join(format!("{name}.conf"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text = text
        .replace("load_module modules/ngx_http_websocket_module.so;\n", "")
        .replace("listen 80;", "listen 127.0.0.1:%PORT%;")
        .replace("listen 443 ", "listen 127.0.0.1:%PORT443% ")
        .replace("/var/log/nginx/", "logs/");
    let (main, rest) = text.split_once("events {\n}\n").expect("an events block");
    let http = rest.split_once("http {\n").expect("an http block").1;
    let (http, after) = http.rsplit_once('}').expect("its end");
    assert_eq!(after, "\n", "{name}: something follows the http block");
    let mut http = http.to_owned();
    for (from, to) in replacements {
        assert!(http.contains(from), "{name} has no {from}");
        http = http.replace(from, to);
    }
    Nginx::http(http).main(main)
}
