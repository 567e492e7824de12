//! How old a tunnel may become, by the time of the location or by what is known of its client.

use nginx_sys::{NGX_LOG_ERR, ngx_msec_t, ngx_uint_t};
use websocket_protocol::Chosen;
use websocket_protocol::tunnel::Lifetime;

use crate::conf::LocationConf;
use crate::nginx::value::Value;
use crate::nginx::{Request, clock, log};
use crate::types::Age;

/// The lifetime of a request's tunnel, which begins now; the request has lasted so long, milliseconds.
pub fn of(r: Request<'_>, conf: &LocationConf, lasted: ngx_msec_t) -> Option<Lifetime> {
    let max = conf.max_lifetime()?;
    let (age, is_spread) = match max.age {
        Age::Any => return None,
        Age::Fixed(age) => (age, true),
        // Who has a token until some moment has it no longer, and no shorter.
        Age::Of(value) => (left(r, value, lasted)?, false),
    };
    Some(Lifetime {
        age,
        code: max.code,
        is_spread,
    })
}

/// What is left of a request's time, milliseconds; `None` where it has no end.
///
/// It has run since the request began: the value may be as old, from an auth_request for instance. What
/// cannot be told is over.
fn left(r: Request<'_>, value: Value, lasted: ngx_msec_t) -> Option<ngx_msec_t> {
    let text = value.of(r);
    match text.and_then(read) {
        Some(Said::Any) => None,
        Some(Said::Time(time)) => Some(time.saturating_sub(lasted)),
        None => {
            log::request(
                r,
                NGX_LOG_ERR as ngx_uint_t,
                format_args!(
                    "websocket_max_lifetime has a value {}, which is not a time: the tunnel is closed at once",
                    Chosen(text.unwrap_or_default())
                ),
            );
            Some(0)
        }
    }
}

/// What a value says.
enum Said {
    /// There is no end.
    Any,
    /// Milliseconds.
    Time(ngx_msec_t),
}

/// `None`: nothing that is a time.
fn read(text: &[u8]) -> Option<Said> {
    match text {
        b"" | b"off" => Some(Said::Any),
        [b'-', past @ ..] => time(past).map(|_| Said::Time(0)),
        text => time(text).map(Said::Time),
    }
}

/// A time as in the configuration, or seconds with a fraction, as programs reckon them.
fn time(text: &[u8]) -> Option<ngx_msec_t> {
    let Some(point) = memchr::memchr(b'.', text) else {
        return clock::parse_time(text);
    };
    let (seconds, fraction) = (text.get(..point)?, text.get(point.saturating_add(1)..)?);
    let are_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if !are_digits(seconds) || !are_digits(fraction) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let milliseconds = digits.fold(0, |sum, digit| sum * 10 + ngx_msec_t::from(digit & 0x0F));
    Some(clock::parse_time(seconds)?.saturating_add(milliseconds))
}
