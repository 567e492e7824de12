//! What failed: the module's names and advice, and what to change in nginx.

use std::io;

use websocket_protocol::{Advice, Cause, Evidence, Fault};

use crate::handshake::{MAX_HEAD, Unanswered};
use crate::look;
use crate::mask::Mask;
use crate::tls;

/// Which side of nginx was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The address a browser opens: nginx, or what stands in front of it.
    Front,
    /// `--backend`: what nginx passes to.
    Backend,
}

/// The first thing that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The cause's name, or one of the module's names for the end of a tunnel.
    pub name: &'static str,
    pub cause: Option<Cause>,
    /// A finer name where the cause covers several, such as `certificate-expired`.
    pub problem: Option<&'static str>,
    /// The facts.
    pub seen: Box<str>,
    pub meaning: &'static str,
    /// As in the module's log line.
    pub advice: &'static str,
    /// What to change in nginx, where something can be said beyond the advice.
    pub change: Option<Box<str>>,
    /// Whether it may be that a subprotocol was due.
    pub wants_subprotocol: bool,
    /// What it could be, where that can't be told from outside.
    pub candidates: Box<[Cause]>,
}

impl Failure {
    pub fn of(cause: Cause, seen: impl Into<Box<str>>) -> Self {
        Self {
            name: cause.name(),
            cause: Some(cause),
            problem: None,
            seen: seen.into(),
            meaning: cause.meaning(),
            advice: cause.advice(),
            change: None,
            wants_subprotocol: false,
            candidates: Box::default(),
        }
    }

    /// The end of an established connection, which is no handshake's cause.
    pub fn of_tunnel(
        name: &'static str,
        seen: String,
        meaning: &'static str,
        advice: &'static str,
    ) -> Self {
        Self {
            name,
            cause: None,
            problem: None,
            seen: seen.into(),
            meaning,
            advice,
            change: None,
            wants_subprotocol: false,
            candidates: Box::default(),
        }
    }

    /// With the advice that follows from what was seen, if that says more than the usual one.
    pub fn advised_by(mut self, evidence: &Evidence<'_>) -> Self {
        if let Some(Advice::Found(finding)) = self.cause.map(|cause| evidence.advice(cause)) {
            self.advice = finding.advice();
        }
        self
    }

    /// For a handshake that offered no subprotocol. Servers that want one of theirs close where an
    /// answer or the first frame was due, or answer 400.
    pub fn without_subprotocol(mut self) -> Self {
        const CLOSED_AT_ONCE: [&str; 3] = ["closed", "no-close-frame", "reset"];
        self.wants_subprotocol = match self.cause {
            Some(cause) => [Cause::UpstreamClosed, Cause::UpstreamBadRequest].contains(&cause),
            None => CLOSED_AT_ONCE.contains(&self.name),
        };
        self
    }

    /// Whether it is this program that can't go on: then it is not known whether others can.
    pub fn is_unknown(&self) -> bool {
        [TLS_UNSUPPORTED, TOO_BIG].contains(&self.name)
    }

    /// Who has to change something, unless that depends on which of the candidates it is.
    pub fn fault(&self) -> Option<Fault> {
        let fault = self.cause?.fault();
        let mut others = self.candidates.iter().map(|cause| cause.fault());
        others.all(|other| other == fault).then_some(fault)
    }

    /// What is said in front of the name.
    pub fn verdict(&self) -> &'static str {
        match self.is_unknown() {
            true => "can't tell",
            false => "fails",
        }
    }

    /// Without credentials that the server repeats.
    pub fn masked(mut self, mask: &Mask) -> Self {
        self.seen = mask.text(&self.seen).into();
        self
    }

    pub fn problem(mut self, name: &'static str) -> Self {
        self.problem = Some(name);
        self
    }

    pub fn change(mut self, text: impl Into<Box<str>>) -> Self {
        self.change = Some(text.into());
        self
    }

    /// What to try from here.
    pub fn hint(&self) -> Option<&'static str> {
        self.wants_subprotocol
            .then_some("no subprotocol was offered; try --subprotocol")
    }

    /// For the address itself nginx is the server that failed, and the advice about `proxy_pass`
    /// belongs to another step of the way.
    fn change_in_front(self, role: Role, text: &str) -> Self {
        match role {
            Role::Front => self.change(text),
            Role::Backend => self,
        }
    }
}

pub fn of_lookup(role: Role, host: &str, error: &io::Error) -> Failure {
    let seen = format!("{host} could not be resolved: {error}");
    Failure::of(Cause::UpstreamUnresolved, seen).change_in_front(
        role,
        "nothing yet: the name must first be in DNS (or in /etc/hosts, or given with --resolve)",
    )
}

pub fn of_connect(role: Role, port: u16, error: &io::Error, seen: String) -> Failure {
    let (cause, change) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            Cause::UpstreamRefused,
            format!("make sure that nginx runs there and that a server block has `listen {port}`"),
        ),
        io::ErrorKind::TimedOut => (
            Cause::UpstreamConnectTimeout,
            format!("nothing yet: look for a firewall that drops packets to port {port}"),
        ),
        _ => (
            Cause::UpstreamUnreachable,
            "nothing yet: there is no route to this address".to_owned(),
        ),
    };
    Failure::of(cause, seen).change_in_front(role, &change)
}

/// The TLS of the address itself is that of nginx's own listener: `proxy_pass` has no part in it.
const OWN_TLS: (&str, &str) = (
    "No TLS connection that can be trusted was made to the server at this address; no handshake \
     was sent.",
    "check ssl in listen, ssl_certificate and ssl_protocols of the server block that listens here",
);

fn of_own_tls(seen: String) -> Failure {
    let (meaning, advice) = OWN_TLS;
    Failure {
        meaning,
        advice,
        ..Failure::of(Cause::UpstreamTlsFailed, seen)
    }
}

/// TLS that this program can't speak, and others may: no verdict on the server.
const TLS_UNSUPPORTED: &str = "tls-unsupported";

/// A message that is longer than this program reads.
pub const TOO_BIG: &str = "message-too-big";

fn of_tls_beyond(role: Role, what: &str) -> Failure {
    let (who, advice) = match role {
        Role::Front => (
            "browsers may",
            "open the address in a browser; compare ssl_protocols, ssl_ciphers and ssl_certificate of the \
             server block that listens here with what browsers take",
        ),
        Role::Backend => (
            "nginx may",
            "see nginx's error log for what its own TLS makes of this server; `openssl s_client -connect` tries \
             it with the same library",
        ),
    };
    Failure::of_tunnel(
        TLS_UNSUPPORTED,
        format!("{what}: this program can't go on, {who}"),
        "This program does not speak the server's TLS, and can't tell whether it works.",
        advice,
    )
}

pub fn of_tls(role: Role, failed: &tls::Failed) -> Failure {
    if let tls::Failed::Beyond(what) = failed {
        return of_tls_beyond(role, what);
    }
    let failure = match role {
        Role::Front => of_own_tls(failed.text()),
        Role::Backend => Failure::of(Cause::UpstreamTlsFailed, failed.text()),
    };
    match failed {
        tls::Failed::NotTls => failure.problem("not-tls").change_in_front(
            role,
            "add `ssl` to this port's `listen`, or open ws:// if it is meant to be plain",
        ),
        tls::Failed::TimedOut => failure.problem("tls-timeout").change_in_front(
            role,
            "if this port is meant to be plain, open ws://; else make sure that its `listen` has \
             `ssl`",
        ),
        tls::Failed::NoName => of_name(role, failure),
        tls::Failed::NoProtocol => Failure {
            advice: "make what ends TLS there offer http/1.1 in ALPN, beside h2 if it has that: a WebSocket is opened \
                     over HTTP/1.1",
            ..failure
        },
        _ => failure.change_in_front(
            role,
            "make sure that this port's `listen` has `ssl`; compare ssl_protocols and ssl_ciphers \
             with what browsers offer; see nginx's error log",
        ),
    }
}

/// Of TLS that ended for the name in it (SNI).
fn of_name(role: Role, failure: Failure) -> Failure {
    match role {
        Role::Front => Failure {
            advice: "check the name in the address, and server_name of the server blocks that listen here",
            ..failure
        }
        .change(
            "a server block with this port and this server_name; where none has it, \
             `ssl_reject_handshake on` of the default server ends TLS",
        ),
        Role::Backend => Failure {
            advice: "set proxy_ssl_server_name on, and proxy_ssl_name to a name that the upstream has",
            ..failure
        },
    }
}

/// Of a certificate that a browser would not go on with: the server's at the address itself.
pub fn of_certificate(problem: &look::Problem) -> Failure {
    let change = match problem.name {
        "certificate-name" => {
            "give the server block with this server_name a certificate that lists the name; \
             without one nginx shows the default server's"
        }
        "certificate-expired" => {
            "renew the file ssl_certificate names and reload nginx: it keeps the old one until then"
        }
        "certificate-untrusted" => {
            "ssl_certificate must hold the intermediate certificates too, after the server's own; if it does, \
             the root may be one that this machine does not know: SSL_CERT_FILE names others"
        }
        "certificate-self-signed" => {
            "use a certificate that browsers trust; for a test, --insecure ignores this"
        }
        _ => "see ssl_certificate",
    };
    let unread = match problem.name {
        "certificate-untrusted" | "certificate-self-signed" => tls::unread_roots(),
        _ => None,
    };
    let seen = match unread {
        Some(unread) => format!("{}; {unread}", problem.text),
        None => problem.text.clone(),
    };
    of_own_tls(seen).problem(problem.name).change(change)
}

pub fn of_silence(role: Role, unanswered: &Unanswered) -> Failure {
    match unanswered {
        Unanswered::Closed(count, error) => {
            let how = match error.kind() {
                io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
                io::ErrorKind::ConnectionReset => "reset the connection".to_owned(),
                _ => format!("broke off the connection ({error})"),
            };
            let seen = match count {
                0 => format!("the server {how} without an answer"),
                count => format!("the server {how} after {count} bytes of its answer"),
            };
            Failure::of(Cause::UpstreamClosed, seen).change_in_front(
                role,
                "look for `return 444` or anything else that closes the connection before nginx \
                 answers",
            )
        }
        Unanswered::TimedOut(limit) => {
            let seen = format!(
                "no answer to the handshake within {} s",
                limit.as_secs_f32()
            );
            Failure::of(Cause::UpstreamResponseTimeout, seen)
        }
        Unanswered::TooLong => of_long_header(role),
        Unanswered::Invalid(text) => {
            let failure = Failure::of(Cause::UpstreamResponseInvalid, text.clone());
            failure.change_in_front(
                role,
                "make sure that nginx is what listens on this port; before nginx 1.25.1 `listen ... http2` without `ssl` takes \
                 HTTP/2 alone",
            )
        }
    }
}

/// nginx reads less of an upstream by default; a browser reads more.
fn of_long_header(role: Role) -> Failure {
    let seen = format!("the header of the answer is longer than {MAX_HEAD} bytes");
    match role {
        Role::Front => Failure::of_tunnel(
            TOO_BIG,
            format!("{seen}, which may be right; this program reads no more"),
            "An answer came whose header is longer than this program reads, which can't tell whether it works.",
            "find out what makes it so long, such as many cookies; nginx takes no such header from an upstream \
             unless proxy_buffer_size is raised",
        ),
        Role::Backend => Failure::of(Cause::UpstreamHeaderTooBig, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_that_ended_for_a_name_or_a_protocol() {
        for (role, failed, text) in [
            (Role::Front, tls::Failed::NoName, "server_name"),
            (Role::Backend, tls::Failed::NoName, "proxy_ssl_name"),
            (Role::Front, tls::Failed::NoProtocol, "http/1.1"),
            (Role::Backend, tls::Failed::NoProtocol, "http/1.1"),
        ] {
            let failure = of_tls(role, &failed);
            assert_eq!(failure.name, "upstream-tls-failed");
            assert!(failure.advice.contains(text), "{}", failure.advice);
            let change = failure.change.unwrap_or_default();
            assert!(!change.contains("ssl_protocols"), "{change}");
        }
    }

    #[test]
    fn a_chain_that_is_not_trusted_may_have_an_unknown_root() {
        let problem = look::Problem {
            name: "certificate-untrusted",
            text: String::new(),
        };
        let change = of_certificate(&problem).change.unwrap_or_default();
        assert!(change.contains("does not know"), "{change}");
    }

    #[test]
    fn a_header_that_is_too_long_to_be_read_is_no_mistake() {
        let front = of_silence(Role::Front, &Unanswered::TooLong);
        assert!(front.is_unknown());
        assert!(
            front.seen.contains("longer than 32768 bytes"),
            "{}",
            front.seen
        );
        let backend = of_silence(Role::Backend, &Unanswered::TooLong);
        assert_eq!(backend.name, "upstream-header-too-big");
    }
}
