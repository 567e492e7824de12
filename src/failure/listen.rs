//! What nginx says of an attempt that fails.
//!
//! nginx keeps the reason nowhere but in the line it logs, so that line is listened to: what it
//! says and what nginx was doing then tell the attempts apart.

use core::fmt::{self, Write};
use core::str;

use memchr::memmem;
use nginx_sys::{ngx_http_upstream_conf_t, ngx_msec_t};
use websocket_protocol::{Cause, Escaped};

use super::answer::Asked;
use super::classify::classify;
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

/// nginx's own words in a line it logs: between the connection's number and what it was doing, or
/// the end of a line that is too long for that.
fn message(line: &[u8]) -> Option<&[u8]> {
    let line = line.get(memmem::find(line, b": *")? + 3..)?;
    let line = line.get(memchr::memchr(b' ', line)? + 1..)?;
    let before = |part: &[u8], line: &[u8]| memmem::rfind(line, part).unwrap_or(line.len());
    let line = line.get(..before(b", client: ", line))?;
    line.get(..before(b" while ", line))
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

/// nginx's own words, which may quote the upstream's. nginx has its quotes and escapes; the rest is
/// escaped, and what is quoted is cut.
struct Said<'a>(&'a [u8]);

impl Said<'_> {
    const MAX_QUOTED: usize = 128;
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_mark = |byte: &u8| matches!(byte, b'"' | b'\\');
        let end = memchr::memchr(b'"', self.0).map_or(self.0.len(), |at| at + 1);
        let (own, quoted) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        let shown = quoted.get(..Self::MAX_QUOTED).unwrap_or(quoted);
        for part in own
            .split_inclusive(is_mark)
            .chain(shown.split_inclusive(is_mark))
        {
            let (text, mark) = match part.split_last() {
                Some((mark, text)) if is_mark(mark) => (text, Some(*mark)),
                _ => (part, None),
            };
            for text in text.chunks(Self::MAX_QUOTED) {
                write!(f, "{}", Escaped(text))?;
            }
            if let Some(mark) = mark {
                f.write_char(char::from(mark))?;
            }
        }
        if shown.len() < quoted.len() {
            f.write_str("...\"")?;
        }
        Ok(())
    }
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
