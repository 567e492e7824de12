//! `websocket_control`: tunnels are closed on request.

use core::fmt;

use nginx_sys::{
    NGX_HTTP_BAD_REQUEST, NGX_HTTP_FORBIDDEN, NGX_HTTP_NOT_FOUND, NGX_HTTP_OK,
    NGX_HTTP_TOO_MANY_REQUESTS, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_http_request_t, ngx_int_t,
    ngx_uint_t,
};
use websocket_protocol::RequestAuthority;
use websocket_status::{Close, Closing, Meant, Sender, action, write_error};
use websocket_zone::Zone;

use super::reply::{self, short, zone};
use super::task;
use crate::nginx::headers::Name;
use crate::nginx::{Request, log};
use crate::zone;

/// The content handler.
pub(super) fn begin(r: Request<'_>) -> ngx_int_t {
    // SAFETY: this is the content handler, and gives back what that says.
    unsafe {
        match r.method() {
            // A copy of a request is none.
            b"POST" if !r.is_active() => NGX_HTTP_FORBIDDEN as ngx_int_t,
            b"POST" => r.read_body(close),
            b"GET" | b"HEAD" => r.read_body(tell),
            _ => reply::not_allowed(r, c"GET, HEAD, POST"),
        }
    }
}

/// Tunnels are to be closed.
unsafe extern "C" fn close(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    if let Err(forbidden) = sender(r).may_act() {
        log::request(
            r,
            NGX_LOG_WARN as ngx_uint_t,
            format_args!("websocket_control closes nothing: {forbidden}"),
        );
        return short(r, NGX_HTTP_FORBIDDEN, |room| write_error(room, forbidden));
    }
    let Some(zone) = zone(r) else { return };
    match Close::parse(&zone, r.query(), zone::monotonic()) {
        Ok(close) => task::count(r, zone, close, counted),
        Err(wrong) => short(r, NGX_HTTP_BAD_REQUEST, |room| write_error(room, wrong)),
    }
}

/// So many tunnels are meant.
fn counted(r: Request<'_>, zone: Zone<'static>, close: &Close, meant: Meant) {
    let (action, matched) = (close.action, meant.matched);
    let id = if close.is_dry {
        None
    } else if let Some(id) = zone.post(&action) {
        log::request(
            r,
            NGX_LOG_NOTICE as ngx_uint_t,
            format_args!(
                "websocket_control closes {matched} tunnel{} with code {} {}, action {id}",
                if matched == 1 { "" } else { "s" },
                action.code,
                Within(action.over_ms)
            ),
        );
        Some(id)
    } else {
        return short(r, NGX_HTTP_TOO_MANY_REQUESTS, |room| {
            write_error(room, "there are too many actions at once: wait a second")
        });
    };
    let posted = Closing::Posted { id, action, meant };
    short(r, NGX_HTTP_OK, |room| posted.write(room));
}

/// A time in milliseconds, as people say it.
struct Within(u64);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("at once"),
            ms => write!(f, "within {}.{:03} s", ms / 1000, ms % 1000),
        }
    }
}

/// How far is an action?
unsafe extern "C" fn tell(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    let Some(zone) = zone(r) else { return };
    let id = match action(r.query()) {
        Ok(id) => id,
        Err(wrong) => return short(r, NGX_HTTP_BAD_REQUEST, |room| write_error(room, wrong)),
    };
    match zone.action(id) {
        Some(action) => {
            let progress = Closing::Progress {
                id,
                action,
                progress: zone.progress(id),
            };
            short(r, NGX_HTTP_OK, |room| progress.write(room));
        }
        None => short(r, NGX_HTTP_NOT_FOUND, |room| {
            write_error(room, "there is no such action, or it is forgotten")
        }),
    }
}

fn sender(r: Request<'_>) -> Sender<'_> {
    static CONTROL: Name<()> = Name::new("x-websocket-control", ());
    static FETCH_SITE: Name<()> = Name::new("sec-fetch-site", ());
    Sender {
        control: r.headers().first(&CONTROL),
        fetch_site: r.headers().first(&FETCH_SITE),
        origin: r.origin(),
        authority: RequestAuthority {
            secure: r.is_secure(),
            host: r.host().unwrap_or_default(),
        },
    }
}
