//! Checks the upstream's answer to a handshake before nginx commits to it.

use nginx_sys::{NGX_HTTP_SWITCHING_PROTOCOLS, ngx_http_request_t};
use websocket_protocol::{Cause, RequestHead, RequestHeader, ResponseHead, ResponseHeader};

use crate::context::{self, Context, Verdict};
use crate::location::Verify;
use crate::nginx::{request, string};
use crate::{detect, diagnose, report, tries};

/// Looks at an answer whose header nginx has parsed. `Err`: it is not to be forwarded.
pub fn answer(r: *mut ngx_http_request_t, context: &mut Context) -> Result<(), ()> {
    let Some(u) = request::upstream(r) else {
        return Ok(());
    };
    let conf = context::location_conf(r);
    let status = u.headers_in.status_n;

    if status == 0 && conf.verify() == Verify::On {
        // Not HTTP: nginx would take it for the body of an HTTP/0.9 response.
        tries::note(r, context, Cause::UpstreamResponseInvalid);
        return Err(());
    }
    if status != NGX_HTTP_SWITCHING_PROTOCOLS as usize {
        tries::answered(r, context, status);
        return Ok(());
    }

    // SAFETY: nginx has parsed the answer's headers into this list, and they live as long as the
    // request.
    let head = unsafe {
        let mut head = ResponseHead::new();
        for header in request::headers(&u.headers_in.headers) {
            for (hash, name) in NAMES {
                if request::is_named(header, hash, name.name().as_bytes()) {
                    head.add(name, request::value(header));
                }
            }
        }
        head
    };
    context.protocol = string::borrowed(head.protocol().unwrap_or_default());
    context.extensions = string::borrowed(head.extensions().unwrap_or_default());

    if conf.verify() == Verify::Off || context.verdict != Verdict::Handshake {
        return Ok(());
    }
    let request: RequestHead<'_> = detect::scan(r);
    let Some(key) = request.key() else {
        return Ok(());
    };
    let offered = |name| offered(r, name);
    let checked = head.check(
        key,
        offered(RequestHeader::Protocol),
        offered(RequestHeader::Extensions),
    );
    let Err(refusal) = checked else { return Ok(()) };

    if conf.verify() == Verify::Log {
        report::passed_on(r, conf, refusal);
        return Ok(());
    }
    u.set_upgrade(0);
    tries::note(r, context, refusal.cause);
    diagnose::see(r, context, format_args!("{}", refusal.seen));
    Err(())
}

const NAMES: [(usize, ResponseHeader); ResponseHeader::ALL.len()] = {
    let mut names = [(0, ResponseHeader::Connection); ResponseHeader::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        let header = ResponseHeader::ALL[i];
        names[i] = (string::hash(header.name().as_bytes()), header);
        i += 1;
    }
    names
};

/// The values of a request header, for what the client offered in it.
fn offered<'a>(
    r: *mut ngx_http_request_t,
    name: RequestHeader,
) -> impl Iterator<Item = &'a [u8]> + Clone {
    let hash = string::hash(name.name().as_bytes());
    // SAFETY: the request's headers live as long as it.
    unsafe {
        request::headers(&(*r).headers_in.headers)
            .filter(move |header| request::is_named(header, hash, name.name().as_bytes()))
            .map(|header| request::value(header))
    }
}
