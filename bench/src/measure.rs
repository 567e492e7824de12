//! Runs: every peer started, warmed up, measured in turns and stopped, over and over.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::backend::Served;
use crate::callgrind;
use crate::figure::Figure;
use crate::figures::{self, Figures};
use crate::load::{self, Link};
use crate::options::Options;
use crate::peer::{Http2, Peer, Site};
use crate::perf::{self, Counter};
use crate::process::{self, Cores};
use crate::result::Result;
use crate::running::Running;
use crate::scenario::{Kind, Scenario};
use crate::setup::Setup;
use crate::stream::Transport;
use crate::tls::Certificate;
use crate::world::{Slice, World};

/// A peer's turn. Short, so that what disturbs one peer disturbs the others as well.
const TURN: Duration = Duration::from_millis(25);
/// Long enough for what waits to wait long, where waits are measured.
const LONG_TURN: Duration = Duration::from_secs(1);
/// So many at least, as one second says little of one wait in a thousand.
const LONG_TURNS: usize = 5;
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

    pub fn measure(&self, scenario: &Scenario, peers: &[&'static Peer]) -> Result<Outcome> {
        // Those that can do what is measured.
        let mut peers: Vec<_> = peers
            .iter()
            .copied()
            .filter(|peer| peer.is_capable_of(scenario))
            .collect();
        if scenario.has_sides() {
            peers.truncate(1);
        }
        // A count is nearly the same each time.
        let count = match scenario.counted {
            true => self.options.runs.min(2),
            false => self.options.runs,
        };
        let mut runs = Vec::new();
        for run in 0..count {
            progress(&format!("{}: run {} of {count}", scenario.name, run + 1));
            runs.push(self.run(scenario, &peers, run)?);
        }
        progress("");
        Ok(Outcome {
            scenario: scenario.clone(),
            peers: match scenario.has_sides() {
                true => load::SIDES.to_vec(),
                false => peers.iter().map(|peer| peer.name).collect(),
            },
            runs,
        })
    }

    /// One run of every peer.
    fn run(&self, scenario: &Scenario, peers: &[&'static Peer], run: usize) -> Result<Run> {
        if scenario.counted {
            let count = |peer: &&'static Peer| self.count(scenario, peer);
            return Ok(vec![peers.iter().map(count).collect::<Result<_>>()?]);
        }
        let session = |peers: &[&'static Peer]| {
            self.session(scenario, &self.options.setup, peers, |world, peers| {
                self.work(scenario, world, peers, run)
            })
        };
        if !scenario.is_alone() {
            return session(peers);
        }
        let mut turns = vec![Figures::new(); peers.len()];
        for index in order(peers.len(), run) {
            let rounds = session(&peers[index..=index])?;
            turns[index] = rounds.into_iter().flatten().next().unwrap_or_default();
        }
        Ok(vec![turns])
    }

    /// From the start of some peers to their end.
    fn session<T>(
        &self,
        scenario: &Scenario,
        setup: &Setup,
        peers: &[&'static Peer],
        work: impl FnOnce(&mut World, &[Running]) -> Result<T>,
    ) -> Result<T> {
        let mut world = World::new()?;
        // A tunnel takes two descriptors in the proxy, and two here for each peer.
        let each = 2 * peers.len();
        let needed = (each * scenario.clients() + 2 * load::TALKERS_OF_BOTH + 100) as u64;
        if needed > self.open_files {
            return Err(format!("{needed} open files are needed (ulimit -n)").into());
        }
        let site = Site {
            setup,
            certificate: &self.certificate,
            backend: world.backend.address()?,
            clients: scenario.clients(),
            core: self.cores.proxy,
            http2: match scenario.http2 {
                true => Some(Http2::of_nginx(setup)?),
                false => None,
            },
        };
        let sides = peers.iter().flat_map(|peer| match scenario.has_sides() {
            true => load::SIDES.map(|side| (*peer, side)).to_vec(),
            false => vec![(*peer, peer.name)],
        });
        let start = |(peer, name)| Running::start(peer, name, &site);
        let peers: Vec<Running> = sides.map(start).collect::<Result<_>>()?;
        let done = work(&mut world, &peers);
        let done = done.map_err(|error| blame(&*error, &peers))?;
        check_counts(scenario, &mut world)?;
        let closed = world.clear();
        closed.map_err(|error| blame(&*error, &peers))?;
        // What else it has to clean up.
        world.settle(SILENCE)?;
        peers.into_iter().try_for_each(Running::stop)?;
        Ok(done)
    }

    /// What a scenario that measures time does with peers that have started.
    fn work(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peers: &[Running],
        run: usize,
    ) -> Result<Run> {
        match scenario.kind {
            Kind::Idle { .. } | Kind::Pages => self.idle(scenario, world, peers),
            Kind::SlowReaders => self.slow(scenario, world, peers),
            Kind::SlowCrowd => self.crowd(scenario, world, peers, run),
            Kind::Stuck { .. } => self.stuck(scenario, world, peers, run),
            Kind::Fairness(_) | Kind::Many { .. } | Kind::Latency { .. } => {
                self.waits(scenario, world, peers, run)
            }
            _ => self.busy(scenario, world, peers, run),
        }
    }

    /// What an operation takes. A short time is taken off a long one, and with it the start, the first of everything
    /// and the end.
    fn count(&self, scenario: &Scenario, peer: &'static Peer) -> Result<Figures> {
        let setup = callgrind::setup(&self.options.setup);
        let count = |time| -> Result<(f64, f64)> {
            let operations = self.session(scenario, &setup, &[peer], |world, peers| {
                let load = self.add_load(scenario, world, &peers[0], scenario.connections);
                Ok(world.slice(load, time)?.operations)
            })?;
            let instructions = callgrind::instructions(&setup.directory.join(peer.name))?;
            Ok((instructions as f64, operations as f64))
        };
        let time = self.options.measured.max(LONG_TURN);
        let (short, long) = (count(time)?, count(4 * time)?);
        let each = (long.0 - short.0) / (long.1 - short.1);
        Ok(Figures::from([(Figure::Instructions, each)]))
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
                let before = peers[index].cpu_time()?;
                let slice = world.slice(index, TURN)?;
                world.settle(SETTLE)?;
                let cpu = peers[index].cpu_time()? - before;
                turns[index] = figures::of_turn(scenario, &slice, cpu);
                operations[index] += slice.operations;
            }
            rounds.push(turns);
        }
        for (index, counter) in counters.into_iter().enumerate() {
            let memory = peers[index].memory()? as f64;
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

    fn waits(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peers: &[Running],
        run: usize,
    ) -> Result<Run> {
        self.warm_up(scenario, world, peers)?;
        self.take_turns_of_waiting(scenario, world, peers, run)
    }

    /// Each load has its peer's number, and is warm.
    pub fn take_turns_of_waiting(
        &self,
        scenario: &Scenario,
        world: &mut World,
        peers: &[Running],
        run: usize,
    ) -> Result<Run> {
        let mut loads: Vec<usize> = (0..peers.len()).collect();
        if let Kind::Latency { even } = scenario.kind {
            let mut most = Vec::new();
            for load in &loads {
                most.push(world.slice(*load, WARM_UP)?.rate());
            }
            let least = most.iter().copied().fold(f64::INFINITY, f64::min);
            for ((load, peer), most) in loads.iter_mut().zip(peers).zip(most) {
                let rate = if even { least } else { most } / 2.0;
                let half = load::at_rate(rate, scenario.connections);
                *load = world.add(self.link(scenario, peer), half);
                world.slice(*load, WARM_UP)?;
            }
        }
        let count = match self.options.measured < LONG_TURN {
            true => 1,
            false => self.rounds(LONG_TURN).max(LONG_TURNS),
        };
        let mut rounds: Vec<Vec<(Slice, u64)>> = Vec::new();
        for round in 0..count {
            let mut turns: Vec<_> = peers.iter().map(|_| Default::default()).collect();
            for index in order(peers.len(), run + round) {
                let before = peers[index].cpu_time()?;
                let slice = world.slice(loads[index], LONG_TURN)?;
                world.settle(SETTLE)?;
                turns[index] = (slice, peers[index].cpu_time()? - before);
            }
            rounds.push(turns);
        }
        if scenario.is_one_turn() {
            let all = rounds.into_iter().reduce(|mut all, turns| {
                for ((total, time), (slice, cpu)) in all.iter_mut().zip(turns) {
                    *total += slice;
                    *time += cpu;
                }
                all
            });
            rounds = all.into_iter().collect();
        }
        let figures = |(slice, cpu)| figures::waits(scenario, slice, cpu);
        let of_round = |turns: Vec<_>| turns.into_iter().map(figures).collect();
        Ok(rounds.into_iter().map(of_round).collect())
    }

    /// Each load has its peer's number.
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
            let before = [peer.memory()?, process::kernel_memory()?];
            let load = self.add_load(scenario, world, peer, scenario.connections);
            world.slice(load, Duration::ZERO)?;
            world.settle(SILENCE)?;
            let after = [peer.memory()?, process::kernel_memory()?];
            let tunnels = scenario.connections as f64;
            let each = |what: usize| (after[what] as f64 - before[what] as f64) / tunnels;
            let figures = [
                (Figure::TunnelMemory, each(0)),
                (Figure::KernelMemory, each(1)),
                (Figure::Memory, after[0] as f64),
            ];
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
        let link = self.link(scenario, peer);
        world.add(link, load::new(scenario, connections))
    }

    pub fn link(&self, scenario: &Scenario, peer: &Running) -> Link {
        let Certificate {
            client,
            http2_client,
            ..
        } = &self.certificate;
        if !scenario.tls {
            return Link::new(peer.address, Transport::Plain);
        }
        let transport = match scenario.http2 && !peer.keeps_to_http1() {
            true => Transport::Http2(http2_client.clone()),
            false => Transport::Tls(client.clone()),
        };
        Link::new(peer.tls_address, transport)
    }

    fn attach(&self, peers: &[Running]) -> Result<Vec<Option<Counter>>> {
        let attach = |peer: &Running| Counter::attach(&peer.processes());
        let counts = |peer| self.counts_instructions.then(|| attach(peer)).transpose();
        peers.iter().map(counts).collect()
    }
}

/// ABBA: neither is always the first.
fn order(peers: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..peers).map(move |place| match round % 2 {
        0 => place,
        _ => peers - 1 - place,
    })
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
        Kind::Fairness(_) | Kind::Stuck { plain: true } => Served {
            handshakes,
            frames: messages,
            pages: done,
        },
        Kind::Stuck { plain: false } => Served {
            handshakes,
            frames: done,
            pages: messages,
        },
        Kind::Pages => Served {
            handshakes,
            frames: messages,
            pages: done,
        },
        Kind::SlowReaders => Served {
            handshakes,
            frames: messages,
            ..Served::default()
        },
        _ => Served {
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
