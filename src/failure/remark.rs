//! What the upstream says of its refusal, for a line at `info`.
//!
//! nginx may drop the body, where an error page takes its place; then what came with the header is all
//! that can be had. Else the body comes through the body filter.

use core::slice;

use nginx_sys::{NGX_LOG_INFO, ngx_chain_t, ngx_uint_t};
use websocket_protocol::header::has_token;
use websocket_protocol::{Remark, first_chunk};

use crate::nginx::headers::Name;
use crate::nginx::{Request, Upstream, log};
use crate::request::Attempt;

/// An upstream has answered. Nothing is kept where it would not be logged.
pub fn begin(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>) {
    #[derive(Clone, Copy)]
    enum Header {
        Type,
        Encoding,
        Transfer,
    }
    static NAMES: [Name<Header>; 3] = [
        Name::new("content-type", Header::Type),
        Name::new("content-encoding", Header::Encoding),
        Name::new("transfer-encoding", Header::Transfer),
    ];
    if !log::takes(r, NGX_LOG_INFO as ngx_uint_t) {
        return;
    }
    let (mut kind, mut encoding, mut is_chunked) = (None, None, false);
    for (header, value) in u.headers().named(&NAMES) {
        match header {
            Header::Type => kind = Some(value),
            Header::Encoding => encoding = Some(value),
            Header::Transfer => is_chunked |= has_token(value, b"chunked"),
        }
    }
    if !Remark::is_expected(kind, encoding) {
        return;
    }
    let came = u.unread();
    let body = if is_chunked { first_chunk(came) } else { came };
    attempt.remark.expect(r, body);
}

/// A piece of the response goes to the client. nginx's own pages are none of the upstream's.
///
/// # Safety
/// `chain` must be NULL or a chain that lives for the call.
pub unsafe fn pass(r: Request<'_>, attempt: &Attempt, chain: *const ngx_chain_t) {
    let mut next = chain;
    // SAFETY: the caller vouches for the chain: its links have buffers, and those in memory their bytes.
    unsafe {
        while let (Some(link), true) = (next.as_ref(), attempt.remark.is_expected()) {
            let buf = &*link.buf;
            let is_in_memory = buf.temporary() != 0 || buf.memory() != 0 || buf.mmap() != 0;
            let len = (buf.last as usize).checked_sub(buf.pos as usize);
            if let (true, Some(len @ 1..)) = (is_in_memory, len) {
                let piece = slice::from_raw_parts(buf.pos, len);
                attempt.remark.gather(r, piece);
            }
            next = link.next;
        }
    }
}
