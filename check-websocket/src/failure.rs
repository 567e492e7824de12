//! What failed: the module's names and advice, and what to change in nginx.

use std::io;

use websocket_protocol::{Cause, Escaped, Status};

use crate::answer::Answer;
use crate::handshake::Unanswered;
use crate::request::Request;
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
    pub seen: String,
    pub meaning: &'static str,
    /// As in the module's log line.
    pub advice: &'static str,
    /// What to change in nginx, where something can be said beyond the advice.
    pub change: Option<String>,
    /// The status of nginx's own page, behind which several causes look the same.
    pub gateway: Option<u16>,
}

impl Failure {
    pub fn of(cause: Cause, seen: impl Into<String>) -> Self {
        Self {
            name: cause.name(),
            cause: Some(cause),
            problem: None,
            seen: seen.into(),
            meaning: cause.meaning(),
            advice: cause.advice(),
            change: None,
            gateway: None,
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
            seen,
            meaning,
            advice,
            change: None,
            gateway: None,
        }
    }

    /// What it could be, where that can't be told from outside.
    pub fn candidates(&self) -> impl Iterator<Item = Cause> + use<> {
        let gateway = self.gateway;
        let same =
            move |cause: &Cause| gateway.is_some_and(|code| cause.status() == Status::Code(code));
        Cause::ALL.iter().copied().filter(same)
    }

    fn problem(mut self, name: &'static str) -> Self {
        self.problem = Some(name);
        self
    }

    pub fn change(mut self, text: impl Into<String>) -> Self {
        self.change = Some(text.into());
        self
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
    let seen = format!("{host} was not resolved: {error}");
    Failure::of(Cause::UpstreamUnresolved, seen).change_in_front(
        role,
        "nothing yet: nginx is not reached before the name is in DNS (or in /etc/hosts, or given by --resolve)",
    )
}

pub fn of_connect(role: Role, port: u16, error: &io::Error, seen: String) -> Failure {
    let (cause, change) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            Cause::UpstreamRefused,
            format!("see that nginx runs there and that a server block has `listen {port}`"),
        ),
        io::ErrorKind::TimedOut => (
            Cause::UpstreamConnectTimeout,
            format!("nothing yet: look for a firewall that drops packets to port {port}"),
        ),
        _ => (
            Cause::UpstreamUnreachable,
            "nothing yet: the network gives no way to this address".to_owned(),
        ),
    };
    Failure::of(cause, seen).change_in_front(role, &change)
}

pub fn of_tls(role: Role, failed: &tls::Failed) -> Failure {
    let failure = Failure::of(Cause::UpstreamTlsFailed, failed.text());
    match failed {
        tls::Failed::NotTls => failure
            .problem("not-tls")
            .change_in_front(role, "add `ssl` to this port's `listen`, or open ws:// if it is meant to be plain"),
        tls::Failed::TimedOut => failure.problem("tls-timeout").change_in_front(
            role,
            "if this port is meant to be plain, open ws://; else see that `listen … ssl` is there",
        ),
        _ => failure.change_in_front(
            role,
            "see that this port's `listen` has `ssl`; compare ssl_protocols and ssl_ciphers with what \
             browsers offer; see nginx's error log",
        ),
    }
}

pub fn of_certificate(problem: &tls::Problem) -> Failure {
    let change = match problem.name {
        "certificate-name" => {
            "give the server block with this server_name a certificate that lists the name; without \
             one nginx shows the default server's"
        }
        "certificate-expired" => {
            "renew the file ssl_certificate names and reload nginx: it keeps the old one until then"
        }
        "certificate-untrusted" => {
            "ssl_certificate must hold the intermediate certificates too, after the server's own"
        }
        "certificate-self-signed" => {
            "use a certificate that browsers trust; for a test, --insecure goes on"
        }
        _ => "see ssl_certificate",
    };
    Failure::of(Cause::UpstreamTlsFailed, problem.text.clone())
        .problem(problem.name)
        .change(change)
}

pub fn of_silence(role: Role, unanswered: &Unanswered) -> Failure {
    match unanswered {
        Unanswered::Closed(count, error) => {
            let how = match error.kind() {
                io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
                io::ErrorKind::ConnectionReset => "reset the connection".to_owned(),
                _ => format!("broke the connection off ({error})"),
            };
            let seen = match count {
                0 => format!("the server {how} without an answer"),
                count => format!("the server {how} after {count} bytes of its answer"),
            };
            Failure::of(Cause::UpstreamClosed, seen).change_in_front(
                role,
                "look for `return 444`, and for what else may close here before nginx answers",
            )
        }
        Unanswered::TimedOut(limit) => {
            let seen = format!(
                "no answer to the handshake within {} s",
                limit.as_secs_f32()
            );
            Failure::of(Cause::UpstreamResponseTimeout, seen)
        }
        Unanswered::Invalid(text) => {
            let failure = Failure::of(Cause::UpstreamResponseInvalid, text.clone());
            failure.change_in_front(role, "see that it is nginx that listens at this port")
        }
    }
}

/// Judges an answer to the handshake.
pub fn of_answer(role: Role, answer: &Answer, request: &Request) -> Option<Failure> {
    if answer.status == 101 {
        let refusal = answer.verify(request).err()?;
        return Some(Failure::of(refusal.cause, refusal.seen.to_string()));
    }
    let seen = format!("\"{}\" where 101 was expected", Escaped(&answer.line));
    if let Some(cause) = answer
        .header("X-WebSocket-Cause")
        .and_then(Cause::from_name)
    {
        let seen = format!("{seen}; the module says {cause}");
        return Some(Failure::of(cause, seen));
    }
    if answer.asks_for_websocket() {
        let seen = format!("{seen}, and the answer asks for the Upgrade that was sent");
        let failure = Failure::of(Cause::UpgradeMissing, seen);
        return Some(failure.change("websocket on; in the location that proxies"));
    }
    if answer.status == 400 && answer.body_contains("plain HTTP request was sent to HTTPS port") {
        let seen = format!("{seen}: this port speaks TLS");
        let failure = Failure::of(Cause::LocalStatus, seen).problem("plain-to-tls");
        return Some(failure.change("open wss://; nginx answers so at a port with `listen … ssl`"));
    }
    let seen = match answer.header("Location") {
        Some(to) => format!("{seen}, with Location \"{}\"", Escaped(to.as_bytes())),
        None => seen,
    };
    if role == Role::Front && answer.is_nginx_page() {
        if let 502 | 504 = answer.status {
            return Some(gateway(answer.status, seen));
        }
        let cause = Cause::from_local_status(answer.status)?;
        return Some(Failure::of(cause, format!("{seen}, with nginx's own page")));
    }
    Cause::from_upstream_status(answer.status).map(|cause| Failure::of(cause, seen))
}

/// nginx's own 502 or 504: the cause is in its error log only.
fn gateway(status: u16, seen: String) -> Failure {
    let cause = match status {
        504 => Cause::UpstreamResponseTimeout,
        _ => Cause::UpstreamError,
    };
    let seen = format!("{seen}, with nginx's own page");
    let failure = Failure {
        gateway: Some(status),
        ..Failure::of(cause, seen)
    };
    failure.change(
        "the exact cause is in nginx's error log; `websocket_cause_header on` shows it here, and so \
         does --backend in most cases",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, header: &str, body: &str) -> Answer {
        let header = header.split_once(": ");
        Answer {
            status,
            line: format!("HTTP/1.1 {status} Some").into_bytes(),
            headers: header
                .map(|(a, b)| (a.into(), b.into()))
                .into_iter()
                .collect(),
            rest: body.into(),
        }
    }

    fn request() -> Request {
        let headers = vec![(
            "Sec-WebSocket-Key".to_owned(),
            "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
        )];
        Request {
            path: "/".to_owned(),
            version: "1.1",
            headers,
        }
    }

    fn name(role: Role, answer: &Answer) -> &'static str {
        of_answer(role, answer, &request()).expect("a failure").name
    }

    const PAGE: &str = "<html><body><hr><center>nginx/1.22.1</center></body></html>";

    #[test]
    fn nginx_s_own_page_makes_a_status_local_in_front_only() {
        assert_eq!(name(Role::Front, &answer(404, "", PAGE)), "local-not-found");
        assert_eq!(
            name(Role::Front, &answer(404, "", "no")),
            "upstream-not-found"
        );
        assert_eq!(
            name(Role::Backend, &answer(404, "", PAGE)),
            "upstream-not-found"
        );
    }

    #[test]
    fn a_bad_gateway_has_many_causes_and_the_module_knows_which() {
        let failure =
            of_answer(Role::Front, &answer(502, "", PAGE), &request()).expect("a failure");
        assert_eq!(failure.name, "upstream-error");
        assert!(
            failure
                .candidates()
                .any(|cause| cause == Cause::UpstreamRefused)
        );
        assert!(
            failure
                .candidates()
                .any(|cause| cause == Cause::AcceptMismatch)
        );
        assert!(
            !failure
                .candidates()
                .any(|cause| cause == Cause::UpstreamConnectTimeout)
        );
        let told = answer(502, "X-WebSocket-Cause: upstream-refused", PAGE);
        assert_eq!(name(Role::Front, &told), "upstream-refused");
        let unknown = answer(502, "X-WebSocket-Cause: made-up", PAGE);
        assert_eq!(name(Role::Front, &unknown), "upstream-error");
    }

    #[test]
    fn a_101_is_judged_by_the_rules() {
        assert_eq!(name(Role::Front, &answer(101, "", "")), "response-upgrade");
    }

    #[test]
    fn plain_http_to_a_tls_port() {
        let body = "<center>The plain HTTP request was sent to HTTPS port</center>";
        let failure = of_answer(Role::Front, &answer(400, "", body), &request());
        assert_eq!(
            failure.and_then(|failure| failure.problem),
            Some("plain-to-tls")
        );
    }
}
