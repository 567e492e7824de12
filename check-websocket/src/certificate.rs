//! A certificate in words, and as JSON.

use serde_json::{Value, json};

use crate::look::Certificate;

/// A certificate this close to its end is worth a word.
pub const FEW_DAYS: i64 = 14;

/// What is said of it in the step's line.
pub fn describe(certificate: &Certificate) -> String {
    let name = if certificate.name_matches {
        "name matches"
    } else {
        "name does not match"
    };
    let chain = if certificate.chain.is_none() {
        "chain trusted"
    } else {
        "chain not trusted"
    };
    let days = match certificate.days_left {
        ..=-1 => "expired".to_owned(),
        0 => "less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    };
    format!(", {name}, {chain}, {days}")
}

/// What `--json` has of it.
pub fn facts(certificate: &Certificate) -> Value {
    json!({
        "names": certificate.names,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "days_left": certificate.days_left,
        "chain_length": certificate.chain_length,
        "name_matches": certificate.name_matches,
        "chain_problem": certificate.chain.as_ref().map(|problem| problem.name),
    })
}
