//! What an upstream has answered instead of 101, and what it had been asked.

use core::fmt;

use nginx_sys::ngx_uint_t;
use websocket_protocol::{Address, Cause, Escaped, Evidence, SentRequest};

use super::notes::noted;
use super::tries::note;
use super::{remark, see};
use crate::conf::LocationConf;
use crate::nginx::{Request, Upstream};
use crate::request::{Attempt, State};

/// The upstream has answered with this status.
pub fn answered(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>, status: ngx_uint_t) {
    let cause = u16::try_from(status)
        .ok()
        .and_then(Cause::from_upstream_status);
    if let Some(cause) = cause {
        if note(r, attempt, cause) {
            see_answer(r, attempt, u, cause);
            remark::begin(r, attempt, u);
        }
    }
}

/// Keeps what was seen of an answer, and the advice that follows from it.
pub fn see_answer(r: Request<'_>, attempt: &Attempt, u: Upstream<'_>, cause: Cause) {
    let asked = Asked::of(r, u, cause);
    let status = u.status();
    let evidence = Evidence {
        status: u16::try_from(status).unwrap_or_default(),
        body: u.unread(),
        // None of those is ever joined.
        is_passed_otherwise: matches!(attempt.state(), State::Judged)
            && LocationConf::of(r).twins.get().handshake.is_null(),
        ..asked.evidence()
    };
    attempt.advice.set(evidence.advice(cause));
    match (cause, evidence.location) {
        (Cause::UpstreamRedirect, Some(location)) => see(
            r,
            attempt,
            format_args!(
                "upstream answered {status}, redirecting to \"{}\", where 101 was expected",
                Address(location)
            ),
        ),
        (Cause::UpstreamResponseInvalid, _) => {
            see(r, attempt, format_args!("upstream's answer is not HTTP"));
        }
        (Cause::UpstreamHeaderTooBig, _) => {
            see(
                r,
                attempt,
                format_args!("the header of upstream's answer is too large"),
            );
        }
        _ if status != 0 => see(
            r,
            attempt,
            format_args!("upstream answered {status} where 101 was expected{asked}"),
        ),
        _ if noted(r.upstream_states()) == Some(Cause::UpstreamClosed) => see(
            r,
            attempt,
            format_args!("upstream closed the connection without an answer{asked}"),
        ),
        (Cause::UpstreamResponseTimeout | Cause::UpstreamConnectTimeout, _) => {
            let waited = u.waited();
            see(
                r,
                attempt,
                format_args!("upstream did not answer in {waited} ms"),
            );
        }
        _ => see(r, attempt, format_args!("upstream could not be asked")),
    }
}

/// What an upstream was asked, for a log line: nothing where the cause is none of the request's.
pub struct Asked<'r> {
    sent: Option<SentRequest<'r>>,
    host: Option<&'r [u8]>,
    origin: Option<&'r [u8]>,
    location: Option<&'r [u8]>,
    cause: Cause,
}

impl<'r> Asked<'r> {
    pub fn of(r: Request<'r>, u: Upstream<'r>, cause: Cause) -> Self {
        let sent = SentRequest::read(u.request_head(r.has_body()));
        Self {
            sent,
            host: r.host(),
            origin: sent.map_or(r.origin(), |sent| sent.header("Origin")),
            location: u.redirect(),
            cause,
        }
    }

    fn evidence(&self) -> Evidence<'r> {
        Evidence {
            path: self.sent.map(|sent| sent.path()),
            location: self.location,
            host: self.host,
            sent_host: self.sent.and_then(|sent| sent.header("Host")),
            origin: self.origin,
            ..Evidence::default()
        }
    }
}

/// Most applications answer so at a path that is not theirs, or for a Host or an Origin that they do
/// not know.
impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(sent) = &self.sent else {
            return Ok(());
        };
        match self.cause {
            Cause::UpstreamNotFound | Cause::UpstreamNotWebsocket | Cause::UpstreamClosed => {
                write!(f, ", for path \"{}\"", Escaped(sent.path()))
            }
            Cause::UpstreamBadRequest | Cause::UpstreamForbidden => {
                write!(f, ", for path \"{}\" with ", Escaped(sent.path()))?;
                let host = sent.header("Host").unwrap_or_default();
                write!(f, "Host \"{}\"", Escaped(host))?;
                match self.host {
                    Some(client) if client != host => {
                        write!(f, " (the client's is \"{}\")", Escaped(client))?;
                    }
                    _ => {}
                }
                match self.origin {
                    Some(origin) => write!(f, " and Origin \"{}\"", Address(origin)),
                    None => f.write_str(" and no Origin"),
                }
            }
            _ => Ok(()),
        }
    }
}
