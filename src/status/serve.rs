//! `websocket_status`: what there is to see.

use core::slice;

use nginx_sys::{
    NGINX_VERSION, NGX_HTTP_BAD_REQUEST, NGX_HTTP_OK, NGX_LOG_EMERG, ngx_http_request_t, ngx_int_t,
    ngx_uint_t,
};
use websocket_status::{
    About, Answer, Ask, Entry, Format, Metrics, POLICY, Report, format, write_error,
};
use websocket_zone::Zone;

use super::reply::{self, NO_MEMORY};
use super::task;
use crate::conf::LocationConf;
use crate::nginx::headers::Name;
use crate::nginx::response::{self, Head};
use crate::nginx::{Request, log, pool, string};
use crate::types::Status;
use crate::zone;

/// The content handler.
pub(super) fn begin(r: Request<'_>) -> ngx_int_t {
    match r.method() {
        // SAFETY: this is the content handler, and gives back what that says.
        b"GET" | b"HEAD" => unsafe { r.read_body(answer) },
        _ => reply::not_allowed(r, c"GET, HEAD"),
    }
}

/// The request is here, with its body if it has one.
unsafe extern "C" fn answer(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    let error = |status, text: &dyn core::fmt::Display| {
        reply::short(r, status, |room| write_error(room, text));
    };
    let Some(zone) = reply::zone(r) else { return };
    let fixed = LocationConf::of(r).status().and_then(fixed);
    let format = match format(fixed, r.query(), accept(r)) {
        Ok(format) => format,
        Err(wrong) => return error(NGX_HTTP_BAD_REQUEST, &wrong),
    };
    let answer = match format {
        Format::Html => Some(Answer::page()),
        Format::Json => match Ask::parse(&zone, r.query()) {
            Ok(ask) => report(r, zone, ask),
            Err(wrong) => return error(NGX_HTTP_BAD_REQUEST, &wrong),
        },
        Format::Prometheus | Format::OpenMetrics => {
            let is_open = format == Format::OpenMetrics;
            Some(Answer::metrics(Metrics::new(zone, about(r), is_open)))
        }
    };
    let Some(answer) = answer else {
        return response::finish(r, NO_MEMORY);
    };
    if format == Format::Html {
        let policy = string::borrowed(POLICY.as_bytes());
        if r.add_header(c"Content-Security-Policy", policy).is_none() {
            return response::finish(r, NO_MEMORY);
        }
    }
    let head = Head {
        status: NGX_HTTP_OK,
        content_type: format.content_type(),
        length: None,
    };
    match reply::send_head(r, &head) {
        Some(rc) => response::finish(r, rc),
        None => task::send(r, answer),
    }
}

fn fixed(status: Status) -> Option<Format> {
    match status {
        Status::Any => None,
        Status::Html => Some(Format::Html),
        Status::Json => Some(Format::Json),
        Status::Prometheus => Some(Format::Prometheus),
    }
}

fn accept(r: Request<'_>) -> &[u8] {
    static ACCEPT: Name<()> = Name::new("accept", ());
    r.headers().first(&ACCEPT).unwrap_or_default()
}

fn about<'m>(r: Request<'_>) -> About<'m> {
    let path = LocationConf::of(r).close_path.get();
    About {
        nginx: NGINX_VERSION.to_str().unwrap_or_default(),
        // SAFETY: it lives as long as the configuration, and that as long as its requests.
        control: Some(unsafe { string::bytes(&path) }).filter(|path| !path.is_empty()),
        time: zone::wall(),
    }
}

/// `None`: there is no memory to sort tunnels in.
fn report(r: Request<'_>, zone: Zone<'static>, ask: Ask) -> Option<Answer<'static>> {
    let count = ask.room(&zone);
    let size = count.checked_mul(size_of::<Entry>())?;
    let entries: &mut [Entry] = match size {
        0 => &mut [],
        // SAFETY: the request is alive, so its pool is. Pages of that size that are the report's alone, and
        // live as long as the request; all zeros is an empty entry.
        _ => unsafe {
            let Some(pages) = pool::pages(r.pool(), size) else {
                log::request(
                    r,
                    NGX_LOG_EMERG as ngx_uint_t,
                    format_args!("mmap({size}) failed: there is no memory to sort tunnels in"),
                );
                return None;
            };
            slice::from_raw_parts_mut(pages.cast::<Entry>().as_ptr(), count)
        },
    };
    Some(Answer::report(Report::new(zone, ask, about(r), entries)))
}
