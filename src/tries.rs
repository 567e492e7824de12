//! The attempts to reach an upstream for one handshake, and how each failed.

use core::fmt;

use nginx_sys::{ngx_http_request_t, ngx_http_upstream_state_t, ngx_uint_t};
use websocket_protocol::{Cause, Escaped};

use crate::context::Context;
use crate::diagnose::noted;
use crate::nginx::{request, string};

/// How each upstream server that was tried failed. More than these are counted, not named.
pub struct Tries {
    causes: [Option<Cause>; MAX_TRIES],
    /// How many attempts nginx had begun when something was last noted.
    begun: usize,
    pub client_gone: bool,
}

const MAX_TRIES: usize = 8;

impl Tries {
    pub const fn new() -> Self {
        Self {
            causes: [None; MAX_TRIES],
            begun: 0,
            client_gone: false,
        }
    }

    fn get(&self, index: usize, count: usize) -> Option<Cause> {
        let slot = if index + 1 == count {
            index.min(MAX_TRIES - 1)
        } else {
            index
        };
        self.causes.get(slot).copied().flatten()
    }
}

/// Notes why the current attempt failed; what was noted first stands.
pub fn note(r: *mut ngx_http_request_t, context: &mut Context, cause: Cause) {
    if let Some(slot) = current(r, context) {
        slot.get_or_insert(cause);
    }
}

/// Notes the status that the current attempt was answered with.
pub fn answered(r: *mut ngx_http_request_t, context: &mut Context, status: ngx_uint_t) {
    if let Some(cause) = u16::try_from(status)
        .ok()
        .and_then(Cause::from_upstream_status)
    {
        note(r, context, cause);
    }
}

/// The cause of the current attempt. What was seen of the one before goes when there is a new one.
pub fn current(r: *mut ngx_http_request_t, context: &mut Context) -> Option<&mut Option<Cause>> {
    let begun = request::upstream_states(r).len();
    // The last slot is the last attempt's, however many there were.
    let index = begun.saturating_sub(1).min(MAX_TRIES - 1);
    let is_new = core::mem::replace(&mut context.tries.begun, begun) != begun;
    let slot = context.tries.causes.get_mut(index)?;
    if is_new {
        context.seen = string::EMPTY;
        *slot = None;
    }
    Some(slot)
}

/// How each server failed, where more than one was tried.
pub struct Attempts<'a>(pub &'a [ngx_http_upstream_state_t], pub &'a Tries);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(states, tries) = self;
        // Between two upstreams of one request nginx leaves a note that is no attempt's.
        let is_attempt = |(index, state): &(usize, &ngx_http_upstream_state_t)| {
            !state.peer.is_null() || tries.get(*index, states.len()).is_some()
        };
        let attempts = states.iter().enumerate().filter(is_attempt);
        let count = attempts.clone().count();
        if count < 2 {
            return Ok(());
        }
        write!(f, ", {count} upstreams tried:")?;
        let mut separator = "";
        for (index, state) in attempts {
            if index >= MAX_TRIES - 1 && index + 1 < states.len() {
                continue;
            }
            let cause = tries
                .get(index, states.len())
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
