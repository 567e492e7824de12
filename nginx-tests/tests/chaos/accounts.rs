//! What the logs say of the requests of good clients. Each has a token in its target, which is in
//! every line about it.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;

use crate::places::{Place, Right};
use crate::world::World;

const MARK: &str = "?token=";

/// The target of a request to this place.
pub fn target(place: &Place, token: &str) -> String {
    format!("{}{MARK}{token}", place.path)
}

/// The requests that were answered rightly.
#[derive(Default)]
pub struct Accounts(Mutex<Vec<Account>>);

struct Account {
    token: String,
    place: &'static Place,
    /// The answer, if it was a handshake.
    handshake: Option<Right>,
}

/// How many lines of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    established: usize,
    closed: usize,
    failed: usize,
    access: usize,
}

impl Accounts {
    pub fn note(&self, token: String, place: &'static Place, handshake: Option<Right>) {
        self.0.lock().unwrap().push(Account {
            token,
            place,
            handshake,
        });
    }

    /// Compares them with the logs, once all connections have ended.
    pub fn check(&self, world: &World) {
        let mut found: HashMap<String, Lines> = HashMap::new();
        let mut count = |file: &str, kind: fn(&mut Lines, &str)| {
            let log = fs::read(world.nginx.path(file)).expect("a log");
            for line in String::from_utf8_lossy(&log).lines() {
                let token = line
                    .split_once(MARK)
                    .map(|(_, rest)| &rest[..rest.len().min(16)]);
                if let Some(token) = token {
                    kind(found.entry(token.to_owned()).or_default(), line);
                }
            }
        };
        count("logs/access.log", |lines, _| lines.access += 1);
        count("logs/error.log", |lines, line| {
            lines.established +=
                usize::from(line.contains(": *") && line.contains("websocket established"));
            lines.closed += usize::from(line.contains("websocket closed after"));
            lines.failed += usize::from(line.contains("websocket handshake failed"));
        });
        for account in self.0.lock().unwrap().iter() {
            let lines = found.get(&account.token).copied().unwrap_or_default();
            let right = account.expected();
            if lines != right {
                let what = match account.handshake {
                    Some(_) => "handshake",
                    None => "plain request",
                };
                let what = format!(
                    "{} the logs on a {what}: {lines:?} instead of {right:?}",
                    account.place.path
                );
                world.wrong(what, account.token.clone());
            }
        }
    }
}

impl Account {
    fn expected(&self) -> Lines {
        let (mut established, mut failed) = (0, 0);
        match self.handshake {
            None | Some(Right::Foreign | Right::Elsewhere) => (),
            Some(right) if right.is_tunnel() => established = 1,
            Some(_) => failed = usize::from(self.place.is_on()),
        }
        Lines {
            established,
            closed: established,
            failed,
            access: 1,
        }
    }
}
