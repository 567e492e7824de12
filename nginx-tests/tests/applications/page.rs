//! What `docs/applications.md` says of an application.

use std::fs;
use std::path::Path;

const PAGE: &str = "../docs/applications.md";

/// One row of the page's table: what to expect of an application.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub version: String,
    /// Without a line for `Host`, with `$host`, with `$http_host`.
    pub hosts: [String; 3],
    pub drain: String,
}

/// A section of the page.
pub struct Section {
    pub row: Row,
    /// The configuration: its first block in nginx's language.
    pub location: String,
}

/// The applications in the page's table.
pub fn titles() -> Vec<String> {
    let page = read(PAGE);
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ["));
    cells
        .filter_map(|cell| Some(cell.split_once("](#")?.0.to_owned()))
        .collect()
}

/// The section with this title.
pub fn section(title: &str) -> Section {
    Section {
        row: row(&read(PAGE), title),
        location: location(title),
    }
}

/// The configuration in the section with this title.
pub fn location(title: &str) -> String {
    let page = read(PAGE);
    let body = page.split("\n## ").find_map(|section| {
        let body = section.strip_prefix(title)?;
        body.starts_with('\n').then_some(body)
    });
    let body = body.unwrap_or_else(|| panic!("the page has no section {title}"));
    let block = body.split("```nginx\n").nth(1);
    let location = block.and_then(|block| block.split("```").next());
    location
        .unwrap_or_else(|| panic!("{title} has no location"))
        .to_owned()
}

fn row(page: &str, title: &str) -> Row {
    let cells: Vec<String> = page
        .lines()
        .find(|line| line.starts_with(&format!("| [{title}](#")))
        .unwrap_or_else(|| panic!("the page has no row for {title}"))
        .split('|')
        .map(|cell| text(cell.trim()))
        .collect();
    let [_, _, version, without, host, http_host, drain, _] = cells.as_slice() else {
        panic!("{title}: another number of columns: {cells:?}");
    };
    Row {
        version: version.clone(),
        hosts: [without, host, http_host].map(Clone::clone),
        drain: drain.clone(),
    }
}

/// A cell without its link.
fn text(cell: &str) -> String {
    let link = cell.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    link.map_or(cell, |(text, _)| text).to_owned()
}

/// The version of a package that the tests install, `Debian's` where its name is in neither list.
pub fn pinned(package: &str) -> String {
    let python = read("applications/requirements.txt");
    let python = python
        .lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    let node = read("applications/package.json");
    let node = node.lines().find_map(|line| {
        let version = line.trim().strip_prefix(&format!("\"{package}\": \""))?;
        version.split('"').next()
    });
    python.or(node).unwrap_or("Debian's").to_owned()
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
