//! Puts the page together, and hashes what its Content-Security-Policy allows.

use std::path::Path;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

fn main() {
    println!("cargo::rerun-if-changed=page");
    let page = include(&read("index.html"));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(&page, "script"),
        source(&page, "style"),
    );
    println!("cargo::rustc-env=PAGE_POLICY={policy}");
    let made = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("page.html");
    fs::write(made, page).expect("the page can be written");
}

/// A file of the page, without what is there for its readers alone: indentation, empty lines, and lines
/// that are a comment.
fn read(name: &str) -> String {
    let file = Path::new("page").join(name);
    let text = fs::read_to_string(&file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The files named in each comment `/* include a b */` take its place.
fn include(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, (names, after))) = rest
        .split_once("/* include ")
        .and_then(|(before, found)| Some((before, found.split_once("*/")?)))
    {
        whole += before;
        whole.extend(names.split_whitespace().map(read));
        rest = after;
    }
    whole + rest
}

/// The hash of the element of this name, as a policy has it.
fn source(page: &str, element: &str) -> String {
    let (_, content) = page
        .split_once(&format!("<{element}>"))
        .unwrap_or_else(|| panic!("the page has no <{element}>"));
    let (content, rest) = content
        .split_once(&format!("</{element}>"))
        .unwrap_or_else(|| panic!("<{element}> has no end"));
    assert!(
        !rest.contains(&format!("<{element}")),
        "there is more than one <{element}>"
    );
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
}
