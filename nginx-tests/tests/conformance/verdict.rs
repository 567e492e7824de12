//! What Autobahn says of a case, and when two ways have the same verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// How often a case that ended differently is played again, by itself.
const AGAIN: usize = 5;

/// How a case ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub case: String,
    pub verdict: Verdict,
    /// The verdict were it not for the Pings; `None` where one has changed the course of the case.
    pub apart_from_pings: Option<Verdict>,
    /// How many Pings came to the side that tests.
    pub pings: u64,
    /// What went over the wire at the end, for whoever reads of a difference.
    wire: Vec<String>,
    reason: String,
}

/// On the messages, on the end of the connection, and the code that came with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    pub behavior: String,
    pub close: String,
    pub code: Option<u64>,
}

impl Outcome {
    pub fn read(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().expect("a text").to_owned();
        let verdict = |behavior: &str| Verdict {
            behavior: behavior.to_owned(),
            close: text("close"),
            code: value["code"].as_u64(),
        };
        let wire = value["wire"].as_array().expect("a list");
        Self {
            case: text("case"),
            verdict: verdict(&text("behavior")),
            apart_from_pings: value["apart"].as_str().map(verdict),
            pings: value["pings"].as_u64().expect("a number"),
            wire: wire.iter().map(Value::to_string).collect(),
            reason: text("reason"),
        }
    }
}

impl Verdict {
    /// Whether it is another only by whether a side had answered what came before a fault.
    fn is_either(&self, other: &Self) -> bool {
        let passed = |verdict: &Self| matches!(verdict.behavior.as_str(), "OK" | "NON-STRICT");
        passed(self) && passed(other) && (&self.close, self.code) == (&other.close, other.code)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.behavior, self.close)?;
        match self.code {
            Some(code) => write!(f, " {code}"),
            None => Ok(()),
        }
    }
}

/// How the verdicts of two ways compare.
#[derive(Debug, Default)]
pub struct Comparison {
    /// How many cases got each verdict in both, as far as that is the same.
    pub same: BTreeMap<(String, String), usize>,
    /// Those whose verdict differs by a Ping in the wire log.
    pub pinged: Vec<String>,
    /// Those that had the same verdict only when they were played again.
    pub again: Vec<String>,
    /// Those that Autobahn takes either way, and the other way: how much of a message came with one read
    /// before the fault behind it.
    pub either: Vec<String>,
    /// The others, with what is known of each.
    pub different: Vec<String>,
}

/// Compares case by case. One that differs is played again by itself, both ways: what a side has read
/// when the other one closes, and whether a second was enough, is chance on a busy machine. It counts as
/// the same as soon as both ways have had a verdict in common.
pub fn compare(
    direct: &[Outcome],
    through: &[Outcome],
    mut again: impl FnMut(&str) -> (Outcome, Outcome),
) -> Comparison {
    let cases = |outcomes: &[Outcome]| -> Vec<String> {
        outcomes
            .iter()
            .map(|outcome| outcome.case.clone())
            .collect()
    };
    assert_eq!(cases(direct), cases(through));
    let mut found = Comparison::default();
    for (direct, through) in direct.iter().zip(through) {
        let (mut one, mut other) = (direct.clone(), through.clone());
        let mut seen = (BTreeSet::new(), BTreeSet::new());
        let mut tries = 0;
        loop {
            let Some(verdict) = other.apart_from_pings.clone() else {
                if has_another_course(&other.case) {
                    found.pinged.push(other.case);
                } else {
                    let text = format!("{}: by a Ping that explains nothing", other.case);
                    found.different.push(text);
                }
                break;
            };
            seen.0.insert(one.verdict.clone());
            seen.1.insert(verdict);
            if !seen.0.is_disjoint(&seen.1) {
                found.count(other, tries);
                break;
            }
            if tries == AGAIN
                && seen
                    .0
                    .union(&seen.1)
                    .all(|verdict| verdict.is_either(&other.verdict))
            {
                found.either.push(other.case);
                break;
            }
            if tries == AGAIN {
                let Outcome {
                    case, reason, wire, ..
                } = other;
                let (one, other) = (list(&seen.0), list(&seen.1));
                let wire = wire.join("\n  ");
                let text = format!("{case}: {one}, through nginx {other}: {reason}\n  {wire}");
                found.different.push(text);
                break;
            }
            tries += 1;
            (one, other) = again(&direct.case);
        }
    }
    found
}

/// Whether a Ping may change the course of a case so that nothing can be said of it: those that wait in the middle of a
/// frame of their own, and those that end at any event that they have not foreseen.
fn has_another_course(case: &str) -> bool {
    ["6.4.3", "6.4.4"].contains(&case)
        || ["9.", "12.", "13."]
            .iter()
            .any(|group| case.starts_with(group))
}

impl Comparison {
    fn count(&mut self, through: Outcome, tries: usize) {
        let Outcome { case, verdict, .. } = through;
        if Some(&verdict) != through.apart_from_pings.as_ref() {
            return self.pinged.push(case);
        }
        if tries > 0 {
            self.again.push(case);
        }
        let kind = (verdict.behavior, verdict.close);
        *self.same.entry(kind).or_default() += 1;
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same: usize = self.same.values().sum();
        write!(f, "{same} the same")?;
        for ((behavior, close), count) in &self.same {
            write!(f, ", {count} {behavior} / {close}")?;
        }
        write!(f, "; different: {}", self.different.len())?;
        for (what, cases) in [
            ("by a Ping", &self.pinged),
            ("played again", &self.again),
            ("either way", &self.either),
        ] {
            write!(f, "; {what}: {}", cases.len())?;
            if !cases.is_empty() {
                write!(f, " ({})", cases.join(" "))?;
            }
        }
        Ok(())
    }
}

fn list(verdicts: &BTreeSet<Verdict>) -> String {
    let texts: Vec<String> = verdicts.iter().map(Verdict::to_string).collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, Outcome, compare};
    use serde_json::json;

    fn outcome(case: &str, behavior: &str, apart: &str) -> Outcome {
        Outcome::read(&json!({
            "case": case, "behavior": behavior, "apart": apart, "close": "OK", "code": 1000,
            "pings": 0, "reason": "", "wire": [],
        }))
    }

    #[test]
    fn a_ping_explains_nothing_where_it_can_change_nothing() {
        let pinged = |case: &str| {
            Outcome::read(&json!({
                "case": case, "behavior": "FAILED", "apart": null, "close": "OK", "code": 1000,
                "pings": 1, "reason": "", "wire": [],
            }))
        };
        for (case, is_explained) in [("9.1.6", true), ("6.4.3", true), ("1.1.1", false)] {
            let direct = [outcome(case, "OK", "OK")];
            let found = compare(&direct, &[pinged(case)], |_| unreachable!());
            assert_eq!(found.pinged.len(), usize::from(is_explained), "{case}");
            assert_eq!(found.different.is_empty(), is_explained, "{case}");
        }
    }

    #[test]
    fn only_what_stays_different_is() {
        let direct = ["1", "2", "3", "4", "5"].map(|case| outcome(case, "OK", "OK"));
        let through = [
            outcome("1", "OK", "OK"),
            outcome("2", "FAILED", "OK"),
            outcome("3", "NON-STRICT", "NON-STRICT"),
            outcome("4", "FAILED", "FAILED"),
            outcome("5", "NON-STRICT", "NON-STRICT"),
        ];
        let mut played = Vec::new();
        let found = compare(&direct, &through, |case| {
            played.push(case.to_owned());
            let verdict = match case {
                "3" if played.len() == 2 => "OK",
                "5" => "NON-STRICT",
                _ => "FAILED",
            };
            (outcome(case, "OK", "OK"), outcome(case, verdict, verdict))
        });
        assert_eq!(
            (found.pinged, found.again, found.either),
            (vec!["2".into()], vec!["3".into()], vec!["5".into()])
        );
        assert_eq!(found.same.values().sum::<usize>(), 2);
        assert_eq!(found.different.len(), 1);
        assert!(found.different[0].starts_with("4: OK / OK 1000, through nginx FAILED / OK 1000"));
        assert_eq!(played.len(), 2 + 2 * AGAIN);
    }
}
