//! The module through the life of an nginx: loading, configuring, reloading, stopping.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use std::io;

use nginx_tests::backend::standard;
use nginx_tests::client::{self, SAMPLE_KEY};
use nginx_tests::environment::{environment, nginx_version};
use nginx_tests::nginx::{Setup, assert_refused};
use nginx_tests::wire::Wire;
use nginx_tests::{
    Certificate, Client, EchoBackend, Frame, Handshake, Nginx, ScriptedBackend, http2, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};

const ON: &str = "location / { proxy_pass http://%BACKEND%; websocket on; }";

const BY_HAND: &str = "
    location / {
        proxy_pass http://%BACKEND%;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }
    location /plain/ { proxy_pass http://%BACKEND%; }";

// Loading.

#[test]
fn loading_without_use_prints_nothing_new() {
    let check = |setup: Setup| setup.set("BACKEND", "127.0.0.1:1").check();
    let with = check(Nginx::server(BY_HAND));
    let without = check(Nginx::server(BY_HAND).without_module());
    assert!(with.ok && without.ok, "{with:?}");
    assert_eq!(with.output, without.output);
}

#[test]
fn loading_leaves_nginx_s_room_for_variables() {
    let maps: String = (0..30)
        .map(|number| format!("map $uri $mapped_{number} {{ default {number}; }}\n"))
        .collect();
    let http = format!("{maps} server {{ listen 127.0.0.1:%PORT%; }}");
    let with = Nginx::http(&*http).check();
    let without = Nginx::http(&*http).without_module().check();
    assert!(with.ok, "{}", with.output);
    assert_eq!(with.output, without.output);
}

#[test]
fn users_may_define_variables_under_names_of_ours() {
    let check = Nginx::http(
        "map $uri $websocket_upgrade { default mine; }
        map $uri $websocket_backend { default other; }
        log_format own '$websocket_upgrade $websocket_backend $websocket_id $websocket_cause [$websocket_connection]';
        server {
            listen 127.0.0.1:%PORT%;
            location / {
                set $websocket_id 7;
                # It isn't run: the variable is empty then, as nginx has it.
                if ($arg_never) { set $websocket_connection mine; }
                access_log logs/own.log own;
                return 204;
            }
        }",
    );
    let nginx = check.start();
    client::get(nginx.port(), "/");
    assert_eq!(nginx.wait_for_access("own.log", 1), ["mine other 7 - []"]);
}

#[test]
fn an_unknown_variable_is_refused() {
    for name in ["websocket_nonsense", "websockets"] {
        let check = Nginx::http(format!("log_format bad '${name}';")).check();
        assert!(!check.ok);
        let refusal = format!("unknown \"{name}\" variable");
        assert!(
            check.at_level("emerg")[0].contains(&refusal),
            "{}",
            check.output
        );
    }
}

#[test]
fn loading_without_use_changes_no_byte() {
    let backend = ScriptedBackend::standard();
    let requests = [
        Handshake::plain("/plain/"),
        Handshake::new("/plain/"),
        Handshake::new("/"),
        Handshake::new("/").without("Sec-WebSocket-Key"),
        Handshake::plain("/")
            .add("Upgrade", "h2c")
            .add("Connection", "Upgrade"),
        Handshake::plain("/")
            .method("POST")
            .add("Content-Length", "2")
            .body("ab"),
    ];
    let mut answers = Vec::new();
    for setup in [
        Nginx::server(BY_HAND),
        Nginx::server(BY_HAND).without_module(),
    ] {
        let nginx = setup.set("BACKEND", backend.address()).start();
        let mut whole = Vec::new();
        for request in &requests {
            let answer = Client::connect(nginx.port()).exchange(request);
            let mut head = answer.head;
            head.headers.retain(|(name, _)| name != "Date");
            whole.push((head.start, head.headers, answer.body));
        }
        answers.push(whole);
        let log = nginx.stop();
        assert!(!log.contains("websocket handshake"), "{log}");
    }
    assert_eq!(answers[0], answers[1]);
    let passed: Vec<String> = backend
        .requests()
        .iter()
        .map(|got| got.head.text())
        .collect();
    let (with, without) = passed.split_at(requests.len());
    assert_eq!(with, without);
}

#[test]
fn using_it_prints_nothing_new_either() {
    let check = |setup: Setup| setup.set("BACKEND", "127.0.0.1:1").check();
    let with = check(Nginx::server(ON));
    let without =
        check(Nginx::server("location / { proxy_pass http://%BACKEND%; }").without_module());
    assert!(with.ok, "{with:?}");
    assert_eq!(with.output, without.output);
}

// Configuring.

#[test]
fn bad_values_are_refused_with_their_line() {
    assert_refused("websocket yes;", "\"websocket\"");
    assert_refused("websocket;", "\"websocket\"");
    assert_refused("websocket on off;", "\"websocket\"");
    assert_refused("websocket_handshake loose;", "\"loose\"");
    assert_refused("websocket_other_upgrades drop;", "\"drop\"");
    assert_refused("websocket_timeout 0;", "\"websocket_timeout\"");
    assert_refused("websocket_timeout 0s;", "\"websocket_timeout\"");
    assert_refused("websocket_timeout soon;", "\"websocket_timeout\"");
    assert_refused("websocket_timeout -1s;", "\"websocket_timeout\"");
    assert_refused("websocket_timeout;", "\"websocket_timeout\"");
}

#[test]
fn nothing_stands_behind_off() {
    for (line, surplus) in [
        ("websocket_ping off timeout=5s;", "timeout=5s"),
        ("websocket_message_rate off close;", "close"),
        ("websocket_drain off code=1001;", "code=1001"),
        ("websocket_max_lifetime off code=1000;", "code=1000"),
        ("websocket_large_buffers off 4k;", "4k"),
    ] {
        let words = format!("invalid parameter \"{surplus}\" in");
        assert_refused(line, &words);
        assert_refused(line, "directive, nothing stands behind \"off\" in");
    }
}

#[test]
fn duplicates_are_refused_with_their_line() {
    for (name, value) in [
        ("websocket", "on"),
        ("websocket_handshake", "strict"),
        ("websocket_other_upgrades", "strip"),
        ("websocket_timeout", "1s"),
        ("websocket_timeout", "off"),
    ] {
        let check =
            Nginx::server(format!("location / {{ {name} {value}; {name} {value}; }}")).check();
        let emerg = check.at_level("emerg");
        assert_eq!(emerg.len(), 1, "{check:?}");
        assert!(emerg[0].contains("is duplicate"), "{check:?}");
    }
}

#[test]
fn good_values_are_taken_at_every_level() {
    let lines = "websocket on; websocket_handshake lenient; websocket_other_upgrades reject;
        websocket_timeout 1d;";
    let check = Nginx::http(format!(
        "{lines}
        server {{
            listen 127.0.0.1:%PORT%;
            {lines}
            location / {{ {lines} proxy_pass http://127.0.0.1:1; }}
            location /off/ {{ websocket_timeout off; proxy_pass http://127.0.0.1:1; }}
        }}"
    ))
    .check();
    assert!(check.ok, "{check:?}");
}

// Running.

#[test]
fn two_servers_that_are_on() {
    let (first, second) = (ScriptedBackend::standard(), ScriptedBackend::standard());
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%FIRST%; websocket on; }
        }
        server {
            listen 127.0.0.1:%PORT2%;
            proxy_set_header X-Own 2;
            location / { proxy_pass http://%SECOND%; websocket on; }
        }",
    )
    .set("FIRST", first.address())
    .set("SECOND", second.address())
    .start();
    for port in [nginx.port(), nginx.port_of("PORT2")] {
        let mut client = Client::connect(port);
        client.establish("/");
        client.echo("hello");
    }
    assert_eq!(first.request(0).head.header("X-Own"), None);
    assert_eq!(second.request(0).head.header("X-Own"), Some("2"));
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn one_server_on_and_one_off_on_the_same_port() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT%;
            server_name on.test;
            location / { proxy_pass http://%BACKEND%; websocket on; }
        }
        server {
            listen 127.0.0.1:%PORT%;
            server_name off.test;
            location / { proxy_pass http://%BACKEND%; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    Client::connect(nginx.port()).accepted(&Handshake::new("/").set("Host", "on.test"));
    let head = Client::connect(nginx.port()).ask(&Handshake::new("/").set("Host", "off.test"));
    assert_eq!(head.status(), 200);
    assert_eq!(backend.request(1).head.header("Upgrade"), None);
}

#[test]
fn without_a_master_process() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON)
        .set("BACKEND", backend.address())
        .single_process()
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    let repeated = Handshake::new("/").add("Sec-WebSocket-Version", "8");
    assert_eq!(Client::connect(nginx.port()).ask(&repeated).status(), 400);
}

/// nginx then runs no process anew, and its new configuration has only the connections that the old one gives back.
#[test]
fn a_reload_without_a_master_process() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON.replace("on;", "on; websocket_max_message_size 10;"))
        .set("BACKEND", backend.address())
        .single_process()
        // nginx has closed the log that it goes on writing to.
        .log_level("crit")
        .start();
    let before: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::connect(nginx.port());
            client.establish("/");
            client
        })
        .collect();
    let descriptors = || {
        let directory = std::fs::read_dir(format!("/proc/{}/fd", nginx.pid()));
        directory.expect("nginx runs").count()
    };
    let open = descriptors();
    let text = format!("{}\n", nginx.config());
    std::fs::write(
        nginx.path("nginx.conf"),
        text.replace("error_log", "error_log logs/second;\nerror_log"),
    )
    .unwrap();
    nginx.signal(Signal::HUP);
    wait_until("the other configuration", || descriptors() > open);
    before.into_iter().for_each(Client::close_politely);
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client
        .send(Frame::text("more than ten bytes").masked().bytes())
        .unwrap();
    assert_eq!(client.frame().close_code(), Some(1009));
}

#[test]
fn several_workers() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON)
        .set("BACKEND", backend.address())
        .workers(3)
        .start();
    let mut clients: Vec<Client> = (0..12).map(|_| Client::connect(nginx.port())).collect();
    for client in &mut clients {
        client.establish("/");
    }
    for client in &mut clients {
        client.echo("hello");
    }
}

#[test]
fn tls_to_nginx() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(format!(
        "server {{
            listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            {ON}
        }}"
    ))
    .certificate(&certificate)
    .set("BACKEND", backend.address())
    .start();
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
    let repeated = Handshake::new("/").add("Sec-WebSocket-Version", "8");
    assert_eq!(client.ask(&repeated).status(), 400);
}

#[test]
fn http_2_clients_get_plain_answers() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::http(format!("server {{ listen 127.0.0.1:%PORT% http2; {ON} }}"))
        .set("BACKEND", backend.address())
        .start();
    let mut wire = Wire::connect(nginx.port()).unwrap();
    let answer = http2::get(&mut wire, "/page", &[("x-own", "1")]).unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"plain"[..]));
    let (version, connection) = if nginx_version() < (1, 29, 7) {
        ("1.0", "Connection: close\r\n")
    } else {
        ("1.1", "")
    };
    // On HTTP/2 the host is the authority, and nginx names the upstream's.
    let expected = format!(
        "GET /page HTTP/{version}\r\nHost: {}\r\n{connection}x-own: 1\r\n\r\n",
        backend.address()
    );
    assert_eq!(backend.request(0).head.text(), expected);
}

#[test]
fn frames_pipelined_behind_the_handshake_arrive() {
    let backend = ScriptedBackend::standard();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    let frames = [
        Frame::text("one").masked().bytes(),
        Frame::text("two").masked().bytes(),
    ];
    client
        .send([Handshake::new("/").bytes(), frames.concat()].concat())
        .unwrap();
    assert_eq!(client.read_head().unwrap().status(), 101);
    assert_eq!(client.frame(), Frame::text("one"));
    assert_eq!(client.frame(), Frame::text("two"));
    client.echo("three");
    let got = backend.received(0);
    let head = backend.request(0).head.raw.len();
    assert_eq!(got[head..head + frames.concat().len()], frames.concat());
}

#[test]
fn frames_in_the_same_segment_as_the_101_arrive() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        let answer = nginx_tests::backend::switching_protocols(key).into_bytes();
        conn.send([answer, Frame::text("at once").bytes()].concat())?;
        conn.echo_frames()
    });
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    assert_eq!(client.frame(), Frame::text("at once"));
    client.echo("hello");
}

#[test]
fn large_messages_pass_whole() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut socket = client::tungstenite(nginx.port(), "/");
    for size in [0, 1, 125, 126, 4096, 65_536, 1_000_000] {
        let message = tungstenite::Message::binary(
            (0..size)
                .map(|at: u32| (at * 7 % 251) as u8)
                .collect::<Vec<_>>(),
        );
        socket.send(message.clone()).unwrap();
        assert!(
            socket.read().unwrap() == message,
            "{size} bytes came back changed"
        );
    }
}

#[test]
fn the_end_of_either_side_ends_the_other() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        match request.target() {
            "/close" => Ok(()),
            "/reset" => {
                conn.read_frame()?;
                conn.reset();
                Ok(())
            }
            _ => {
                let rest = conn.read_to_close()?;
                assert_eq!(rest, b"");
                conn.pause()
            }
        }
    });
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    client.establish("/close");
    assert_eq!(client.read_until_close(), b"");
    let mut client = Client::connect(nginx.port());
    client.establish("/reset");
    client.send(Frame::text("go").masked().bytes()).unwrap();
    let end = client.read_to_close();
    assert!(end.is_ok_and(|rest| rest.is_empty()));
    // The client leaves: the backend sees the end, and is let go on.
    let mut client = Client::connect(nginx.port());
    client.establish("/client");
    drop(client);
    backend.resume();
}

#[test]
fn a_client_that_leaves_during_the_handshake() {
    let backend = ScriptedBackend::start(|conn| {
        conn.read_request()?;
        conn.hang()
    });
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    client.send(Handshake::new("/").bytes()).unwrap();
    backend.request(0);
    drop(client);
    assert!(nginx.wait_for_access("access.log", 1)[0].contains("\" 499 "));
}

// Reloading.

#[test]
fn tunnels_outlive_a_reload_and_the_old_worker_ends_with_them() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let (mut first, mut second) = (Client::connect(nginx.port()), Client::connect(nginx.port()));
    first.establish("/");
    second.establish("/");
    let old = nginx.worker_pids();
    nginx.reload();
    wait_until("the old worker to be told", || {
        nginx.exiting_worker_pids() == old
    });
    first.echo("after the reload");
    second.echo("after the reload");
    let mut third = Client::connect(nginx.port());
    third.establish("/");
    third.echo("with the new worker");
    first.close_politely();
    second.echo("still there");
    assert_eq!(nginx.exiting_worker_pids(), old);
    second.close_politely();
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    third.echo("still there");
}

#[test]
fn a_reload_turns_it_on_and_off() {
    let backend = ScriptedBackend::start(standard);
    let server = |on: &str| {
        format!(
            "server {{
                listen 127.0.0.1:%PORT%;
                location / {{ proxy_pass http://%BACKEND%; {on} }}
            }}"
        )
    };
    let mut nginx = Nginx::http(server(""))
        .set("BACKEND", backend.address())
        .start();
    let status = |nginx: &Nginx| {
        Client::connect(nginx.port())
            .ask(&Handshake::new("/"))
            .status()
    };
    assert_eq!(status(&nginx), 200);
    nginx.reload_with(&server("websocket on;"));
    wait_until("it to be on", || status(&nginx) == 101);
    nginx.reload_with(&server("websocket off;"));
    wait_until("it to be off", || status(&nginx) == 200);
}

#[test]
fn many_reloads_with_traffic() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut tunnels = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        tunnels.push(client);
        nginx.reload();
        for tunnel in &mut tunnels {
            tunnel.echo("hello");
        }
    }
    drop(tunnels);
    wait_until("old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn a_reload_with_a_bad_configuration_leaves_everything_as_it_was() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON)
        .set("BACKEND", backend.address())
        .allow_log("[emerg]")
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    let workers = nginx.worker_pids();
    let bad = nginx
        .config()
        .replace("websocket on;", "websocket_timeout 0;");
    std::fs::write(nginx.path("nginx.conf"), bad).unwrap();
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("[emerg]");
    client.echo("hello");
    assert_eq!(nginx.worker_pids(), workers);
}

/// There is no configuration without it then.
fn is_compiled_in() -> bool {
    let is_compiled_in = environment().module().is_none();
    if is_compiled_in {
        nginx_tests::skipped("nginx has the module compiled in");
    }
    is_compiled_in
}

/// nginx has joined the filters of such a configuration, and keeps its old one, in whose workers they have nothing to do.
#[test]
fn a_first_configuration_with_it_that_is_refused_later() {
    if is_compiled_in() {
        return;
    }
    let backend = ScriptedBackend::standard();
    let server = "server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%BACKEND%; } }";
    let mut nginx = Nginx::http(server)
        .set("BACKEND", backend.address())
        .without_module()
        .allow_log("[emerg]")
        .start();
    let plain = |nginx: &Nginx| client::get(nginx.port(), "/").status();
    assert_eq!(plain(&nginx), 200);
    nginx.load_module(true);
    nginx.configure(&format!("{server} }} no_such_block {{"));
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("unknown directive \"no_such_block\"");
    assert_eq!(plain(&nginx), 200);
    let workers = nginx.worker_pids();
    let worker = Pid::from_raw(workers[0] as i32).expect("a worker");
    kill_process(worker, Signal::TERM).expect("a worker");
    wait_until("another worker", || {
        let now = nginx.worker_pids();
        !now.is_empty() && now.iter().all(|pid| !workers.contains(pid))
    });
    assert_eq!(plain(&nginx), 200);
    nginx.reload_with(&server.replace("location", "websocket on; location"));
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
}

/// What workers share is kept for as long as nginx runs, and there is one of it.
#[test]
fn it_may_go_and_come_again() {
    if is_compiled_in() {
        return;
    }
    let backend = ScriptedBackend::standard();
    let with = "websocket_zone zone:1m; websocket_handover on;
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%BACKEND%; websocket on; } }";
    let without = "server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%BACKEND%; } }";
    let mut nginx = Nginx::http(with).set("BACKEND", backend.address()).start();
    let mut descriptors = None;
    for _ in 0..3 {
        nginx.load_module(false);
        nginx.reload_with(without);
        assert_eq!(client::get(nginx.port(), "/").status(), 200);
        nginx.load_module(true);
        nginx.reload_with(with);
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        client.echo("hello");
        client.close_politely();
        wait_until("old workers to end", || {
            nginx.exiting_worker_pids().is_empty()
        });
        wait_until("no more descriptors than before", || {
            let directory = std::fs::read_dir(format!("/proc/{}/fd", nginx.pid()));
            let open = directory.expect("the master runs").count();
            open <= *descriptors.get_or_insert(open)
        });
    }
}

#[test]
fn worker_shutdown_timeout_ends_tunnels() {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON)
        .main("worker_shutdown_timeout 300ms;")
        .set("BACKEND", backend.address())
        .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    nginx.reload();
    assert_eq!(client.read_until_close(), b"");
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn a_fast_stop_with_tunnels_open() -> io::Result<()> {
    let backend = EchoBackend::start();
    let nginx = Nginx::server(ON).set("BACKEND", backend.address()).start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&Handshake::new("/").set("Sec-WebSocket-Key", SAMPLE_KEY));
    nginx.terminate();
    assert_eq!(client.read_to_close()?, b"");
    Ok(())
}
