//! Every end of a tunnel on a stream: its line, and what the client sees.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::http2::session::{Session, WINDOW_UPDATE};
use nginx_tests::tunnels::accept;
use nginx_tests::wire::Wire;
use nginx_tests::{Certificate, Frame, Nginx, ScriptedBackend, patient, wait_until};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Pid, Signal, kill_process};

use crate::case::{PROXIES, at_most_requests, connected, server};

#[test]
fn a_close_ends_the_stream_cleanly() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    session.close(stream);
    assert_eq!(session.of(stream).reset.unwrap_or(0), 0);
    nginx.wait_for_log("by client: normal 1000");
}

#[test]
fn a_reset_stream_ends_its_tunnel_and_no_other() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let (one, other) = (session.establish("/one"), session.establish("/other"));
    session.echo(one, Frame::text("hello"));
    session.reset(one);
    let outcomes = nginx.wait_for_access("outcome.log", 1);
    assert!(
        outcomes[0].contains(" /one http2 established"),
        "{outcomes:?}"
    );
    session.echo(other, Frame::text("hello"));
    session.close(other);
}

#[test]
fn a_client_that_ends_its_half_is_through() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    session.message(stream, Frame::text("last"));
    session.end(stream);
    session.wait(|session| session.of(stream).is_ended || session.of(stream).reset.is_some());
    nginx.wait_for_access("outcome.log", 1);
}

/// As Chromium does it: its Close is the end of its half.
#[test]
fn who_ends_behind_a_close_gets_the_answer() {
    let backend = ScriptedBackend::standard();
    for lines in ["", "websocket_tunnel off;"] {
        let (nginx, mut session) = connected(&backend, &format!("{lines} {PROXIES}"));
        let stream = session.establish("/chat");
        session.message(stream, Frame::close(1000, ""));
        session.end(stream);
        assert_eq!(session.read(stream).close_code(), Some(1000));
        session.wait(|session| session.of(stream).is_ended);
        nginx.wait_for_access("outcome.log", 1);
    }
}

#[test]
fn that_answer_has_its_time() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        conn.hang()
    });
    thread::scope(|scope| {
        for lines in ["", "websocket_tunnel off;"] {
            let (nginx, mut session) = connected(&backend, &format!("{lines} {PROXIES}"));
            scope.spawn(move || {
                let stream = session.establish("/chat");
                let begun = Instant::now();
                session.message(stream, Frame::close(1000, ""));
                session.end(stream);
                session.wait(|session| session.of(stream).is_ended);
                assert!(begun.elapsed() > Duration::from_secs(4), "of five");
                nginx.wait_for_access("outcome.log", 1);
            });
        }
    });
}

/// However it goes: nginx has one end for what came of a response.
#[test]
fn an_upstream_that_goes_ends_the_stream() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        conn.send(Frame::text("bye").bytes())?;
        if request.start.contains("/reset") {
            conn.pause()?;
            conn.reset();
        }
        Ok(())
    });
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    assert_eq!(session.read(stream), Frame::text("bye"));
    session.wait(|session| session.of(stream).is_ended);
    nginx.wait_for_access("outcome.log", 1);
    let stream = session.establish("/reset");
    assert_eq!(session.read(stream), Frame::text("bye"));
    backend.resume();
    session.wait(|session| session.of(stream).is_ended);
    nginx.wait_for_log("by upstream: reset");
}

/// nginx queues a reset behind the end, as the client has not ended its half, and then has no more to say.
#[test]
fn all_of_an_end_is_told_where_other_tunnels_are_quiet() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        if request.start.contains("/quiet") {
            return conn.hang();
        }
        Ok(())
    });
    let (_nginx, mut session) = connected(&backend, PROXIES);
    session.is_generous = false;
    session.establish("/quiet");
    let stream = session.open("/gone");
    session.wait(|session| session.of(stream).reset.is_some());
    assert!(session.of(stream).is_ended);
    assert_eq!(session.of(stream).reset, Some(0), "NO_ERROR");
}

/// Who has gone is not waited for, nor for long is an upstream that takes nothing meanwhile.
#[test]
fn a_client_that_goes_where_the_upstream_takes_nothing() {
    let resets = |session: &mut Session, stream| session.reset(stream);
    let breaks_rules = |session: &mut Session, _| session.frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
    let goes: [(&str, Goes); 2] = [("reset", resets), ("an error", breaks_rules)];
    thread::scope(|scope| {
        for lines in ["", "websocket_tunnel off;"] {
            for (way, go) in goes {
                scope.spawn(move || {
                    let (nginx, mut session, stream, _backend) = stuck(lines);
                    go(&mut session, stream);
                    let outcomes = nginx.wait_for_access("outcome.log", 1);
                    assert!(outcomes[0].contains(" established"), "{way}: {outcomes:?}");
                });
            }
            scope.spawn(move || {
                let (nginx, session, _, _backend) = stuck(lines);
                session.hang_up();
                nginx.wait_for_access("outcome.log", 1);
            });
        }
    });
}

type Goes = fn(&mut Session, u32);

/// A tunnel whose client has sent all that is let by.
fn stuck(lines: &str) -> (Nginx, Session, u32, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_socket_recv_buffer_size(&listener, 4 << 10).unwrap();
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let text = format!(
        "{lines} websocket_timeout 2s; proxy_send_timeout 2s; proxy_read_timeout 2s;
        location / {{ proxy_pass http://{}; }}",
        listener.local_addr().unwrap()
    );
    let nginx = server(&certificate, &backend, text).start();
    let wire = Wire::connect_http2(nginx.port(), &certificate).unwrap();
    // So long after the last credit there is no more.
    wire.set_read_timeout(Some(patient(Duration::from_millis(500))));
    let mut session = Session::over(wire);
    session.wait(|session| session.connects == Some(true));
    let stream = session.open("/chat");
    let backend = accept(&listener);
    assert_eq!(session.status(stream), 200);
    let payload = vec![0; 16_000];
    let message = Frame::binary(payload).masked().bytes();
    loop {
        if session.room(stream) >= message.len() {
            session.data(stream, &message);
        } else if session.step().is_err() {
            return (nginx, session, stream, backend);
        }
    }
}

#[test]
fn a_connection_that_dies_ends_all_of_its_tunnels() {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    for number in 0..40 {
        let stream = session.establish("/chat");
        session.echo(stream, Frame::binary(vec![b'x'; number]));
    }
    session.hang_up();
    let outcomes = nginx.wait_for_access("outcome.log", 40);
    assert!(
        outcomes
            .iter()
            .all(|line| line.contains(" http2 established ")),
        "{outcomes:?}"
    );
    let log = nginx.stop();
    assert_eq!(log.matches("websocket closed after").count(), 40, "{log}");
}

/// nginx takes no request then, nor reads its block.
#[test]
fn behind_its_last_request_a_connection_lasts_as_long_as_its_tunnels() {
    let backend = ScriptedBackend::standard();
    let text = format!("{} {PROXIES}", at_most_requests(2));
    let (nginx, mut session) = connected(&backend, &text);
    let (one, other) = (session.establish("/one"), session.establish("/other"));
    session.wait(|session| session.goes_away);
    for _ in 0..3 {
        let late = session.open("/late");
        session.data(late, b"nobody reads it");
    }
    session.echo(one, Frame::text("hello"));
    session.close(one);
    session.echo(other, Frame::text("hello"));
    session.close(other);
    session.wait(|session| session.is_closed);
    assert_eq!(backend.requests().len(), 2);
    nginx.stop();
}

/// The kernel would have kept them of a connection for one tunnel, and so would nginx of a worker that is busy.
#[test]
fn what_came_before_an_end_is_passed_on() {
    type End = fn(&mut Session, u32);
    let ends: [End; 4] = [
        |_, _| {},
        Session::end,
        Session::reset,
        |session, stream| {
            session.end(stream);
            session.reset(stream);
        },
    ];
    for lines in ["", "websocket_tunnel off;"] {
        let backend = ScriptedBackend::start(|conn| {
            let request = conn.read_request()?.head;
            conn.accept(&request)?;
            conn.hang()
        });
        for (number, end) in ends.iter().enumerate() {
            let (nginx, mut session) = connected(&backend, &format!("{lines} {PROXIES}"));
            let stream = session.establish("/chat");
            let last = [Frame::text("last"), Frame::close(1000, "")];
            let worker = Pid::from_raw(nginx.worker_pids()[0] as i32).expect("a process");
            kill_process(worker, Signal::STOP).expect("it runs");
            for frame in &last {
                session.message(stream, frame.clone());
            }
            end(&mut session, stream);
            session.hang_up();
            kill_process(worker, Signal::CONT).expect("it is there");
            let last: Vec<u8> = last
                .into_iter()
                .flat_map(|frame| frame.masked().bytes())
                .collect();
            wait_until("the upstream to have all", || {
                backend.received(number).ends_with(&last)
            });
            nginx.wait_for_access("outcome.log", 1);
        }
    }
}

/// A backend that reads nothing of a tunnel at `/stuck` until it is resumed.
fn reads_nothing() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        if request.start.contains("/stuck") {
            conn.pause()?;
        }
        conn.echo_frames()
    })
}

/// Opens a tunnel at `/stuck`, beside another one, and sends until there is no room for more.
fn fill(session: &mut Session) {
    let (stuck, other) = (session.establish("/stuck"), session.establish("/other"));
    // Ten megabytes at most: more than any two sockets hold.
    let bytes = Frame::binary(vec![b's'; 10 << 20]).masked().bytes();
    let mut rest = &bytes[..];
    while session.room(stuck) > 0 {
        let (piece, behind) = rest.split_at(session.room(stuck).min(rest.len()));
        session.data(stuck, piece);
        rest = behind;
        // When these are back nothing more has come for the other stream.
        for _ in 0..20 {
            session.echo(other, Frame::text("meanwhile"));
        }
    }
}

/// As over HTTP/1.1: what its client sent is its upstream's, which has its time to take it.
#[test]
fn a_connection_that_dies_leaves_an_upstream_that_takes_nothing_its_time() {
    let backend = reads_nothing();
    let text = format!("proxy_send_timeout 1s; {PROXIES}");
    let (nginx, mut session) = connected(&backend, &text);
    fill(&mut session);
    session.hang_up();
    let outcomes = nginx.wait_for_access("outcome.log", 2);
    assert!(
        outcomes
            .iter()
            .any(|line| line.contains(" /stuck http2 established ")),
        "{outcomes:?}"
    );
    nginx.wait_for_log("by upstream: send-timeout");
    backend.resume();
}

/// nginx has ended its connection, and tells it of nothing more.
#[test]
fn one_without_a_client_goes_when_its_worker_has_to() {
    let backend = reads_nothing();
    for lines in ["", "websocket_tunnel off;"] {
        let certificate = Certificate::localhost();
        let text = format!("proxy_send_timeout 1h; websocket_timeout 1h; {lines} {PROXIES}");
        let nginx = server(&certificate, &backend, text)
            .main("worker_shutdown_timeout 300ms;")
            .start();
        let mut session = Session::ready(nginx.port(), &certificate);
        fill(&mut session);
        session.hang_up();
        let workers = nginx.worker_pids();
        nginx.reload();
        wait_until("the old worker to exit", || {
            nginx.worker_pids().iter().all(|pid| !workers.contains(pid))
        });
    }
}

/// Its Close and the end of its half came before its connection ended: there is nobody for the answer.
#[test]
fn who_has_ended_all_is_not_waited_for() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        conn.hang()
    });
    let (nginx, mut session) = connected(&backend, PROXIES);
    let stream = session.establish("/chat");
    session.message(stream, Frame::close(1000, ""));
    session.end(stream);
    session.hang_up();
    let line = nginx.wait_for_log("websocket closed after");
    let (_, behind) = line.split_once("closed after ").expect("a time");
    let seconds: f64 = behind
        .split(' ')
        .next()
        .and_then(|time| time.parse().ok())
        .expect("seconds");
    // As long as an answer would be waited for.
    assert!(seconds < 5.0, "{line}");
}

#[test]
fn a_worker_that_is_to_exit_says_so_and_drains() {
    let backend = ScriptedBackend::standard();
    let text = format!("websocket_drain 100ms; {PROXIES}");
    let (nginx, mut session) = connected(&backend, &text);
    let streams: Vec<u32> = (0..5).map(|_| session.establish("/chat")).collect();
    let workers = nginx.worker_pids();
    nginx.reload();
    for &stream in &streams {
        assert_eq!(session.read(stream).close_code(), Some(1012));
        session.message(stream, Frame::close(1012, ""));
    }
    for &stream in &streams {
        session.wait(|session| session.of(stream).is_ended);
    }
    session.wait(|session| session.goes_away);
    session.wait(|session| session.is_closed);
    wait_until("the old worker to exit", || {
        nginx.worker_pids().iter().all(|pid| !workers.contains(pid))
    });
}

#[test]
fn pings_of_nginx_are_answered_over_a_stream() {
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        conn.accept(&request)?;
        conn.hang()
    });
    let text = format!("websocket_ping 50ms; {PROXIES}");
    let (_nginx, mut session) = connected(&backend, &text);
    let stream = session.establish("/chat");
    for _ in 0..3 {
        let ping = session.read(stream);
        assert_eq!(ping.opcode, 9);
        session.message(stream, Frame::new(10, ping.payload));
    }
}

#[test]
fn a_reset_is_noticed_where_a_client_is_held_back() {
    let backend = ScriptedBackend::standard();
    let text = format!("websocket_message_rate 1r/m; {PROXIES}");
    let (nginx, mut session) = connected(&backend, &text);
    let stream = session.establish("/chat");
    session.echo(stream, Frame::text("the first"));
    for _ in 0..5 {
        session.message(stream, Frame::text("too many"));
    }
    session.reset(stream);
    let line = nginx.wait_for_log("websocket closed after");
    assert!(line.contains("by client: reset"), "{line}");
}

#[test]
fn who_has_ended_is_not_heard_for_ever() {
    let backend = ScriptedBackend::standard();
    let timeout = patient(Duration::from_secs(1)).as_millis();
    let text = format!("websocket_rate 2k; websocket_timeout {timeout}ms; {PROXIES}");
    let (nginx, mut session) = connected(&backend, &text);
    let stream = session.establish("/chat");
    for _ in 0..50 {
        session.message(stream, Frame::binary([1; 1000]));
    }
    session.end(stream);
    let line = nginx.wait_for_log("websocket closed after");
    assert!(line.contains("by nginx: rate"), "{line}");
}

#[test]
fn worker_shutdown_timeout_is_named() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let nginx = server(&certificate, &backend, PROXIES)
        .main("worker_shutdown_timeout 300ms;")
        .start();
    let mut session = Session::ready(nginx.port(), &certificate);
    for _ in 0..3 {
        let stream = session.establish("/chat");
        session.echo(stream, Frame::text("hello"));
    }
    nginx.reload();
    session.wait(|session| session.is_closed);
    nginx.wait_for_access("outcome.log", 3);
    let log = nginx.stop();
    let named = log.matches("by nginx: worker-shutdown").count();
    assert_eq!(named, 3, "{log}");
}

#[test]
fn who_leaves_a_worker_that_is_to_exit_has_left() {
    let certificate = Certificate::localhost();
    let backend = ScriptedBackend::standard();
    let text = "location / { proxy_pass http://%BACKEND%; location /raw { proxy_pass http://%BACKEND%; websocket_tunnel off; } }";
    let nginx = server(&certificate, &backend, text).start();
    let mut leaves = Session::ready(nginx.port(), &certificate);
    let mut breaks = Session::ready(nginx.port(), &certificate);
    for session in [&mut leaves, &mut breaks] {
        session.establish("/chat");
        session.establish("/raw");
    }
    nginx.reload();
    leaves.wait(|session| session.goes_away);
    breaks.wait(|session| session.goes_away);
    leaves.hang_up();
    breaks.break_off();
    nginx.wait_for_access("outcome.log", 4);
    let log = nginx.stop();
    assert_eq!(log.matches(" s by client: reset, ").count(), 2, "{log}");
    assert_eq!(log.matches(" s by client, ").count(), 2, "{log}");
}
