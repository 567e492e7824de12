//! Why a handshake failed.
//!
//! An attempt's cause is noted when nginx says why it failed or when its answer is there. What
//! could not be heard, because the log's level is above `error`, is read from nginx's notes on each
//! attempt.

pub mod answer;
mod classify;
pub mod conclude;
mod line;
pub mod listen;
pub mod local;
mod notes;
pub mod remark;
pub mod tries;

use core::{fmt, str};

use nginx_sys::ngx_str_t;

use crate::nginx::{Request, string};
use crate::request::Attempt;

/// Keeps what was seen of the attempt under way.
pub fn see(r: Request<'_>, attempt: &Attempt, seen: fmt::Arguments<'_>) {
    attempt.seen.set(r.format(seen));
}

/// What was seen, as it is kept: made by this module, so already escaped.
pub struct Text(pub ngx_str_t);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: it is in the request's pool, and the request is not over.
        let text = unsafe { string::bytes(&self.0) };
        f.write_str(str::from_utf8(text).unwrap_or("?"))
    }
}
