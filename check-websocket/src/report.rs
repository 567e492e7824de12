//! Everything one run of the program found.

use std::time::Duration;

use crate::compare::{self, Comparison};
use crate::failure::Role;
use crate::forgotten;
use crate::options::Walk as Options;
use crate::probes::{self, Probe};
use crate::tls::Tls;
use crate::trace::Trace;
use crate::walk::{self, Walk, milliseconds};

pub struct Report {
    /// The first walk that failed, or else the first.
    pub front: Walk,
    pub backend: Option<Walk>,
    pub comparison: Option<Comparison>,
    pub probes: Vec<Probe>,
    /// What nginx's logs have of it, if anything was sent.
    pub trace: Option<Trace>,
    pub repeats: Option<Repeats>,
}

/// `--repeat`
pub struct Repeats {
    pub count: u32,
    pub failed: u32,
    /// Of the handshakes that were answered, sorted.
    handshakes: Vec<Duration>,
}

impl Report {
    pub fn works(&self) -> bool {
        self.front.works()
    }
}

impl Repeats {
    /// The shortest, the median and the longest handshake.
    pub fn times(&self) -> Option<[f64; 3]> {
        let (first, last) = (self.handshakes.first()?, self.handshakes.last()?);
        let median = self.handshakes.get(self.handshakes.len() / 2)?;
        Some([first, median, last].map(|time| milliseconds(*time)))
    }
}

pub fn make(options: &Options) -> Report {
    let tls = Tls::new();
    let mut front = walk::walk(&options.target, Role::Front, options, &tls);
    let repeats = (options.repeat > 1).then(|| repeat(&mut front, options, &tls));

    let mut trace = trace(&front, options.repeat);
    let probes = match (front.address, &mut trace) {
        // Wrong handshakes after one that failed would only add to the log what has to be told
        // apart from it.
        (Some(address), Some(trace)) if options.probes && front.is_open() => {
            let (target, request) = (&front.target, &front.request);
            probes::probe(target, address, request, options, &tls, trace)
        }
        _ => Vec::new(),
    };
    let backend = options.backend.as_ref().map(|target| {
        // What holds the connection is looked at on the way that users take.
        let options = Options {
            hold: None,
            ..options.clone()
        };
        walk::walk(target, Role::Backend, &options, &tls)
    });
    let comparison = backend
        .as_ref()
        .map(|backend| compare::compare(&mut front, backend, options, &tls));
    // What the backend answers by itself is the better proof.
    let is_compared = backend
        .as_ref()
        .is_some_and(|backend| backend.answer.is_some());
    if !is_compared {
        let compared = forgotten::look(&mut front, options, &tls);
        if let (Some(request), Some(trace)) = (compared, &mut trace) {
            trace.note(&request, 1);
        }
    }
    Report {
        front,
        backend,
        comparison,
        probes,
        trace,
        repeats,
    }
}

/// The handshakes that were sent.
fn trace(front: &Walk, count: u32) -> Option<Trace> {
    front.step("handshake")?;
    let mut trace = Trace::of(front.local?);
    trace.note(&front.request, count);
    Some(trace)
}

/// Does it again, and leaves the first walk that failed in `front`.
fn repeat(front: &mut Walk, options: &Options, tls: &Tls) -> Repeats {
    let mut repeats = Repeats {
        count: options.repeat,
        failed: 0,
        handshakes: Vec::new(),
    };
    repeats.note(front);
    for _ in 1..options.repeat {
        let next = walk::walk(&options.target, Role::Front, options, tls);
        repeats.note(&next);
        if front.works() && !next.works() {
            *front = next;
        }
    }
    repeats.handshakes.sort();
    repeats
}

impl Repeats {
    fn note(&mut self, walk: &Walk) {
        self.failed += u32::from(!walk.works());
        let answered = walk.answer.as_ref().and_then(|_| walk.step("handshake"));
        self.handshakes.extend(answered.map(|step| step.time));
    }
}
