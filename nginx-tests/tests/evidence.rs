//! The pages that name a test for each of their claims: each of these tests exists. And what was measured at once stands
//! there as it was measured.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

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

#[test]
fn each_table_and_chart_of_the_measurements_has_their_figures() {
    let docs = repository().join("docs");
    let read = |name: &str| fs::read_to_string(docs.join(name)).expect(name);
    let measured: Value = serde_json::from_str(&read("performance/figures.json")).expect("JSON");
    let (page, mut shown, mut ratios) = (read("performance.md"), 0, 0);
    for block in page.split("<!-- bench ").skip(1) {
        let (block, _) = block.split_once("<!-- end -->").expect("an end");
        let Some((_, chart)) = block.split_once("](") else {
            continue;
        };
        let chart = read(chart.split_once(')').expect("a chart").0);
        for cell in cells(block) {
            let Cell {
                title, peer, text, ..
            } = &cell;
            let Some(figure) = figure(&measured, title, peer) else {
                assert_eq!(text, "", "{title}: {peer}");
                continue;
            };
            if let Some(ratio) = figure.get("ratio").filter(|_| cell.is_ratio) {
                assert_eq!(numbers(text), said(ratio, ["median", "low", "high"], text));
                ratios += 1;
                continue;
            }
            let right = said(figure, ["median", "min", "max"], text);
            assert_eq!(numbers(text), right, "{title}: {peer}");
            // Of two that are compared there is more in the table than one figure of each scenario.
            let (scenario, _) = title.split_once(": ").expect("a scenario");
            assert!(chart.contains(&format!(">{scenario}: ")), "{title}: {peer}");
            let is_drawn = chart.contains(title);
            assert!(is_drawn || cell.is_of_a_pair, "{title}: {peer}");
            let bar = format!(">{}</text>", right[0]);
            assert!(!is_drawn || chart.contains(&bar), "{title}: {peer}");
            shown += 1;
        }
    }
    let peers = scenarios(&measured).flat_map(|scenario| scenario["peers"].as_object());
    let figures = peers.flat_map(|peers| peers.values().filter_map(Value::as_object));
    assert_eq!(shown, figures.flatten().count());
    assert!(shown > 300 && ratios > 15, "{shown}, {ratios}");
}

/// A cell of a block's table.
struct Cell {
    /// The scenario and the figure.
    title: String,
    peer: String,
    text: String,
    /// Whether it is what the peer has by what the other one has.
    is_ratio: bool,
    is_of_a_pair: bool,
}

fn cells(block: &str) -> Vec<Cell> {
    let rows = block.lines().filter(|line| line.starts_with('|'));
    let mut rows = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let (head, _) = (rows.next().expect("a table"), rows.next());
    let is_of_a_pair = head[1] == "scenario";
    let mut cells = Vec::new();
    for row in rows {
        for (place, &text) in row.iter().enumerate() {
            let (title, peer) = match place {
                // Side by side, and then the ratio; or peers below one another.
                3..=5 if is_of_a_pair => (format!("{}: {}", row[1], row[2]), head[place]),
                2.. if !is_of_a_pair => (head[place].to_owned(), row[1]),
                _ => continue,
            };
            let (peer, is_ratio) = match peer.split_once(" / ") {
                Some((peer, _)) => (peer, true),
                None => (peer, false),
            };
            cells.push(Cell {
                title,
                peer: peer.to_owned(),
                text: text.to_owned(),
                is_ratio,
                is_of_a_pair,
            });
        }
    }
    cells.retain(|cell| !cell.title.is_empty());
    cells
}

/// Those of a cell: the one that counts, and what it lies between.
fn numbers(text: &str) -> Vec<&str> {
    let numbers = text.split([' ', '(', ')', '[', ']', '–']);
    numbers.filter(|number| !number.is_empty()).collect()
}

/// What was measured, with as many digits as the cell.
fn said(figure: &Value, names: [&str; 3], text: &str) -> [String; 3] {
    let digits = numbers(text)[0].split_once('.');
    let digits = digits.map_or(0, |(_, digits)| digits.len());
    names.map(|name| format!("{:.digits$}", figure[name].as_f64().expect("a number")))
}

fn scenarios(measured: &Value) -> impl Iterator<Item = &Value> {
    measured["scenarios"].as_array().expect("a list").iter()
}

/// What was measured of a peer under this title.
fn figure<'a>(measured: &'a Value, title: &str, peer: &str) -> Option<&'a Value> {
    scenarios(measured).find_map(|scenario| {
        let (name, label) = title.split_once(": ")?;
        let figures = scenario["peers"][peer].as_object()?;
        let is_it = |figure: &&Value| figure["label"] == label;
        (scenario["name"] == name).then(|| figures.values().find(is_it))?
    })
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
