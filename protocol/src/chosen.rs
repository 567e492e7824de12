//! Names and other short words that others have chosen, made safe for those who read of them.

use core::fmt;

use crate::{Counted, Escaped};

/// Shows a subprotocol or an extension that an upstream has selected, or the value of a variable: in quotes, or no more
/// than its length.
///
/// Names are short. What is longer may be a credential that a page has put where it can put one, and which the
/// upstream has to give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen<'a>(pub &'a [u8]);

impl Chosen<'_> {
    /// Bytes of the longest name that is shown.
    const MAX_NAME: usize = 31;

    /// Whether it is taken for a name.
    pub const fn is_name(self) -> bool {
        self.0.len() <= Self::MAX_NAME
    }
}

impl fmt::Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_name() {
            write!(f, "\"{}\"", Escaped(self.0))
        } else {
            write!(f, "of {}", Counted(self.0.len() as u64, "byte"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_a_name_is_not_shown() {
        let name = [b'n'; 31];
        assert_eq!(Chosen(&name).to_string(), format!("\"{}\"", "n".repeat(31)));
        assert_eq!(Chosen(&[b'n'; 32]).to_string(), "of 32 bytes");
        assert_eq!(Chosen(b"a\"").to_string(), "\"a\\x22\"");
    }
}
