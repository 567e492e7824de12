//! `websocket on` forgotten: nginx then drops Upgrade, and the upstream answers a handshake as it
//! answers any other request.

use websocket_protocol::Cause;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::handshake;
use crate::options::Walk as Options;
use crate::request::Request;
use crate::steps::Walk;
use crate::tls::Tls;

/// The name of the request for comparison, in its User-Agent.
const WITHOUT_UPGRADE: &str = "without-upgrade";

/// Without these the module takes it for what it is, and has nothing to write into the error log.
const HANDSHAKE: [&str; 4] = [
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
];

/// Asks once more, without Upgrade, where that can tell something. Gives what was sent, and leaves
/// in `front` what follows.
pub fn look(front: &mut Walk, options: &Options, tls: &Tls) -> Option<Request> {
    let (failure, answer, address) = (
        front.failure.as_ref()?,
        front.answer.as_ref()?,
        front.address?,
    );
    if !can_tell(failure, answer) {
        return None;
    }
    let request = front
        .request
        .again()
        .without(&HANDSHAKE)
        .with("Connection", "close")
        .named(WITHOUT_UPGRADE);
    options
        .waiting
        .on("the same without Upgrade", options.timeout());
    let mut stream = handshake::open(&front.target, address, options, tls)?;
    let plain = handshake::exchange(&mut stream, &request, options.timeout()).ok();
    if plain.is_some_and(|plain| is_same(answer, &plain)) {
        let named = name(failure, answer);
        front.failure = Some(named);
    }
    Some(request)
}

/// An upstream's answer that came through nginx, of which nothing better is known.
fn can_tell(failure: &Failure, answer: &Answer) -> bool {
    let from_upstream = Cause::from_upstream_status(answer.status);
    answer.is_from_nginx()
        && answer.told_cause().is_none()
        && from_upstream.is_some()
        && failure.cause == from_upstream
        && failure.candidates.is_empty()
        && !is_for_any_request(answer.status)
}

/// What is answered to any request alike: who is not logged in, who comes too often, who has to go
/// elsewhere. That says nothing of Upgrade.
fn is_for_any_request(status: u16) -> bool {
    matches!(
        Cause::from_upstream_status(status),
        Some(Cause::UpstreamRedirect | Cause::UpstreamUnauthorized | Cause::UpstreamOverloaded)
    )
}

/// Bodies may hold a time or a number of the request, so their length has to do.
fn is_same(answer: &Answer, plain: &Answer) -> bool {
    answer.status == plain.status
        && answer.header("Content-Type") == plain.header("Content-Type")
        && answer.rest.len() == plain.rest.len()
}

fn name(failure: &Failure, answer: &Answer) -> Failure {
    let seen = format!("{}, and the same without Upgrade", failure.seen);
    let change = "`websocket on;` in the location that proxies, unless it is there; by hand that \
                  takes proxy_http_version 1.1 and proxy_set_header for Upgrade and Connection";
    if answer.is_for_want_of_upgrade() {
        let seen = format!("{seen}: Upgrade does not reach the upstream");
        return Failure::of(Cause::UpgradeMissing, seen).change(change);
    }
    // What refuses all requests alike refuses both.
    let upstream = Cause::from_upstream_status(answer.status);
    let local = Cause::from_local_status(answer.status);
    let others = upstream.into_iter().chain(local);
    Failure {
        meaning: "Upgrade does not reach the upstream, or else the upstream, or nginx itself, \
                  answers any request so.",
        advice: "find out which it is: check-websocket tells with --backend or --nginx-conf, and \
                 websocket_cause_header names it here",
        candidates: [Cause::UpgradeMissing].into_iter().chain(others).collect(),
        ..Failure::of(Cause::UpgradeMissing, seen).change(change)
    }
}

#[cfg(test)]
mod tests {
    use websocket_protocol::Fault;

    use super::*;
    use crate::answered;
    use crate::failure::Role;

    fn answer(status: u16, server: &str, body: &str) -> Answer {
        Answer {
            status,
            line: format!("HTTP/1.1 {status} Some").into_bytes(),
            headers: vec![(b"Server".to_vec(), server.as_bytes().to_vec())],
            rest: body.as_bytes().to_vec(),
        }
    }

    fn failure(answer: &Answer) -> Failure {
        let request = Request {
            path: "/".to_owned(),
            version: "1.1",
            headers: Vec::new(),
        };
        answered::judge(Role::Front, answer, &request).expect("a failure")
    }

    #[test]
    fn only_nginx_in_front_can_have_dropped_it() {
        for (status, server, told) in [
            (400, "nginx/1.26.3", true),
            (404, "nginx", true),
            (426, "openresty/1.27.1.2", true),
            (500, "nginx", true),
            (400, "Werkzeug", false),
            (401, "nginx", false),
            (302, "nginx", false),
            (503, "nginx", false),
            (505, "nginx", false),
        ] {
            let answer = answer(status, server, "no");
            assert_eq!(
                can_tell(&failure(&answer), &answer),
                told,
                "{status} {server}"
            );
        }
        let page = answer(404, "nginx", "<hr><center>nginx</center>");
        assert!(!can_tell(&failure(&page), &page));
    }

    #[test]
    fn the_same_answer_is_that_of_any_request() {
        let handshake = answer(400, "nginx", "request 17");
        assert!(is_same(&handshake, &answer(400, "nginx", "request 18")));
        assert!(!is_same(&handshake, &answer(426, "nginx", "request 18")));
        assert!(!is_same(
            &handshake,
            &answer(400, "nginx", "Upgrade is missing")
        ));
    }

    #[test]
    fn it_is_named_and_what_it_may_be_else_with_it() {
        let of = |answer: &Answer| name(&failure(answer), answer);
        for (status, others) in [
            (200, [Cause::UpstreamNotWebsocket, Cause::LocalStatus]),
            (400, [Cause::UpstreamBadRequest, Cause::LocalStatus]),
            (404, [Cause::UpstreamNotFound, Cause::LocalNotFound]),
            (500, [Cause::UpstreamError, Cause::LocalStatus]),
        ] {
            let named = of(&answer(status, "nginx", ""));
            assert_eq!(named.name, "upgrade-missing");
            assert_eq!(
                *named.candidates,
                [Cause::UpgradeMissing, others[0], others[1]]
            );
            assert_eq!(named.fault(), None);
            assert!(!named.seen.contains("does not reach"), "{}", named.seen);
        }
    }

    #[test]
    fn a_426_says_by_itself_that_upgrade_is_missing() {
        let mut answer = answer(426, "nginx", "");
        let named = name(&failure(&answer), &answer);
        assert!(named.candidates.is_empty());
        assert_eq!(named.fault(), Some(Fault::NetworkInFront));
        assert!(
            named.seen.ends_with("Upgrade does not reach the upstream"),
            "{}",
            named.seen
        );
        // Unless it is for another version.
        let version = (b"Sec-WebSocket-Version".to_vec(), b"8".to_vec());
        answer.headers.push(version);
        assert!(!name(&failure(&answer), &answer).candidates.is_empty());
    }
}
