//! Results for people, for pages and for programs.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::figure::Figure;
use crate::figures::Figures;
use crate::measure::{Outcome, Run};
use crate::scenario::Target;
use crate::statistics::{Spread, median};

/// A figure of a scenario, and what it is for each peer.
pub struct Column {
    pub title: String,
    pub cells: Vec<(&'static str, Spread)>,
}

impl Outcome {
    /// What a page shows.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        let figures = self.scenario.headlines().iter();
        figures.map(|&figure| {
            let peers = self.peers.iter().enumerate();
            let cells = peers.filter_map(|(peer, name)| Some((*name, self.spread(peer, figure)?)));
            Column {
                title: format!(
                    "{}: {}",
                    self.scenario.name,
                    figure.label(self.scenario.operation())
                ),
                cells: cells.collect(),
            }
        })
    }

    /// The figures that every turn of every peer has.
    fn figures(&self) -> BTreeSet<Figure> {
        let turns = self.runs.iter().flatten().flatten();
        let mut sets = turns.map(|figures| figures.keys().copied().collect());
        let first: BTreeSet<Figure> = sets.next().unwrap_or_default();
        sets.fold(first, |common, set: BTreeSet<Figure>| &common & &set)
    }

    /// For each run the median of a peer's turns.
    fn medians(&self, peer: usize, figure: Figure) -> Vec<f64> {
        let of_run = |run: &Run| median(run.iter().map(|turns| turns[peer][&figure]));
        self.runs.iter().filter_map(of_run).collect()
    }

    fn spread(&self, peer: usize, figure: Figure) -> Option<Spread> {
        Spread::of(self.medians(peer, figure))
    }

    /// For each run the median of a peer's turns by the turns of the last peer that were next to
    /// them: what slows down both falls away.
    fn ratio(&self, peer: usize, figure: Figure) -> Option<Spread> {
        let last = self.peers.len() - 1;
        let of_turns = |turns: &Vec<Figures>| turns[peer][&figure] / turns[last][&figure];
        let of_run = |run: &Run| median(run.iter().map(of_turns));
        Spread::of(self.runs.iter().filter_map(of_run))
    }

    /// What the module has to reach: only that peer, and only by stock nginx, or by itself.
    fn target(&self, peer: usize, figure: Figure) -> Option<Target> {
        let applies = self.peers[peer] == "module" && self.peers.last() == Some(&"stock")
            || self.scenario.has_sides() && peer == 0;
        let mut targets = self.scenario.targets.iter().filter(|_| applies);
        targets.find(|target| target.figure == figure).copied()
    }

    fn verdict(&self, peer: usize, figure: Figure, ratio: &Spread) -> Option<String> {
        let Target { bound, .. } = self.target(peer, figure)?;
        let holds = [ratio.low, ratio.median, ratio.high].map(|ratio| bound.holds(ratio));
        let verdict = match holds {
            [true, true, true] => "met",
            [_, true, _] => "met, within noise",
            [false, false, false] => "missed",
            _ => "missed, within noise",
        };
        Some(format!("{bound}: {verdict}"))
    }
}

/// `module: nginx 1.22.1`
pub fn versions(versions: &[(&str, String)]) -> String {
    let lines = versions
        .iter()
        .map(|(name, version)| format!("{name}: {version}\n"));
    lines.collect()
}

pub fn text(outcome: &Outcome) -> String {
    let scenario = &outcome.scenario;
    let mut text = format!(
        "{} ({} connections, {} runs)\n",
        scenario.name,
        scenario.connections,
        outcome.runs.len()
    );
    for figure in outcome.figures() {
        for (peer, name) in outcome.peers.iter().enumerate() {
            let Some(spread) = outcome.spread(peer, figure) else {
                continue;
            };
            let label = if peer == 0 {
                figure.label(scenario.operation())
            } else {
                String::new()
            };
            let figures = range(&spread, digits(spread.median));
            let _ = write!(text, "  {label:24} {name:8} {figures:34}");
            if let Some(ratio) = outcome
                .ratio(peer, figure)
                .filter(|_| peer + 1 < outcome.peers.len())
            {
                let verdict = outcome.verdict(peer, figure, &ratio).unwrap_or_default();
                let _ = write!(text, " ratio {:30} {verdict}", confidence(&ratio));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    text
}

/// Peers below one another, their figures side by side.
pub fn side_by_side(columns: &[Column]) -> String {
    let mut peers: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flat_map(|column| &column.cells) {
        if !peers.contains(name) {
            peers.push(name);
        }
    }
    let titles = columns.iter().map(|column| format!(" {} |", column.title));
    let mut text = format!("| |{}\n|---|", titles.collect::<String>());
    text += &"---:|".repeat(columns.len());
    text.push('\n');
    for peer in peers {
        let _ = write!(text, "| {peer} |");
        for column in columns {
            let cell = column.cells.iter().find(|(name, _)| *name == peer);
            let cell = cell.map(|(_, spread)| range(spread, digits(spread.median)));
            let _ = write!(text, " {} |", cell.unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

/// A table for each set of peers: some can't do everything.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let tables = outcomes.chunk_by(|one, other| one.peers == other.peers);
    tables.map(table).collect::<Vec<_>>().join("\n")
}

fn table(outcomes: &[Outcome]) -> String {
    let Some(first) = outcomes.first() else {
        return String::new();
    };
    let mut text = String::from("| scenario | figure |");
    let mut rule = String::from("|---|---|");
    for peer in &first.peers {
        let _ = write!(text, " {peer} |");
        rule += "---:|";
    }
    let Some((last, others)) = first.peers.split_last() else {
        return String::new();
    };
    for peer in others {
        let _ = write!(text, " {peer} / {last} |");
        rule += "---:|";
    }
    // What the module has to reach by itself, or beside stock nginx, is said where there is something.
    let has_target = |outcome: &Outcome| {
        let mut peers = 0..outcome.peers.len();
        peers.any(|peer| {
            outcome
                .figures()
                .into_iter()
                .any(|figure| outcome.target(peer, figure).is_some())
        })
    };
    let has_targets = outcomes.iter().any(has_target);
    if has_targets {
        text += " target |";
        rule += "---|";
    }
    let _ = writeln!(text, "\n{rule}");
    for outcome in outcomes {
        let scenario = &outcome.scenario;
        for figure in outcome.figures() {
            let _ = write!(
                text,
                "| {} | {} |",
                scenario.name,
                figure.label(scenario.operation())
            );
            for peer in 0..outcome.peers.len() {
                let cell = outcome
                    .spread(peer, figure)
                    .map(|s| range(&s, digits(s.median)));
                let _ = write!(text, " {} |", cell.unwrap_or_default());
            }
            let mut verdicts = Vec::new();
            for peer in 0..others.len() {
                let ratio = outcome.ratio(peer, figure);
                let cell = ratio.as_ref().map(confidence).unwrap_or_default();
                let _ = write!(text, " {cell} |");
                verdicts.extend(ratio.and_then(|ratio| outcome.verdict(peer, figure, &ratio)));
            }
            if has_targets {
                let _ = write!(text, " {} |", verdicts.join("; "));
            }
            text.push('\n');
        }
    }
    text
}

/// All figures of every run.
pub fn json(outcomes: &[Outcome], versions: &[(&str, String)]) -> String {
    document(outcomes.iter().map(in_full).collect(), versions).to_string()
}

/// All figures, as `markdown()` has them.
pub fn in_full(outcome: &Outcome) -> Value {
    outcome_json(outcome, &outcome.figures())
}

/// Those that `columns()` has.
pub fn in_short(outcome: &Outcome) -> Value {
    let headlines = outcome.scenario.headlines().iter().copied().collect();
    outcome_json(outcome, &(&outcome.figures() & &headlines))
}

/// What a page shows, a line for each scenario.
pub fn json_of_page(scenarios: Vec<Value>, versions: &[(&str, String)]) -> String {
    document(scenarios, versions)
        .to_string()
        .replace("{\"connections\"", "\n{\"connections\"")
        + "\n"
}

fn document(outcomes: Vec<Value>, versions: &[(&str, String)]) -> Value {
    let versions = versions
        .iter()
        .map(|(name, version)| ((*name).to_owned(), json!(version)));
    let versions: Map<String, Value> = versions.collect();
    json!({ "versions": versions, "scenarios": outcomes })
}

fn outcome_json(outcome: &Outcome, shown: &BTreeSet<Figure>) -> Value {
    let mut peers = Map::new();
    let last = outcome.peers.len() - 1;
    for (peer, name) in outcome.peers.iter().enumerate() {
        let mut figures = Map::new();
        for &figure in shown {
            let runs = outcome.medians(peer, figure);
            let spread = Spread::of(runs.iter().copied());
            let label = figure.label(outcome.scenario.operation());
            let mut entry = Map::from_iter([
                ("label".to_owned(), json!(label)),
                (
                    "median".to_owned(),
                    json!(spread.as_ref().map(|s| s.median)),
                ),
                ("min".to_owned(), json!(spread.as_ref().map(|s| s.least))),
                ("max".to_owned(), json!(spread.as_ref().map(|s| s.most))),
                ("runs".to_owned(), json!(runs)),
            ]);
            if let Some(ratio) = outcome.ratio(peer, figure).filter(|_| peer != last) {
                let mut object = json!({
                    "to": outcome.peers[last],
                    "median": ratio.median, "min": ratio.least, "max": ratio.most,
                    "low": ratio.low, "high": ratio.high,
                });
                if let Some(target) = outcome.target(peer, figure) {
                    object["target"] = json!(target.bound.to_string());
                    object["met"] = json!(target.bound.holds(ratio.median));
                }
                entry.insert("ratio".to_owned(), object);
            }
            figures.insert(figure.key().to_owned(), entry.into());
        }
        peers.insert((*name).to_owned(), figures.into());
    }
    json!({
        "name": outcome.scenario.name,
        "operation": outcome.scenario.operation(),
        "connections": outcome.scenario.connections,
        "peers": peers,
    })
}

/// `median (least–most)`
fn range(spread: &Spread, digits: usize) -> String {
    let Spread {
        median,
        least,
        most,
        ..
    } = spread;
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

/// `median [low–high]`
fn confidence(ratio: &Spread) -> String {
    let Spread {
        median, low, high, ..
    } = ratio;
    format!("{median:.3} [{low:.3}–{high:.3}]")
}

/// Four that tell something.
pub fn digits(value: f64) -> usize {
    match value.abs() {
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1000.0 => 1,
        _ => 0,
    }
}
