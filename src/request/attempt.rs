//! Finds the requests that ask for a WebSocket, and judges them. Nothing here is remembered or
//! logged.

use nginx_sys::{
    NGX_HTTP_VERSION_9, NGX_HTTP_VERSION_10, NGX_HTTP_VERSION_11, NGX_HTTP_VERSION_20,
};
use websocket_protocol::{
    Cause, HttpVersion, Refusal, RequestAuthority, RequestHead, RequestHeader, RequestLine, Seen,
    Upgrade,
};

use crate::conf::{LocationConf, origin};
use crate::http2;
use crate::nginx::Request;
use crate::nginx::headers::Name;
use crate::types::OtherUpgrades;

/// What is to become of a request that asks for an upgrade.
pub enum Judgement<'r> {
    /// It is none of this module's business.
    Plain,
    /// An upgrade to something else, which must not reach the upstream.
    Stripped,
    /// It has a handshake's headers, but asks for no WebSocket that could be had: it is a plain request
    /// unless it is answered with an error.
    LeftBehind(Refusal<'r>),
    /// It is answered here.
    Refused(Refusal<'r>),
    /// A handshake, with the rule that it breaks, if it does.
    Handshake(Option<Refusal<'r>>),
}

impl Judgement<'_> {
    /// Whether it is a handshake, be it one that is refused.
    pub fn is_about_handshake(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Handshake(_))
    }
}

/// Whether a request may ask for an upgrade. Few do, so this looks for no more than it must: nginx
/// has noted an Upgrade header by itself.
pub fn may_ask(r: Request<'_>) -> bool {
    static LEFT_BEHIND: [Name<()>; 2] = [
        Name::new(RequestHeader::Key.name(), ()),
        Name::new(RequestHeader::Version.name(), ()),
    ];
    r.has_upgrade() || r.headers().named(&LEFT_BEHIND).next().is_some()
}

/// Whether a request is a WebSocket attempt.
pub fn is_attempt(r: Request<'_>) -> bool {
    may_ask(r) && scan(r).is_attempt()
}

/// Reads the headers that make a handshake, in place.
pub fn scan<'r>(r: Request<'r>) -> RequestHead<'r> {
    static NAMES: [Name<RequestHeader>; RequestHeader::ALL.len()] = {
        let mut names = [Name::new("", RequestHeader::Connection); RequestHeader::ALL.len()];
        let mut i = 0;
        while i < names.len() {
            let header = RequestHeader::ALL[i];
            names[i] = Name::new(header.name(), header);
            i += 1;
        }
        names
    };
    let mut head = RequestHead::new();
    for (header, value) in r.headers().named(&NAMES) {
        head.add(header, value);
    }
    head
}

/// What a location makes of a request with this head.
pub fn judge<'r>(r: Request<'r>, conf: &LocationConf, head: &RequestHead<'r>) -> Judgement<'r> {
    match head.upgrade() {
        Upgrade::Absent => judge_without_upgrade(r, head),
        Upgrade::Other => judge_other(conf, head),
        Upgrade::Versioned | Upgrade::WebSocket => judge_handshake(r, conf, head),
    }
}

/// A key or version alone is no broken handshake by itself: something in front may have taken Upgrade
/// away, or it asks whether the handshake that it is copied from may go on (`auth_request`).
fn judge_without_upgrade<'r>(r: Request<'r>, head: &RequestHead<'r>) -> Judgement<'r> {
    match head.check(line(r)) {
        Err(refusal) if head.is_attempt() => Judgement::LeftBehind(match refusal.cause {
            Cause::OverHttp2 => refusal,
            _ => Refusal {
                cause: Cause::UpgradeMissing,
                seen: Seen::Missing("Upgrade"),
            },
        }),
        _ => Judgement::Plain,
    }
}

fn judge_other<'r>(conf: &LocationConf, head: &RequestHead<'r>) -> Judgement<'r> {
    let refusal = Refusal {
        cause: Cause::UpgradeNotWebsocket,
        seen: Seen::Value("Upgrade", head.upgrade_value().unwrap_or_default()),
    };
    match conf.other_upgrades() {
        OtherUpgrades::Reject => Judgement::Refused(refusal),
        OtherUpgrades::Pass => Judgement::Plain,
        OtherUpgrades::Strip if !head.is_attempt() => Judgement::Stripped,
        OtherUpgrades::Strip if conf.strictness().refuses(refusal.cause) => {
            Judgement::Refused(refusal)
        }
        OtherUpgrades::Strip => Judgement::LeftBehind(refusal),
    }
}

fn judge_handshake<'r>(
    r: Request<'r>,
    conf: &LocationConf,
    head: &RequestHead<'r>,
) -> Judgement<'r> {
    let broken = match head.judge(line(r), conf.strictness()) {
        Ok(broken) => broken,
        Err(refusal) => return Judgement::Refused(refusal),
    };
    match conf
        .allowed_origins()
        .and_then(|allowed| check_origin(r, allowed))
    {
        Some(refusal) => Judgement::Refused(refusal),
        None => Judgement::Handshake(broken),
    }
}

/// What a handshake depends on besides its headers.
pub fn line<'r>(r: Request<'r>) -> RequestLine<'r> {
    RequestLine {
        method: r.method(),
        version: match r.http_version() as u32 {
            // To an upstream it is one of HTTP/1.1, and it has come with all that makes one.
            NGX_HTTP_VERSION_20 if http2::is_connect(r) => HttpVersion::Http11,
            NGX_HTTP_VERSION_9 => HttpVersion::Http09,
            NGX_HTTP_VERSION_10 => HttpVersion::Http10,
            // A later minor version means what 1.1 does (RFC 9110 section 2.5).
            NGX_HTTP_VERSION_11..NGX_HTTP_VERSION_20 => HttpVersion::Http11,
            NGX_HTTP_VERSION_20 => HttpVersion::Http2,
            _ => HttpVersion::Http3,
        },
        has_body: r.has_body(),
    }
}

fn check_origin<'r>(r: Request<'r>, allowed: &[origin::Origin]) -> Option<Refusal<'r>> {
    let origin = r.origin();
    let authority = RequestAuthority {
        secure: r.is_secure(),
        host: r.host().unwrap_or_default(),
    };
    if origin::allows(allowed, origin, authority, r.log()) {
        return None;
    }
    let seen = match origin {
        Some(origin) => Seen::Origin(origin),
        None => Seen::Missing("Origin"),
    };
    Some(Refusal {
        cause: Cause::OriginNotAllowed,
        seen,
    })
}
