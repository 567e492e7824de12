//! Runs: every peer started, warmed up, measured in turns and stopped, over and over.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::backend::Served;
use crate::flood;
use crate::load::{self, Link};
use crate::options::Options;
use crate::peer::{Peer, Running, Site};
use crate::perf::{self, Counter};
use crate::process::{self, Cores};
use crate::result::Result;
use crate::scenario::{Figure, Kind, Scenario};
use crate::statistics::percentile;
use crate::tls::Certificate;
use crate::world::{Slice, World};

/// A peer's turn. Short, so that what disturbs one peer disturbs the others as well.
const TURN: Duration = Duration::from_millis(25);
/// Long enough for what waits to wait long, where waits are measured.
const LONG_TURN: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);
/// How long the proxy may take to clean up behind an operation: that is part of its cost.
const SETTLE: Duration = Duration::from_millis(3);
/// How long tunnels are silent before memory is read.
pub const SILENCE: Duration = Duration::from_millis(300);

pub struct Laboratory<'a> {
    options: &'a Options,
    certificate: Certificate,
    cores: Cores,
    open_files: u64,
    counts_instructions: bool,
}

/// What a peer's turn came to.
pub type Figures = BTreeMap<Figure, f64>;

/// Rounds in which each peer had a turn.
pub type Run = Vec<Vec<Figures>>;

pub struct Outcome {
    pub scenario: Scenario,
    /// The peers' names, in the order of each round's figures.
    pub peers: Vec<&'static str>,
    pub runs: Vec<Run>,
}

impl<'a> Laboratory<'a> {
    pub fn new(options: &'a Options) -> Result<Self> {
        let cores = Cores::choose()?;
        process::stay_on(cores.own)?;
        Ok(Self {
            options,
            certificate: Certificate::new()?,
            cores,
            // The peers inherit it.
            open_files: process::raise_open_files()?,
            counts_instructions: perf::works(),
        })
    }

    pub fn measure(&self, scenario: &Scenario) -> Result<Outcome> {
        let mut runs = Vec::new();
        for run in 0..self.options.runs {
            progress(&format!(
                "{}: run {} of {}",
                scenario.name,
                run + 1,
                self.options.runs
            ));
            runs.push(self.run(scenario, run)?);
        }
        progress("");
        Ok(Outcome {
            scenario: scenario.clone(),
            peers: self.options.peers.iter().map(|peer| peer.name).collect(),
            runs,
        })
    }

    /// One run of every peer.
    fn run(&self, scenario: &Scenario, run: usize) -> Result<Run> {
        let mut world = World::new()?;
        // A tunnel takes two descriptors in the proxy, and two here for each peer.
        let each = 2 * self.options.peers.len();
        let needed = (each * scenario.connections + 100) as u64;
        if needed > self.open_files {
            return Err(format!("{needed} open files are needed (ulimit -n)").into());
        }
        let site = Site {
            setup: &self.options.setup,
            certificate: &self.certificate,
            backend: world.backend.address()?,
            // With few left, nginx closes connections that have not sent anything yet.
            connections: 3 * scenario.connections + 500,
            core: self.cores.proxy,
        };
        let start = |peer: &&'static Peer| peer.start(&site);
        let peers: Vec<Running> = self
            .options
            .peers
            .iter()
            .map(start)
            .collect::<Result<_>>()?;
        let rounds = match scenario.kind {
            Kind::Idle { .. } => self.idle(scenario, &mut world, &peers),
            Kind::Fairness(_) => self.fair(scenario, &mut world, &peers, run),
            Kind::SlowReaders => self.slow(scenario, &mut world, &peers),
            _ => self.busy(scenario, &mut world, &peers, run),
        };
        let rounds = rounds.map_err(|error| blame(&*error, &peers))?;
        check_counts(scenario, &mut world)?;
        world.clear();
        // The proxy closes its side towards the backend.
        world.settle(SILENCE)?;
        peers.into_iter().try_for_each(Running::stop)?;
        Ok(rounds)
    }

    fn busy(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peers: &[Running],
        run: usize,
    ) -> Result<Run> {
        self.warm_up(scenario, world, peers)?;
        let counters = self.attach(peers)?;
        let mut operations = vec![0; peers.len()];
        let mut rounds = Run::new();
        for round in 0..self.rounds(TURN) {
            let mut turns = vec![Figures::new(); peers.len()];
            for index in order(peers.len(), run + round) {
                let before = process::cpu_time(peers[index].worker)?;
                let slice = world.slice(index, TURN)?;
                world.settle(SETTLE)?;
                let cpu = process::cpu_time(peers[index].worker)? - before;
                turns[index] = figures(scenario, &slice, cpu);
                operations[index] += slice.operations;
            }
            rounds.push(turns);
        }
        for (index, counter) in counters.into_iter().enumerate() {
            let memory = process::memory(peers[index].worker)? as f64;
            let instructions = counter.map(Counter::finish).transpose()?.flatten();
            for turns in &mut rounds {
                turns[index].insert(Figure::Memory, memory);
                if let Some(count) = instructions {
                    let each = count as f64 / operations[index] as f64;
                    turns[index].insert(Figure::Instructions, each);
                }
            }
        }
        Ok(rounds)
    }

    /// The whole run is one turn of each peer, cut in pieces: the longest wait of a piece says little.
    fn fair(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peers: &[Running],
        run: usize,
    ) -> Result<Run> {
        self.warm_up(scenario, world, peers)?;
        let mut totals: Vec<Slice> = peers.iter().map(|_| Slice::default()).collect();
        for round in 0..self.rounds(LONG_TURN) {
            for index in order(peers.len(), run + round) {
                totals[index] += world.slice(index, LONG_TURN)?;
                world.settle(SETTLE)?;
            }
        }
        Ok(vec![totals.into_iter().map(waits).collect()])
    }

    fn warm_up(&self, scenario: &Scenario, world: &mut World, peers: &[Running]) -> Result<()> {
        for peer in peers {
            let load = self.add_load(scenario, world, peer, scenario.connections);
            world.slice(load, WARM_UP)?;
        }
        Ok(())
    }

    fn rounds(&self, turn: Duration) -> usize {
        (self.options.measured.as_millis() / turn.as_millis()).max(1) as usize
    }

    fn idle(&self, scenario: &Scenario, world: &mut World, peers: &[Running]) -> Result<Run> {
        let mut turns = Vec::new();
        for peer in peers {
            // What a proxy allocates once, for its first tunnels, is not a tunnel's.
            let first = self.add_load(scenario, world, peer, 1);
            world.slice(first, Duration::ZERO)?;
            world.settle(SILENCE)?;
            let before = process::memory(peer.worker)?;
            let load = self.add_load(scenario, world, peer, scenario.connections);
            world.slice(load, Duration::ZERO)?;
            world.settle(SILENCE)?;
            let after = process::memory(peer.worker)?;
            let each = (after as f64 - before as f64) / scenario.connections as f64;
            let figures = [(Figure::TunnelMemory, each), (Figure::Memory, after as f64)];
            turns.push(figures.into());
        }
        Ok(vec![turns])
    }

    pub fn add_load(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peer: &Running,
        connections: usize,
    ) -> usize {
        let (address, tls) = if scenario.tls {
            (peer.tls_address, Some(self.certificate.client.clone()))
        } else {
            (peer.address, None)
        };
        let link = Link {
            address,
            tls,
            token: 0,
        };
        world.add(link, load::new(scenario, connections))
    }

    fn attach(&self, peers: &[Running]) -> Result<Vec<Option<Counter>>> {
        let attach = |peer: &Running| Counter::attach(peer.worker);
        let counts = |peer| self.counts_instructions.then(|| attach(peer)).transpose();
        peers.iter().map(counts).collect()
    }
}

/// A turn's figures. Something was done in it: each connection ends what it begins.
fn figures(scenario: &Scenario, slice: &Slice, cpu: u64) -> Figures {
    let (operations, wall) = (slice.operations as f64, slice.wall.as_secs_f64());
    let mut figures = Figures::from([
        (Figure::Cpu, cpu as f64 / 1e3 / operations),
        (Figure::Rate, operations / wall),
        (Figure::Busy, cpu as f64 / 1e7 / wall),
    ]);
    if scenario.payload() > 0 {
        let bytes = operations * scenario.payload() as f64;
        figures.insert(Figure::Throughput, bytes / 1e6 / wall);
    }
    figures
}

/// ABBA: neither is always the first.
fn order(peers: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..peers).map(move |place| match round % 2 {
        0 => place,
        _ => peers - 1 - place,
    })
}

/// What requests waited beside a flood, and what that came to.
fn waits(total: Slice) -> Figures {
    let bytes = total.messages as f64 * flood::PAYLOAD as f64;
    let mut figures = Figures::from([
        (Figure::Throughput, bytes / 1e6 / total.wall.as_secs_f64()),
        (Figure::Pause, milliseconds(&total.pause)),
    ]);
    let waits: Vec<f64> = total.waits.iter().map(milliseconds).collect();
    for (figure, part) in [
        (Figure::WaitMedian, 0.5),
        (Figure::WaitP99, 0.99),
        (Figure::WaitLongest, 1.0),
    ] {
        figures.extend(percentile(waits.clone(), part).map(|wait| (figure, wait)));
    }
    figures
}

fn milliseconds(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A line that the next one overwrites, for someone who watches.
fn progress(line: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    }
}

/// A failed run, with what the proxies say about it.
fn blame(error: &dyn Error, peers: &[Running]) -> String {
    let complaints = peers.iter().map(Running::complaints);
    complaints.fold(error.to_string(), |text, complaint| {
        text + "\n" + &complaint
    })
}

/// What the generator got must be what the backend gave.
fn check_counts(scenario: &Scenario, world: &mut World) -> Result<()> {
    let (mut done, mut handshakes, mut messages) = (0, 0, 0);
    for account in world.accounts() {
        done += account.done;
        handshakes += account.handshakes;
        messages += account.messages;
    }
    let got = match scenario.kind {
        Kind::Handshake => Served {
            handshakes,
            ..Served::default()
        },
        Kind::Plain => Served {
            pages: done,
            ..Served::default()
        },
        Kind::Fairness(_) => Served {
            handshakes,
            frames: messages,
            pages: done,
        },
        Kind::SlowReaders => Served {
            handshakes,
            frames: messages,
            ..Served::default()
        },
        Kind::Echo { .. } | Kind::Idle { .. } => Served {
            handshakes,
            frames: done,
            ..Served::default()
        },
    };
    let gave = world.backend.served;
    let is_right = match scenario.kind {
        // Most of what was sent to those who read little was never read.
        Kind::SlowReaders => got.handshakes == gave.handshakes && got.frames <= gave.frames,
        _ => got == gave,
    };
    if is_right {
        Ok(())
    } else {
        Err(format!("the generator got {got:?}, the backend gave {gave:?}").into())
    }
}
