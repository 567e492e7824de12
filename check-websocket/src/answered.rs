//! What an answer to the handshake says.

use websocket_protocol::{Address, Cause, Escaped, Evidence, Status};

use crate::answer::Answer;
use crate::failure::{Failure, Role};
use crate::request::Request;

/// Judges an answer to the handshake.
pub fn judge(role: Role, answer: &Answer, request: &Request) -> Option<Failure> {
    let failure = cause(role, answer, request)?;
    Some(failure.advised_by(&evidence(role, answer, request)))
}

/// What advice depends on. What an upstream behind nginx got is not known here.
fn evidence<'a>(role: Role, answer: &'a Answer, request: &'a Request) -> Evidence<'a> {
    let header = |name| request.header(name).map(str::as_bytes);
    Evidence {
        status: answer.status,
        body: &answer.rest,
        path: Some(Address(request.path.as_bytes()).path()),
        location: answer.header("Location").map(str::as_bytes),
        host: header("Host"),
        sent_host: header("Host").filter(|_| role == Role::Backend),
        origin: header("Origin"),
        ..Evidence::default()
    }
}

fn cause(role: Role, answer: &Answer, request: &Request) -> Option<Failure> {
    if answer.status == 101 {
        let refusal = answer.verify(request).err()?;
        return Some(Failure::of(refusal.cause, refusal.seen.to_string()));
    }
    let seen = format!("\"{}\" where 101 was expected", Escaped(&answer.line));
    if let Some(cause) = answer.told_cause() {
        let seen = format!("{seen}; the module says {cause}");
        return Some(Failure::of(cause, seen));
    }
    if answer.asks_for_websocket() {
        let seen = format!("{seen}, and the answer asks for the Upgrade that was sent");
        let failure = Failure::of(Cause::UpgradeMissing, seen);
        return Some(failure.change("websocket on; in the location that proxies"));
    }
    let seen = match answer.header("Location") {
        Some(to) => format!("{seen}, with Location \"{}\"", Address(to.as_bytes())),
        None => seen,
    };
    if let Some(failure) = of_listener(answer, &seen) {
        return Some(failure);
    }
    if role == Role::Front {
        if let Some(failure) = of_nginx(answer, &seen) {
            return Some(failure);
        }
    }
    Cause::from_upstream_status(answer.status).map(|cause| Failure::of(cause, seen))
}

/// What nginx refuses before it looks for a location: its page of 400 says it.
fn of_listener(answer: &Answer, seen: &str) -> Option<Failure> {
    const PAGES: [(&str, Cause); 4] = [
        (
            "The plain HTTP request was sent to HTTPS port",
            Cause::LocalPlainToTls,
        ),
        (
            "No required SSL certificate was sent",
            Cause::LocalCertificateMissing,
        ),
        ("The SSL certificate error", Cause::LocalCertificateRefused),
        (
            "Request Header Or Cookie Too Large",
            Cause::LocalHeaderTooLarge,
        ),
    ];
    let (page, cause) = PAGES
        .into_iter()
        .find(|(page, _)| answer.status == 400 && answer.body_contains(page))?;
    Some(Failure::of(cause, format!("{seen}: \"{page}\"")))
}

/// What nginx in front answered by itself, and what shows the way it asked the upstream.
fn of_nginx(answer: &Answer, seen: &str) -> Option<Failure> {
    if answer.is_nginx_page() {
        if let 502 | 504 = answer.status {
            return Some(gateway(answer.status, seen));
        }
        let cause = Cause::from_local_status(answer.status)?;
        let failure = Failure::of(cause, format!("{seen}, with nginx's own page"));
        return Some(match answer.status {
            414 => of_long_address(failure),
            _ => failure,
        });
    }
    if answer.is_nginx_file() {
        let cause = Cause::from_local_status(answer.status)?;
        let failure = Failure::of(
            cause,
            format!("{seen}, with a file from nginx's disk: no upstream was asked"),
        );
        return Some(failure.change(
            "the address reaches a location that does not proxy; --nginx-conf FILE URL shows which",
        ));
    }
    // The handshake was sent in HTTP/1.1.
    if answer.status == 505 {
        let seen = format!("{seen}: HTTP/1.0 may have reached the backend");
        let failure = Failure {
            meaning: "The backend refuses a version of HTTP: 1.0, which nginx before 1.29.7 speaks \
                      by default, or any that it is asked in.",
            candidates: [Cause::HttpVersion, Cause::UpstreamError].into(),
            ..Failure::of(Cause::HttpVersion, seen)
        };
        return Some(failure.change(
            "`websocket on;` in the location that proxies, or proxy_http_version 1.1; --backend \
             tells whether the backend takes that",
        ));
    }
    None
}

fn of_long_address(failure: Failure) -> Failure {
    Failure {
        advice: "make the address shorter, or raise large_client_header_buffers",
        ..failure
    }
    .change(
        "large_client_header_buffers must hold the request line in one buffer (8k by default); that of the \
         default server of this port counts, too",
    )
}

/// nginx's own 502 or 504: the cause is in its error log only.
fn gateway(status: u16, seen: &str) -> Failure {
    let cause = match status {
        504 => Cause::UpstreamResponseTimeout,
        _ => Cause::UpstreamError,
    };
    // Some servers close on a request in HTTP/1.0, which is how nginx asks without `websocket on`.
    let same = |cause: &Cause| {
        cause.status() == Status::Code(status) || (status == 502 && *cause == Cause::UpgradeMissing)
    };
    let failure = Failure {
        candidates: Cause::ALL.iter().copied().filter(same).collect(),
        ..Failure::of(cause, format!("{seen}, with nginx's own page"))
    };
    failure.change(
        "the exact cause is in nginx's error log; `websocket_cause_header on` shows it here, and \
         so does --backend in most cases",
    )
}

#[cfg(test)]
mod tests {
    use websocket_protocol::Finding;

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
        judge(role, answer, &request()).expect("a failure").name
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
        let failure = judge(Role::Front, &answer(502, "", PAGE), &request()).expect("a failure");
        assert_eq!(failure.name, "upstream-error");
        assert!(failure.candidates.contains(&Cause::UpstreamRefused));
        assert!(failure.candidates.contains(&Cause::AcceptMismatch));
        assert!(!failure.candidates.contains(&Cause::UpstreamConnectTimeout));
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
    fn advice_follows_from_what_a_backend_got() {
        let advice = |role, answer| {
            let mut request = request();
            for (name, value) in [("Host", "app"), ("Origin", "https://chat.example")] {
                request.headers.push((name.to_owned(), value.to_owned()));
            }
            judge(role, answer, &request).expect("a failure").advice
        };
        let refused = answer(403, "", "no");
        assert_eq!(
            advice(Role::Backend, &refused),
            Finding::OriginElsewhere.advice()
        );
        assert_eq!(
            advice(Role::Front, &refused),
            Cause::UpstreamForbidden.advice()
        );
        let redirect = answer(301, "Location: http://a//", "no");
        assert_eq!(
            advice(Role::Front, &redirect),
            Finding::SlashMissing.advice()
        );
    }

    #[test]
    fn a_505_may_mean_that_http_1_0_reached_the_backend() {
        let failure = judge(Role::Front, &answer(505, "", "no"), &request()).expect("a failure");
        assert_eq!(failure.name, "http-version");
        assert!(
            failure.seen.contains("HTTP/1.0 may have reached"),
            "{}",
            failure.seen
        );
        let candidates = [Cause::HttpVersion, Cause::UpstreamError];
        assert_eq!(*failure.candidates, candidates);
        // Directly it was asked in HTTP/1.1.
        assert_eq!(
            name(Role::Backend, &answer(505, "", "no")),
            "upstream-error"
        );
    }

    #[test]
    fn a_file_from_nginx_s_disk_is_no_upstream_s_page() {
        let served = |etag: &str| {
            let mut file = answer(200, "Content-Length: 20", "01234567890123456789");
            for (name, value) in [
                ("Server", "nginx/1.26.3"),
                ("Last-Modified", "Tue, 04 Feb 2025 18:10:33 GMT"),
                ("ETag", etag),
            ] {
                file.headers.push((name.into(), value.into()));
            }
            name(Role::Front, &file)
        };
        assert_eq!(served("\"67a25639-14\""), "local-status");
        // Another length: nginx did not make it.
        assert_eq!(served("\"67a25639-15\""), "upstream-not-websocket");
        assert_eq!(served("\"14\""), "upstream-not-websocket");
    }

    #[test]
    fn an_address_that_is_too_long_for_nginx() {
        let failure = judge(Role::Front, &answer(414, "", PAGE), &request()).expect("a failure");
        assert_eq!(failure.name, "local-status");
        assert!(
            failure.advice.contains("large_client_header_buffers"),
            "{}",
            failure.advice
        );
        // An upstream's own limit is its own.
        assert_eq!(name(Role::Front, &answer(414, "", "no")), "upstream-status");
    }

    #[test]
    fn nginx_s_pages_of_400_are_told_apart() {
        for (page, expected) in [
            (
                "The plain HTTP request was sent to HTTPS port",
                "local-plain-to-tls",
            ),
            (
                "No required SSL certificate was sent",
                "local-certificate-missing",
            ),
            ("The SSL certificate error", "local-certificate-refused"),
            (
                "Request Header Or Cookie Too Large",
                "local-header-too-large",
            ),
        ] {
            let body = format!("<center>{page}</center>");
            assert_eq!(name(Role::Front, &answer(400, "", &body)), expected);
            assert_eq!(
                name(Role::Backend, &answer(404, "", &body)),
                "upstream-not-found"
            );
        }
    }
}
