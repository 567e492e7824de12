//! The pages that name a test for each of their claims: each of these tests exists.

use std::fs;
use std::path::{Path, PathBuf};

/// The column of a table that names tests.
const COLUMN: &str = "Test";

#[test]
fn each_rule_of_the_handshake_names_tests_that_exist() {
    assert!(named("docs/conformance.md") > 60);
}

#[test]
fn each_attack_names_tests_that_exist() {
    assert!(named("docs/robustness.md") > 30);
}

/// How many tests a page names. Each row of a table with such a column has to name one at least.
#[track_caller]
fn named(page: &str) -> usize {
    let text = fs::read_to_string(repository().join(page)).expect("a page");
    let (mut is_table, mut count) = (false, 0);
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, .., last, ""] = cells.as_slice() else {
            is_table = false;
            continue;
        };
        if is_table && !last.starts_with("---") {
            let tests = tests(last);
            assert!(!tests.is_empty(), "{page}: no test in: {line}");
            for (file, name) in &tests {
                let source = source(file);
                assert!(is_test(&source, name), "{page}: {file} has no test {name}");
            }
            count += tests.len();
        }
        is_table |= *last == COLUMN;
    }
    count
}

/// The functions that a cell names, each with its file, which stands before it.
fn tests(cell: &str) -> Vec<(&str, &str)> {
    let (mut file, mut tests) = ("", Vec::new());
    for word in cell.split('`').skip(1).step_by(2) {
        if word.ends_with(".rs") {
            file = word;
        } else {
            tests.push((file, word));
        }
    }
    tests
}

fn source(file: &str) -> String {
    let places = [repository().join("nginx-tests/tests"), repository()];
    let found = places
        .iter()
        .find_map(|place| fs::read_to_string(place.join(file)).ok());
    found.unwrap_or_else(|| panic!("no such file: {file}"))
}

/// Whether a source has this test: by itself, or as a case of the macro that makes one of each cause.
fn is_test(source: &str, name: &str) -> bool {
    let by_itself = format!("#[test]\nfn {name}()");
    let source: String = source
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let of_cause = format!("\n{name}: ");
    source.contains(&by_itself) || (source.contains("\ncauses! {\n") && source.contains(&of_cause))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_test_is_found_only_where_it_is() {
    let source = "#[test]\n    fn one() {}\nfn two() {}\n    causes! {\n    three: Cause = {";
    let found = ["one", "two", "three", "four"].map(|name| is_test(source, name));
    assert_eq!(found, [true, false, true, false]);
    assert_eq!(
        tests("`a.rs` `one` `two` and `b.rs` `three`"),
        [("a.rs", "one"), ("a.rs", "two"), ("b.rs", "three")]
    );
}
