//! Through nginx and straight to the backend, side by side.

use websocket_protocol::{Address, Cause, Escaped};

use crate::answer::Answer;
use crate::failure::Failure;
use crate::handshake::{self, Unanswered};
use crate::mask::Mask;
use crate::options::Walk as Options;
use crate::request::{HIDDEN, Request, is_secret};
use crate::steps::Walk;
use crate::tls::Tls;

/// What the comparison says.
pub struct Comparison {
    pub verdict: Verdict,
    pub text: String,
    /// What the two answers to the same handshake differ in.
    pub differences: Vec<String>,
    /// The header that made the difference, where one was found.
    pub header: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    BothWork,
    /// Works directly, fails through nginx.
    NginxFails,
    /// The backend itself refuses.
    BackendRefuses,
    /// Fails both ways, for different reasons.
    BothFail,
    /// Works through nginx, fails directly.
    OnlyThroughNginx,
    /// The backend speaks what this program doesn't.
    BackendUnknown,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::BothWork => "both-work",
            Self::NginxFails => "nginx-fails",
            Self::BackendRefuses => "backend-refuses",
            Self::BothFail => "both-fail",
            Self::OnlyThroughNginx => "only-through-nginx",
            Self::BackendUnknown => "backend-unknown",
        }
    }
}

/// Compares, and makes the failure through nginx more precise where the backend's tells more.
pub fn compare(front: &mut Walk, backend: &Walk, options: &Options, tls: &Tls) -> Comparison {
    let comparison = |verdict, text: &str| Comparison {
        verdict,
        text: text.to_owned(),
        differences: Vec::new(),
        header: None,
    };
    let (through, direct) = (front.failure.clone(), &backend.failure);
    match (through, direct) {
        (None, None) => comparison(Verdict::BothWork, "works through nginx and directly"),
        (_, Some(direct)) if direct.is_unknown() => comparison(
            Verdict::BackendUnknown,
            "there is nothing to compare with: this program can't speak to the backend",
        ),
        (None, Some(direct)) => comparison(
            Verdict::OnlyThroughNginx,
            &format!(
                "works through nginx, but not directly from here ({})",
                direct.name
            ),
        ),
        (Some(through), Some(direct)) if front.was_asked() && is_same(&through, direct) => {
            front.failure = Some(sharper(&through, direct));
            comparison(
                Verdict::BackendRefuses,
                &format!("the backend itself refuses: {}", direct.name),
            )
        }
        (Some(through), Some(direct)) => comparison(
            Verdict::BothFail,
            &format!(
                "fails through nginx ({}), and in a different way directly ({})",
                through.name, direct.name
            ),
        ),
        (Some(through), None) => {
            let found = culprits(front, backend, options, tls);
            let text = "works directly, fails through nginx";
            let mut comparison = comparison(Verdict::NginxFails, text);
            comparison.differences = differences(front.answer.as_ref(), backend.answer.as_ref());
            let mask = Mask::of(&front.request);
            let shown = comparison.differences.iter();
            comparison.differences = shown.map(|text| mask.text(text)).collect();
            let hidden = hidden(front.answer.as_ref(), backend.answer.as_ref());
            if let Some(header) = hidden {
                comparison.text =
                    format!("{text}: {header} of the backend's 101 does not come through");
                comparison.header = Some(header.to_owned());
                front.failure = Some(of_hidden(&through, header));
            } else if let Some((culprit, others)) = found.split_first() {
                comparison.text = format!("{text}: {}", culprit.text);
                let others: Vec<&str> = others.iter().map(|other| other.header).collect();
                if !others.is_empty() {
                    comparison.text += &format!(" (or it is {})", others.join(" or "));
                }
                comparison.header = Some(culprit.header.to_owned());
                front.failure = Some(culprit.name(&through));
            } else if front.answer.as_ref().is_some_and(Answer::is_nginx_page)
                && !through.candidates.is_empty()
            {
                front.failure = Some(through.change(
                    "nginx got no answer from its upstream, but --backend answers: compare its \
                     address with the one in proxy_pass, and see nginx's error log",
                ));
            }
            comparison
        }
    }
}

/// Whether nginx's failure is the backend's, seen from in front.
fn is_same(through: &Failure, direct: &Failure) -> bool {
    through.name == direct.name
        || direct
            .cause
            .is_some_and(|cause| through.candidates.contains(&cause))
}

/// The backend's own words; nginx's are "502".
fn sharper(through: &Failure, direct: &Failure) -> Failure {
    Failure {
        seen: format!("{} (directly: {})", through.seen, direct.seen).into(),
        change: direct.change.clone(),
        ..direct.clone()
    }
}

/// What nginx changes in a handshake, one thing at a time, as candidates for what went wrong.
struct Change {
    header: &'static str,
    text: &'static str,
    cause: Option<Cause>,
    advice: &'static str,
    request: fn(&Request, &Walk) -> Option<Request>,
}

const PASS_HOST_ON: &str = "proxy_set_header Host $http_host";

/// What concerns one header first: a backend that answers anything wrong in the same way would be
/// told to lack Upgrade otherwise. Upgrade comes twice: as nginx leaves it out from 1.29.7 on, and
/// as it did before.
const CHANGES: &[Change] = &[
    Change {
        header: "Host",
        text: "the backend answers the same when Host is its own address, which is what nginx \
               sends by default",
        cause: None,
        advice: PASS_HOST_ON,
        request: |request, backend| Some(request.again().with("Host", backend.target.authority())),
    },
    Change {
        header: "Host",
        text: "the backend answers the same when Host has no port, as in $host",
        cause: None,
        advice: PASS_HOST_ON,
        request: |request, _| {
            let host = request.header("Host")?;
            let (name, _) = host
                .rsplit_once(':')
                .filter(|(_, port)| !port.ends_with(']'))?;
            Some(request.again().with("Host", name))
        },
    },
    Change {
        header: "Origin",
        text: "the backend answers the same without Origin",
        cause: None,
        advice: "look for a proxy_set_header that empties Origin",
        request: |request, _| without(request, "Origin"),
    },
    Change {
        header: "Sec-WebSocket-Protocol",
        text: "the backend answers the same without Sec-WebSocket-Protocol",
        cause: None,
        advice: "look for a proxy_set_header that empties Sec-WebSocket-Protocol",
        request: |request, _| without(request, "Sec-WebSocket-Protocol"),
    },
    Change {
        header: "Cookie",
        text: "the backend answers the same without Cookie",
        cause: None,
        advice: "look for a proxy_set_header that empties Cookie",
        request: |request, _| without(request, "Cookie"),
    },
    Change {
        header: "Authorization",
        text: "the backend answers the same without Authorization",
        cause: None,
        advice: "look for a proxy_set_header that empties Authorization, and for auth_basic in \
                 nginx",
        request: |request, _| without(request, "Authorization"),
    },
    Change {
        header: "Upgrade",
        text: "the backend answers the same when Upgrade is missing, so nginx does not pass it on",
        cause: Some(Cause::UpgradeMissing),
        advice: "`websocket on;` in the location that proxies; by hand that takes \
                 proxy_http_version 1.1 and proxy_set_header for Upgrade and Connection",
        request: |request, _| Some(request.again().without(&["Upgrade", "Connection"])),
    },
    Change {
        header: "Upgrade",
        text: "the backend answers the same when Upgrade is missing, so nginx does not pass it on",
        cause: Some(Cause::UpgradeMissing),
        advice: "`websocket on;` in the location that proxies; by hand that takes \
                 proxy_http_version 1.1 and proxy_set_header for Upgrade and Connection",
        request: |request, _| {
            Some(
                request
                    .again()
                    .without(&["Upgrade"])
                    .with("Connection", "close")
                    .over("1.0"),
            )
        },
    },
    Change {
        header: "Connection",
        text: "the backend answers the same when Connection does not list upgrade",
        cause: Some(Cause::ConnectionNotUpgrade),
        advice: "`websocket on;` in the location that proxies, or proxy_set_header Connection \
                 upgrade",
        request: |request, _| Some(request.again().with("Connection", "close")),
    },
    Change {
        header: "HTTP version",
        text: "the backend answers the same over HTTP/1.0, which is what nginx speaks by default",
        cause: Some(Cause::HttpVersion),
        advice: "`websocket on;` in the location that proxies, or proxy_http_version 1.1",
        request: |request, _| Some(request.again().over("1.0")),
    },
];

impl Change {
    /// The failure, now that it is known what made it.
    fn name(&self, through: &Failure) -> Failure {
        let named = match self.cause {
            // It says more than that Upgrade is missing.
            _ if through.cause == Some(Cause::HttpVersion) => {
                Failure::of(Cause::HttpVersion, through.seen.clone())
            }
            Some(cause) => Failure::of(cause, through.seen.clone()),
            None => through.clone(),
        };
        named.change(self.advice)
    }
}

fn without(request: &Request, header: &str) -> Option<Request> {
    request.header(header)?;
    Some(request.again().without(&[header]))
}

/// Makes each change itself and looks whether the backend then does what it did through nginx.
fn culprits(front: &Walk, backend: &Walk, options: &Options, tls: &Tls) -> Vec<&'static Change> {
    let (Some(seen), Some(address)) = (&front.answer, backend.address) else {
        return Vec::new();
    };
    if seen.status == 101 {
        return Vec::new();
    }
    let mut found = Found::default();
    for change in CHANGES {
        if options.deadline.is_over() {
            break;
        }
        options.waiting.on(
            "the backend, with what nginx may have changed",
            options.timeout(),
        );
        let Some(request) = (change.request)(&backend.request, backend) else {
            continue;
        };
        if let Some(mut stream) = handshake::open(&backend.target, address, options, tls) {
            let exchanged = handshake::exchange(&mut stream, &request, options.timeout());
            found.add(change, Likeness::of(seen, exchanged));
        }
    }
    found.best()
}

/// How near the backend comes to what was seen through nginx.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Same,
    /// Of the same status, in other words.
    Alike,
    Other,
}

impl Likeness {
    fn of(seen: &Answer, exchanged: Result<Answer, Unanswered>) -> Self {
        match exchanged {
            // nginx's own page was not made by the backend; but it is how a close looks from here.
            Err(Unanswered::Closed(..)) if seen.is_nginx_page() && seen.status == 502 => Self::Same,
            Ok(_) if seen.is_nginx_page() => Self::Other,
            Ok(answer) if answer.status != seen.status => Self::Other,
            // The words tell apart what the status doesn't.
            Ok(answer) if answer.rest == seen.rest => Self::Same,
            Ok(_) => Self::Alike,
            Err(_) => Self::Other,
        }
    }
}

#[derive(Default)]
struct Found {
    same: Vec<&'static Change>,
    alike: Vec<&'static Change>,
}

impl Found {
    fn add(&mut self, change: &'static Change, likeness: Likeness) {
        match likeness {
            Likeness::Same => self.same.push(change),
            Likeness::Alike => self.alike.push(change),
            Likeness::Other => {}
        }
    }

    fn best(self) -> Vec<&'static Change> {
        let mut best = if self.same.is_empty() {
            self.alike
        } else {
            self.same
        };
        best.dedup_by_key(|change| change.header);
        best
    }
}

/// A header without which a 101 is none, where the backend sends it and it does not come through.
fn hidden(through: Option<&Answer>, direct: Option<&Answer>) -> Option<&'static str> {
    let (through, direct) = (through?, direct?);
    let needed = ["Upgrade", "Connection", "Sec-WebSocket-Accept"];
    let is_hidden = |name: &&str| through.header(name).is_none() && direct.header(name).is_some();
    let both = through.status == 101 && direct.status == 101;
    needed.into_iter().find(is_hidden).filter(|_| both)
}

fn of_hidden(through: &Failure, header: &str) -> Failure {
    Failure {
        meaning: "The backend's answer is right, and what is between it and here removes a header that it needs.",
        advice: "look for a proxy_hide_header that removes the header, and for anything else that changes answers",
        // It is not the upstream's fault, which the cause would say.
        cause: None,
        ..through.clone()
    }
    .change(format!(
        "look for `proxy_hide_header {header}` in the location that proxies and in the levels above it"
    ))
}

/// The headers a handshake is judged by, and those that say where an answer is from.
const COMPARED: [&str; 8] = [
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Version",
    "Location",
    "WWW-Authenticate",
    "Server",
];

fn differences(through: Option<&Answer>, direct: Option<&Answer>) -> Vec<String> {
    let (Some(through), Some(direct)) = (through, direct) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // Its value differs with the key.
    let accepts = [through, direct].map(|answer| answer.header("Sec-WebSocket-Accept").is_some());
    match accepts {
        [false, true] if through.status == 101 => {
            found.push("Sec-WebSocket-Accept: none through nginx, sent directly".to_owned());
        }
        _ => {}
    }
    if through.status != direct.status {
        found.push(format!(
            "status: {} through nginx, {} directly",
            through.status, direct.status
        ));
    }
    let shown = |name: &str, value: Option<&str>| match value {
        Some(value) if is_secret(name.as_bytes(), value.as_bytes()) => HIDDEN.to_owned(),
        Some(value) if name == "Location" => format!("\"{}\"", Address(value.as_bytes())),
        Some(value) => format!("\"{}\"", Escaped(value.as_bytes())),
        None => "none".to_owned(),
    };
    for name in COMPARED {
        let (a, b) = (through.header(name), direct.header(name));
        if a != b {
            found.push(format!(
                "{name}: {} through nginx, {} directly",
                shown(name, a),
                shown(name, b)
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switching(headers: &[&str]) -> Answer {
        let header = |name: &&str| (name.as_bytes().to_vec(), b"x".to_vec());
        Answer {
            status: 101,
            line: b"HTTP/1.1 101 Switching Protocols".to_vec(),
            headers: headers.iter().map(header).collect(),
            rest: Vec::new(),
        }
    }

    #[test]
    fn a_header_that_does_not_come_through() {
        let direct = switching(&["Upgrade", "Connection", "Sec-WebSocket-Accept"]);
        let through = switching(&["Upgrade", "Connection"]);
        let missing = hidden(Some(&through), Some(&direct));
        assert_eq!(missing, Some("Sec-WebSocket-Accept"));
        assert_eq!(hidden(Some(&direct), Some(&direct)), None);
        assert_eq!(hidden(Some(&direct), Some(&through)), None);
        let refused = Answer {
            status: 403,
            ..through
        };
        assert_eq!(hidden(Some(&refused), Some(&direct)), None);
        let failure = Failure::of(Cause::AcceptMissing, "");
        let named = of_hidden(&failure, "Sec-WebSocket-Accept");
        assert_eq!(named.name, "accept-missing");
        assert!(
            !named.advice.contains("make the upstream"),
            "{}",
            named.advice
        );
        let change = named.change.unwrap_or_default();
        assert!(
            change.contains("proxy_hide_header Sec-WebSocket-Accept"),
            "{change}"
        );
    }
}
