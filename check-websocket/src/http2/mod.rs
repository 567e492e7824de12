//! `--http2`: whether the server offers WebSocket over HTTP/2 (RFC 8441), and whether that is what it is over HTTP/1.1.
//!
//! Browsers that are offered it send their WebSockets there, and don't try HTTP/1.1 when they are refused.

mod connection;
mod head;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use websocket_protocol::Cause;

use crate::failure::Failure;
use crate::options::Walk as Options;
use crate::request::Request;
use crate::steps::{Outcome, Step, Walk};
use crate::stream::{Line, Stream};
use crate::tls::{Failed, Tls};
use crate::tunnel::Tunnel;
use connection::{Answer, Connection};

const STEP: &str = "http2";

/// What an extended CONNECT came to.
enum Found {
    /// There is no HTTP/2.
    NotSpoken,
    NotOffered,
    /// What ended it, before it was known whether it is offered.
    Unknown(String),
    /// It is offered, and an answer came.
    Answered(u16),
    /// It is offered, and no answer came.
    Unanswered(String),
    /// It is open, but nothing gets through.
    Silent(Failure),
    Works,
}

/// Adds the step to what was found over HTTP/1.1. Gives what was sent, for nginx's logs.
pub fn look(
    front: &mut Walk,
    address: SocketAddr,
    options: &Options,
    tls: &Tls,
) -> Option<Request> {
    let request = front.request.again().over("2.0").named(STEP);
    let start = Instant::now();
    options
        .waiting
        .on("WebSocket over HTTP/2", options.timeout());
    let found = find(front, address, &request, options, tls);
    let time = start.elapsed();
    let is_sent = !matches!(
        found,
        Found::NotSpoken | Found::NotOffered | Found::Unknown(_)
    );
    let (step, failure) = judge(found, front.works(), time);
    front.steps.push(step);
    if front.failure.is_none() {
        front.failure = failure;
    }
    is_sent.then_some(request)
}

fn find(
    front: &Walk,
    address: SocketAddr,
    request: &Request,
    options: &Options,
    tls: &Tls,
) -> Found {
    let limit = options.connect_timeout();
    let stream = match connect(front, address, limit, tls) {
        Ok(Some(stream)) => stream,
        Ok(None) => return Found::NotSpoken,
        Err(text) => return Found::Unknown(text),
    };
    let mut connection = match Connection::begin(stream, options.timeout()) {
        Ok(Some(connection)) => connection,
        Ok(None) => return Found::NotSpoken,
        Err(error) => return Found::Unknown(ended(&error)),
    };
    if !connection.is_offered() {
        return Found::NotOffered;
    }
    match connection.ask(request, front.target.secure) {
        Ok(Answer::Status(200..=299)) => {}
        Ok(Answer::Status(status)) => return Found::Answered(status),
        Ok(Answer::Reset(error)) => {
            return Found::Unanswered(format!("the stream was reset with error {error}"));
        }
        Err(error) => return Found::Unanswered(ended(&error)),
    }
    let mut tunnel = Tunnel::new(Stream::Within(Box::new(connection)), Vec::new());
    if let Err(failure) = tunnel.ping(options.timeout()) {
        return Found::Silent(failure);
    }
    if let Some(message) = &options.message {
        if let Err(failure) = tunnel.echo(message, options.timeout()) {
            return Found::Silent(failure);
        }
    }
    tunnel.close();
    Found::Works
}

/// `None` where the server does not choose HTTP/2.
fn connect(
    front: &Walk,
    address: SocketAddr,
    limit: Duration,
    tls: &Tls,
) -> Result<Option<Stream>, String> {
    let line = Line::connect(address, limit).map_err(|error| error.to_string())?;
    if !front.target.secure {
        return Ok(Some(Stream::Plain(line)));
    }
    match tls.connect(line, &front.target.host, &["h2"], limit) {
        Ok((stream, shown)) => Ok((shown.alpn.as_deref() == Some("h2")).then_some(stream)),
        Err(Failed::NoProtocol) => Ok(None),
        Err(failed) => Err(failed.text()),
    }
}

fn ended(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::TimedOut => "no answer came in time".to_owned(),
        _ => error.to_string(),
    }
}

/// `over_1`: it works over HTTP/1.1.
fn judge(found: Found, over_1: bool, time: Duration) -> (Step, Option<Failure>) {
    let mut facts = Map::new();
    let offered = match &found {
        Found::NotSpoken | Found::NotOffered => Some(false),
        Found::Unknown(_) => None,
        _ => Some(true),
    };
    facts.insert("offered".to_owned(), json!(offered));
    if let Found::Answered(status) = found {
        facts.insert("status".to_owned(), json!(status));
    }
    let (outcome, text, failure) = match found {
        Found::NotSpoken => (
            Outcome::Ok,
            "the server speaks no HTTP/2 here: browsers use HTTP/1.1".to_owned(),
            None,
        ),
        Found::NotOffered => (
            Outcome::Ok,
            "the server speaks HTTP/2, but offers no WebSocket over it: browsers use HTTP/1.1"
                .to_owned(),
            None,
        ),
        Found::Unknown(text) => (
            Outcome::Note,
            format!("HTTP/2 could not be tried: {text}"),
            None,
        ),
        Found::Works if over_1 => (
            Outcome::Ok,
            "offered, and it works as over HTTP/1.1".to_owned(),
            None,
        ),
        Found::Works => (
            Outcome::Note,
            "offered, and it works, though not over HTTP/1.1".to_owned(),
            None,
        ),
        Found::Answered(status) => refused(format!("answered with {status}"), status, over_1),
        Found::Unanswered(text) => refused(format!("not answered: {text}"), 0, over_1),
        Found::Silent(failure) => {
            let seen = format!("over HTTP/2: {}", failure.seen);
            let failure = Failure {
                seen: seen.clone().into(),
                ..failure
            };
            (Outcome::Failed, seen, Some(failure))
        }
    };
    let step = Step {
        name: STEP,
        outcome,
        time,
        text,
        lines: Vec::new(),
        facts,
    };
    (step, failure)
}

/// It is offered, and not had. Where HTTP/1.1 fails, too, that is the failure.
fn refused(how: String, status: u16, over_1: bool) -> (Outcome, String, Option<Failure>) {
    if !over_1 {
        let seen = format!("WebSocket over HTTP/2 is offered, but {how}");
        return (Outcome::Note, seen, None);
    }
    let seen = format!("WebSocket over HTTP/2 is offered, but {how}; over HTTP/1.1 it works");
    let failure = match status {
        501 => Failure::of(Cause::LocalWebsocketOff, seen.clone()),
        _ => Failure::of_tunnel(
            "http2-refused",
            seen.clone(),
            "WebSocket works over HTTP/1.1, but browsers, which are offered it over HTTP/2 here, are refused there.",
            "see the server's error log for why, or have it offer no WebSocket over HTTP/2 (nginx: websocket_http2 off)",
        ),
    };
    (Outcome::Failed, seen, Some(failure))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn judged(found: Found, over_1: bool) -> (Outcome, Option<&'static str>, Value) {
        let (step, failure) = judge(found, over_1, Duration::ZERO);
        let offered = step.facts["offered"].clone();
        (step.outcome, failure.map(|failure| failure.name), offered)
    }

    #[test]
    fn what_browsers_meet_is_a_failure_only_where_it_is_offered() {
        let no = Value::from(false);
        assert_eq!(
            judged(Found::NotSpoken, true),
            (Outcome::Ok, None, no.clone())
        );
        assert_eq!(judged(Found::NotOffered, true), (Outcome::Ok, None, no));
        let unknown = Found::Unknown(String::new());
        assert_eq!(judged(unknown, true), (Outcome::Note, None, Value::Null));
        let yes = Value::from(true);
        assert_eq!(judged(Found::Works, true), (Outcome::Ok, None, yes.clone()));
        assert_eq!(
            judged(Found::Works, false),
            (Outcome::Note, None, yes.clone())
        );
        for (status, name) in [(501, "local-websocket-off"), (403, "http2-refused")] {
            let failed = (Outcome::Failed, Some(name), yes.clone());
            assert_eq!(judged(Found::Answered(status), true), failed);
            let noted = (Outcome::Note, None, yes.clone());
            assert_eq!(judged(Found::Answered(status), false), noted);
        }
    }
}
