//! Everything one run of the program found.

use std::time::Duration;

use crate::compare::{self, Comparison};
use crate::deadline::Deadline;
use crate::failure::Role;
use crate::forgotten;
use crate::http2;
use crate::options::Walk as Options;
use crate::probes::{self, Probe};
use crate::steps::{Walk, milliseconds};
use crate::tls::Tls;
use crate::trace::Trace;
use crate::walk;

pub struct Report {
    /// The first walk that failed, or else the first.
    pub front: Walk,
    pub backend: Option<Walk>,
    pub comparison: Option<Comparison>,
    pub probes: Vec<Probe>,
    /// What nginx's logs have of it, if anything was sent.
    pub trace: Option<Trace>,
    pub repeats: Option<Repeats>,
    /// What was not done because the time for all of it was over.
    pub left_out: Vec<String>,
}

/// `--repeat`
pub struct Repeats {
    /// How often it was done.
    pub count: u32,
    pub failed: u32,
    /// How many handshakes were sent, that of a walk cut short included.
    sent: u32,
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
    let mut left_out = LeftOut {
        deadline: options.deadline,
        texts: Vec::new(),
    };
    let mut front = walk::walk(&options.target, Role::Front, options, &tls);
    let repeats = (options.repeat > 1).then(|| repeat(&mut front, options, &tls, &mut left_out));

    let mut trace = trace(&front, repeats.as_ref().map_or(1, |repeats| repeats.sent));
    if let (Some(address), Some(trace)) = (front.address, &mut trace) {
        if options.http2 && !left_out.if_over("WebSocket over HTTP/2") {
            let sent = http2::look(&mut front, address, options, &tls);
            sent.into_iter().for_each(|request| trace.note(&request, 1));
        }
    }
    let probes = match (front.address, &mut trace) {
        // Wrong handshakes after one that failed would only add to the log what has to be told
        // apart from it.
        (Some(address), Some(trace)) if options.probes && front.is_open() => {
            let (target, request) = (&front.target, &front.request);
            let probes = probes::probe(target, address, request, options, &tls, trace);
            left_out.if_over("handshakes that are wrong on purpose");
            probes
        }
        _ => Vec::new(),
    };
    let backend = options.backend.as_ref().and_then(|target| {
        if left_out.if_over("the backend, and what nginx may have changed") {
            return None;
        }
        // What holds the connection is looked at on the way that users take.
        let mut options = options.clone();
        options.hold = None;
        Some(walk::walk(target, Role::Backend, &options, &tls))
    });
    let comparison = backend.as_ref().map(|backend| {
        let comparison = compare::compare(&mut front, backend, options, &tls);
        left_out.if_over("some of what nginx may have changed");
        comparison
    });
    // What the backend answers by itself is the better proof.
    let is_compared = backend
        .as_ref()
        .is_some_and(|backend| backend.answer.is_some());
    if !is_compared && !options.deadline.is_over() {
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
        left_out: left_out.texts,
    }
}

/// Of one walk, and nothing else.
pub fn only(front: Walk) -> Report {
    Report {
        front,
        backend: None,
        comparison: None,
        probes: Vec::new(),
        trace: None,
        repeats: None,
        left_out: Vec::new(),
    }
}

struct LeftOut {
    deadline: Deadline,
    texts: Vec<String>,
}

impl LeftOut {
    fn if_over(&mut self, what: &str) -> bool {
        let is_over = self.deadline.is_over();
        // What was left out first stands for the rest.
        if is_over && self.texts.is_empty() {
            self.texts.push(format!(
                "left out, as the {} s for the whole run were over (--deadline): {what}",
                self.deadline.seconds()
            ));
        }
        is_over
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
fn repeat(front: &mut Walk, options: &Options, tls: &Tls, left_out: &mut LeftOut) -> Repeats {
    let mut repeats = Repeats {
        count: 0,
        failed: 0,
        sent: 0,
        handshakes: Vec::new(),
    };
    repeats.sent += u32::from(front.was_asked());
    repeats.note(front);
    for done in 1..options.repeat {
        let rest = format!("{} of {} times", options.repeat - done, options.repeat);
        if left_out.if_over(&rest) {
            break;
        }
        let next = walk::walk(&options.target, Role::Front, options, tls);
        repeats.sent += u32::from(next.was_asked());
        // What there was no time for says nothing against the server.
        if next.is_cut && left_out.if_over(&rest) {
            break;
        }
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
        self.count += 1;
        self.failed += u32::from(!walk.works());
        let answered = walk.answer.as_ref().and_then(|_| walk.step("handshake"));
        self.handshakes.extend(answered.map(|step| step.time));
    }
}
