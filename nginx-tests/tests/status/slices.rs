//! A backend is emptied, with thousands of tunnels and four workers.

use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::{Client, EchoBackend, Frame, Nginx, wait_for, wait_until};

use crate::case::{close, join, progress, status};

const OVER: Duration = Duration::from_secs(5);
const TUNNELS: usize = 1000;

#[test]
fn one_backend_of_two_over_five_seconds() {
    empty(|_| {});
}

#[test]
fn and_while_a_reload_is_under_way() {
    empty(Nginx::reload);
}

fn empty(meanwhile: impl FnOnce(&Nginx)) {
    let (first, second) = (EchoBackend::start(), EchoBackend::start());
    let nginx = Nginx::http(
        "websocket_zone many:4m;
        server {
            listen 127.0.0.1:%PORT%;
            location /first { proxy_pass http://%FIRST%; websocket on; }
            location /second { proxy_pass http://%SECOND%; websocket on; }
            location /status/ { websocket_status; websocket_control on; }
        }",
    )
    .set("FIRST", first.address())
    .set("SECOND", second.address())
    .events("worker_connections 4096;")
    .workers(4)
    .start();
    let leaving: Vec<Client> = (0..TUNNELS).map(|_| join(&nginx, "/first")).collect();
    let mut staying: Vec<Client> = (0..TUNNELS).map(|_| join(&nginx, "/second")).collect();
    let value = status(&nginx, "");
    assert_eq!(value["tunnels"]["matched"], 2 * TUNNELS);
    assert_eq!(value["zone"]["workers"], 4);

    meanwhile(&nginx);
    let since = Instant::now();
    let query = format!(
        "upstream={}&over=5s&code=1012&reason=deploy",
        first.address()
    );
    let posted = close(&nginx, &query);
    assert_eq!(posted["matched"], TUNNELS);
    nginx.wait_for_log("websocket_control closes 1000 tunnels with code 1012 within 5.000 s");
    let mut times = part(leaving, since);
    times.sort_unstable();
    // A busy machine is late with some of them, or with all, but they don't come at once. That each moment is as likely as
    // any other is protocol/tests/tunnel/departs.rs' to show.
    let (first_came, last_came) = (times[0], times[TUNNELS - 1]);
    let span = last_came - first_came;
    assert!(
        span > OVER / 2 && last_came < OVER * 4,
        "{first_came:?} to {last_came:?}"
    );
    for quarter in 0..4 {
        let range = first_came + span * quarter / 4..=first_came + span * (quarter + 1) / 4;
        let count = times.iter().filter(|time| range.contains(*time)).count();
        assert!(count < TUNNELS / 2, "{count} in {range:?}");
    }
    let done = wait_for("the end", || {
        let state = progress(&nginx, &posted["action"]);
        (state["done"] == true).then_some(state)
    });
    assert_eq!(done["matched"], TUNNELS);
    assert_eq!(done["open"], 0);
    for client in &mut staying {
        client.echo("still here");
    }
    let value = status(&nginx, "");
    let closes: Vec<_> = value["totals"]["closes"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(closes.len(), 1, "{closes:?}");
    assert_eq!(closes[0]["reason"], "control");
    assert_eq!(closes[0]["code"], "1012");
    assert_eq!(closes[0]["count"], TUNNELS);
    drop(staying);
    wait_until("all to be gone", || {
        status(&nginx, "")["totals"]["active"] == 0
    });
}

/// Lets each client answer its Close. When each came.
fn part(clients: Vec<Client>, since: Instant) -> Vec<Duration> {
    let told = move |mut client: Client| {
        assert_eq!(client.frame(), Frame::close(1012, "deploy"));
        let came = since.elapsed();
        client
            .send(Frame::close(1012, "").masked().bytes())
            .expect("the answer is taken");
        assert_eq!(client.read_until_close(), b"");
        came
    };
    let threads: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || told(client)))
        .collect();
    let ended = threads.into_iter().map(|thread| thread.join());
    ended
        .map(|came| came.expect("a Close and the end"))
        .collect()
}
