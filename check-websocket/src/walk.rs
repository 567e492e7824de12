//! The way a browser walks to a WebSocket, step by step, until one fails.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Map, json};

use crate::answered;
use crate::certificate;
use crate::failure::{self, Failure, Role};
use crate::handshake;
use crate::lookup::{self, Found};
use crate::mask::Mask;
use crate::options::Walk as Options;
use crate::request::Request;
use crate::steps::{Outcome, Step, Walk, milliseconds};
use crate::stream::{Line, Stream};
use crate::target::Target;
use crate::tls::{Shown, Tls};
use crate::tunnel::Tunnel;

/// Walks to `target`.
pub fn walk(target: &Target, role: Role, options: &Options, tls: &Tls) -> Walk {
    walked(target, role, options, |walker| walker.all(tls))
}

/// The step that such a certificate would make, without a connection.
pub fn of_certificate(der: &[u8], options: &Options) -> Walk {
    let shown = Tls::new().look(der, &options.target.host);
    walked(
        &options.target,
        Role::Front,
        options,
        |walker| match &shown {
            Ok(shown) => walker.judge_tls(shown, Duration::ZERO),
            Err(failed) => Err(failure::of_tls(Role::Front, failed)),
        },
    )
}

fn walked(
    target: &Target,
    role: Role,
    options: &Options,
    walk: impl FnOnce(&mut Walker<'_>) -> Result<(), Failure>,
) -> Walk {
    let mut walker = Walker {
        walk: Walk {
            target: target.clone(),
            request: Request::new(target, options),
            steps: Vec::new(),
            failure: None,
            is_cut: false,
            answer: None,
            address: None,
            local: None,
        },
        role,
        options,
    };
    let failure = walk(&mut walker).err();
    Walk {
        failure,
        ..walker.walk
    }
}

struct Walker<'a> {
    walk: Walk,
    role: Role,
    options: &'a Options,
}

impl Walker<'_> {
    fn all(&mut self, tls: &Tls) -> Result<(), Failure> {
        let found = self.lookup()?;
        let line = self.tcp(found.addresses())?;
        let mut stream = if self.walk.target.secure {
            self.tls(line, tls)?
        } else {
            Stream::Plain(line)
        };
        let rest = self.handshake(&mut stream)?;
        let mut tunnel = Tunnel::new(stream, rest);
        let options = self.options;
        options.waiting.on("a pong", options.timeout());
        self.tunnel("ping", || tunnel.ping(options.timeout()))
            .map_err(|failure| self.hinted(failure))?;
        if let Some(message) = &options.message {
            options
                .waiting
                .on("the message to come back", options.timeout());
            self.tunnel("echo", || tunnel.echo(message, options.timeout()))?;
        }
        if let Some(time) = options.hold {
            options.waiting.on("the end of the silence", time);
            self.tunnel("hold", || tunnel.hold(time))?;
        }
        tunnel.close();
        Ok(())
    }

    fn lookup(&mut self) -> Result<Found, Failure> {
        let (target, options) = (&self.walk.target, self.options);
        let start = Instant::now();
        options.waiting.on(
            &format!("the addresses of {}", target.host),
            options.connect_timeout(),
        );
        let found = lookup::lookup(
            target,
            &options.resolve,
            options.family,
            options.connect_timeout(),
        );
        let time = start.elapsed();
        match found {
            Ok(found) => {
                let list: Vec<String> = found
                    .addresses()
                    .iter()
                    .map(|address| address.ip().to_string())
                    .collect();
                let text = match found {
                    Found::Given(_) => format!("{} by --resolve", list.join(", ")),
                    Found::Literal(_) => format!("{} is an address", list.join(", ")),
                    Found::Looked(_) => format!("{} is {}", target.host, list.join(", ")),
                };
                self.note("lookup", Outcome::Ok, time, text)
                    .fact("addresses", json!(list));
                Ok(found)
            }
            Err(error) => {
                let failure = failure::of_lookup(self.role, &target.host, &error);
                Err(self.fail("lookup", time, failure))
            }
        }
    }

    /// Tries every address: a browser whose network has only IPv6 takes another than this host.
    fn tcp(&mut self, addresses: &[SocketAddr]) -> Result<Line, Failure> {
        let whole = Instant::now();
        let (mut first, mut errors, mut lines, mut facts) =
            (None, Vec::new(), Vec::new(), Vec::new());
        for &address in addresses {
            let start = Instant::now();
            let limit = self.options.connect_timeout();
            if limit.is_zero() {
                lines.push("the other addresses were not tried".to_owned());
                break;
            }
            self.options
                .waiting
                .on(&format!("a connection to {address}"), limit);
            let connected = Line::connect(address, limit);
            let time = milliseconds(start.elapsed());
            let error = connected.as_ref().err().map(ToString::to_string);
            facts.push(json!({"address": address.to_string(), "ms": time, "error": error}));
            match connected {
                Ok(line) => {
                    lines.push(format!("{address} accepts ({time} ms)"));
                    first.get_or_insert((address, line));
                }
                Err(error) => {
                    lines.push(format!("{address}: {error} ({time} ms)"));
                    errors.push(error);
                }
            }
        }
        let time = whole.elapsed();
        let (Some((address, line)), failed) = (first, errors.len()) else {
            let port = self.walk.target.port;
            let seen = lines.join("; ");
            // One that timed out says less than one that was refused.
            let telling = errors
                .iter()
                .find(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
            let other = std::io::Error::other("no address");
            let error = telling.or(errors.first()).unwrap_or(&other);
            let failure = failure::of_connect(self.role, port, error, seen);
            let failure = self.fail("tcp", time, failure);
            self.last().fact("addresses", json!(facts));
            return Err(failure);
        };
        self.walk.address = Some(address);
        self.walk.local = line.local_address().ok().map(|local| local.ip());
        let outcome = if failed == 0 {
            Outcome::Ok
        } else {
            Outcome::Note
        };
        let text = match failed {
            0 => format!("{address} accepts"),
            _ => format!(
                "{address} accepts, {failed} of {} addresses do not",
                addresses.len()
            ),
        };
        let step = self
            .note("tcp", outcome, time, text)
            .fact("addresses", json!(facts));
        if addresses.len() > 1 {
            step.lines = lines;
        }
        Ok(line)
    }

    fn tls(&mut self, line: Line, tls: &Tls) -> Result<Stream, Failure> {
        let start = Instant::now();
        let host = self.walk.target.host.clone();
        // Browsers offer HTTP/1.1 alone for a WebSocket.
        let limit = self.options.connect_timeout();
        self.options.waiting.on(&format!("TLS with {host}"), limit);
        let connected = tls.connect(line, &host, &["http/1.1"], limit);
        let time = start.elapsed();
        let (stream, shown) = match connected {
            Ok(connected) => connected,
            Err(failed) => {
                let failure = failure::of_tls(self.role, &failed);
                return Err(self.fail("tls", time, failure));
            }
        };
        self.judge_tls(&shown, time)?;
        Ok(stream)
    }

    fn judge_tls(&mut self, shown: &Shown, time: Duration) -> Result<(), Failure> {
        let host = self.walk.target.host.clone();
        let certificate = shown.certificate.as_ref();
        let problem = certificate.and_then(|certificate| certificate.problem(&host));
        // nginx itself doesn't verify an upstream unless told to.
        let goes_on = self.options.insecure || self.role == Role::Backend;
        let outcome = match &problem {
            None if certificate
                .is_none_or(|certificate| certificate.days_left >= certificate::FEW_DAYS) =>
            {
                Outcome::Ok
            }
            Some(_) if !goes_on => Outcome::Failed,
            _ => Outcome::Note,
        };
        let alpn = shown.alpn.as_deref().unwrap_or("not chosen");
        let mut text = format!("{}, ALPN {alpn}", shown.version);
        if let Some(certificate) = certificate {
            text += &certificate::describe(certificate);
        }
        let step = self.note("tls", outcome, time, text);
        step.fact("version", json!(shown.version));
        step.fact("alpn", json!(shown.alpn));
        if let Some(certificate) = certificate {
            step.fact("certificate", certificate::facts(certificate));
            let names = &certificate.names;
            step.lines = vec![
                format!("certificate for {}", certificate.names_text()),
                format!("issued by {}", certificate.issuer),
            ];
            if names.is_empty() {
                step.lines.push(format!("subject {}", certificate.subject));
            }
        }
        match problem {
            Some(problem) if !goes_on => Err(failure::of_certificate(&problem)),
            Some(problem) => {
                step.lines
                    .push(format!("going on although {}", problem.text));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn handshake(&mut self, stream: &mut Stream) -> Result<Vec<u8>, Failure> {
        let start = Instant::now();
        let request = self.walk.request.clone();
        let limit = self.options.timeout();
        self.options
            .waiting
            .on("the answer to the handshake", limit);
        let exchanged = handshake::exchange(stream, &request, limit);
        let time = start.elapsed();
        let sent = request.shown();
        let shown = |answer: &[String]| -> Vec<String> {
            let sent = sent.iter().map(|line| format!("> {line}"));
            sent.chain(answer.iter().map(|line| format!("< {line}")))
                .collect()
        };
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(unanswered) => {
                let failure = failure::of_silence(self.role, &unanswered).masked(&self.mask());
                let failure = self.fail("handshake", time, self.hinted(failure));
                let step = self.last();
                step.lines = shown(&[]);
                step.fact("sent", json!(sent)).fact("received", json!([]));
                return Err(failure);
            }
        };
        let mask = self.mask();
        let received = answer.shown(&mask);
        let failure = answered::judge(self.role, &answer, &request);
        let failure = failure.map(|failure| self.hinted(failure).masked(&mask));
        let line = received.first().cloned().unwrap_or_default();
        let unchosen = request.header(PROTOCOL).is_some() && answer.header(PROTOCOL).is_none();
        let (outcome, text) = match &failure {
            None if unchosen => {
                let text = format!(
                    "{line}, but no subprotocol was chosen: some browsers close the connection"
                );
                (Outcome::Note, text)
            }
            None => (Outcome::Ok, line),
            Some(failure) => (Outcome::Failed, failure.seen.to_string()),
        };
        let step = self.note("handshake", outcome, time, text);
        step.lines = shown(&received);
        step.fact("status", json!(answer.status));
        step.fact("sent", json!(sent))
            .fact("received", json!(received));
        if let Some(said) = answer.remark(&mask) {
            step.lines.push(format!("  says \"{said}\""));
            step.fact("said", json!(said));
        }
        let rest = answer.rest.clone();
        self.walk.answer = Some(answer);
        failure.map_or(Ok(rest), Err)
    }

    /// Of what came after the request.
    fn hinted(&self, failure: Failure) -> Failure {
        match self.walk.request.header(PROTOCOL) {
            Some(_) => failure,
            None => failure.without_subprotocol(),
        }
    }

    fn tunnel(
        &mut self,
        name: &'static str,
        act: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let done = act();
        let time = start.elapsed();
        match done {
            Ok(text) => {
                self.note(name, Outcome::Ok, time, text);
                Ok(())
            }
            // A Close may repeat them as well.
            Err(failure) => Err(self.fail(name, time, failure.masked(&self.mask()))),
        }
    }

    fn mask(&self) -> Mask {
        Mask::of(&self.walk.request)
    }

    fn fail(&mut self, name: &'static str, time: Duration, mut failure: Failure) -> Failure {
        let deadline = &self.options.deadline;
        // Nothing cuts the silence of --hold short.
        if deadline.is_over() && name != "hold" {
            self.walk.is_cut = true;
            let seconds = deadline.seconds();
            failure.seen =
                format!("{}; --deadline ended it after {seconds} s", failure.seen).into();
        }
        self.note(name, Outcome::Failed, time, failure.seen.to_string());
        failure
    }

    fn note(
        &mut self,
        name: &'static str,
        outcome: Outcome,
        time: Duration,
        text: String,
    ) -> &mut Step {
        self.walk.steps.push(Step {
            name,
            outcome,
            time,
            text,
            lines: Vec::new(),
            facts: Map::new(),
        });
        self.last()
    }

    fn last(&mut self) -> &mut Step {
        self.walk.steps.last_mut().expect("a step was just taken")
    }
}

const PROTOCOL: &str = "Sec-WebSocket-Protocol";
