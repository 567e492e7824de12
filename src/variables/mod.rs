//! The module's variables.

use core::ffi::CStr;
use core::{fmt, ptr};

use nginx_sys::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_PREFIX, NGX_HTTP_VAR_WEAK, NGX_LOG_EMERG, NGX_OK,
    ngx_conf_t, ngx_hash_key_t, ngx_http_add_variable, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_request_t, ngx_http_variable_t, ngx_http_variable_value_t,
    ngx_int_t, ngx_msec_t, ngx_str_t, ngx_uint_t,
};
use websocket_protocol::{Advice, Cause, HttpVersion, Printable};

use crate::conf::LocationConf;
use crate::failure::conclude;
use crate::handover;
use crate::http2;
use crate::nginx::{Request, conf, log, pool, string};
use crate::request::{self, Attempt, Ending, attempt};
use crate::tunnel::Summary;

struct Variable {
    name: &'static str,
    get: fn(Request<'_>) -> Value,
}

/// A variable's value for a request. The bytes live as long as the request.
enum Value {
    Empty,
    Text(&'static [u8]),
    Of(ngx_str_t),
}

/// All that begin with [`PREFIX`].
static VARIABLES: [Variable; 24] = [
    Variable::new("websocket", websocket),
    Variable::new("websocket_transport", transport),
    Variable::new("websocket_upgrade", upgrade),
    Variable::new("websocket_connection", connection),
    Variable::new("websocket_state", state),
    Variable::new("websocket_event", event),
    Variable::new("websocket_cause", cause),
    Variable::new("websocket_advice", advice),
    Variable::new("websocket_protocol", protocol),
    Variable::new("websocket_extensions", extensions),
    Variable::new("websocket_handshake_time", handshake_time),
    Variable::new("websocket_close_by", |r| {
        closed(r, |s| Value::Text(s.by().as_bytes()))
    }),
    Variable::new("websocket_close_reason", |r| {
        closed(r, |s| Value::Text(s.end.reason.name().as_bytes()))
    }),
    Variable::new("websocket_close_code", close_code),
    Variable::new("websocket_close_text", close_text),
    Variable::new("websocket_duration", duration),
    Variable::new("websocket_bytes_in", |r| {
        number(r, |s| Some(s.from_client.bytes))
    }),
    Variable::new("websocket_bytes_out", |r| {
        number(r, |s| Some(s.from_upstream.bytes))
    }),
    Variable::new("websocket_frames_in", |r| {
        number(r, |s| Some(s.from_client.frames))
    }),
    Variable::new("websocket_frames_out", |r| {
        number(r, |s| Some(s.from_upstream.frames))
    }),
    Variable::new("websocket_messages_in", |r| {
        number(r, |s| Some(s.from_client.messages))
    }),
    Variable::new("websocket_messages_out", |r| {
        number(r, |s| Some(s.from_upstream.messages))
    }),
    Variable::new("websocket_ping_rtt", ping_rtt),
    Variable::new("websocket_handovers", handovers),
];

const PREFIX: &CStr = c"websocket";

impl Variable {
    const fn new(name: &'static str, get: fn(Request<'_>) -> Value) -> Self {
        Self { name, get }
    }

    fn named(name: &[u8]) -> Option<&'static Self> {
        VARIABLES
            .iter()
            .find(|variable| variable.name.as_bytes() == name)
    }
}

/// Makes the variables known, by what their names begin with. One by one they would fill nginx's hash
/// of variables, which is built for not many more than its own, and stand in the way of variables
/// that users define under one of these names.
///
/// What they say changes while a request goes on, so nginx must not keep their values. `None` when
/// there is no memory.
///
/// # Safety
/// `cf` must be in the http context, before its directives are read.
pub unsafe fn register(cf: *mut ngx_conf_t) -> Option<()> {
    let mut name = string::constant(PREFIX);
    let flags = (NGX_HTTP_VAR_PREFIX | NGX_HTTP_VAR_NOCACHEABLE) as ngx_uint_t;
    // SAFETY: the caller vouches for cf; nginx copies the name, and returns a variable or NULL.
    unsafe {
        let variable = ngx_http_add_variable(cf, &raw mut name, flags).as_mut()?;
        variable.get_handler = Some(get);
    }
    Some(())
}

/// Leaves to `set` the variables that it defines under one of these names, also where it is not run: nginx looks
/// for another one of a variable's name as long as that is weak.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn leave_to_users(cf: *mut ngx_conf_t) {
    // SAFETY: the core module's main conf keeps what is defined in an array, each with its variable.
    unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let keys = (*core.cast::<ngx_http_core_main_conf_t>()).variables_keys;
        for key in pool::elements::<ngx_hash_key_t>(&raw const (*keys).keys) {
            if string::bytes(&key.key).starts_with(PREFIX.to_bytes()) {
                let variable = key.value.cast::<ngx_http_variable_t>();
                (*variable).flags &= !(NGX_HTTP_VAR_WEAK as ngx_uint_t);
            }
        }
    }
}

/// Refuses names that only begin like one of ours, as nginx would.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn refuse_unknown(cf: *mut ngx_conf_t) -> Result<(), ()> {
    // SAFETY: the core module's main conf keeps the names in use in one array and those that are
    // defined in another.
    let (used, defined) = unsafe {
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let core = &*core.cast::<ngx_http_core_main_conf_t>();
        (
            pool::elements::<ngx_http_variable_t>(&raw const core.variables),
            pool::elements::<ngx_hash_key_t>(&raw const (*core.variables_keys).keys),
        )
    };
    for variable in used {
        // SAFETY: names of variables live as long as the configuration.
        let name = unsafe { string::bytes(&variable.name) };
        let is_defined = || {
            // SAFETY: as above.
            defined
                .iter()
                .any(|key| unsafe { string::bytes(&key.key) } == name)
        };
        if name.starts_with(PREFIX.to_bytes())
            && Variable::named(name).is_none()
            && variable.get_handler.is_none()
            && !is_defined()
        {
            log::directive(
                cf,
                NGX_LOG_EMERG,
                format_args!("unknown \"{}\" variable", string::Text(name)),
            );
            return Err(());
        }
    }
    Ok(())
}

/// Evaluates the variable whose name is behind `data`, as nginx has it for a prefix.
unsafe extern "C" fn get(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx gives a request that is alive, and the name that was asked for.
    let (r, name) = unsafe {
        let name = ptr::with_exposed_provenance::<ngx_str_t>(data);
        (Request::new(r), string::bytes(&*name))
    };
    let text = match Variable::named(name).map(|variable| (variable.get)(r)) {
        None | Some(Value::Empty) => string::EMPTY,
        Some(Value::Text(text)) => string::borrowed(text),
        Some(Value::Of(text)) => text,
    };
    // SAFETY: nginx gives the place for the value.
    unsafe {
        (*value).set_valid(1);
        (*value).set_no_cacheable(1);
        // A log shows it as `-`, as it does with nginx's own.
        (*value).set_not_found(u32::from(text.len == 0));
        (*value).set_len(u32::try_from(text.len).unwrap_or(0));
        (*value).data = text.data;
    }
    NGX_OK as ngx_int_t
}

/// `$websocket`
fn websocket(r: Request<'_>) -> Value {
    if request::of(r).is_some() || (r.is_main() && attempt::is_attempt(r)) {
        Value::Text(b"1")
    } else {
        Value::Empty
    }
}

/// `$websocket_transport`
fn transport(r: Request<'_>) -> Value {
    match websocket(r) {
        Value::Empty => Value::Empty,
        _ if http2::is_connect(r) => Value::Text(b"http2"),
        _ => Value::Text(match attempt::line(r).version {
            HttpVersion::Http3 => b"http3",
            HttpVersion::Http2 => b"http2",
            _ => b"http1",
        }),
    }
}

/// `$websocket_upgrade`
fn upgrade(r: Request<'_>) -> Value {
    if goes_on_as_handshake(r) {
        Value::Text(b"websocket")
    } else {
        Value::Empty
    }
}

/// `$websocket_connection`
fn connection(r: Request<'_>) -> Value {
    Value::Text(if goes_on_as_handshake(r) {
        b"upgrade"
    } else {
        DEFAULT_CONNECTION
    })
}

/// Whether the request goes to its location's upstream as a handshake.
fn goes_on_as_handshake(r: Request<'_>) -> bool {
    let twin = LocationConf::of(r).twins.get().handshake;
    !twin.is_null() && r.is_in(twin)
}

/// The `Connection` that the proxy module sends where no line says otherwise: from 1.29.7 on none.
const DEFAULT_CONNECTION: &[u8] = if nginx_sys::nginx_version < 1_029_007 {
    b"close"
} else {
    b""
};

/// What became of the client's request, as far as it can be told.
fn ending(r: Request<'_>) -> Option<Ending> {
    let r = r.main();
    if r.status() == 0 {
        return request::of(r)?.ending();
    }
    match request::of(r) {
        Some(attempt) => conclude::ending(r, attempt),
        None => conclude::unjudged_ending(r),
    }
}

/// `$websocket_state`
fn state(r: Request<'_>) -> Value {
    if established(r).is_some() {
        return Value::Text(b"established");
    }
    match ending(r) {
        Some(Ending::Rejected(_)) => Value::Text(b"rejected"),
        Some(Ending::Failed(_)) => Value::Text(b"failed"),
        Some(Ending::Closed(_) | Ending::Unknown) | None => Value::Empty,
    }
}

/// `$websocket_event`
fn event(r: Request<'_>) -> Value {
    match (established(r), why(r)) {
        (Some(attempt), _) if attempt.is_ended() => Value::Text(b"close"),
        (Some(_), _) => Value::Text(b"open"),
        (None, Some(_)) => Value::Text(b"fail"),
        (None, None) => Value::Empty,
    }
}

/// Why the handshake failed, if it did.
fn why(r: Request<'_>) -> Option<Cause> {
    match ending(r) {
        Some(Ending::Rejected(cause) | Ending::Failed(cause)) => Some(cause),
        _ => None,
    }
}

/// `$websocket_cause`
fn cause(r: Request<'_>) -> Value {
    why(r).map_or(Value::Empty, |cause| Value::Text(cause.name().as_bytes()))
}

/// `$websocket_advice`
fn advice(r: Request<'_>) -> Value {
    let chosen = request::of(r.main()).map_or(Advice::Usual, |attempt| attempt.advice.get());
    why(r).map_or(Value::Empty, |cause| {
        Value::Text(chosen.text(cause).as_bytes())
    })
}

/// The attempt, if its upstream has switched protocols.
fn established<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    request::of(r.main()).filter(|attempt| attempt.state().is_established())
}

/// `$websocket_protocol`
fn protocol(r: Request<'_>) -> Value {
    established(r).map_or(Value::Empty, |attempt| Value::Of(attempt.protocol.get()))
}

/// `$websocket_extensions`
fn extensions(r: Request<'_>) -> Value {
    established(r).map_or(Value::Empty, |attempt| Value::Of(attempt.extensions.get()))
}

/// `$websocket_handshake_time`
fn handshake_time(r: Request<'_>) -> Value {
    let main = r.main();
    match request::of(main).and_then(Attempt::handshake_time) {
        Some(time) => seconds(r, time),
        None if why(main).is_some() => seconds(r, main.elapsed()),
        None => Value::Empty,
    }
}

/// `$websocket_duration`
fn duration(r: Request<'_>) -> Value {
    established(r).map_or(Value::Empty, |attempt| seconds(r, attempt.duration()))
}

/// The tunnel's account, as it stands or as it ended.
fn summary<'r>(r: Request<'r>) -> Option<Summary<'r>> {
    let tunnel = established(r)?.tunnel()?;
    // SAFETY: a tunnel lives as long as its request, and none of its turns is under way: nginx
    // evaluates variables between them.
    Some(unsafe { tunnel.as_ref() }.summary())
}

/// `$websocket_close_by`, `$websocket_close_reason`: of a tunnel that is over.
fn closed(r: Request<'_>, of: fn(Summary<'_>) -> Value) -> Value {
    let is_over = established(r).is_some_and(Attempt::is_ended);
    summary(r).filter(|_| is_over).map_or(Value::Empty, of)
}

/// `$websocket_close_code`
fn close_code(r: Request<'_>) -> Value {
    number(r, |summary| summary.end.code.map(u64::from))
}

/// `$websocket_close_text`
fn close_text(r: Request<'_>) -> Value {
    match summary(r).map(|summary| summary.text) {
        Some(sent) if !sent.is_empty() => text(r, format_args!("{}", Printable(sent))),
        _ => Value::Empty,
    }
}

/// `$websocket_bytes_in` and the like
fn number(r: Request<'_>, of: fn(Summary<'_>) -> Option<u64>) -> Value {
    match summary(r).and_then(of) {
        Some(number) => text(r, format_args!("{number}")),
        None => Value::Empty,
    }
}

/// `$websocket_ping_rtt`
fn ping_rtt(r: Request<'_>) -> Value {
    match summary(r).and_then(|summary| summary.ping_rtt) {
        Some(time) => seconds(r, time as ngx_msec_t),
        None => Value::Empty,
    }
}

/// `$websocket_handovers`
fn handovers(r: Request<'_>) -> Value {
    match established(r) {
        Some(_) => text(r, format_args!("{}", handover::handovers(r.main()))),
        None => Value::Empty,
    }
}

fn seconds(r: Request<'_>, time: ngx_msec_t) -> Value {
    text(r, format_args!("{}.{:03}", time / 1000, time % 1000))
}

fn text(r: Request<'_>, text: fmt::Arguments<'_>) -> Value {
    Value::Of(r.format(text))
}
