//! What is measured, and how its name is written: `echo-64k-d4-c8-tls`.

use crate::figure::Figure;
use crate::flood;
use crate::result::Result;

#[derive(Clone)]
pub struct Scenario {
    pub name: String,
    pub kind: Kind,
    pub tls: bool,
    /// Over TLS as well.
    pub http2: bool,
    /// It is instructions that are counted, not time.
    pub counted: bool,
    /// Tunnels, or pages.
    pub connections: usize,
    /// What the module has to reach.
    pub targets: Vec<Target>,
}

/// From the client to the backend, or the other way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Handshake,
    Plain,
    /// Messages of `size` bytes, `depth` of them under way in each tunnel.
    Echo {
        size: usize,
        depth: usize,
    },
    /// Plain requests beside tunnels that carry all they can, in one direction.
    Fairness(Direction),
    /// Tunnels from a backend that sends all it can to clients that read a little.
    SlowReaders,
    /// What one client says, sent to all.
    Broadcast,
    /// Many tunnels with little traffic: a message a second in each. A client may ask for lists of them
    /// meanwhile.
    Many {
        listed: bool,
    },
    /// Messages at half of the rate that the peer is capable of, beside a slow reader.
    Latency {
        /// Whether each is asked for as much as the one that is capable of least.
        even: bool,
    },
    /// Pages with idle tunnels.
    Pages,
    /// Messages and plain requests of one page, beside a tunnel whose backend reads nothing, and without.
    Stuck {
        /// Whether it is requests that are measured.
        plain: bool,
    },
    /// Messages at a moderate rate, beside many readers that are as slow as can be, and without.
    SlowCrowd,
    /// Tunnels that were opened with many headers, or with few: nginx keeps what came of them.
    Idle {
        browser: bool,
    },
}

/// A bound for the ratio of the module to stock nginx.
#[derive(Clone, Copy)]
pub struct Target {
    pub figure: Figure,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// The scenarios that run when none is named; each also exists as `…-tls`.
pub const ALL: [&str; 10] = [
    "handshake",
    "plain",
    "echo-125",
    "echo-64k",
    "echo-1m",
    "idle",
    "idle-browser",
    "slow-readers",
    "fairness-up",
    "fairness-down",
];

/// Beside the page itself.
pub const TUNNELS_OF_PAGE: usize = 4;

/// What the module has to reach, in the scenarios as they are by default.
const TARGETS: [(&str, Figure, Bound); 6] = [
    ("handshake", Figure::Cpu, Bound::AtMost(1.02)),
    ("plain", Figure::Cpu, Bound::AtMost(1.02)),
    ("echo-125", Figure::Cpu, Bound::AtMost(1.02)),
    ("echo-64k", Figure::Throughput, Bound::AtLeast(4.5)),
    ("echo-1m", Figure::Throughput, Bound::AtLeast(1.8)),
    ("idle", Figure::TunnelMemory, Bound::AtMost(0.6)),
];

/// Beside tunnels nobody waits longer than with stock nginx.
const WAITS: [Target; 3] = [
    Target::no_more(Figure::WaitMedian),
    Target::no_more(Figure::WaitP99),
    Target::no_more(Figure::WaitLongest),
];

/// Whoever reads slowly keeps nobody else waiting.
const UNTOUCHED: Target = Target {
    figure: Figure::WaitP99,
    bound: Bound::AtMost(1.1),
};

impl Scenario {
    pub fn all() -> Result<Vec<Self>> {
        let plain = ALL.iter().map(|name| (*name).to_owned());
        let tls = ALL.iter().map(|name| format!("{name}-tls"));
        plain.chain(tls).map(|name| Self::parse(&name)).collect()
    }

    pub fn parse(name: &str) -> Result<Self> {
        let unknown = || format!("there is no scenario \"{name}\"");
        let mut parts = name.split('-');
        let mut scenario = Self {
            name: name.to_owned(),
            kind: Kind::Plain,
            tls: false,
            http2: false,
            counted: false,
            connections: 0,
            targets: Vec::new(),
        };
        (scenario.kind, scenario.connections) = match parts.next() {
            Some("handshake") => (Kind::Handshake, 32),
            Some("plain") => (Kind::Plain, 32),
            Some("idle") => (Kind::Idle { browser: false }, 2000),
            Some("slow") => match parts.next() {
                Some("readers") => (Kind::SlowReaders, 100),
                Some("crowd") => (Kind::SlowCrowd, 5000),
                _ => return Err(unknown().into()),
            },
            Some("pages") => (Kind::Pages, 1000),
            Some("stuck") => (Kind::Stuck { plain: false }, 50),
            Some("broadcast") => (Kind::Broadcast, 1000),
            Some("many") => (Kind::Many { listed: false }, 5000),
            Some("latency") => (Kind::Latency { even: false }, 32),
            Some("fairness") => match parts.next() {
                Some("up") => (Kind::Fairness(Direction::Up), 8),
                Some("down") => (Kind::Fairness(Direction::Down), 8),
                _ => return Err(unknown().into()),
            },
            Some("echo") => {
                let size = parts.next().and_then(bytes).ok_or_else(unknown)?;
                let connections = match size {
                    ..=4096 => 32,
                    4097..=262_144 => 16,
                    _ => 8,
                };
                (Kind::Echo { size, depth: 1 }, connections)
            }
            _ => return Err(unknown().into()),
        };
        for part in parts {
            let (letter, number) = part.split_at(part.len().min(1));
            let number = number.parse().ok().filter(|&number| number > 0);
            match (letter, number, &mut scenario.kind) {
                _ if part == "tls" => scenario.tls = true,
                _ if part == "h2" => (scenario.tls, scenario.http2) = (true, true),
                (_, _, Kind::Handshake | Kind::Plain | Kind::Echo { .. } | Kind::Broadcast)
                    if part == "instructions" =>
                {
                    scenario.counted = true;
                }
                (_, _, Kind::Stuck { plain }) if part == "plain" => *plain = true,
                (_, _, Kind::Idle { browser }) if part == "browser" => *browser = true,
                (_, _, Kind::Latency { even }) if part == "even" => *even = true,
                (_, _, Kind::Many { listed }) if part == "listed" => *listed = true,
                ("c", Some(number), _) => scenario.connections = number,
                ("d", Some(number), Kind::Echo { depth, .. }) => *depth = number,
                _ => return Err(unknown().into()),
            }
        }
        let own = TARGETS.iter().filter(|(target, ..)| *target == name);
        let own = own.map(|&(_, figure, bound)| Target { figure, bound });
        scenario.targets = match scenario.kind {
            Kind::Fairness(_) => WAITS.to_vec(),
            Kind::SlowCrowd | Kind::Stuck { .. } => vec![UNTOUCHED],
            _ => own.collect(),
        };
        Ok(scenario)
    }

    /// What one message moves, one way.
    pub const fn payload(&self) -> usize {
        match self.kind {
            Kind::Echo { size, .. } => size,
            Kind::Fairness(_) => flood::PAYLOAD,
            _ => 0,
        }
    }

    /// Whether each peer runs by itself, one after the other, as together they would be too many
    /// connections.
    pub const fn is_alone(&self) -> bool {
        matches!(
            self.kind,
            Kind::Idle { .. } | Kind::Many { .. } | Kind::SlowReaders | Kind::Pages
        )
    }

    /// Whether a whole run is one turn of a peer, however it is cut in pieces: where it is alone, and where the longest
    /// wait counts, of which a piece says little.
    pub const fn is_one_turn(&self) -> bool {
        self.is_alone() || matches!(self.kind, Kind::Fairness(_))
    }

    /// Whether it has two proxies of one kind: one beside which there is something that the other one
    /// hasn't.
    pub const fn has_sides(&self) -> bool {
        matches!(self.kind, Kind::SlowCrowd | Kind::Stuck { .. })
    }

    /// How many connections its clients have to a proxy at once, if each carries one thing.
    pub const fn clients(&self) -> usize {
        match self.kind {
            Kind::Pages => self.connections * (1 + TUNNELS_OF_PAGE),
            // As many requests as tunnels.
            Kind::Stuck { .. } => 2 * self.connections,
            _ => self.connections,
        }
    }

    /// What a page shows of it; the rest is for whoever looks closer.
    pub const fn headlines(&self) -> &'static [Figure] {
        if self.counted {
            return &[Figure::Instructions];
        }
        match self.kind {
            Kind::Handshake | Kind::Plain | Kind::Echo { .. } | Kind::Broadcast => &[Figure::Cpu],
            Kind::Idle { .. } => &[Figure::TunnelMemory, Figure::KernelMemory, Figure::Memory],
            Kind::Pages => &[Figure::TunnelMemory, Figure::KernelMemory],
            Kind::Stuck { .. } => &[Figure::WaitMedian, Figure::WaitP99],
            Kind::SlowReaders => &[Figure::TunnelMemory, Figure::LeftMemory],
            Kind::Many { .. } => &[Figure::Cpu, Figure::WaitP99],
            Kind::SlowCrowd => &[Figure::WaitMedian, Figure::WaitP99, Figure::Memory],
            Kind::Latency { .. } => &[
                Figure::Rate,
                Figure::WaitMedian,
                Figure::WaitP99,
                Figure::WaitP999,
            ],
            Kind::Fairness(_) => &[Figure::WaitP99, Figure::Throughput],
        }
    }

    pub const fn operation(&self) -> &'static str {
        match self.kind {
            Kind::Handshake => "handshake",
            Kind::Plain | Kind::Fairness(_) | Kind::Stuck { plain: true } => "request",
            Kind::Echo { .. }
            | Kind::Broadcast
            | Kind::Many { .. }
            | Kind::Latency { .. }
            | Kind::Stuck { plain: false }
            | Kind::SlowCrowd => "message",
            Kind::Pages => "page",
            Kind::SlowReaders | Kind::Idle { .. } => "tunnel",
        }
    }
}

impl Target {
    const fn no_more(figure: Figure) -> Self {
        Self {
            figure,
            bound: Bound::AtMost(1.0),
        }
    }
}

impl Bound {
    pub fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

fn bytes(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix(['k', 'm']) {
        Some(digits) if text.ends_with('k') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let bytes = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    (1..=16 << 20).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Scenario};

    #[test]
    fn names_are_read() {
        let scenario = Scenario::parse("echo-64k-d4-c8-tls").unwrap();
        assert!(scenario.tls && scenario.connections == 8 && scenario.targets.is_empty());
        assert!(matches!(
            scenario.kind,
            Kind::Echo {
                size: 65_536,
                depth: 4
            }
        ));
        let scenario = Scenario::parse("handshake-tls-instructions").unwrap();
        assert!(scenario.tls && scenario.counted);
        assert!(Scenario::parse("idle-instructions").is_err());
        let scenario = Scenario::parse("plain-h2").unwrap();
        assert!(scenario.tls && scenario.http2);
        assert_eq!(Scenario::all().unwrap().len(), 20);
        for (name, kind, connections) in [
            ("broadcast", Kind::Broadcast, 1000),
            ("many-tls", Kind::Many { listed: false }, 5000),
            ("many-listed", Kind::Many { listed: true }, 5000),
            ("latency-c8", Kind::Latency { even: false }, 8),
            ("latency-tls-even", Kind::Latency { even: true }, 32),
            ("slow-crowd-tls", Kind::SlowCrowd, 5000),
            ("pages-h2", Kind::Pages, 1000),
            ("stuck-plain-h2", Kind::Stuck { plain: true }, 50),
        ] {
            let scenario = Scenario::parse(name).unwrap();
            assert!(scenario.kind == kind && scenario.connections == connections);
        }
        for wrong in [
            "",
            "echo",
            "echo-",
            "echo-x",
            "fairness",
            "fairness-8",
            "idle-d2",
            "slow",
            "slow-down",
            "plain-browser",
            "many-d2",
            "idle-plain",
            "handshake-c0",
            "plain-",
        ] {
            assert!(Scenario::parse(wrong).is_err(), "{wrong}");
        }
    }
}
