//! What a walk to an address showed, step by step.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::failure::Failure;
use crate::request::Request;
use crate::target::Target;

/// What happened on the way to one address.
pub struct Walk {
    pub target: Target,
    pub request: Request,
    pub steps: Vec<Step>,
    pub failure: Option<Failure>,
    /// It failed in what --deadline ended, which might have gone well.
    pub is_cut: bool,
    pub answer: Option<Answer>,
    /// The address that accepted.
    pub address: Option<SocketAddr>,
    /// This host's own on that connection.
    pub local: Option<IpAddr>,
}

/// One step and what it showed.
pub struct Step {
    pub name: &'static str,
    pub outcome: Outcome,
    pub time: Duration,
    pub text: String,
    /// What was sent and what came back, a line each.
    pub lines: Vec<String>,
    pub facts: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It went on, but something here is worth a look.
    Note,
    Failed,
}

impl Walk {
    pub fn works(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether the handshake was sent and taken, whatever came of the tunnel.
    pub fn is_open(&self) -> bool {
        self.step("handshake")
            .is_some_and(|step| step.outcome != Outcome::Failed)
    }

    /// Whether the handshake was sent; what failed before is the address's own.
    pub fn was_asked(&self) -> bool {
        self.step("handshake").is_some()
    }

    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }
}

impl Step {
    /// For programs.
    pub fn fact(&mut self, name: &str, value: Value) -> &mut Self {
        self.facts.insert(name.to_owned(), value);
        self
    }
}

/// With as many digits as tell something.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
