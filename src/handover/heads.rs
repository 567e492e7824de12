//! The heads of a handshake as they came over the wire, put together from what nginx has parsed of them: it keeps
//! all of it as long as the request lives.

use nginx_sys::ngx_log_t;

use super::memory::Memory;
use crate::nginx::headers::{Headers, value};
use crate::nginx::{Request, Upstream, string};

/// The head of a client's request.
pub fn request(r: Request<'_>, log: *mut ngx_log_t) -> Option<Memory> {
    // SAFETY: the request's line is parsed, and lives as long as it.
    let line = unsafe { string::bytes(&(*r.as_ptr()).request_line) };
    head(&[line], r.headers(), log)
}

/// The head of an upstream's answer.
pub fn answer(u: Upstream<'_>, log: *mut ngx_log_t) -> Option<Memory> {
    // SAFETY: the answer is parsed, and lives as long as the request.
    let status = unsafe { string::bytes(&(*u.as_ptr()).headers_in.status_line) };
    head(&[b"HTTP/1.1 ", status], u.headers(), log)
}

/// What the proxy in front has told of a client's connection, as version 1 of the PROXY protocol has it; nothing
/// where there was none. `None`: it can't be put so.
pub fn proxy(r: Request<'_>, log: *mut ngx_log_t) -> Option<Memory> {
    // SAFETY: a request has a connection, which is open; NULL, or what nginx keeps as long as it.
    let told = unsafe { (*(*r.as_ptr()).connection).proxy_protocol.as_ref() };
    let Some(told) = told else {
        // It may have said no more than that it knows nothing.
        let unknown: &[u8] = if r.is_behind_proxy_protocol() {
            b"PROXY UNKNOWN\r\n"
        } else {
            b""
        };
        return put([unknown].into_iter(), log);
    };
    // SAFETY: as above.
    let (from, to) = unsafe { (string::bytes(&told.src_addr), string::bytes(&told.dst_addr)) };
    let family: &[u8] = if memchr::memchr(b':', from).is_some() {
        b"PROXY TCP6 "
    } else {
        b"PROXY TCP4 "
    };
    let (mut source, mut target) = (Digits::new(), Digits::new());
    let is_text = |text: &[u8]| !text.is_empty() && text.len() < LONGEST_ADDRESS;
    if !is_text(from) || !is_text(to) {
        return None;
    }
    let parts = [
        family,
        from,
        b" ",
        to,
        b" ",
        source.of(told.src_port),
        b" ",
        target.of(told.dst_port),
        b"\r\n",
    ];
    put(parts.into_iter(), log)
}

/// An IPv6 address takes no more.
const LONGEST_ADDRESS: usize = 40;

/// A number in decimal digits.
struct Digits([u8; 5]);

impl Digits {
    const fn new() -> Self {
        Self([b'0'; 5])
    }

    fn of(&mut self, mut number: u16) -> &[u8] {
        for place in self.0.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        let zeros = self.0.iter().take_while(|digit| **digit == b'0').count();
        self.0
            .get(zeros.min(self.0.len() - 1)..)
            .unwrap_or_default()
    }
}

/// A first line, headers, and an empty line.
fn head(line: &[&[u8]], headers: Headers<'_>, log: *mut ngx_log_t) -> Option<Memory> {
    let lines = headers.flat_map(|header| {
        // SAFETY: a header's name lives as long as it.
        let name = unsafe { string::bytes(&header.key) };
        [name, b": ", value(header), b"\r\n"]
    });
    let all = line
        .iter()
        .copied()
        .chain([&b"\r\n"[..]])
        .chain(lines)
        .chain([&b"\r\n"[..]]);
    put(all, log)
}

/// All of these, one behind the other.
fn put<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone, log: *mut ngx_log_t) -> Option<Memory> {
    let length = parts.clone().map(<[u8]>::len).sum();
    let mut memory = Memory::new(length, log)?;
    let mut rest = memory.bytes_mut();
    for part in parts {
        let (place, behind) = rest.split_at_mut_checked(part.len())?;
        place.copy_from_slice(part);
        rest = behind;
    }
    Some(memory)
}
