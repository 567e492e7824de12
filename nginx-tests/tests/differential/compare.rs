//! Differences, in words.

use std::collections::BTreeSet;

use crate::exchange::Exchange;

/// How many differences are written out; of others there is the name.
const SHOWN: usize = 12;

/// Fails with every difference between two runs of the same exchanges.
#[track_caller]
pub fn assert_same(first: (&str, &[Exchange]), second: (&str, &[Exchange])) {
    let pairs = first.1.iter().zip(second.1);
    report(
        pairs
            .flat_map(|(a, b)| differences((first.0, a), (second.0, b)))
            .collect(),
    );
    let names = |exchanges: &[Exchange]| -> Vec<String> {
        exchanges
            .iter()
            .map(|exchange| exchange.name.clone())
            .collect()
    };
    assert_eq!(names(first.1), names(second.1));
}

/// Fails if there are any.
#[track_caller]
pub fn report(differences: Vec<String>) {
    if differences.is_empty() {
        return;
    }
    let (shown, named) = differences.split_at(differences.len().min(SHOWN));
    let names: String = named
        .iter()
        .flat_map(|text| text.split_inclusive('\n').next())
        .collect();
    panic!(
        "{} differences\n{}\n{names}",
        differences.len(),
        shown.join("\n")
    );
}

fn differences(first: (&str, &Exchange), second: (&str, &Exchange)) -> Vec<String> {
    let (a, b) = (first.1.parts(), second.1.parts());
    let places: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = places
        .into_iter()
        .filter(|place| a.get(place) != b.get(place));
    differing
        .map(|place| {
            let (a, b) = (part(first.0, a.get(place)), part(second.0, b.get(place)));
            format!("== {}: to {}\n{a}{b}", first.1.name, place.0)
        })
        .collect()
}

fn part(run: &str, text: Option<&String>) -> String {
    let text = text.map_or("(nothing)", String::as_str);
    let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!("-- {run}\n{lines}")
}
