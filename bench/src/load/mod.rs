//! What the generator does: operations that are begun, watched and counted.

mod broadcast;
mod company;
mod contract;
mod echo;
mod exchange;
mod fairness;
mod handshake;
mod lister;
mod paced;
mod pages;
mod plain;
mod slow;
mod trickle;
mod tunnel;

pub use contract::{Account, Link, Load};

use std::time::Duration;

use self::company::Company;
use self::slow::{Pace, SlowReaders};
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
        Kind::SlowReaders => Box::new(trickle::TrickleLoad::new(connections)),
        Kind::Idle { browser } => {
            let handshake = match browser {
                true => http::BROWSER_HANDSHAKE,
                false => http::PROGRAM_HANDSHAKE,
            };
            Box::new(echo::EchoLoad::new(
                handshake,
                SMALL_MESSAGE,
                1,
                connections,
            ))
        }
        Kind::Broadcast => Box::new(broadcast::BroadcastLoad::new(connections)),
        Kind::Many { listed } => {
            let every = Duration::from_secs(1) / connections.max(1) as u32;
            let load = paced::PacedLoad::new(SMALL_MESSAGE, connections, every);
            Box::new(if listed { load.beside_lists() } else { load })
        }
        Kind::SlowCrowd => beside_a_crowd(connections),
        Kind::Pages => Box::new(pages::PagesLoad::new(SMALL_MESSAGE, connections)),
        Kind::Stuck { plain } => of_one_page(connections, plain, true),
        // As fast as they go: how fast that is, has to be known first.
        Kind::Latency { .. } => Box::new(echo::EchoLoad::new(
            http::BROWSER_HANDSHAKE,
            SMALL_MESSAGE,
            1,
            connections,
        )),
    }
}

/// So many messages a second, beside a slow reader.
pub fn at_rate(rate: f64, connections: usize) -> Box<dyn Load> {
    let every = Duration::from_secs_f64(1.0 / rate);
    let load = paced::PacedLoad::new(SMALL_MESSAGE, connections, every);
    Box::new(load.beside_slow_readers(SlowReaders::new(1, Pace::MEGABYTE)))
}

/// Messages at a moderate pace, beside so many that read a byte a second.
pub fn beside_a_crowd(crowd: usize) -> Box<dyn Load> {
    let every = Duration::from_secs(1) / MODERATE;
    let load = paced::PacedLoad::new(SMALL_MESSAGE, TALKERS, every);
    Box::new(load.beside_slow_readers(SlowReaders::new(crowd, Pace::BYTE)))
}

/// Messages at a moderate pace in tunnels of one page, and as many requests at once as it may have tunnels: one
/// less than that, as one more may be blocked.
pub fn of_one_page(tunnels: usize, measures_requests: bool, has_blocked: bool) -> Box<dyn Load> {
    let every = Duration::from_secs(1) / MODERATE;
    let company = Company::new(tunnels, has_blocked, measures_requests);
    let tunnels = (tunnels - 1).max(1);
    let load = paced::PacedLoad::new(SMALL_MESSAGE, tunnels, every);
    Box::new(load.in_company(company))
}

/// Who is measured beside a crowd, and how many messages a second they send in all.
pub const TALKERS: usize = 32;
const MODERATE: u32 = 5000;
/// The two proxies of a crowd: one that has it, and one that hasn't.
pub const SIDES: [&str; 2] = ["beside", "alone"];
/// Clients of both that are measured.
pub const TALKERS_OF_BOTH: usize = SIDES.len() * TALKERS;

/// A tunnel that idles has been used: one such message went through it.
const SMALL_MESSAGE: usize = 125;
