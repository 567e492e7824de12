//! Twenty thousand tunnels are listed while messages go by.
//!
//! They are put into the table by a process that counts as a worker does; a few more are real, and their
//! messages are timed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nginx_tests::client::get;
use nginx_tests::environment::slowness;
use nginx_tests::{Client, EchoBackend, Handshake, Nginx, patient, wait_until};
use serde_json::Value;
use websocket_protocol::tunnel::Traffic;
use websocket_zone::{Alone, LabelId, Noted, Owners, Place, Writer};

use crate::case::{join, status};
use crate::memory;

const TUNNELS: usize = 20_000;

#[test]
fn all_are_listed_and_no_message_waits_for_it() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(
        "websocket_zone many:16m;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; websocket on; }
            location /status/ { websocket_status; }
            location = /stuck { websocket_status json; send_timeout 300ms; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = memory::zone(&nginx);
    let slot = Slot::hold(&nginx);
    let writer = Writer::claim(zone, &slot).expect("a slot");
    fill(&writer);
    let mut client = join(&nginx, "/real");
    wait_until("all to be listed", || {
        status(&nginx, "tunnels=1")["tunnels"]["matched"] == TUNNELS + 1
    });

    let alone = time(&mut client, || false);
    let memory = peak_memory(&nginx);
    let target = format!("/status/?format=json&sort=bytes&tunnels={}", TUNNELS + 1);
    let port = nginx.port();
    let listing =
        std::thread::spawn(move || (0..10).map(|_| get(port, &target)).collect::<Vec<_>>());
    let under_load = time(&mut client, || !listing.is_finished());
    for answer in listing.join().expect("ten answers") {
        let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let list = value["tunnels"]["list"].as_array().expect("tunnels");
        assert_eq!(list.len(), TUNNELS + 1);
        let bytes = |tunnel: &Value| {
            let of = |side: &str| tunnel[side]["bytes"].as_u64().expect("a number");
            of("from_client") + of("from_upstream")
        };
        // The real ones go on while they are listed.
        let made_up = list.iter().filter(|tunnel| tunnel["uri"] != "/real");
        assert!(made_up.map(bytes).is_sorted_by(|a, b| a >= b));
    }
    println!(
        "half of the time goes by in messages of {alone:?} alone, {under_load:?} while listed"
    );
    // An answer made at once would take twice as long, and each time a message would wait for it.
    let most = alone + patient(Duration::from_millis(40));
    assert!(under_load < most, "{under_load:?}, and {alone:?} alone");
    // One that takes nothing is given up.
    let mut stuck = Client::connect(nginx.port());
    let request = Handshake::plain(&format!("/stuck?tunnels={TUNNELS}"));
    stuck.send(request.bytes()).expect("nginx reads");
    nginx.wait_for_log("client timed out");

    // 24 bytes for each that is sorted, a piece of the answer, and what nginx takes for a connection.
    let more = peak_memory(&nginx) - memory;
    println!("{more} kB of memory more");
    if slowness() == 1 {
        assert!(more < 1500, "{more} kB");
    }
}

/// How long messages take: half of the time goes by in such as take longer. The many that come between two
/// that wait count for little in that.
fn time(client: &mut Client, goes_on: impl Fn() -> bool) -> Duration {
    let mut times = Vec::new();
    while times.len() < 500 || goes_on() {
        let start = Instant::now();
        client.echo("in time");
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let mut left: Duration = times.iter().sum::<Duration>() / 2;
    let mut is_half = |time: &Duration| {
        left = left.saturating_sub(*time);
        left.is_zero()
    };
    let found = times.into_iter().find(|time| is_half(time));
    found.expect("some time goes by")
}

fn fill(writer: &Writer<'_>) {
    for number in 0..TUNNELS as u64 {
        let client = format!("2001:db8::{number:x}");
        let place = Place {
            client: client.as_bytes(),
            server: b"many.example",
            uri: b"/a/path/of/some/length/as/applications/have/them",
            upstream: b"10.0.0.5:9000",
            subprotocol: b"graphql-transport-ws",
            is_tls: true,
            http: (1, 1),
        };
        let meter = writer.established(LabelId::OTHER, &place, 5, number, number);
        let mut after = Traffic::NONE;
        // In no order.
        after.from_client.bytes = number * 7919 % TUNNELS as u64;
        writer.moved(&meter, &Noted::default(), &after);
    }
}

/// The most memory that the worker ever had of its own, kilobytes.
fn peak_memory(nginx: &Nginx) -> u64 {
    let pid = nginx.worker_pids()[0];
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = |name: &str| -> u64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .expect(name);
        let mut words = line.split_whitespace();
        words.nth(1).expect("a number").parse().expect("a number")
    };
    // The table, which is shared, comes into the process as it is read.
    line("VmHWM:") - line("RssShmem:")
}

/// A slot that is no worker's, held by the lock that says that its process is alive.
struct Slot(Child);

const SLOT: usize = 100;

impl Slot {
    fn hold(nginx: &Nginx) -> Self {
        let hold = format!(
            "import fcntl, glob, os
path = next(p for p in glob.glob('/proc/{}/fd/*') if 'websocket_zone' in os.readlink(p))
file = open(path, 'r+b', buffering=0)
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, {SLOT})
print('held', flush=True)
input()",
            nginx.pid()
        );
        let mut child = Command::new("python3")
            .args(["-c", &hold])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Self(child)
    }
}

impl Owners for Slot {
    fn take(&self, slot: usize) -> bool {
        slot == SLOT && Alone.take(slot)
    }

    fn give_back(&self, _slot: usize) {}
}

impl Drop for Slot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
