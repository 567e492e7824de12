//! Checks the upstream's answer to a handshake before nginx commits to it.

use nginx_sys::{NGX_HTTP_SWITCHING_PROTOCOLS, ngx_http_request_t};
use websocket_protocol::{Cause, RequestHeader, ResponseHead, ResponseHeader};

use crate::context::{self, Context, Verdict};
use crate::location::Verify;
use crate::nginx::request::Name;
use crate::nginx::{request, string};
use crate::{diagnose, report, tries};

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

    let mut head = ResponseHead::new();
    let headers = &raw const u.headers_in.headers;
    // SAFETY: nginx has parsed the answer's headers into this list, and they live as long as the
    // request.
    for (header, value) in unsafe { request::named(&*headers, &NAMES) } {
        head.add(header, value);
    }
    context.protocol = string::borrowed(head.protocol().unwrap_or_default());
    context.extensions = string::borrowed(head.extensions().unwrap_or_default());

    if conf.verify() == Verify::Off || context.verdict != Verdict::Handshake {
        return Ok(());
    }
    // SAFETY: the key is a part of the request, and lives as long as it.
    let key = unsafe { string::bytes(&context.key) };
    let checked = head.check(key, offered(r, &PROTOCOL), offered(r, &EXTENSIONS));
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

static NAMES: [Name<ResponseHeader>; ResponseHeader::ALL.len()] = {
    let mut names = [Name::new("", ResponseHeader::Connection); ResponseHeader::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        let header = ResponseHeader::ALL[i];
        names[i] = Name::new(header.name(), header);
        i += 1;
    }
    names
};

static PROTOCOL: [Name<()>; 1] = [Name::new(RequestHeader::Protocol.name(), ())];
static EXTENSIONS: [Name<()>; 1] = [Name::new(RequestHeader::Extensions.name(), ())];

/// The values of a request header, for what the client offered in it.
fn offered<'a>(
    r: *mut ngx_http_request_t,
    name: &'static [Name<()>],
) -> impl Iterator<Item = &'a [u8]> + Clone {
    // SAFETY: the request's headers live as long as it.
    unsafe { request::named(&(*r).headers_in.headers, name) }.map(|(_, value)| value)
}
