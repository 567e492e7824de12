//! Everything at once: good and bad clients, good and bad backends, and an nginx that has every
//! kind of location and reloads all the time.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `NGINX_TESTS_CHAOS_SECONDS` | how long it goes on | 20 |
//! | `NGINX_TESTS_CHAOS_SEED` | where the random numbers begin | of the clock, and printed |
//! | `NGINX_TESTS_CHAOS_CLIENTS` | how many clients there are at a time | 32 |

mod accounts;
mod backends;
mod bad;
mod behaviours;
mod good;
mod places;
mod random;
mod reloads;
mod world;

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nginx_tests::environment::slowness;
use nginx_tests::wait::wait_within;
use nginx_tests::{Certificate, DEADLINE, Nginx, wait_until};

use crate::places::Backends;
use crate::random::Random;
use crate::reloads::Reloads;
use crate::world::World;

const MB: u64 = 1 << 20;

#[test]
fn nothing_breaks_and_nothing_is_left() {
    let run = Run::from_environment();
    eprintln!("{run:?}");
    let certificate = Certificate::localhost();
    let backends = Backends::start(&certificate);
    let nginx = places::nginx(&backends, &certificate);
    let nginx = reloads::allow_their_faults(nginx).start();
    let world = World::new(&nginx, &certificate);
    let mut reloads = Reloads::new(&world, run.seed);

    // Four fifths of the time with reloads; then a calm, in which one worker's life can be seen.
    reloads.reload();
    let at_first = memory(nginx.pid());
    run.clients(&world, 4, || reloads.some());
    reloads.reload();
    wait_until("old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    // Of workers that never had a connection: all clients have gone.
    let before = descriptors(&nginx);
    run.clients(&world, 1, || {
        reloads.watch();
        thread::sleep(Duration::from_millis(100));
    });
    let left = wait_within(*DEADLINE, || (active(&nginx) == 0).then_some(0))
        .unwrap_or_else(|| active(&nginx));
    if left > 0 {
        world.wrong("connections are left".to_owned(), left.to_string());
    }

    world.accounts.check(&world);
    eprintln!("{}", world.tally());
    let findings = world.findings();
    if !findings.is_empty() {
        // What is said of a failure shows only the end of it.
        let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos-error.log");
        fs::copy(nginx.path("logs/error.log"), kept).expect("a copy of the error log");
        eprintln!("The error log is in {kept}.");
    }
    assert!(findings.is_empty(), "{run:?} found:\n{findings}");
    // Connections to backends are kept for a second.
    wait_until("descriptors to be as few as before", || {
        let now = descriptors(&nginx);
        now.iter().zip(&before).all(|(now, before)| now <= before)
    });
    // A tool keeps books of its own.
    if slowness() == 1 {
        let master = memory(nginx.pid());
        let worker = nginx
            .worker_pids()
            .into_iter()
            .map(memory)
            .max()
            .unwrap_or_default();
        eprintln!("master {at_first} then {master}, worker {worker} bytes");
        assert!(
            master < at_first + 4 * MB,
            "the master grew from {at_first} to {master} bytes"
        );
        assert!(worker < 64 * MB, "a worker has {worker} bytes");
    }
    // Fails on what alarms in the error log, and if something holds nginx.
    nginx.stop();
}

#[derive(Debug)]
struct Run {
    seed: u64,
    seconds: u64,
    clients: u64,
}

impl Run {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let told = std::env::var(format!("NGINX_TESTS_CHAOS_{name}")).ok()?;
            Some(
                told.parse()
                    .unwrap_or_else(|_| panic!("{name} is {told:?}, not a number")),
            )
        };
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            seed: number("SEED").unwrap_or_else(|| clock.map_or(0, |time| time.as_secs())),
            seconds: number("SECONDS").unwrap_or(20),
            clients: number("CLIENTS").unwrap_or(32),
        }
    }

    /// Lets clients come for so many fifths of the time, and does something beside it again and
    /// again.
    fn clients(&self, world: &World, fifths: u32, mut beside: impl FnMut()) {
        world.set_over(false);
        let end = Instant::now() + Duration::from_secs(self.seconds) * fifths / 5;
        thread::scope(|scope| {
            for number in 0..self.clients {
                let mut random =
                    Random::new(self.seed.wrapping_add(number << 32) ^ u64::from(fifths));
                scope.spawn(move || {
                    while !world.is_over() {
                        visit(world, &mut random);
                    }
                });
            }
            let _over = world.over_at_last();
            while Instant::now() < end && !world.is_over() {
                beside();
            }
        });
    }
}

fn visit(world: &World, random: &mut Random) {
    match random.below(16) {
        0..4 => good::tunnel(world, random),
        4..6 => good::plain(world, random),
        6 => bad::broken(world, random),
        _ => bad::client(world, random),
    }
}

/// Connections that nginx counts, the one that asks not among them.
fn active(nginx: &Nginx) -> u64 {
    let status = nginx_tests::client::get(nginx.port(), "/status").text();
    let count = status
        .strip_prefix("Active connections: ")
        .and_then(|rest| rest.split(' ').next());
    let count = count.and_then(|count| count.parse::<u64>().ok());
    count.unwrap_or_else(|| panic!("{status}")) - 1
}

/// How many descriptors each worker has.
fn descriptors(nginx: &Nginx) -> Vec<usize> {
    let count = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    nginx.worker_pids().into_iter().map(count).collect()
}

/// A process's memory that is there, in bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.expect("VmRSS in kB") * 1024
}
