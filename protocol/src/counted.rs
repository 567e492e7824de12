//! Numbers of things, as they are said.

use core::fmt;

/// So many of what this word names: "1 frame", "2 frames".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, word) = self;
        let ending = if *number == 1 { "" } else { "s" };
        write!(f, "{number} {word}{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let said = [0, 1, 2].map(|number| Counted(number, "byte").to_string());
        assert_eq!(said, ["0 bytes", "1 byte", "2 bytes"]);
    }
}
