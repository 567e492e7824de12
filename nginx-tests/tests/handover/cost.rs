//! What it costs to hand over two thousand tunnels. Measures, on a machine that does nothing else:
//! `scripts/test.sh -- --test handover cost -- --ignored --nocapture`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nginx_tests::client::get;
use nginx_tests::{Client, Nginx, wait_until};
use rustix::process::Signal;

use crate::case::{PROXIED, echo, head};

const TUNNELS: usize = 2000;
const RELOADS: usize = 5;

/// What may happen to somebody else while it lasts.
struct Bystander {
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Bystander {
    /// Does this over and over.
    fn start(mut act: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let longest = Arc::new(AtomicU64::new(0));
        let (told, noted) = (Arc::clone(&stop), Arc::clone(&longest));
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                act();
                let took = begun.elapsed().as_micros() as u64;
                noted.fetch_max(took, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            stop,
            longest,
            thread,
        }
    }

    /// How long it took at most since it was asked last, milliseconds.
    fn longest(&self) -> f64 {
        self.longest.swap(0, Ordering::Relaxed) as f64 / 1000.0
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// How much CPU a process has used, nanoseconds; 0 when it is gone.
fn cpu(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.unwrap_or_default()
}

struct Reload {
    cpu_ms: f64,
    gone_ms: f64,
    messages_ms: f64,
    requests_ms: f64,
}

/// One reload: the old worker and the new one beside what is served meanwhile.
fn reload(nginx: &Nginx, messages: &Bystander, requests: &Bystander) -> Reload {
    let old = nginx.worker_pids()[0];
    let (before, mut after) = (cpu(old), 0);
    messages.longest();
    requests.longest();
    nginx.signal(Signal::HUP);
    let told = "gracefully shutting down";
    let count = nginx.log_lines(told).len();
    wait_until("the old worker to be told", || {
        nginx.log_lines(told).len() > count
    });
    let begun = Instant::now();
    wait_until("the old worker to be gone", || {
        after = after.max(cpu(old));
        !nginx.exiting_worker_pids().contains(&old)
    });
    let gone_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let new = nginx.worker_pids()[0];
    assert_ne!(old, new);
    Reload {
        cpu_ms: (after.saturating_sub(before) + cpu(new)) as f64 / 1e6,
        gone_ms,
        messages_ms: messages.longest(),
        requests_ms: requests.longest(),
    }
}

#[test]
#[ignore = "measures"]
fn two_thousand_tunnels() {
    let backend = echo();
    let nginx = Nginx::http(format!(
        "{} server {{ listen 127.0.0.1:%PORT% backlog=4096; access_log off;
            location / {{ {PROXIED} }} location = /plain {{ return 204; }} }}",
        head("on")
    ))
    .set("BACKEND", backend.address())
    .main("worker_rlimit_nofile 20000;")
    .events("worker_connections 10000;")
    .start();
    let port = nginx.port();
    let mut talking = crate::case::join(&nginx);
    let messages = Bystander::start(move || talking.echo("how long?"));
    let requests = Bystander::start(move || {
        get(port, "/plain");
    });
    // What a reload costs that hands over next to nothing.
    let without = reload(&nginx, &messages, &requests).cpu_ms;
    let idle: Vec<Client> = (0..TUNNELS).map(|_| crate::case::join(&nginx)).collect();
    for _ in 0..RELOADS {
        let seen = reload(&nginx, &messages, &requests);
        let told = nginx.wait_for_log("tunnels handed over in ");
        let told = told
            .split("websocket handover: ")
            .nth(1)
            .unwrap()
            .to_owned();
        println!(
            "{told}; old worker gone after {:.0} ms; {:.1} us of CPU for each tunnel; \
             longest round trip {:.1} ms, plain request {:.1} ms",
            seen.gone_ms,
            (seen.cpu_ms - without) * 1000.0 / TUNNELS as f64,
            seen.messages_ms,
            seen.requests_ms
        );
        assert!(told.contains(", 0 stay"), "{told}");
    }
    drop(idle);
    messages.stop();
    requests.stop();
}
