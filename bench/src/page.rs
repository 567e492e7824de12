//! A page that says itself what is to be measured for it, between marks:
//!
//! ```text
//! <!-- bench NAME: SCENARIO… [--peers A,B] -->
//! the chart NAME.svg and a table, which are replaced
//! <!-- end -->
//! ```
//!
//! `<!-- bench versions -->` stands for what was measured, and on what.

use std::ops::Range;

use crate::result::Result;

#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub name: &'a str,
    /// Scenarios and options; none where the versions are wanted.
    pub arguments: Vec<&'a str>,
    /// What is replaced.
    contents: Range<usize>,
}

const BEGIN: &str = "<!-- bench ";
const CLOSE: &str = "-->";
const END: &str = "<!-- end -->";

/// The name of the block of versions.
pub const VERSIONS: &str = "versions";

pub fn blocks(page: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(begin) = page[at..].find(BEGIN) {
        let begin = at + begin + BEGIN.len();
        let line = page[begin..].lines().next().unwrap_or_default();
        let mark = line
            .find(CLOSE)
            .ok_or_else(|| format!("the page has a mark that doesn't end: {line}"))?;
        let contents = begin + mark + CLOSE.len();
        let (name, arguments) = line[..mark].split_once(':').unwrap_or((&line[..mark], ""));
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("\"{name}\" can't be the name of a file").into());
        }
        let end = page[contents..].find(END);
        let end = contents + end.ok_or_else(|| format!("the page has no end of {name}"))?;
        if page[contents..end].contains(BEGIN) {
            return Err(format!("the page has no end of {name}").into());
        }
        blocks.push(Block {
            name,
            arguments: arguments.split_whitespace().collect(),
            contents: contents..end,
        });
        at = end;
    }
    Ok(blocks)
}

/// The page with the contents of all blocks replaced.
pub fn fill(page: &str, blocks: &[Block<'_>], contents: &[String]) -> String {
    let mut filled = String::new();
    let mut at = 0;
    for (block, contents) in blocks.iter().zip(contents) {
        filled += &page[at..block.contents.start];
        filled.push('\n');
        filled += contents;
        at = block.contents.end;
    }
    filled + &page[at..]
}

#[cfg(test)]
mod tests {
    use super::{blocks, fill};

    const PAGE: &str = "# Page\n<!-- bench versions -->\nold\n<!-- end -->\ntext\n\
        <!-- bench tls: handshake-tls idle-tls --peers a,b -->\n<!-- end -->\nend\n";

    #[test]
    fn marks_are_read_and_what_is_between_replaced() {
        let found = blocks(PAGE).unwrap();
        assert_eq!([found[0].name, found[1].name], ["versions", "tls"]);
        assert!(found[0].arguments.is_empty());
        assert_eq!(
            found[1].arguments,
            ["handshake-tls", "idle-tls", "--peers", "a,b"]
        );
        let filled = fill(PAGE, &found, &["new\n".to_owned(), "table\n".to_owned()]);
        assert_eq!(
            filled,
            "# Page\n<!-- bench versions -->\nnew\n<!-- end -->\ntext\n\
             <!-- bench tls: handshake-tls idle-tls --peers a,b -->\ntable\n<!-- end -->\nend\n"
        );
        // Once more is the same.
        let again = fill(
            &filled,
            &blocks(&filled).unwrap(),
            &["new\n".to_owned(), "table\n".to_owned()],
        );
        assert_eq!(again, filled);
    }

    #[test]
    fn marks_that_are_wrong_are_named() {
        for (page, wrong) in [
            ("<!-- bench a: plain -->\n", "no end of a"),
            (
                "<!-- bench a: plain -->\n<!-- bench b: plain -->\n<!-- end -->",
                "no end of a",
            ),
            ("<!-- bench a: plain\n-->", "doesn't end"),
            ("<!-- bench ../a: plain -->\n<!-- end -->", "name of a file"),
        ] {
            let error = blocks(page).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
