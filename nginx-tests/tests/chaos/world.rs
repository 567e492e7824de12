//! What the clients of one run share: the nginx, whether it reloads just now, and what was found.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use nginx_tests::http2::translator;
use nginx_tests::{Certificate, Nginx};

use crate::accounts::Accounts;
use crate::visits::{Visits, see_off};

pub struct World<'a> {
    pub nginx: &'a Nginx,
    pub certificate: &'a Certificate,
    pub accounts: Accounts,
    /// Where a translator listens that carries handshakes over HTTP/2.
    pub translated: u16,
    pub visits: Visits,
    /// Odd while workers change: during a reload, or when one is killed.
    generation: AtomicUsize,
    /// Whether workers are killed.
    deadly: AtomicBool,
    over: AtomicBool,
    /// How often clients have been let in.
    rounds: AtomicU64,
    /// How often each thing happened.
    tally: Mutex<BTreeMap<String, usize>>,
    /// What is wrong: how often, and the first time in full.
    wrong: Mutex<BTreeMap<String, (usize, String)>>,
}

impl<'a> World<'a> {
    pub fn new(nginx: &'a Nginx, certificate: &'a Certificate) -> Self {
        Self {
            nginx,
            certificate,
            accounts: Accounts::default(),
            translated: translator::start(
                nginx.port(),
                nginx.port_of("TLSH2PORT"),
                certificate.clone(),
            ),
            visits: Visits::default(),
            generation: AtomicUsize::new(0),
            deadly: AtomicBool::new(false),
            over: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            tally: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Does what other workers come of, and lets the clients know.
    pub fn while_workers_change(&self, change: impl FnOnce()) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        change();
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Another number since workers have changed, and an odd one while they do.
    pub fn generation(&self) -> usize {
        self.generation.load(Ordering::SeqCst)
    }

    /// From now on a worker may end without a word.
    pub fn set_deadly(&self) {
        self.deadly.store(true, Ordering::SeqCst);
    }

    pub fn is_deadly(&self) -> bool {
        self.deadly.load(Ordering::SeqCst)
    }

    /// Lets clients in, for the round of this number.
    pub fn begin(&self) -> u64 {
        self.over.store(false, Ordering::SeqCst);
        self.rounds.fetch_add(1, Ordering::SeqCst)
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn set_over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Lets the clients stop when this goes out of scope, by a panic or not, and waits for them.
    pub fn over_at_last(&'a self, are_gone: impl Fn() -> bool) -> impl Drop {
        struct Over<'a, F: Fn() -> bool>(&'a World<'a>, F);
        impl<F: Fn() -> bool> Drop for Over<'_, F> {
            fn drop(&mut self) {
                self.0.set_over();
                see_off(self.0, &self.1);
            }
        }
        Over(self, are_gone)
    }

    pub fn count(&self, what: &str) {
        *self
            .tally
            .lock()
            .unwrap()
            .entry(what.to_owned())
            .or_default() += 1;
    }

    /// Notes that something is wrong; `what` is the same for the same fault.
    pub fn wrong(&self, what: String, details: String) {
        let mut wrong = self.wrong.lock().unwrap();
        wrong.entry(what).or_insert((0, details)).0 += 1;
    }

    pub fn tally(&self) -> String {
        let tally = self.tally.lock().unwrap();
        tally
            .iter()
            .map(|(what, count)| format!("{count:7} {what}\n"))
            .collect()
    }

    pub fn findings(&self) -> String {
        let wrong = self.wrong.lock().unwrap();
        let line = |(what, (count, first)): (&String, &(usize, String))| {
            format!("{count:5} times {what}: {first}\n")
        };
        wrong.iter().map(line).collect()
    }
}
