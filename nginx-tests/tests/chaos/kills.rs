//! Workers that are killed, whatever they are about.

use nginx_tests::nginx::signal_to;
use nginx_tests::wait_until;
use rustix::process::Signal;

use crate::random::Random;
use crate::world::World;

/// What nginx may say of it.
pub const SAID: [&str; 2] = ["exited on signal 9", "was locked by"];

pub struct Kills<'a> {
    world: &'a World<'a>,
    random: Random,
    count: usize,
}

impl<'a> Kills<'a> {
    pub fn new(world: &'a World<'a>, seed: u64) -> Self {
        Self {
            world,
            random: Random::new(seed.rotate_left(32)),
            count: 0,
        }
    }

    /// Kills a worker, be it one that is to exit.
    pub fn one(&mut self) {
        let workers = || {
            let nginx = self.world.nginx;
            [nginx.worker_pids(), nginx.exiting_worker_pids()].concat()
        };
        let there = workers();
        if there.is_empty() {
            return;
        }
        let worker = *self.random.pick(&there);
        self.world.while_workers_change(|| {
            signal_to(worker, Signal::KILL);
            wait_until("a killed worker to be gone", || {
                !workers().contains(&worker)
            });
        });
        self.count += 1;
        self.world.count("workers killed");
    }

    /// How many were killed.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Nobody else has killed one.
    pub fn check(&self) {
        let killed = self.world.nginx.log_lines(SAID[0]).len();
        assert!(
            killed <= self.count,
            "{killed} workers were killed, {} of them here",
            self.count
        );
    }
}
