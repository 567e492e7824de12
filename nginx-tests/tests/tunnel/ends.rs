//! How tunnels end, and what is said of it.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use std::io;
use std::time::{Duration, Instant};

use nginx_tests::backend::switching_protocols;
use nginx_tests::environment::is_over_http2;
use nginx_tests::wire::Wire;
use nginx_tests::{Certificate, Client, Frame, Listen, Nginx, ScriptedBackend, wait_until};

use crate::case::{
    Ended, active, all_ended, assert_ended, backend, descriptors, ended, frames, http, join,
    location, server, wait_for_frames,
};

/// Waits until nothing of the tunnel is left in the worker.
#[track_caller]
fn assert_all_closed(nginx: &Nginx) {
    wait_until("all connections to be closed", || active(nginx) == 0);
}

#[test]
fn the_client_closes() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    client.echo("hello");
    client.close_politely();
    let line = assert_ended(&nginx, ("client", "normal", "1000"), "info");
    assert!(
        line.contains("19 bytes in 2 frames (1 message) from client"),
        "{line}"
    );
    assert!(
        line.contains("11 bytes in 2 frames (1 message) from upstream"),
        "{line}"
    );
    let ended = ended(&nginx);
    let status = if is_over_http2() { "200" } else { "101" };
    assert_eq!(&ended["status"], status);
    assert_eq!(ended.number("websocket_bytes_in"), 19);
    assert_eq!(ended.number("websocket_bytes_out"), 11);
    assert_eq!(ended.number("websocket_frames_in"), 2);
    assert_eq!(ended.number("websocket_messages_in"), 1);
    assert_all_closed(&nginx);
}

#[test]
fn the_upstream_closes() {
    let backend = backend(|conn| {
        conn.send(Frame::close(4321, "enough").bytes())?;
        conn.read_frame()?;
        Ok(())
    });
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(4321, "enough"));
    client
        .send(Frame::close(4321, "").masked().bytes())
        .unwrap();
    assert_eq!(client.read_until_close(), b"");
    assert_ended(&nginx, ("upstream", "normal", "4321"), "info");
}

#[test]
fn a_close_without_a_code() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    client.send(Frame::new(8, "").masked().bytes()).unwrap();
    assert_eq!(client.frame(), Frame::new(8, ""));
    client.read_until_close();
    assert_ended(&nginx, ("client", "normal", "-"), "info");
}

#[test]
fn both_close_at_once() {
    let backend = backend(|conn| {
        conn.pause()?;
        conn.send(Frame::close(1000, "").bytes())
    });
    let nginx = server("", &backend).start();
    for round in 1..=20 {
        let mut client = join(&nginx);
        backend.resume();
        client
            .send(Frame::close(1000, "").masked().bytes())
            .unwrap();
        drop(client);
        let ended = &all_ended(&nginx, round)[round - 1];
        let (_, reason, code) = ended.why();
        // Where a reset overtakes both, there was no Close.
        assert!((reason, code) == ("normal", "1000"), "{ended:?}");
    }
    assert_all_closed(&nginx);
}

#[test]
fn a_side_leaves_without_a_close() {
    for (leaves, abruptly) in [
        ("client", false),
        ("client", true),
        ("upstream", false),
        ("upstream", true),
    ] {
        let backend = backend(move |conn| {
            conn.send(Frame::text("ready").bytes())?;
            if leaves == "client" {
                return conn.hang();
            }
            conn.read_frame()?;
            if abruptly {
                conn.reset();
            }
            Ok(())
        });
        let nginx = server("", &backend).start();
        let mut client = join(&nginx);
        client.frame();
        client.send(Frame::text("go").masked().bytes()).unwrap();
        wait_for_frames(&backend, 0, 1);
        let mut wire = client.into_wire();
        match (leaves, abruptly) {
            ("client", true) => wire.reset(),
            ("client", false) => wire.close(),
            _ => assert_eq!(wire.read_to_close().unwrap(), b""),
        }
        let reason = if abruptly { "reset" } else { "no-close-frame" };
        assert_ended(&nginx, (leaves, reason, "-"), "warn");
        assert_all_closed(&nginx);
    }
}

#[test]
fn half_closed_sides_are_heard_to_the_end() {
    // What a side sent before it closed its half has all gone by when the tunnel ends.
    for from_client in [true, false] {
        let payload = vec![7; 3_000_000];
        let frame = Frame::binary(payload);
        let sent = frame.clone();
        let backend = backend(move |conn| {
            if from_client {
                return conn.hang();
            }
            conn.send(sent.bytes())?;
            conn.send(Frame::close(1000, "").bytes())?;
            conn.finish()?;
            conn.hang()
        });
        let nginx = server("", &backend).start();
        let mut client = join(&nginx);
        if from_client {
            client.send(frame.clone().masked().bytes()).unwrap();
            client
                .send(Frame::close(1000, "").masked().bytes())
                .unwrap();
            client.finish().unwrap();
            assert_eq!(client.read_until_close(), b"");
            assert!(wait_for_frames(&backend, 0, 2)[0].payload == frame.payload);
        } else {
            assert!(client.frame() == frame);
            assert_eq!(client.frame(), Frame::close(1000, ""));
            assert_eq!(client.read_until_close(), b"");
        }
        let by = if from_client { "client" } else { "upstream" };
        assert_ended(&nginx, (by, "normal", "1000"), "info");
        assert_all_closed(&nginx);
    }
}

#[test]
fn tls_peers_that_say_goodbye_or_do_not() {
    let certificate = Certificate::localhost();
    for (leaves, goodbye) in [
        ("client", true),
        ("client", false),
        ("upstream", true),
        ("upstream", false),
    ] {
        let backend = ScriptedBackend::on(Listen::Tls(certificate.clone()), move |conn| {
            let handshake = conn.read_request()?.head;
            conn.accept(&handshake)?;
            if leaves == "client" {
                return conn.hang();
            }
            conn.read_frame()?;
            if goodbye {
                conn.finish()?;
            }
            Ok(())
        });
        let http = location("proxy_pass https://%BACKEND%;").replace(
            "listen 127.0.0.1:%PORT%;",
            "listen 127.0.0.1:%PORT%; listen 127.0.0.1:%TLSPORT% ssl;
             ssl_certificate cert.pem; ssl_certificate_key key.pem;",
        );
        let nginx = Nginx::http(http)
            .certificate(&certificate)
            .set("BACKEND", backend.address())
            .start();
        let mut client = Client::connect_tls(nginx.port_of("TLSPORT"), &certificate);
        client.establish("/");
        client.send(Frame::text("go").masked().bytes()).unwrap();
        wait_for_frames(&backend, 0, 1);
        if leaves == "client" {
            if goodbye {
                client.finish().unwrap();
            }
            drop(client);
        } else {
            assert_eq!(client.read_until_close(), b"");
        }
        let ended = ended(&nginx);
        let (by, reason, _) = ended.why();
        assert_eq!(by, leaves);
        assert!(matches!(reason, "no-close-frame" | "reset"), "{ended:?}");
        assert_all_closed(&nginx);
    }
}

#[test]
fn a_side_that_dies_within_a_frame() {
    // A Ping that waits for the end of that frame keeps nothing alive, and no more does the
    // beginning of a header that is looked at before it is passed on.
    let lines = "websocket_ping 100ms timeout=30s to=both; websocket_max_message_size 1m;";
    for (from_client, bytes) in [
        (false, &b"\x82\x7e\x10\x00abc"[..]),
        (false, b"\x82\x7e"),
        (true, b"\x82\xfe\x10\x00abcdefg"),
        (true, b"\x82\xfe"),
    ] {
        let backend = backend(move |conn| {
            if !from_client {
                conn.send(bytes)?;
                conn.pause()?;
                conn.finish()?;
            }
            conn.hang()
        });
        let nginx = server(lines, &backend).start();
        let mut client = join(&nginx);
        if from_client {
            client.send(bytes).unwrap();
        } else {
            assert_eq!(client.read_bytes(bytes.len()).unwrap(), bytes);
        }
        // Both sides are silent for longer than a Ping's interval.
        let since = Instant::now();
        wait_until("a Ping to be due", || {
            since.elapsed() > Duration::from_millis(300)
        });
        if from_client {
            client.finish().unwrap();
        } else {
            backend.resume();
        }
        client.read_until_close();
        let by = if from_client { "client" } else { "upstream" };
        assert_ended(&nginx, (by, "no-close-frame", "-"), "warn");
    }
}

#[test]
fn durations_are_those_of_the_tunnel() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.pause()?;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let nginx = server("", &backend).start();
    let started = Instant::now();
    let mut client = Client::connect(nginx.port());
    client
        .send(nginx_tests::Handshake::new("/").bytes())
        .unwrap();
    wait_until("half a second", || {
        started.elapsed() > Duration::from_millis(500)
    });
    backend.resume();
    assert_eq!(client.read_head().unwrap().status(), 101);
    let established = Instant::now();
    assert!(client.silent_for(Duration::from_millis(300)));
    client.close_politely();
    let most = established.elapsed().as_secs_f64() + 0.1;
    let ended = ended(&nginx);
    let duration = ended.seconds("websocket_duration");
    assert!((0.25..most).contains(&duration), "{ended:?}");
    assert!(
        ended.seconds("websocket_handshake_time") >= 0.45,
        "{ended:?}"
    );
}

#[test]
fn bytes_are_those_that_went_over_the_wire() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        client
            .send(Frame::binary(vec![1; size]).masked().bytes())
            .unwrap();
        assert_eq!(client.frame().payload.len(), size);
    }
    let record = client.record();
    client.close_politely();
    let ended = ended(&nginx);
    // Over HTTP/2 there are frames around them.
    if !is_over_http2() {
        assert_eq!(
            ended.number("bytes_sent"),
            record.lock().unwrap().len() as u64
        );
    }
    assert_eq!(
        ended.number("upstream_bytes_sent"),
        backend.received(0).len() as u64
    );
    let head = switching_protocols(nginx_tests::client::SAMPLE_KEY).len() as u64;
    let out = ended.number("websocket_bytes_out");
    assert_eq!(ended.number("upstream_bytes_received"), head + out);
    let (got, rest) = frames(&backend, 0);
    assert_eq!(
        (got.len() as u64, rest.len()),
        (ended.number("websocket_frames_in"), 0)
    );
}

#[test]
fn worker_shutdown_timeout_is_named() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("", &backend)
        .main("worker_shutdown_timeout 300ms;")
        .start();
    let mut client = join(&nginx);
    client.echo("hello");
    nginx.reload();
    client.read_until_close();
    assert_ended(&nginx, ("nginx", "worker-shutdown", "-"), "info");
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

/// nginx holds back what follows a header that `limit_rate` has slowed down, and then for ever.
#[test]
fn limit_rate_does_not_hold_up_the_end() {
    for lines in [
        "limit_rate 100k;",
        "limit_rate 10;",
        "limit_rate 100k; websocket_tunnel off;",
    ] {
        let backend = backend(|conn| conn.echo_frames());
        let nginx = server(lines, &backend).start();
        let mut client = join(&nginx);
        client.echo("hello");
        client.close_politely();
        let by = if lines.contains("off") { "-" } else { "client" };
        assert_eq!(&ended(&nginx)["websocket_close_by"], by, "{lines}");
        assert_all_closed(&nginx);
    }
}

#[test]
fn plain_requests_have_none_of_the_variables() {
    let backend = ScriptedBackend::standard();
    let nginx = server("", &backend).start();
    nginx_tests::client::get(nginx.port(), "/");
    let ended = ended(&nginx);
    for name in [
        "close_by",
        "close_reason",
        "close_code",
        "duration",
        "bytes_in",
        "frames_out",
        "messages_in",
        "ping_rtt",
    ] {
        assert_eq!(&ended[&format!("websocket_{name}")], "-", "{name}");
    }
}

#[test]
fn variables_of_uwsgi_and_scgi_tunnels() {
    type Read = fn(&mut Wire) -> io::Result<std::collections::BTreeMap<String, String>>;
    for (name, prefix, read) in [
        ("uwsgi", "HTTP/1.1 ", Wire::read_uwsgi as Read),
        ("scgi", "Status: ", Wire::read_scgi as Read),
    ] {
        let backend = ScriptedBackend::start(move |conn| {
            let key = read(conn)?["HTTP_SEC_WEBSOCKET_KEY"].clone();
            conn.send(switching_protocols(&key).replacen("HTTP/1.1 ", prefix, 1))?;
            conn.echo_frames()
        });
        let lines =
            format!("{name}_pass %BACKEND%; websocket_max_message_size 1k; websocket_ping 200ms;");
        let nginx = Nginx::http(location(&lines))
            .set("BACKEND", backend.address())
            .start();
        let mut client = join(&nginx);
        client.echo("hello");
        let ping = client.frame();
        assert_eq!(ping.opcode, 9);
        let pong = Frame::new(10, ping.payload);
        client.send(pong.masked().bytes()).unwrap();
        client.close_politely();
        let ended = ended(&nginx);
        assert_eq!(ended.why(), ("client", "normal", "1000"));
        assert_eq!(ended.number("websocket_frames_in"), 3);
        assert_eq!(ended.number("websocket_frames_out"), 2);
        assert_ne!(&ended["websocket_ping_rtt"], "-");

        let mut client = join(&nginx);
        client
            .send(Frame::text(&"x".repeat(2000)).masked().bytes())
            .unwrap();
        assert_eq!(client.frame(), Frame::close(1009, ""));
        client
            .send(Frame::close(1009, "").masked().bytes())
            .unwrap();
        client.read_until_close();
        assert_eq!(
            all_ended(&nginx, 2)[1].why(),
            ("nginx", "message-too-big", "1009")
        );
    }
}

#[test]
fn nothing_is_left_open() {
    let backend = backend(|conn| conn.echo_frames());
    let nginx = Nginx::http(http(""))
        .set("BACKEND", backend.address())
        .start();
    let worker = nginx.worker_pids()[0];
    let first = join(&nginx);
    // A worker that serves has all of its own open.
    let open = descriptors(worker) - 2;
    drop(first);
    for _ in 1..50 {
        let mut client = join(&nginx);
        client.echo("hello");
    }
    wait_until("the descriptors to be closed", || {
        descriptors(worker) == open
    });
    assert_all_closed(&nginx);
    let all: Vec<Ended> = all_ended(&nginx, 50);
    assert!(all.iter().all(|ended| ended.why().0 == "client"));
}
