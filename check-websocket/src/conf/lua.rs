//! Just enough of Lua to find where a block of it ends.

/// Where the rest of the configuration begins, behind the brace that closes the block. `None`
/// where none does.
pub fn block_end(text: &str) -> Option<usize> {
    let mut rest = text;
    let mut open = 1;
    loop {
        let length = match rest.as_bytes() {
            [] => return None,
            [b'-', b'-', comment @ ..] => 2 + comment_length(&rest[2..], comment),
            [b'[', ..] => long_bracket(rest).unwrap_or(1),
            [quote @ (b'"' | b'\''), ..] => quoted(rest, *quote),
            [b'{', ..] => {
                open += 1;
                1
            }
            [b'}', ..] => {
                open -= 1;
                1
            }
            // A byte of a longer character is none of those above.
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        rest = rest.get(length..)?;
        if open == 0 {
            return Some(text.len() - rest.len());
        }
    }
}

/// Behind `--`: a long bracket, or else the rest of the line.
fn comment_length(text: &str, bytes: &[u8]) -> usize {
    long_bracket(text).unwrap_or_else(|| {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        end.unwrap_or(bytes.len())
    })
}

/// `[[ … ]]` or `[=[ … ]=]`, with any number of `=`. `None` where it is only a bracket.
fn long_bracket(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let level = inside.len() - inside.trim_start_matches('=').len();
    let body = inside[level..].strip_prefix('[')?;
    let close = format!("]{}]", "=".repeat(level));
    // Without an end it takes all that is left.
    let length = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(text.len() - body.len() + length)
}

/// A string in quotes, in which a backslash hides the character behind it.
fn quoted(text: &str, quote: u8) -> usize {
    let mut hidden = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if hidden => hidden = false,
            b'\\' => hidden = true,
            // A line ends a string that was not closed: Lua refuses it, and so little is lost.
            b'\n' => return at,
            byte if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::block_end;

    #[track_caller]
    fn ends(block: &str) {
        let text = format!("{block}}} after }}");
        assert_eq!(block_end(&text), Some(block.len() + 1), "{block}");
    }

    #[test]
    fn braces_are_counted() {
        ends("");
        ends(" if a then b = {1, {2}} end ");
        ends(" ä = {} ");
    }

    #[test]
    fn those_in_strings_and_comments_are_not() {
        for block in [
            "'}'",
            r#" "}" "#,
            r#" "\"}" '\'{' "\\" "#,
            " -- }\n ",
            " --[[ }\n } ]] ",
            " --[==[ } ]] } ]==] ",
            " [[ } ]] ",
            " [=[ } ]] } ]=] ",
            " a[b[1]] = {} ",
            " a[ [[}]] ] ",
            " --[ }\n ",
            " it --'s\n",
            " \"it's }\" ",
        ] {
            ends(block);
        }
    }

    #[test]
    fn one_that_is_not_closed() {
        for text in ["", "{}", "'}", "[[ }", "-- }", "\"\\\"}"] {
            assert_eq!(block_end(text), None, "{text}");
        }
    }
}
