//! `--json`, as docs/check-websocket.schema.json describes it.

use serde_json::{Map, Value, json};

use crate::compare::Comparison;
use crate::conf::Reading;
use crate::conf::location::Location;
use crate::conf::reached::Reached;
use crate::conf::stop::Stop;
use crate::failure::Failure;
use crate::page::Page;
use crate::probes::Probe;
use crate::report::{Repeats, Report};
use crate::steps::{Outcome, Step, Walk, milliseconds};
use crate::trace::{Sent, Trace};

/// Raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

pub fn report(report: &Report) -> Page {
    let value = json!({
        "schema": SCHEMA,
        "works": report.works(),
        "front": walk(&report.front),
        "backend": report.backend.as_ref().map(walk),
        "comparison": report.comparison.as_ref().map(comparison),
        "probes": report.probes.iter().map(probe).collect::<Vec<_>>(),
        "log": report.trace.as_ref().map(trace),
        "repeat": report.repeats.as_ref().map(repeats),
        "left_out": report.left_out,
    });
    Page::json(&value)
}

pub fn configuration(reading: &Reading) -> Page {
    let judgement = &reading.judgement;
    let value = json!({
        "schema": SCHEMA,
        "works": reading.works(),
        "address": reading.reached.as_ref().map(reached),
        "locations": judgement.locations.iter().map(location).collect::<Vec<_>>(),
        "notes": judgement.notes,
        "unread": reading.unread,
    });
    Page::json(&value)
}

fn walk(walk: &Walk) -> Value {
    json!({
        "url": walk.target.to_string(),
        "works": walk.works(),
        "steps": walk.steps.iter().map(step).collect::<Vec<_>>(),
        "failure": walk.failure.as_ref().map(failure),
    })
}

fn step(step: &Step) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(step.name));
    let outcome = match step.outcome {
        Outcome::Ok => "ok",
        Outcome::Note => "note",
        Outcome::Failed => "failed",
    };
    fields.insert("outcome".to_owned(), json!(outcome));
    fields.insert("ms".to_owned(), json!(milliseconds(step.time)));
    fields.insert("text".to_owned(), json!(step.text));
    fields.extend(step.facts.clone());
    Value::Object(fields)
}

fn failure(failure: &Failure) -> Value {
    json!({
        "name": failure.name,
        "fault": failure.fault().map(|fault| fault.name()),
        "problem": failure.problem,
        "seen": failure.seen,
        "meaning": failure.meaning,
        "advice": failure.advice,
        "change": failure.change,
        "hint": failure.hint(),
        "candidates": failure.candidates.iter().map(|cause| cause.name()).collect::<Vec<_>>(),
    })
}

fn comparison(comparison: &Comparison) -> Value {
    json!({
        "verdict": comparison.verdict.name(),
        "text": comparison.text,
        "header": comparison.header,
        "differences": comparison.differences,
    })
}

fn probe(probe: &Probe) -> Value {
    json!({
        "name": probe.name,
        "status": probe.status,
        "confused": probe.confused,
        "text": probe.text,
    })
}

fn trace(trace: &Trace) -> Value {
    let request =
        |sent: &Sent| json!({"request": sent.line, "user_agent": sent.agent, "count": sent.count});
    json!({
        "client": trace.client.to_string(),
        "requests": trace.requests.iter().map(request).collect::<Vec<_>>(),
    })
}

fn repeats(repeats: &Repeats) -> Value {
    let [shortest, median, longest] = repeats.times().map_or([None; 3], |times| times.map(Some));
    json!({
        "count": repeats.count,
        "failed": repeats.failed,
        "handshake_ms": {"shortest": shortest, "median": median, "longest": longest},
    })
}

fn location(location: &Location) -> Value {
    json!({
        "server": location.server,
        "location": location.name,
        "file": location.file,
        "line": location.line,
        "passes_to": location.passes_to,
        "by": location.by.name(),
        "websocket": location.passes(),
        "problems": location.problems,
        "remarks": location.remarks,
    })
}

fn reached(reached: &Reached) -> Value {
    json!({
        "url": reached.url,
        "websocket": reached.passes(),
        "server": reached.server.as_ref().map(stop),
        "location": reached.location.as_ref().map(stop),
        "passes_to": reached.judged.as_ref().map(|location| &location.passes_to),
        "by": reached.judged.as_ref().map(|location| location.by.name()),
        "sent": reached.sent,
        "problems": reached.problems,
        "remarks": reached.remarks,
    })
}

fn stop(stop: &Stop) -> Value {
    json!({
        "name": stop.name,
        "file": stop.file,
        "line": stop.line,
        "why": stop.why,
    })
}
