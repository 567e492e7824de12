//! Thousands of tunnels at once on one worker, a tenth of them busy; then all of them gone, and everything
//! where it was.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `NGINX_TESTS_SCALE_TUNNELS` | how many | 3000 |
//! | `NGINX_TESTS_SCALE_SECONDS` | how long they last | 4 |
//!
//! Each takes two descriptors of the worker's and two of the test's (`ulimit -n`), and over HTTP/2 one of each.

mod backend;
mod clients;
mod crowd;
mod slow;
mod streams;
mod worker;

use std::env;
use std::time::Duration;

use nginx_tests::{Faults, Nginx, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::backend::Backend;
use crate::clients::Clients;
use crate::crowd::{Crowd, talk};
use crate::streams::Streams;
use crate::worker::Worker;

const HTTP: &str = "
    websocket_zone scale:32m;
    access_log logs/access.log;
    server {
        listen 127.0.0.1:%PORT% backlog=4096;
        listen 127.0.0.1:%PORT2% http2;
        websocket_http2 on;
        location / { proxy_pass http://%BACKEND%; websocket on; websocket_ping 5s timeout=1h; }
        location = /status { access_log off; websocket_status json; }
        location = /active { access_log off; stub_status; }
    }";

/// Tunnels that show what a worker keeps once it has served some.
const FIRST: usize = 200;
const MB: u64 = 1 << 20;

#[test]
fn all_is_where_it_was_when_thousands_of_tunnels_have_gone() {
    all_is_where_it_was(2, |nginx, tunnels| {
        let clients = Clients::connect(nginx.port(), tunnels);
        (clients, 2 * tunnels)
    });
}

/// Where the worker's descriptors don't last for as many connections.
#[test]
fn all_is_where_it_was_when_thousands_of_streams_have_gone() {
    all_is_where_it_was(1, |nginx, tunnels| {
        let streams = Streams::connect(nginx.port_of("PORT2"), tunnels);
        let descriptors = tunnels + streams.connections();
        (streams, descriptors)
    });
}

/// `connect` gives so many clients, and how many descriptors of the worker's they take: these for each, and a few.
fn all_is_where_it_was<C: Crowd>(
    descriptors: usize,
    connect: impl Fn(&Nginx, usize) -> (C, usize),
) {
    let (tunnels, seconds) = (number("TUNNELS", 3000), number("SECONDS", 4));
    raise_descriptors(descriptors * tunnels + tunnels / streams::EACH + 200);
    let backend = Backend::start();
    let setup = Nginx::http(HTTP)
        .set("BACKEND", backend.address())
        .allow_log("the \"listen ... http2\" directive is deprecated")
        // With few left, nginx closes connections that have not sent anything yet.
        .events(&format!("worker_connections {};", 3 * tunnels + 500));
    let (setup, faults) = Faults::prepare(setup);
    // glibc's malloc() keeps the last few pieces of each size for the next who asks, and one of those near the
    // end of its heap keeps all that is free before it from going back to the system.
    let nginx = setup
        .environment("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
        .start();
    let worker = Worker::of(&nginx, faults.as_ref());

    visit(&worker, FIRST, 1, connect(&nginx, FIRST));
    let before = worker.holdings();
    eprintln!("before: {before}");
    visit(&worker, tunnels, seconds, connect(&nginx, tunnels));
    let after = worker.holdings();
    eprintln!("after:  {after}");
    assert_eq!(after.counted(), before.counted());
    let kept = after.memory.saturating_sub(before.memory);
    assert!(kept < 2 * MB, "{kept} bytes are kept of {tunnels} tunnels");
    nginx.stop();
}

/// Has so many tunnels for so long, and waits until all have gone.
fn visit(
    worker: &Worker<'_>,
    tunnels: usize,
    seconds: usize,
    (mut clients, descriptors): (impl Crowd, usize),
) {
    let open = worker.memory();
    assert_eq!(worker.of_clients(), descriptors);
    let talk = talk(&mut clients, Duration::from_secs(seconds as u64));
    let now = worker.memory();
    eprintln!(
        "{tunnels} tunnels: {} KiB, after {seconds} s {} KiB; {talk}",
        open / 1024,
        now / 1024
    );
    // Buffers that some of them have just now, and no more with the time.
    assert!(now < open + 16 * MB, "memory grows while tunnels talk");
    assert_eq!(worker.active(), tunnels as u64);
    clients.leave();
    worker.wait_to_be_left();
    wait_until("the zone to have no tunnel", || worker.active() == 0);
}

/// Those of this process, which nginx inherits.
fn raise_descriptors(needed: usize) {
    let needed = needed as u64;
    let limit = getrlimit(Resource::Nofile);
    let has = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if !has(limit.current) {
        let maximum = if has(limit.maximum) {
            limit.maximum
        } else {
            Some(needed)
        };
        let raised = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(needed),
                maximum,
            },
        );
        assert!(
            raised.is_ok(),
            "{needed} descriptors are needed (ulimit -n): {limit:?}"
        );
    }
}

fn number(name: &str, default: usize) -> usize {
    match env::var(format!("NGINX_TESTS_SCALE_{name}")) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
        Err(_) => default,
    }
}
