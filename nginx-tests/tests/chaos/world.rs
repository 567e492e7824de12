//! What the clients of one run share: the nginx, whether it reloads just now, and what was found.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use nginx_tests::http2::translator;
use nginx_tests::wire::Wire;
use nginx_tests::{Certificate, DEADLINE, Nginx};

use crate::accounts::Accounts;
use crate::random::Random;

pub struct World<'a> {
    pub nginx: &'a Nginx,
    pub certificate: &'a Certificate,
    pub accounts: Accounts,
    /// Where a translator listens that carries handshakes over HTTP/2.
    translated: u16,
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

    /// Lets the clients stop when this goes out of scope, by a panic or not.
    pub fn over_at_last(&self) -> impl Drop {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        Over(&self.over)
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

/// A connection to nginx, with what excuses a sudden end of it.
pub struct Visit<'a> {
    pub world: &'a World<'a>,
    pub wire: Wire,
    since: usize,
}

impl<'a> Visit<'a> {
    /// Connects, by TLS or not, or if it may be so that a handshake goes over HTTP/2.
    pub fn begin(
        world: &'a World<'a>,
        random: &mut Random,
        may_be_http2: bool,
    ) -> io::Result<Self> {
        let since = world.generation.load(Ordering::SeqCst);
        let wire = match random.below(4) {
            0 => Wire::connect_tls(world.nginx.port_of("TLSPORT"), world.certificate)?,
            1 if may_be_http2 => {
                world.count("by way of HTTP/2");
                Wire::connect(world.translated)?
            }
            _ => Wire::connect(world.nginx.port())?,
        };
        wire.set_write_timeout(Some(*DEADLINE));
        Ok(Self { world, wire, since })
    }

    /// Whether the worker may be one that is to exit.
    pub fn may_be_old(&self) -> bool {
        let now = self.world.generation.load(Ordering::SeqCst);
        now != self.since || now % 2 == 1
    }
}
