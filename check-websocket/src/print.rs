//! What people read.

use crate::failure::Failure;
use crate::page::Page;
use crate::paint::{Paint, Painted};
use crate::report::Report;
use crate::steps::{Outcome, Walk, milliseconds};

/// The whole report.
pub fn report(report: &Report, paint: Paint) -> Page {
    let mut page = Page::new(paint);
    walk(&mut page, &report.front);
    for probe in &report.probes {
        let what = Painted::plain(format!("  probe                  {}: ", probe.what));
        let text = match probe.confused {
            true => Painted::note(&probe.text),
            false => Painted::plain(&probe.text),
        };
        page.painted([what, text]);
    }
    if let Some(trace) = &report.trace {
        page.line(format!("  in nginx's logs        client {}:", trace.client));
        for sent in &trace.requests {
            below(&mut page, sent.text());
        }
    }
    if let Some(backend) = &report.backend {
        page.line("");
        walk(&mut page, backend);
    }
    if let Some(repeats) = &report.repeats {
        page.line("");
        let mut text = format!("{} of {} failed", repeats.failed, repeats.count);
        if let Some([shortest, median, longest]) = repeats.times() {
            text +=
                &format!("; handshakes took {shortest} to {longest} ms, {median} in the middle");
        }
        page.line(text);
    }
    page.line("");
    if let Some(comparison) = &report.comparison {
        page.line(&comparison.text);
        for difference in &comparison.differences {
            page.line(format!("  {difference}"));
        }
    }
    for left_out in &report.left_out {
        page.painted([Painted::note(left_out)]);
    }
    match &report.front.failure {
        None => page.painted([Painted::good("works")]),
        Some(failed) => failure(&mut page, failed),
    }
    page
}

/// One line, for `--quiet`, where it doesn't work.
pub fn line(report: &Report) -> Page {
    let mut page = Page::new(Paint::none());
    if let Some(failure) = &report.front.failure {
        page.line(format!(
            "{} {}: {}: {}; {}",
            report.front.target,
            failure.verdict(),
            failure.name,
            failure.seen,
            failure.advice
        ));
    }
    page
}

fn walk(page: &mut Page, walk: &Walk) {
    page.line(&walk.target);
    for step in &walk.steps {
        let time = format!("{:.1} ms", milliseconds(step.time));
        let head = Painted::plain(format!("  {:<9} {time:>11}  ", step.name));
        let text = match step.outcome {
            Outcome::Ok => Painted::plain(&step.text),
            Outcome::Note => Painted::note(&step.text),
            Outcome::Failed => Painted::bad(&step.text),
        };
        page.painted([head, text]);
        for line in &step.lines {
            below(page, line);
        }
    }
}

fn below(page: &mut Page, text: impl Into<String>) {
    page.painted([Painted::plain("      "), Painted::faint(text)]);
}

/// More names than these help nobody to choose.
const FEW: usize = 4;

fn failure(page: &mut Page, failure: &Failure) {
    let name = match failure.problem {
        Some(problem) => format!("{} ({problem})", failure.name),
        None => failure.name.to_owned(),
    };
    page.painted([
        Painted::bad(format!("{}:", failure.verdict())),
        Painted::plain(" "),
        Painted::bad(name),
        Painted::plain(format!(": {}", failure.seen)),
    ]);
    page.line(format!("  what it is: {}", failure.meaning));
    page.line(format!("  advice:     {}", failure.advice));
    if let Some(change) = &failure.change {
        page.line(format!("  in nginx:   {change}"));
    }
    if let Some(hint) = failure.hint() {
        page.line(format!("  from here:  {hint}"));
    }
    let names: Vec<&str> = failure
        .candidates
        .iter()
        .map(|cause| cause.name())
        .collect();
    match names.as_slice() {
        [] => {}
        [names @ .., last] if names.len() < FEW => {
            page.line(format!("  could be:   {} or {last}", names.join(", ")));
        }
        names => page.line(format!(
            "  could be:   any of {} causes that look the same from here; --json lists them",
            names.len()
        )),
    }
}
