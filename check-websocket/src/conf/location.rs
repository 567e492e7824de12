//! What is said of one location.

/// The version of nginx, which decides what its defaults are.
pub type Version = (u32, u32, u32);

/// A location that passes requests on.
#[derive(Debug)]
pub struct Location {
    pub server: String,
    pub name: String,
    pub file: String,
    pub line: usize,
    pub passes_to: String,
    pub by: By,
    /// Each stops WebSocket.
    pub problems: Vec<String>,
    /// What is worth knowing all the same.
    pub remarks: Vec<String>,
}

/// What carries WebSocket there, or is meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `websocket on`
    Module,
    /// `proxy_set_header` for Upgrade
    Hand,
    Nothing,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "websocket on",
            Self::Hand => "by hand",
            Self::Nothing => "not set up",
        }
    }
}

impl Location {
    pub fn passes(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn is_meant(&self) -> bool {
        self.by != By::Nothing
    }
}
