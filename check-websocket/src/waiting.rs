//! What is waited for, on a terminal: a silent program looks like one that hangs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::page::Plain;

/// A line on standard error that the next one takes the place of.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    is_shown: bool,
}

/// A longer one would go on in a line that is not erased.
const WIDTH: usize = 79;

impl Waiting {
    pub fn detect() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
        }
    }

    pub fn silent() -> Self {
        Self { is_shown: false }
    }

    pub fn on(self, what: &str, limit: Duration) {
        let seconds = limit.as_secs_f32().ceil();
        let text = Plain(&format!("waiting for {what}, {seconds} s at most")).to_string();
        self.write(&text.chars().take(WIDTH).collect::<String>(), "");
    }

    pub fn is_over(self) {
        self.write("", "\r");
    }

    fn write(self, text: &str, end: &str) {
        if self.is_shown {
            let mut to = io::stderr().lock();
            let _ = write!(to, "\r{text:WIDTH$}{end}").and_then(|()| to.flush());
        }
    }
}
