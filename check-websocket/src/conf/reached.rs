//! What was found on the way of a handshake.

use super::location::Location;
use super::stop::Stop;

/// The way of a handshake through a configuration.
#[derive(Debug)]
pub struct Reached {
    pub url: String,
    pub server: Option<Stop>,
    pub location: Option<Stop>,
    /// The verdict on that location, if it passes requests on.
    pub judged: Option<Location>,
    /// What goes to the upstream: request line and headers.
    pub sent: Vec<String>,
    /// Each stops WebSocket.
    pub problems: Vec<String>,
    pub remarks: Vec<String>,
    /// Where not all could be followed: then there is no verdict.
    pub unjudged: Option<String>,
}

impl Reached {
    pub fn passes(&self) -> bool {
        self.problems.is_empty() && self.judged.is_some() && self.unjudged.is_none()
    }

    /// It can't be told where it leads, for this reason.
    pub fn is_unsure(&mut self, why: String) {
        self.unjudged.get_or_insert(why);
    }

    /// It stops here, for this reason.
    pub fn fails(&mut self, why: impl Into<String>) {
        self.problems.push(why.into());
    }
}
