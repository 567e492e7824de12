//! The attempts to reach an upstream for one handshake, and how each failed.

use core::fmt;

use nginx_sys::ngx_http_upstream_state_t;
use websocket_protocol::{Cause, Escaped};

use super::notes::noted;
use crate::nginx::{Request, string};
use crate::request::{Attempt, Tries};

/// The cause of the attempt under way, once it is known. What was seen of the one before goes when
/// there is a new one.
pub fn current(r: Request<'_>, attempt: &Attempt) -> Option<Cause> {
    let begun = r.upstream_states().len();
    if attempt.tries.begin(begun) {
        attempt.forget_seen();
    }
    attempt.tries.last(begun)
}

/// Notes why the attempt under way failed; what was noted first stands. Whether this was it.
pub fn note(r: Request<'_>, attempt: &Attempt, cause: Cause) -> bool {
    let is_first = current(r, attempt).is_none();
    attempt.tries.note(cause);
    is_first
}

/// How each server failed, where more than one was tried.
pub struct Attempts<'a>(pub &'a [ngx_http_upstream_state_t], pub &'a Tries);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(states, tries) = self;
        let total = states.len();
        // Between two upstreams of one request nginx leaves a note that is no attempt's.
        let is_attempt = |(index, state): &(usize, &ngx_http_upstream_state_t)| {
            !state.peer.is_null() || tries.get(*index, total).is_some()
        };
        let attempts = states.iter().enumerate().filter(is_attempt);
        let count = attempts.clone().count();
        if count < 2 {
            return Ok(());
        }
        write!(f, ", {count} upstreams tried:")?;
        let mut separator = "";
        for (index, state) in attempts.filter(|(index, _)| !Tries::is_unnamed(*index, total)) {
            let cause = tries
                .get(index, total)
                .or_else(|| noted(states.get(..=index).unwrap_or_default()));
            // SAFETY: NULL, or the name of a server, which lives as long as the request.
            let peer = unsafe { state.peer.as_ref().map(|name| string::bytes(name)) };
            write!(
                f,
                "{separator} {} {}",
                Escaped(peer.unwrap_or(b"?")),
                cause.map_or("unknown", Cause::name)
            )?;
            separator = ",";
        }
        Ok(())
    }
}
