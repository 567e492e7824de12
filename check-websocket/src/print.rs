//! What people read.

use std::fmt::Write as _;

use crate::failure::Failure;
use crate::paint::Paint;
use crate::report::Report;
use crate::walk::{Outcome, Walk, milliseconds};

// Writing into a String can't fail, so its results are dropped throughout.

/// The whole report.
pub fn report(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    walk(&mut out, &report.front, paint);
    for probe in &report.probes {
        let text = if probe.confused {
            paint.note(&probe.text)
        } else {
            probe.text.clone()
        };
        let _ = writeln!(out, "  probe                  {}: {text}", probe.what);
    }
    if let Some(trace) = &report.trace {
        let _ = writeln!(out, "  in nginx's logs        client {}:", trace.client);
        for sent in &trace.requests {
            let _ = writeln!(out, "      {}", paint.faint(&sent.text()));
        }
    }
    if let Some(backend) = &report.backend {
        let _ = writeln!(out);
        walk(&mut out, backend, paint);
    }
    if let Some(repeats) = &report.repeats {
        let _ = write!(out, "\n{} of {} failed", repeats.failed, repeats.count);
        if let Some([shortest, median, longest]) = repeats.times() {
            let _ = write!(
                out,
                "; handshakes took {shortest} to {longest} ms, {median} in the middle"
            );
        }
        out.push('\n');
    }
    out.push('\n');
    if let Some(comparison) = &report.comparison {
        let _ = writeln!(out, "{}", comparison.text);
        for difference in &comparison.differences {
            let _ = writeln!(out, "  {difference}");
        }
    }
    match &report.front.failure {
        None => {
            let _ = writeln!(out, "{}", paint.good("works"));
        }
        Some(failed) => failure(&mut out, failed, paint),
    }
    out
}

/// One line, for `--quiet`.
pub fn line(report: &Report) -> Option<String> {
    let failure = report.front.failure.as_ref()?;
    Some(format!(
        "{} fails: {}: {}; {}\n",
        report.front.target, failure.name, failure.seen, failure.advice
    ))
}

fn walk(out: &mut String, walk: &Walk, paint: Paint) {
    let _ = writeln!(out, "{}", walk.target);
    for step in &walk.steps {
        let text = match step.outcome {
            Outcome::Ok => step.text.clone(),
            Outcome::Note => paint.note(&step.text),
            Outcome::Failed => paint.bad(&step.text),
        };
        let time = format!("{:.1} ms", milliseconds(step.time));
        let _ = writeln!(out, "  {:<9} {time:>11}  {text}", step.name);
        for line in &step.lines {
            let _ = writeln!(out, "      {}", paint.faint(line));
        }
    }
}

/// More names than these help nobody to choose.
const FEW: usize = 4;

fn failure(out: &mut String, failure: &Failure, paint: Paint) {
    let name = match failure.problem {
        Some(problem) => format!("{} ({problem})", failure.name),
        None => failure.name.to_owned(),
    };
    let _ = writeln!(
        out,
        "{} {}: {}",
        paint.bad("fails:"),
        paint.bad(&name),
        failure.seen
    );
    let _ = writeln!(out, "  what it is: {}", failure.meaning);
    let _ = writeln!(out, "  advice:     {}", failure.advice);
    if let Some(change) = &failure.change {
        let _ = writeln!(out, "  in nginx:   {change}");
    }
    if let Some(hint) = failure.hint() {
        let _ = writeln!(out, "  from here:  {hint}");
    }
    let names: Vec<&str> = failure
        .candidates
        .iter()
        .map(|cause| cause.name())
        .collect();
    match names.as_slice() {
        [] => {}
        [names @ .., last] if names.len() < FEW => {
            let _ = writeln!(out, "  could be:   {} or {last}", names.join(", "));
        }
        names => {
            let _ = writeln!(
                out,
                "  could be:   any of {} causes that look the same from here; --json lists them",
                names.len()
            );
        }
    }
}
