//! Metrics: they can be read, and no series is there twice.

use std::collections::HashSet;

use proptest::prelude::*;

use crate::world::{happen, happening, memory, metrics, writer, zone};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn they_can_be_read_whatever_was_sent(
        happenings in prop::collection::vec(happening(), 0..12),
        is_open: bool,
        piece in 1..3000usize,
    ) {
        let words = memory();
        let zone = zone(&words);
        let writer = writer(zone);
        for what in &happenings {
            happen(&writer, what);
        }
        let text = metrics(zone, is_open, 1 << 20);
        let samples = read(&text, is_open)?;
        let attempts: f64 = samples
            .iter()
            .filter(|(series, _)| series.starts_with("nginx_websocket_handshakes_total"))
            .map(|(_, value)| value)
            .sum();
        prop_assert_eq!(attempts, 2.0 * happenings.len() as f64);
        prop_assert_eq!(metrics(zone, is_open, piece), text);
    }
}

/// All samples, as the grammar of the format has them.
fn read(text: &str, is_open: bool) -> Result<Vec<(String, f64)>, TestCaseError> {
    let mut samples = Vec::new();
    let mut series = HashSet::new();
    let mut family = String::new();
    let end = if is_open { "# EOF\n" } else { "\n" };
    prop_assert!(text.ends_with(end));
    for line in text.trim_end_matches("# EOF\n").split_terminator('\n') {
        prop_assert!(!line.contains(|c: char| c.is_control()), "{:?}", line);
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let name = head.split_once(' ').unwrap().0;
            family = name.strip_suffix("_total").unwrap_or(name).to_owned();
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        prop_assert!(name.starts_with(&family), "{} in {}", name, family);
        if let Some((_, labels)) = name.split_once('{') {
            let mut rest = labels;
            while rest != "}" {
                let (key, after) = rest.trim_start_matches(',').split_once("=\"").unwrap();
                prop_assert!(
                    key.bytes().all(|byte| byte.is_ascii_lowercase()),
                    "{}",
                    line
                );
                rest = after_quotes(after).ok_or(TestCaseError::fail(line.to_owned()))?;
            }
        }
        prop_assert!(series.insert(name.to_owned()), "twice: {}", name);
        samples.push((name.to_owned(), value.parse().unwrap()));
    }
    Ok(samples)
}

/// What comes behind a value in quotes.
fn after_quotes(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return text.get(at + 1..),
            '\\' if !matches!(chars.next()?.1, '\\' | '"' | 'n') => return None,
            _ => {}
        }
    }
    None
}

#[test]
fn buckets_add_up() {
    let words = memory();
    let zone = zone(&words);
    let writer = writer(zone);
    let label = writer.label(b"a");
    for ms in [3, 5, 6, 70_000] {
        writer.established(label, &Default::default(), ms, 0, 0);
    }
    for (is_open, one) in [(false, "1"), (true, "1.0")] {
        let text = metrics(zone, is_open, 100);
        let name = "nginx_websocket_handshake_duration_seconds";
        for line in [
            format!("# TYPE {name} histogram\n"),
            format!("{name}_bucket{{label=\"a\",le=\"0.005\"}} 2\n"),
            format!("{name}_bucket{{label=\"a\",le=\"0.01\"}} 3\n"),
            format!("{name}_bucket{{label=\"a\",le=\"{one}\"}} 3\n"),
            format!("{name}_bucket{{label=\"a\",le=\"+Inf\"}} 4\n"),
            format!("{name}_sum{{label=\"a\"}} 70.014\n"),
            format!("{name}_count{{label=\"a\"}} 4\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
