//! Colours, where they are seen and wanted.

use std::env;
use std::io::{self, IsTerminal};

/// Whether there are any.
#[derive(Clone, Copy)]
pub struct Paint {
    on: bool,
}

/// A piece of a line, and its colour.
pub struct Painted {
    pub tone: Tone,
    pub text: String,
}

#[derive(Clone, Copy)]
pub enum Tone {
    Plain,
    Good,
    Note,
    Bad,
    Faint,
}

impl Paint {
    /// <https://no-color.org>: set to anything but nothing, there is none.
    pub fn detect() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            on: !refused && io::stdout().is_terminal(),
        }
    }

    pub fn none() -> Self {
        Self { on: false }
    }

    /// What is written in front of a text, and behind it.
    pub fn codes(self, tone: Tone) -> (&'static str, &'static str) {
        const OFF: &str = "\x1b[0m";
        match tone {
            _ if !self.on => ("", ""),
            Tone::Plain => ("", ""),
            Tone::Good => ("\x1b[32m", OFF),
            Tone::Note => ("\x1b[33m", OFF),
            Tone::Bad => ("\x1b[1;31m", OFF),
            Tone::Faint => ("\x1b[2m", OFF),
        }
    }
}

impl Painted {
    fn of(tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { tone, text }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self::of(Tone::Plain, text)
    }

    pub fn good(text: impl Into<String>) -> Self {
        Self::of(Tone::Good, text)
    }

    pub fn note(text: impl Into<String>) -> Self {
        Self::of(Tone::Note, text)
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self::of(Tone::Bad, text)
    }

    pub fn faint(text: impl Into<String>) -> Self {
        Self::of(Tone::Faint, text)
    }
}
