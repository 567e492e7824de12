//! Why a handshake failed.
//!
//! An attempt's cause is noted when nginx says why it failed or when its answer is there. What
//! could not be heard, because the log's level is above `error`, is read from nginx's notes on each
//! attempt.

pub mod answer;
mod classify;
pub mod conclude;
pub mod listen;
mod local;
mod notes;
pub mod remark;
pub mod tries;

use core::fmt;

use crate::nginx::Request;
use crate::request::Attempt;

/// Keeps what was seen of the attempt under way.
pub fn see(r: Request<'_>, attempt: &Attempt, seen: fmt::Arguments<'_>) {
    attempt.seen.set(r.format(seen));
}
