//! Handshakes that are wrong the way a broken proxy makes them. A server must not take one for
//! success: who then opens a tunnel does so for clients that never asked for one.

use std::net::SocketAddr;

use crate::answer::Answer;
use crate::handshake;
use crate::options::Walk as Options;
use crate::request::Request;
use crate::stream::{Line, Stream};
use crate::target::Target;
use crate::tls::{Failed, Tls};
use crate::trace::Trace;

/// A wrong handshake and what came of it.
pub struct Probe {
    pub name: &'static str,
    /// What was done, for people.
    pub what: &'static str,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Whether the server took it for a right handshake.
    pub confused: bool,
    pub text: String,
}

const WITHOUT_UPGRADE: &str = "without-upgrade";
const OVER_HTTP_10: &str = "http-1.0";
const ONLY_H2: &str = "h2-only";

pub fn probe(
    target: &Target,
    address: SocketAddr,
    request: &Request,
    options: &Options,
    tls: &Tls,
    trace: &mut Trace,
) -> Vec<Probe> {
    let ask = |request: Request| {
        let mut stream = handshake::open(target, address, options, tls)?;
        handshake::exchange(&mut stream, &request, options.timeout()).ok()
    };
    let stripped = request
        .again()
        .without(&["Upgrade"])
        .with("Connection", "close")
        .named(WITHOUT_UPGRADE);
    let old = request.again().over("1.0").named(OVER_HTTP_10);
    let mut probes = Vec::new();
    for (name, what, request) in [
        (WITHOUT_UPGRADE, "the same without Upgrade", stripped),
        (OVER_HTTP_10, "the same over HTTP/1.0", old),
    ] {
        if options.deadline.is_over() {
            return probes;
        }
        options.waiting.on(what, options.timeout());
        trace.note(&request, 1);
        probes.push(judged(name, what, ask(request)));
    }
    if target.secure && !options.deadline.is_over() {
        let only_h2_offered = request.again().named(ONLY_H2);
        trace.note(&only_h2_offered, 1);
        probes.push(only_h2(target, address, &only_h2_offered, options, tls));
    }
    probes
}

fn judged(name: &'static str, what: &'static str, answer: Option<Answer>) -> Probe {
    let status = answer.map(|answer| answer.status);
    let confused = status == Some(101);
    let text = match status {
        Some(101) => "answered 101: accepted as a handshake".to_owned(),
        Some(status) => format!("answered {status}: not accepted"),
        None => "not answered".to_owned(),
    };
    Probe {
        name,
        what,
        status,
        confused,
        text,
    }
}

/// HTTP/2 alone is offered, and then HTTP/1.1 spoken.
fn only_h2(
    target: &Target,
    address: SocketAddr,
    request: &Request,
    options: &Options,
    tls: &Tls,
) -> Probe {
    let what = "the same after offering HTTP/2 alone in ALPN";
    let probe = |status, confused, text: &str| Probe {
        name: ONLY_H2,
        what,
        status,
        confused,
        text: text.to_owned(),
    };
    let limit = options.connect_timeout();
    let connected = Line::connect(address, limit).map_err(Failed::from);
    match connected.and_then(|line| tls.connect(line, &target.host, &["h2"], limit)) {
        Err(Failed::NoProtocol) => probe(
            None,
            false,
            "refused during the TLS handshake, as it should be",
        ),
        Err(failed) => probe(None, false, &failed.text()),
        Ok((mut stream, shown)) => {
            let status = ask(&mut stream, request, options);
            match (shown.alpn.as_deref(), status) {
                (Some("h2"), Some(101)) => probe(
                    status,
                    true,
                    "chose HTTP/2, yet accepted an HTTP/1.1 handshake",
                ),
                (Some("h2"), _) => probe(
                    status,
                    false,
                    "chose HTTP/2 and accepted no HTTP/1.1 handshake",
                ),
                (_, Some(101)) => probe(
                    status,
                    true,
                    "chose no protocol, but accepted an HTTP/1.1 handshake",
                ),
                _ => probe(status, false, "chose no protocol and opened no WebSocket"),
            }
        }
    }
}

fn ask(stream: &mut Stream, request: &Request, options: &Options) -> Option<u16> {
    let answer = handshake::exchange(stream, request, options.connect_timeout()).ok()?;
    Some(answer.status)
}
