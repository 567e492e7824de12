//! What people read of a configuration.

use crate::conf::Reading;
use crate::conf::judge::Judgement;
use crate::conf::location::Location;
use crate::conf::reached::Reached;
use crate::page::Page;
use crate::paint::{Paint, Painted};

/// The way of an address, or every location that proxies.
pub fn all(reading: &Reading, paint: Paint) -> Page {
    let mut page = Page::new(paint);
    match &reading.reached {
        Some(reached) => way(&mut page, reached),
        None => locations(&mut page, &reading.judgement),
    }
    for note in &reading.judgement.notes {
        page.line(format!("note: {note}"));
    }
    page
}

fn locations(page: &mut Page, judgement: &Judgement) {
    for location in &judgement.locations {
        let verdict = match (location.passes(), location.is_meant()) {
            (true, _) => Painted::good("passes"),
            (false, true) => Painted::bad("fails"),
            (false, false) => Painted::note("no"),
        };
        page.painted([
            Painted::plain(format!("{}: ", title(location))),
            verdict,
            Painted::plain(format!(" ({})", location.by.name())),
        ]);
        reasons(page, &location.problems, &location.remarks);
    }
    if judgement.locations.is_empty() {
        page.line("no location proxies");
    }
}

fn reasons(page: &mut Page, problems: &[String], remarks: &[String]) {
    for problem in problems {
        page.line(format!("  - {problem}"));
    }
    for remark in remarks {
        page.line(format!("  * {remark}"));
    }
}

fn way(page: &mut Page, reached: &Reached) {
    let verdict = match reached.passes() {
        _ if reached.unjudged.is_some() => Painted::note("can't tell"),
        true => Painted::good("passes"),
        false => Painted::bad("fails"),
    };
    page.painted([Painted::plain(format!("{}: ", reached.url)), verdict]);
    for (what, stop) in [("server", &reached.server), ("location", &reached.location)] {
        if let Some(stop) = stop {
            let (place, name, why) = (place(&stop.file, stop.line), &stop.name, &stop.why);
            page.line(format!("  {what:<9} {place} {name}: {why}"));
        }
    }
    if let Some(location) = &reached.judged {
        let (to, by) = (&location.passes_to, location.by.name());
        page.line(format!("  upstream  {to} ({by})"));
    }
    for line in &reached.sent {
        page.painted([
            Painted::plain("      "),
            Painted::faint(format!("> {line}")),
        ]);
    }
    reasons(page, &reached.problems, &reached.remarks);
}

/// A line for each location that is meant to carry WebSocket and doesn't, for `--quiet`.
pub fn lines(reading: &Reading) -> Page {
    let mut page = Page::new(Paint::none());
    if let Some(reached) = &reading.reached {
        // What can't be told is told on standard error.
        if !reached.passes() && reached.unjudged.is_none() {
            let problems = reached.problems.join("; ");
            page.line(format!("{} fails: {problems}", reached.url));
        }
        return page;
    }
    let locations = reading.judgement.locations.iter();
    for location in locations.filter(|l| l.is_meant() && !l.passes()) {
        let problems = location.problems.join("; ");
        page.line(format!("{} fails: {problems}", title(location)));
    }
    page
}

fn title(location: &Location) -> String {
    format!(
        "{} {} {} -> {}",
        place(&location.file, location.line),
        location.server,
        location.name,
        location.passes_to
    )
}

fn place(file: &str, line: usize) -> String {
    format!("{file}:{line}")
}
