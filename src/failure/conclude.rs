//! Names why a handshake failed, once nginx has decided the status.

use core::fmt;

use nginx_sys::{
    NGX_HTTP_BAD_REQUEST, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_SWITCHING_PROTOCOLS, ngx_uint_t,
};
use websocket_protocol::{Address, Advice, Cause, Evidence, Seen};

use super::answer::see_answer;
use super::notes::noted;
use super::tries::current;
use super::{Text, local, see};
use crate::conf::LocationConf;
use crate::http2;
use crate::nginx::Request;
use crate::request::{self, Attempt, Broken, Ending, Stage, State, attempt};

/// Ends an attempt of which no tunnel comes. Called when the response header is made, and once more
/// when the request is logged, for one that ended without.
pub fn conclude(r: Request<'_>, attempt: &Attempt) {
    if attempt.is_ended() {
        return;
    }
    if let Some(ending) = ending(r, attempt) {
        conclude_as(r, attempt, ending);
    }
}

/// Ends an attempt that is refused for a rule it breaks.
pub fn refuse(r: Request<'_>, attempt: &Attempt, cause: Cause, seen: fmt::Arguments<'_>) {
    see(r, attempt, seen);
    conclude_as(r, attempt, Ending::Rejected(cause));
}

/// A handshake comes to a location: if it was refused in the one before, that stays the reason for
/// whatever comes of it here but a tunnel.
pub fn note_refusal(r: Request<'_>, attempt: &Attempt) {
    if let Some(cause) = local::refusal(r, attempt) {
        attempt.access.refuse(cause);
    }
}

/// Ends an attempt in this way.
pub fn conclude_as(r: Request<'_>, attempt: &Attempt, ending: Ending) {
    attempt.note_handshake_time();
    // What was seen is an upstream's. It may be one that was asked for the page of a refusal.
    let is_of_upstream = match ending {
        Ending::Failed(cause) => cause != Cause::ClientGone,
        Ending::Rejected(_) => local::refusal(r, attempt).is_none(),
        Ending::Closed(_) | Ending::Unknown => true,
    };
    if attempt.seen.get().len == 0 || !is_of_upstream {
        see_ending(r, attempt, ending);
    }
    if let Some(broken) = attempt.broken() {
        see_broken(r, attempt, broken, ending);
    }
    attempt.conclude(ending);
}

/// What has become of an attempt, as far as it can be told now; `None` while it goes on.
pub fn ending(r: Request<'_>, attempt: &Attempt) -> Option<Ending> {
    let status = r.status();
    match attempt.state() {
        State::Ended(ending) => return Some(ending),
        State::Foreign => return Some(Ending::Unknown),
        State::Joined(_) if status == NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t => return None,
        // The same over HTTP/2, where a tunnel's status is 200.
        State::Joined(joined) if !matches!(joined.stage, Stage::Asked) => return None,
        State::Joined(_) | State::Judged | State::LeftBehind => {}
    }
    let is_refusal = match attempt.state() {
        State::LeftBehind => status >= ERROR,
        _ => status != 0,
    };
    let refusal = local::refusal(r, attempt)
        .filter(|_| is_refusal)
        .map(Ending::Rejected);
    if !LocationConf::of(r).is_on() {
        // An error page, and whatever it is made of, does not change why there is one.
        let ending = || {
            let failed = attempt.tries.latest().or_else(|| before_page(r));
            let rejected = || local::cause(r, r.error_status()).map(Ending::Rejected);
            with_blame(r, attempt, failed.map(Ending::Failed).or_else(rejected))
        };
        let is_turned_away = is_refusal && !attempt.access.is_admitted();
        return Some(refusal.or_else(ending).unwrap_or(if is_turned_away {
            Ending::Rejected(Cause::LocalStatus)
        } else {
            Ending::Unknown
        }));
    }
    let last = current(r, attempt);
    if has_client_gone(r) {
        return Some(Ending::Failed(Cause::ClientGone));
    }
    if refusal.is_some() {
        return refusal;
    }
    let ending = last
        .or_else(|| answer(r))
        .or_else(|| noted(r.upstream_states()))
        .map(Ending::Failed)
        .or_else(|| local::cause(r, r.status()).map(Ending::Rejected));
    with_blame(r, attempt, ending)
}

fn with_blame(r: Request<'_>, attempt: &Attempt, ending: Option<Ending>) -> Option<Ending> {
    match attempt.broken() {
        Some(broken) => blame(r, attempt, broken.rule, ending),
        None => ending,
    }
}

/// A broken rule is the cause where the upstream refuses the handshake for it, as far as its answer
/// tells; what it says else stands.
fn blame(r: Request<'_>, attempt: &Attempt, rule: Cause, ending: Option<Ending>) -> Option<Ending> {
    let answered = u16::try_from(r.upstream().map_or(0, |u| u.status())).unwrap_or(0);
    match ending {
        Some(ending) if matches!(attempt.state(), State::LeftBehind) => Some(
            // Not this module's business, but for an error.
            if r.status() < ERROR {
                Ending::Unknown
            } else {
                match ending {
                    Ending::Failed(cause) if answered != 0 || cause.may_be_for_a_broken_rule(0) => {
                        Ending::Failed(rule)
                    }
                    _ => ending,
                }
            },
        ),
        Some(Ending::Failed(cause)) if cause.may_be_for_a_broken_rule(answered) => {
            Some(Ending::Failed(rule))
        }
        _ => ending,
    }
}

/// Likewise of a request that nginx answered before the phase in which requests are judged, with a
/// `return` for example: if it asked for a WebSocket where that is on.
pub fn unjudged_ending(r: Request<'_>) -> Option<Ending> {
    // An extended CONNECT asks for one everywhere.
    let is_ours = LocationConf::of(r).is_on() || http2::is_connect(r);
    // Without Upgrade errors alone are told: other plain requests cost no second look at their headers.
    let is_error = r.status() >= ERROR;
    let may_be_told = r.has_upgrade() || is_error;
    if !is_ours || r.is_post_action() || !may_be_told || !attempt::may_ask(r) {
        return None;
    }
    let head = attempt::scan(r);
    let is_told = head.upgrade().is_to_websocket() || (is_error && head.is_attempt());
    if !is_told {
        return None;
    }
    if has_client_gone(r) {
        return Some(Ending::Failed(Cause::ClientGone));
    }
    local::cause(r, r.status()).map(Ending::Rejected)
}

/// Remembers such a request, with what became of it. `None` where it is none, or there is no memory.
pub fn remember_unjudged<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    let ending = unjudged_ending(r)?;
    let attempt = request::begin(r)?;
    conclude_as(r, attempt, ending);
    Some(attempt)
}

fn has_client_gone(r: Request<'_>) -> bool {
    r.status() == NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_uint_t || r.has_client_failed()
}

/// Of a plain request, which one with a handshake's headers may be, only errors are looked at.
const ERROR: ngx_uint_t = NGX_HTTP_BAD_REQUEST as ngx_uint_t;

/// What the upstream's status tells, where the module could not join: `fastcgi_pass`, `grpc_pass`.
fn answer(r: Request<'_>) -> Option<Cause> {
    let status = u16::try_from(r.upstream()?.status()).ok()?;
    Cause::from_upstream_status(status).filter(|_| status != 0)
}

/// The same where the page of an error has taken the place of what nginx made of it. If the page has an
/// upstream of its own, nothing can be told.
fn before_page(r: Request<'_>) -> Option<Cause> {
    let (decided, answered) = (r.error_status(), r.upstream()?.status());
    let states = r.upstream_states();
    let last = states.iter().rposition(|state| state.status == decided)?;
    match answered {
        0 => noted(states.get(..=last)?),
        _ if answered == decided => answer(r),
        _ => None,
    }
}

/// Says what was seen, where nothing has been heard of it.
fn see_ending(r: Request<'_>, attempt: &Attempt, ending: Ending) {
    match ending {
        Ending::Failed(Cause::ClientGone) => {
            let time = attempt.elapsed();
            see(
                r,
                attempt,
                format_args!("client closed the connection after {time} ms"),
            );
        }
        Ending::Failed(cause) => {
            if let Some(u) = r.upstream() {
                see_answer(r, attempt, u, cause);
            }
        }
        Ending::Rejected(cause) => see_local(r, attempt, cause),
        Ending::Closed(_) | Ending::Unknown => {}
    }
}

/// Adds the broken rule to what was seen: in front where it is the cause.
fn see_broken(r: Request<'_>, attempt: &Attempt, broken: Broken, ending: Ending) {
    let (seen, rule) = (Text(attempt.seen.get()), broken.rule);
    let broken = Text(broken.seen);
    match ending {
        Ending::Failed(cause) if cause == rule => {
            attempt.advice.set(Advice::Usual);
            see(r, attempt, format_args!("{broken}, and {seen}"));
        }
        Ending::Failed(_) | Ending::Rejected(_) => see(
            r,
            attempt,
            format_args!("{seen}; the handshake also breaks a rule: {rule}: {broken}"),
        ),
        Ending::Closed(_) | Ending::Unknown => {}
    }
}

fn see_local(r: Request<'_>, attempt: &Attempt, cause: Cause) {
    if cause == Cause::OverHttp2 {
        let version = Seen::Version(attempt::line(r).version);
        return see(r, attempt, format_args!("{version}"));
    }
    if cause == Cause::LocalWebsocketOff {
        let off = match http2::refused(r) {
            Some(http2::Off::Server) => "\"websocket_http2\" is off in its server",
            _ => "\"websocket\" is off in its location",
        };
        return see(r, attempt, format_args!("extended CONNECT, and {off}"));
    }
    let evidence = Evidence {
        path: Some(Address(r.target()).path()),
        location: r.redirect(),
        auth_request: if attempt.access.is_asked() {
            attempt.access.answer()
        } else {
            0
        },
        is_file: r.error_status() == 0 && r.is_answered_with_file(),
        is_within_limits: !local::is_over_limit(r),
        ..Evidence::default()
    };
    attempt.advice.set(evidence.advice(cause));
    let status = match r.error_status() {
        0 => r.status(),
        decided => decided,
    };
    let location = evidence.location.map(Address);
    if local::refusal(r, attempt).is_some() && local::cause(r, status) != Some(cause) {
        return match location {
            Some(location) => see(
                r,
                attempt,
                format_args!(
                    "nginx refused access, and answered {status}, redirecting to \"{location}\""
                ),
            ),
            None => see(
                r,
                attempt,
                format_args!("nginx refused access, and answered {status}"),
            ),
        };
    }
    match location {
        Some(location) if cause == Cause::LocalRedirect => see(
            r,
            attempt,
            format_args!(
                "nginx answered {status}, redirecting to \"{location}\", before any upstream was asked"
            ),
        ),
        _ => see(
            r,
            attempt,
            format_args!("nginx answered {status} before any upstream was asked"),
        ),
    }
}
