//! Everything at once: good and bad clients, good and bad backends, and an nginx that has every
//! kind of location, reloads all the time, and has its workers killed.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `NGINX_TESTS_CHAOS_SECONDS` | how long it goes on | 20 |
//! | `NGINX_TESTS_CHAOS_SEED` | where the random numbers begin | of the clock, and printed |
//! | `NGINX_TESTS_CHAOS_CLIENTS` | how many clients there are at a time | 32 |

mod accounts;
mod aftermath;
mod backends;
mod bad;
mod behaviours;
mod good;
mod kills;
mod places;
mod random;
mod reloads;
mod streams;
mod visits;
mod world;

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nginx_tests::environment::nginx_version;
use nginx_tests::nginx::Setup;
use nginx_tests::wait::wait_within;
use nginx_tests::{Certificate, DEADLINE, wait_until};

use crate::aftermath::{Memory, Tunnels, assert_settled, connections, descriptors};
use crate::kills::Kills;
use crate::places::Backends;
use crate::random::Random;
use crate::reloads::Reloads;
use crate::world::World;

#[test]
fn nothing_breaks_and_nothing_is_left() {
    let run = Run::from_environment();
    eprintln!("{run:?}");
    let certificate = Certificate::localhost();
    let backends = Backends::start(&certificate);
    // nginx's own loop has OpenSSL say goodbye behind what a socket did not take, and calls it critical that it can't.
    let setup = reloads::allow_their_faults(places::nginx(&backends, &certificate))
        .allow_log("SSL_shutdown() failed (SSL: error:0A00007F:SSL routines::bad write retry)");
    // An old nginx knows no OpenSSL 3, to which a peer's end without a goodbye is an error.
    let setup = match nginx_version() {
        (1, ..21, _) => setup
            .allow_log("SSL routines::unexpected eof while reading")
            .allow_log("SSL_write() failed, client: "),
        _ => setup,
    };
    let allow = |setup: Setup, said: &&str| setup.allow_log(said);
    let nginx = kills::SAID.iter().fold(setup, allow).start();
    let world = World::new(&nginx, &certificate);
    let (mut reloads, mut kills) = (Reloads::new(&world, run.seed), Kills::new(&world, run.seed));

    // Half of the time with reloads. What a master has is the same after any number of them.
    run.clients(&world, 1, || reloads.some());
    let at_first = Memory::of(&nginx);
    run.clients(&world, 4, || reloads.some());
    reloads.reload();
    wait_until("old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
    let after_reloads = Memory::of(&nginx);

    // Then a calm, in which one worker's life can be seen: of one that never had a connection.
    let before = descriptors(&nginx);
    let mut calm = |tenths| {
        run.clients(&world, tenths, || {
            reloads.watch();
            thread::sleep(Duration::from_millis(100));
        });
        let none = || (connections(&nginx) == 0).then_some(());
        if wait_within(*DEADLINE, none).is_none() {
            let left = connections(&nginx).to_string();
            world.wrong("connections are left".to_owned(), left);
        }
        Memory::of(&nginx)
    };
    let amid = calm(1);
    let after = calm(2);
    world.accounts.check(&world);
    judge(&run, &world);
    eprintln!("{at_first:?}, {after_reloads:?}, then {amid:?}, {after:?}");
    // Connections to backends are kept for a second.
    wait_until("descriptors to be as few as before", || {
        let now = descriptors(&nginx);
        now.iter().zip(&before).all(|(now, before)| now <= before)
    });
    assert_settled("the master", at_first.master, after_reloads.master);
    assert_settled("a worker", amid.worker, after.worker);

    // At last they are killed, which nginx's own count of connections does not survive.
    world.set_deadly();
    run.clients(&world, 2, || {
        kills.one();
        reloads.some();
    });
    kills.check();
    wait_until("the zone to know of no tunnel", || {
        let tunnels = Tunnels::of(&nginx);
        (tunnels.active, tunnels.listed) == (0, 0)
    });
    let tunnels = Tunnels::of(&nginx);
    // The end of those that a worker was just taking in when it was killed is counted nowhere.
    let uncounted = tunnels.established.checked_sub(tunnels.closed);
    let most = kills.count() as u64 * run.clients;
    assert!(
        uncounted.is_some_and(|uncounted| uncounted <= most),
        "{tunnels:?}"
    );
    eprintln!("{}\n{tunnels:?}", world.tally());
    // Fails on what alarms in the error log, and if something holds nginx.
    nginx.stop();
}

/// Fails if a client has found something, and keeps the error log then.
fn judge(run: &Run, world: &World) {
    let findings = world.findings();
    if findings.is_empty() {
        return;
    }
    eprintln!("{}", world.tally());
    // What is said of a failure shows only the end of it.
    let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos-error.log");
    fs::copy(world.nginx.path("logs/error.log"), kept).expect("a copy of the error log");
    panic!("{run:?} found, see {kept}:\n{findings}");
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

    /// Lets clients come for so many tenths of the time, and does something beside it again and
    /// again.
    fn clients(&self, world: &World, tenths: u32, mut beside: impl FnMut()) {
        let round = world.begin();
        let end = Instant::now() + Duration::from_secs(self.seconds) * tenths / 10;
        thread::scope(|scope| {
            let client = |number| {
                let mut random = Random::new(self.seed.wrapping_add(number << 32) ^ round);
                scope.spawn(move || {
                    while !world.is_over() {
                        visit(world, &mut random);
                    }
                })
            };
            let clients: Vec<_> = (0..self.clients).map(client).collect();
            let _over = world.over_at_last(|| clients.iter().all(|client| client.is_finished()));
            while Instant::now() < end && !world.is_over() {
                beside();
            }
        });
        judge(self, world);
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
