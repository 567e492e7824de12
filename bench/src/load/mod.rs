//! What the generator does: operations that are begun, watched and counted.

mod contract;
mod echo;
mod exchange;
mod fairness;
mod handshake;
mod plain;
mod slow;

pub use contract::{Account, Link, Load};

use crate::http;
use crate::scenario::{Kind, Scenario};

pub fn new(scenario: &Scenario, connections: usize) -> Box<dyn Load> {
    match scenario.kind {
        Kind::Handshake => Box::new(handshake::HandshakeLoad::new(connections)),
        Kind::Plain => Box::new(plain::PlainLoad::new(connections)),
        Kind::Echo { size, depth } => Box::new(echo::EchoLoad::new(
            http::BROWSER_HANDSHAKE,
            size,
            depth,
            connections,
        )),
        Kind::Fairness(direction) => Box::new(fairness::FairnessLoad::new(direction, connections)),
        Kind::SlowReaders => Box::new(slow::SlowLoad::new(connections)),
        Kind::Idle { browser } => {
            let handshake = match browser {
                true => http::BROWSER_HANDSHAKE,
                false => http::PROGRAM_HANDSHAKE,
            };
            Box::new(echo::EchoLoad::new(handshake, IDLE_MESSAGE, 1, connections))
        }
    }
}

/// A tunnel that idles has been used: one message went through it.
const IDLE_MESSAGE: usize = 125;
