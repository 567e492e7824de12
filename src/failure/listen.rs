//! What nginx says of an attempt that fails.
//!
//! nginx keeps the reason nowhere but in the line it logs, so that line is listened to: what it
//! says and what nginx was doing then tell the attempts apart.

use core::fmt;
use core::str;

use memchr::memmem;
use nginx_sys::{ngx_http_upstream_conf_t, ngx_msec_t};
use websocket_protocol::{Cause, Escaped};

use super::answer::Asked;
use super::classify::classify;
use super::line::{Said, message};
use super::see;
use super::tries::note;
use crate::nginx::{Request, Upstream, string};
use crate::request::Attempt;

/// A line that nginx logs for a request at an upstream: `line` is all of it before nginx's context.
pub fn heard(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>, line: &[u8]) {
    let Some(said) = message(line) else { return };
    let action = r.action();
    let Some(cause) = classify(action, said, u.is_bound()) else {
        return;
    };
    if !note(r, attempt, cause) {
        return;
    }
    let waited = u.waited();
    match limit(u, action) {
        Some((module, directive, limit)) if contains(said, b"timed out") => see(
            r,
            attempt,
            format_args!(
                "{} after {waited} ms ({module}_{directive} {})",
                Escaped(said),
                Time(limit)
            ),
        ),
        _ => {
            let asked = Asked::of(r, u, cause);
            see(r, attempt, format_args!("{}{asked}", Said(said)));
        }
    }
}

/// nginx finds no room for the rest of the answer's header, and is about to say so.
pub fn too_big(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>) {
    note(r, attempt, Cause::UpstreamHeaderTooBig);
    // SAFETY: an upstream that is being tried has its location's settings.
    let Some(conf) = (unsafe { u.conf().as_ref() }) else {
        return;
    };
    see(
        r,
        attempt,
        format_args!(
            "upstream sent too big header ({}_buffer_size {})",
            module(conf),
            Size(conf.buffer_size)
        ),
    );
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}

/// The limit in force in a stage of an attempt: whose directive it is, and how long.
fn limit(u: Upstream<'_>, action: &[u8]) -> Option<(&'static str, &'static str, ngx_msec_t)> {
    // SAFETY: an upstream that is being tried has its location's settings.
    let conf = unsafe { u.conf().as_ref() }?;
    let (directive, limit) = match action {
        b"connecting to upstream" | b"SSL handshaking to upstream" => {
            ("connect_timeout", conf.connect_timeout)
        }
        b"sending request to upstream" => ("send_timeout", conf.send_timeout),
        b"reading response header from upstream" => ("read_timeout", conf.read_timeout),
        _ => return None,
    };
    Some((module(conf), directive, limit))
}

/// What a proxying module's directives begin with.
fn module(conf: &ngx_http_upstream_conf_t) -> &'static str {
    // SAFETY: the name is constant text of the proxying module.
    str::from_utf8(unsafe { string::bytes(&conf.module) }).unwrap_or("proxy")
}

/// A time as the configuration would write it.
struct Time(ngx_msec_t);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 {
            write!(f, "{}s", self.0 / 1000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}

/// A size, likewise.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1024 == 0 {
            write!(f, "{}k", self.0 / 1024)
        } else {
            write!(f, "{}", self.0)
        }
    }
}
