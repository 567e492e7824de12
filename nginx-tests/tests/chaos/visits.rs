//! A client's errand on a connection, and a list of those under way: nobody waits for ever for one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nginx_tests::nginx::signal_to;
use nginx_tests::wait::wait_within;
use nginx_tests::wire::Wire;
use nginx_tests::workers::children;
use nginx_tests::{Nginx, patient};
use rustix::process::Signal;

use crate::random::Random;
use crate::world::World;

/// A connection to nginx, with what excuses a sudden end of it.
pub struct Visit<'a> {
    pub world: &'a World<'a>,
    pub wire: Wire,
    since: usize,
    _under_way: UnderWay<'a>,
}

impl<'a> Visit<'a> {
    /// Connects for this errand, by TLS or not, or if it may be so that a handshake goes over HTTP/2.
    pub fn begin(
        world: &'a World<'a>,
        random: &mut Random,
        errand: String,
        may_be_http2: bool,
    ) -> io::Result<Self> {
        let under_way = world.visits.begin(errand);
        let since = world.generation();
        let wire = match random.below(4) {
            0 => Wire::connect_tls(world.nginx.port_of("TLSPORT"), world.certificate)?,
            1 if may_be_http2 => {
                world.count("by way of HTTP/2");
                Wire::connect(world.translated)?
            }
            _ => Wire::connect(world.nginx.port())?,
        };
        Ok(Self {
            world,
            wire,
            since,
            _under_way: under_way,
        })
    }

    /// Whether the worker may be one that is to exit.
    pub fn may_be_old(&self) -> bool {
        let now = self.world.generation();
        now != self.since || now % 2 == 1
    }
}

/// Those under way: what each is about, and since when.
#[derive(Default)]
pub struct Visits {
    begun: AtomicU64,
    under_way: Mutex<BTreeMap<u64, (String, Instant)>>,
}

/// One of them, as long as this is there.
struct UnderWay<'a> {
    visits: &'a Visits,
    number: u64,
}

impl Visits {
    fn begin(&self, errand: String) -> UnderWay<'_> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let visit = (errand, Instant::now());
        self.under_way.lock().unwrap().insert(number, visit);
        UnderWay {
            visits: self,
            number,
        }
    }

    /// A line for each.
    fn lines(&self) -> String {
        let visits = self.under_way.lock().unwrap();
        let line = |(errand, since): &(String, Instant)| {
            format!("\n  for {:.1?}: {errand}", since.elapsed())
        };
        visits.values().map(line).collect()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut visits = self.visits.under_way.lock().unwrap();
        visits.remove(&self.number);
    }
}

/// Waits until nobody visits any more. If that takes far too long it says so, and what nginx is doing, and kills
/// nginx, which is the end of any visit.
pub fn see_off(world: &World, are_gone: impl Fn() -> bool) {
    let gone = || are_gone().then_some(());
    if wait_within(patient(Duration::from_secs(60)), gone).is_some() {
        return;
    }
    let (visits, processes) = (world.visits.lines(), processes(world.nginx));
    world.wrong("visits do not end".to_owned(), visits + &processes);
    // The master first, so that no worker takes the place of another.
    for pid in all_of(world.nginx) {
        signal_to(pid, Signal::KILL);
    }
}

/// The master, and its children behind it: also those that are ending, which have no title any more.
fn all_of(nginx: &Nginx) -> Vec<u32> {
    [vec![nginx.pid()], children(nginx.pid())].concat()
}

/// What nginx's processes do: whether they run or wait, and how much they work meanwhile.
fn processes(nginx: &Nginx) -> String {
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pids = all_of(nginx);
    let before: Vec<_> = pids.iter().map(|&pid| stat(pid)).collect();
    thread::sleep(Duration::from_secs(1));
    let line = |(pid, before): (&u32, String)| {
        format!("\n  {}\n  {}", before.trim_end(), stat(*pid).trim_end())
    };
    pids.iter().zip(before).map(line).collect()
}
