//! What people read of a configuration.

use std::fmt::Write as _;

use crate::conf::Reading;
use crate::conf::judge::Judgement;
use crate::conf::location::Location;
use crate::conf::reach::Reached;
use crate::paint::Paint;

// Writing into a String can't fail, so its results are dropped throughout.

/// The way of an address, or every location that proxies.
pub fn all(reading: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    match &reading.reached {
        Some(reached) => way(&mut out, reached, paint),
        None => locations(&mut out, &reading.judgement, paint),
    }
    for note in &reading.judgement.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn locations(out: &mut String, judgement: &Judgement, paint: Paint) {
    for location in &judgement.locations {
        let verdict = match (location.passes(), location.is_meant()) {
            (true, _) => paint.good("passes"),
            (false, true) => paint.bad("fails"),
            (false, false) => paint.note("no"),
        };
        let _ = writeln!(
            out,
            "{}: {verdict} ({})",
            title(location),
            location.by.name()
        );
        for problem in &location.problems {
            let _ = writeln!(out, "  - {problem}");
        }
        for remark in &location.remarks {
            let _ = writeln!(out, "  * {remark}");
        }
    }
    if judgement.locations.is_empty() {
        *out += "no location proxies\n";
    }
}

fn way(out: &mut String, reached: &Reached, paint: Paint) {
    let verdict = if reached.passes() {
        paint.good("passes")
    } else {
        paint.bad("fails")
    };
    let _ = writeln!(out, "{}: {verdict}", reached.url);
    for (what, stop) in [("server", &reached.server), ("location", &reached.location)] {
        if let Some(stop) = stop {
            let (place, name, why) = (place(&stop.file, stop.line), &stop.name, &stop.why);
            let _ = writeln!(out, "  {what:<9} {place} {name}: {why}");
        }
    }
    if let Some(location) = &reached.judged {
        let (to, by) = (&location.passes_to, location.by.name());
        let _ = writeln!(out, "  upstream  {to} ({by})");
    }
    for line in &reached.sent {
        let _ = writeln!(out, "      {}", paint.faint(&format!("> {line}")));
    }
    for problem in &reached.problems {
        let _ = writeln!(out, "  - {problem}");
    }
    for remark in &reached.remarks {
        let _ = writeln!(out, "  * {remark}");
    }
}

/// A line for each location that is meant to carry WebSocket and doesn't, for `--quiet`.
pub fn lines(reading: &Reading) -> String {
    let mut out = String::new();
    if let Some(reached) = &reading.reached {
        if !reached.passes() {
            let problems = reached.problems.join("; ");
            let _ = writeln!(out, "{} fails: {problems}", reached.url);
        }
        return out;
    }
    for location in reading
        .judgement
        .locations
        .iter()
        .filter(|l| l.is_meant() && !l.passes())
    {
        let _ = writeln!(
            out,
            "{} fails: {}",
            title(location),
            location.problems.join("; ")
        );
    }
    out
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
