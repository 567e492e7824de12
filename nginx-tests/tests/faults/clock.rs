//! Clocks that jump by an hour. That of the day may be set, either way; the other one counts the time that
//! the machine runs, and leaps where it has stood still.

use std::time::{Duration, Instant};

use nginx_tests::backend::standard;
use nginx_tests::client::get;
use nginx_tests::faults::Clock;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Faults, Frame, Handshake, Nginx, ScriptedBackend, wait_for, wait_until};
use serde_json::Value;

const HOUR: i64 = 3_600_000;
/// Far longer than any tunnel of these tests lasts.
const MINUTE: f64 = 60.0;

const HTTP: &str = "
    websocket_zone clock:1m;
    log_format times '$websocket_state $websocket_handshake_time $websocket_duration';
    server {
        listen 127.0.0.1:%PORT%;
        access_log logs/times.log times;
        location / { proxy_pass http://%BACKEND%; websocket on; %LINES% }
        location = /status { access_log off; websocket_status json; }
    }";

fn server(backend: &ScriptedBackend, lines: &str) -> Option<(Nginx, Faults)> {
    let setup: Setup = Nginx::http(HTTP)
        .set("BACKEND", backend.address())
        .set("LINES", lines);
    let (setup, faults) = Faults::prepare(setup);
    faults.map(|faults| (setup.start(), faults))
}

fn join(nginx: &Nginx, target: &str) -> Client {
    let mut client = Client::connect(nginx.port());
    client.establish(target);
    client
}

/// Whichever way it is set: Pings keep their pace, nothing ends, and all times are those that went by.
#[test]
fn that_of_the_day_means_nothing_to_a_tunnel() {
    for ahead in [HOUR, -HOUR] {
        let backend = ScriptedBackend::standard();
        let lines = "websocket_timeout 30s; websocket_max_lifetime 5m; \
                     websocket_ping 100ms timeout=10s; websocket_message_rate 20r/s burst=1;";
        let Some((nginx, faults)) = server(&backend, lines) else {
            return;
        };
        let mut client = join(&nginx, "/");
        let start = Instant::now();
        for _ in 0..2 {
            answer_a_ping(&mut client);
        }
        set_day(&nginx, &faults, ahead);
        for _ in 0..5 {
            answer_a_ping(&mut client);
        }
        // Seven Pings, one every tenth of a second: not at once, and not an hour later.
        assert!(
            start.elapsed() > Duration::from_millis(600),
            "Pings follow the clock"
        );

        let status = status(&nginx);
        let tunnel = &status["tunnels"]["list"][0];
        for name in ["age", "idle"] {
            let seconds = tunnel[name].as_f64();
            assert!(
                seconds.is_some_and(|seconds| (0.0..MINUTE).contains(&seconds)),
                "{tunnel}"
            );
        }
        // A rate gives neither credit nor debt for the hour.
        let start = Instant::now();
        for _ in 0..12 {
            client
                .send(Frame::text("on").masked().bytes())
                .expect("an open tunnel");
        }
        for _ in 0..12 {
            assert_eq!(no_ping(&mut client), Frame::text("on"));
        }
        assert!(
            start.elapsed() > Duration::from_millis(400),
            "the rate gave credit"
        );
        close(client);
        assert_times(&nginx);
        let closed = nginx.wait_for_log("websocket closed after");
        assert!(closed.contains("by client: normal"), "{closed}");
    }
}

/// While a handshake waits for its upstream, or fails.
#[test]
fn nor_to_a_handshake() {
    for ahead in [HOUR, -HOUR] {
        let backend = ScriptedBackend::start(|conn| {
            let request = conn.read_request()?;
            conn.pause()?;
            if request.head.target() == "/lost" {
                return Ok(());
            }
            conn.accept(&request.head)?;
            conn.echo_frames()
        });
        // What is left of five minutes when the handshake has taken an hour is nothing.
        let Some((nginx, faults)) = server(&backend, "websocket_max_lifetime $arg_left;") else {
            return;
        };
        let mut client = Client::connect(nginx.port());
        client
            .send(Handshake::new("/?left=5m").bytes())
            .expect("a handshake goes");
        backend.request(0);
        set_day(&nginx, &faults, ahead);
        backend.resume();
        assert_eq!(client.read_head().expect("an answer").status(), 101);
        client.echo("hello");
        close(client);
        assert_times(&nginx);

        let mut client = Client::connect(nginx.port());
        client
            .send(Handshake::new("/lost").bytes())
            .expect("a handshake goes");
        backend.request(1);
        set_day(&nginx, &faults, 0);
        backend.resume();
        assert_eq!(client.read_head().expect("an answer").status(), 502);
        wait_until("two lines", || {
            nginx.access_log("times.log").lines().count() == 2
        });
        let log = nginx.access_log("times.log");
        let time = log
            .lines()
            .nth(1)
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        assert!(
            time.is_some_and(|time: f64| (0.0..MINUTE).contains(&time)),
            "{log}"
        );
    }
}

/// A machine that stood still for an hour: what was due is done once, and who answers stays.
#[test]
fn after_an_hour_of_standstill_who_answers_stays() {
    let backend = ScriptedBackend::standard();
    let lines = "websocket_timeout 2h; websocket_ping 10m timeout=10m;";
    let Some((nginx, faults)) = server(&backend, lines) else {
        return;
    };
    let mut client = join(&nginx, "/");
    client.echo("before");
    faults.set_ahead(Clock::Monotonic, HOUR);
    wake(&nginx);
    answer_a_ping(&mut client);
    client.echo("after");
    assert!(
        client.silent_for(Duration::from_millis(300)),
        "one Ping is enough"
    );
    close(client);
    let closed = nginx.wait_for_log("websocket closed after");
    assert!(
        closed.contains("closed after 360"),
        "an hour has gone by: {closed}"
    );
}

/// And what lasts no longer than half an hour is over.
#[test]
fn after_an_hour_of_standstill_times_are_over() {
    for (line, reason) in [
        ("websocket_max_lifetime 30m;", "lifetime"),
        ("websocket_timeout 30m;", "idle-timeout"),
    ] {
        let backend = ScriptedBackend::start(standard);
        let Some((nginx, faults)) = server(&backend, line) else {
            return;
        };
        let mut client = join(&nginx, "/");
        client.echo("before");
        // Where bytes were on their way, they may have arrived at any time within the first hour.
        for hours in 1..=2 {
            faults.set_ahead(Clock::Monotonic, hours * HOUR);
            wake(&nginx);
        }
        if let Ok(frame) = client.read_frame() {
            assert_eq!(frame.opcode, 8);
            close(client);
        }
        let closed = nginx.wait_for_log("websocket closed after");
        assert!(closed.contains(&format!(": {reason}")), "{closed}");
    }
}

/// Sets it, and waits until nginx has noticed.
fn set_day(nginx: &Nginx, faults: &Faults, ahead: i64) {
    let before = status(nginx)["time"].as_f64().expect("a time");
    faults.set_ahead(Clock::Wall, ahead);
    wait_until("nginx to see another day", || {
        let now = status(nginx)["time"].as_f64().expect("a time");
        (now - before).abs() > MINUTE
    });
}

/// nginx waits for no longer than it thought before.
fn wake(nginx: &Nginx) {
    get(nginx.port(), "/status");
}

fn status(nginx: &Nginx) -> Value {
    serde_json::from_slice(&get(nginx.port(), "/status").body).expect("JSON")
}

fn answer_a_ping(client: &mut Client) {
    let ping = client.frame();
    assert_eq!(ping.opcode, 9, "{ping:?}");
    let pong = Frame::new(10, ping.payload).masked().bytes();
    client.send(pong).expect("an open tunnel");
}

/// The next frame that is no Ping.
fn no_ping(client: &mut Client) -> Frame {
    loop {
        let frame = client.frame();
        if frame.opcode != 9 {
            return frame;
        }
        let pong = Frame::new(10, frame.payload).masked().bytes();
        client.send(pong).expect("an open tunnel");
    }
}

fn close(mut client: Client) {
    let _ = client.send(Frame::close(1000, "").masked().bytes());
    let _ = client.read_to_close();
}

/// The first line of the access log, and what the zone kept, say nothing of an hour.
#[track_caller]
fn assert_times(nginx: &Nginx) {
    let line = nginx.wait_for_access("times.log", 1).swap_remove(0);
    let fields: Vec<&str> = line.split(' ').collect();
    assert_eq!(fields[0], "established");
    for field in &fields[1..] {
        let seconds: f64 = field.parse().expect("seconds");
        assert!((0.0..MINUTE).contains(&seconds), "{line}");
    }
    let end = wait_for("the zone to know", || {
        status(nginx)["ends"]
            .as_array()
            .and_then(|ends| ends.first().cloned())
    });
    let duration = end["duration"].as_f64().expect("seconds");
    assert!((0.0..MINUTE).contains(&duration), "{end}");
}
