//! Checks the upstream's answer to a handshake before nginx commits to it.

use nginx_sys::{NGX_HTTP_SWITCHING_PROTOCOLS, NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT};
use websocket_protocol::{
    Address, Cause, Refusal, RequestHeader, ResponseHead, ResponseHeader, SentRequest, Strictness,
};

use super::report;
use crate::conf::LocationConf;
use crate::failure::{answer, see, tries};
use crate::nginx::headers::Name;
use crate::nginx::{Request, Upstream, string};
use crate::request::Attempt;
use crate::types::Verify;

/// Looks at an answer whose header nginx has parsed. `Err`: it is not to be forwarded.
pub fn answer(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>) -> Result<(), ()> {
    let conf = LocationConf::of(r);
    let status = u.status();

    if status == 0 && conf.verify() == Verify::On {
        // Not HTTP: nginx would take it for the body of an HTTP/0.9 response.
        tries::note(r, attempt, Cause::UpstreamResponseInvalid);
        return Err(());
    }
    if status != NGX_HTTP_SWITCHING_PROTOCOLS as usize {
        answer::answered(r, attempt, u, status);
        return Ok(());
    }
    if let Some(location) = redirect(u) {
        tries::note(r, attempt, Cause::ResponseAccelRedirect);
        see(
            r,
            attempt,
            format_args!(
                "upstream answered 101 with X-Accel-Redirect \"{}\"",
                Address(location)
            ),
        );
        return Ok(());
    }

    let mut head = ResponseHead::new();
    for (header, value) in u.headers().named(&NAMES) {
        head.add(header, value);
    }
    let text = |value: Option<&[u8]>| string::borrowed(value.unwrap_or_default());
    attempt.protocol.set(text(head.protocol()));
    attempt.extensions.set(text(head.extensions()));

    let strictness = match conf.verify() {
        Verify::On => conf.strictness().of_answer(attempt.broken().is_none()),
        Verify::Log => Some(Strictness::Strict).filter(|_| attempt.broken().is_none()),
        Verify::Off => None,
    };
    let Some(strictness) = strictness else {
        return Ok(());
    };
    match check(r, attempt, u, &head, strictness) {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => {
            report::passed_on(r, report::INFO, refusal);
            Ok(())
        }
        Err(refusal) if conf.verify() == Verify::Log => {
            report::passed_on(r, conf.log_level(), refusal);
            Ok(())
        }
        Err(refusal) => {
            u.clear_upgrade();
            tries::note(r, attempt, refusal.cause);
            see(r, attempt, format_args!("{}", refusal.seen));
            Err(())
        }
    }
}

/// Holds a 101 against what was asked for: the client's extensions, and the key and the subprotocols that were sent to the
/// upstream, which the location's lines may have changed.
fn check<'r>(
    r: Request<'r>,
    attempt: &Attempt,
    u: Upstream<'r>,
    head: &ResponseHead<'r>,
    strictness: Strictness,
) -> Result<Option<Refusal<'r>>, Refusal<'r>> {
    let key = attempt.key(r);
    let offered = |name: &'static [Name<()>]| r.headers().named(name).map(|(_, value)| value);
    let extensions = offered(&EXTENSIONS);
    if LocationConf::of(r).twins.get().sets_handshake {
        let sent = SentRequest::read(u.request_head(r.has_body()));
        let key = sent.map_or(key, |sent| {
            sent.header(RequestHeader::Key.name()).unwrap_or_default()
        });
        let protocols = sent
            .iter()
            .flat_map(|sent| sent.headers(RequestHeader::Protocol.name()));
        head.judge(key, protocols, extensions, strictness)
    } else {
        head.judge(key, offered(&PROTOCOL), extensions, strictness)
    }
}

/// Where nginx is about to go instead of forwarding the answer (`ngx_http_upstream_process_headers`).
fn redirect<'r>(u: Upstream<'r>) -> Option<&'r [u8]> {
    // SAFETY: an upstream that has answered has its location's settings.
    let ignored = unsafe { (*u.conf()).ignore_headers };
    u.internal_redirect()
        .filter(|_| ignored & NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT as usize == 0)
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
