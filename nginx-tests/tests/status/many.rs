//! Twenty thousand tunnels are listed while messages go by.
//!
//! They are put into the table by a process that counts as a worker does; a few more are real, and their
//! messages are timed. What that comes to is printed, on a machine with nothing else to do by
//!
//! ```sh
//! export NGINX_TESTS_BINARY=/usr/sbin/nginx NGINX_TESTS_MODULE=$(scripts/build.sh | tail -n 1)
//! cargo test --release -p nginx-tests --test status many -- --nocapture
//! ```

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nginx_tests::client::get;
use nginx_tests::environment::slowness;
use nginx_tests::{Client, EchoBackend, Handshake, Nginx, patient, wait_until};
use rustix::process::{Pid, setpriority_process};
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
use serde_json::Value;
use websocket_protocol::tunnel::Traffic;
use websocket_zone::{Alone, LabelId, Noted, Owners, Place, Writer};

use crate::case::{join, status};
use crate::memory;

const TUNNELS: usize = 20_000;

#[test]
fn all_are_listed_and_no_message_waits_for_it() {
    // Whoever waits is to wait for nginx, not for a core.
    let cores = two_cores();
    if let Some([_, own]) = cores {
        sched_setaffinity(None, &own).expect("a core that this may use");
    }
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
    if let Some([nginxs, _]) = cores {
        let worker = Pid::from_raw(nginx.worker_pids()[0] as i32);
        sched_setaffinity(worker, &nginxs).expect("a core that this may use");
    }
    let zone = memory::zone(&nginx);
    let slot = Slot::hold(&nginx);
    let writer = Writer::claim(zone, &slot).expect("a slot");
    fill(&writer);
    let mut client = join(&nginx, "/real");
    wait_until("all to be listed", || {
        status(&nginx, "tunnels=1")["tunnels"]["matched"] == TUNNELS + 1
    });

    let alone = Times::measure(&mut client, || false);
    let memory = peak_memory(&nginx);
    let target = format!("/status/?format=json&sort=bytes&tunnels={}", TUNNELS + 1);
    let port = nginx.port();
    let listing = std::thread::spawn(move || {
        setpriority_process(Some(gettid()), 19).expect("to be nice");
        let start = Instant::now();
        let answers: Vec<_> = (0..10).map(|_| get(port, &target)).collect();
        println!("a list takes {:?}", start.elapsed() / 10);
        answers
    });
    let listed = Times::measure(&mut client, || !listing.is_finished());
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
    println!("alone: {alone}\nlisted: {listed}");
    // An answer made at once would take twice as long, and each time a message would wait for it. Other
    // tests run beside this one: that a step is short is for the tests of status/.
    let most = alone.half + patient(Duration::from_millis(40));
    assert!(listed.half < most, "listed: {listed}; alone: {alone}");
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

/// One core for nginx, and one for all else, if there are two.
fn two_cores() -> Option<[CpuSet; 2]> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let mut next = || {
        let mut set = CpuSet::new();
        set.set(cores.next()?);
        Some(set)
    };
    Some([next()?, next()?])
}

/// How long messages take, there and back.
struct Times {
    median: Duration,
    /// One in a hundred takes longer.
    p99: Duration,
    longest: Duration,
    /// Half of the time goes by in such as take longer: the many that come between two that wait count for
    /// little in that.
    half: Duration,
    count: usize,
}

impl Times {
    /// Of as many messages as are sent while it goes on, and some more.
    fn measure(client: &mut Client, goes_on: impl Fn() -> bool) -> Self {
        let mut times = Vec::new();
        while times.len() < 2000 || goes_on() {
            let start = Instant::now();
            client.echo("in time");
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let count = times.len();
        let mut left: Duration = times.iter().sum::<Duration>() / 2;
        let half = times.iter().find(|time| {
            left = left.saturating_sub(**time);
            left.is_zero()
        });
        Self {
            half: *half.expect("some time goes by"),
            median: times[count / 2],
            p99: times[count - 1 - count / 100],
            longest: times[count - 1],
            count,
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            p99,
            longest,
            half,
            count,
        } = self;
        write!(
            f,
            "{count} messages: median {median:?}, 99 in 100 within {p99:?}, longest {longest:?}, \
             half of the time in such of {half:?} and more"
        )
    }
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
