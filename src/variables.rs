//! The module's variables.

use core::ffi::CStr;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use nginx_sys::{
    NGX_ERROR, NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_NOHASH, NGX_HTTP_VAR_PREFIX, NGX_LOG_EMERG,
    NGX_OK, ngx_array_t, ngx_conf_t, ngx_hash_key_t, ngx_http_add_variable,
    ngx_http_complex_value_t, ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_request_t,
    ngx_http_variable_t, ngx_http_variable_value_t, ngx_int_t, ngx_msec_t, ngx_str_t, ngx_uint_t,
};
use websocket_protocol::{Upgrade, header};

use crate::context::{self, Context, State, Verdict};
use crate::inject::PlainHeaders;
use crate::location::OtherUpgrades;
use crate::nginx::{conf, pool, request, string};
use crate::tunnel::{Summary, Tunnel};
use crate::{detect, diagnose, inject, log, seam};

struct Variable {
    name: &'static str,
    get: fn(*mut ngx_http_request_t) -> Value,
}

/// A variable's value for a request. The bytes live as long as the request.
enum Value {
    Empty,
    Text(&'static [u8]),
    Of(ngx_str_t),
}

/// Not for users: they stand in lines that this module puts into the configuration.
static INJECTED: [Variable; 4] = [
    Variable::new("websocket_injected_upgrade", injected_upgrade),
    Variable::new("websocket_injected_connection", injected_connection),
    Variable::new("websocket_injected_attempt", injected_attempt),
    Variable::new("websocket_injected_seam", injected_seam),
];

/// All others that begin with [`PREFIX`].
static VARIABLES: [Variable; 20] = [
    Variable::new("websocket", websocket),
    Variable::new("websocket_upgrade", upgrade),
    Variable::new("websocket_connection", connection),
    Variable::new("websocket_state", state),
    Variable::new("websocket_cause", cause),
    Variable::new("websocket_advice", advice),
    Variable::new("websocket_protocol", protocol),
    Variable::new("websocket_extensions", extensions),
    Variable::new("websocket_handshake_time", handshake_time),
    Variable::new("websocket_close_by", |r| {
        closed(r, |s| Value::Text(s.by.as_bytes()))
    }),
    Variable::new("websocket_close_reason", |r| {
        closed(r, |s| Value::Text(s.reason.name().as_bytes()))
    }),
    Variable::new("websocket_close_code", close_code),
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
];

const PREFIX: &CStr = c"websocket";

impl Variable {
    const fn new(name: &'static str, get: fn(*mut ngx_http_request_t) -> Value) -> Self {
        Self { name, get }
    }

    fn named(name: &[u8]) -> Option<&'static Self> {
        VARIABLES
            .iter()
            .find(|variable| variable.name.as_bytes() == name)
    }
}

/// `preconfiguration`: makes the variables known, by what their names begin with. One by one they
/// would fill nginx's hash of variables, which is built for not many more than its own, and stand
/// in the way of variables that users define under one of these names. The injected ones, which are
/// evaluated for every request to an upstream, are known by themselves and are not in the hash.
///
/// What they say changes while a request goes on, so nginx must not keep their values.
pub unsafe extern "C" fn register(cf: *mut ngx_conf_t) -> ngx_int_t {
    let add = |name, flags, handler: Handler, data| {
        let mut name = name;
        let flags = (flags | NGX_HTTP_VAR_NOCACHEABLE) as ngx_uint_t;
        // SAFETY: nginx gives a valid cf, copies the name, and returns a variable or NULL.
        let variable = unsafe { ngx_http_add_variable(cf, &raw mut name, flags).as_mut() }?;
        variable.get_handler = Some(handler);
        variable.data = data;
        Some(())
    };
    let by_name = add(string::constant(PREFIX), NGX_HTTP_VAR_PREFIX, get_named, 0);
    let mut injected = INJECTED.iter().map(|variable| {
        let name = string::borrowed(variable.name.as_bytes());
        let data = ptr::from_ref(variable).expose_provenance();
        add(name, NGX_HTTP_VAR_NOHASH, get_injected, data)
    });
    if by_name.is_some() && injected.all(|added| added.is_some()) {
        NGX_OK as ngx_int_t
    } else {
        NGX_ERROR as ngx_int_t
    }
}

type Handler = unsafe extern "C" fn(
    *mut ngx_http_request_t,
    *mut ngx_http_variable_value_t,
    usize,
) -> ngx_int_t;

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
                format_args!("unknown \"{}\" variable", name.escape_ascii()),
            );
            return Err(());
        }
    }
    Ok(())
}

/// Evaluates the variable that `data` points to.
unsafe extern "C" fn get_injected(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: what register() put there, and nginx gives the place for the value.
    let (variable, value) = unsafe {
        let variable = ptr::with_exposed_provenance::<Variable>(data);
        (&*variable, &mut *value)
    };
    set(value, (variable.get)(r).text());
    NGX_OK as ngx_int_t
}

/// Evaluates the variable whose name is behind `data`, as nginx has it for a prefix.
unsafe extern "C" fn get_named(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx gives the name that was asked for, and the place for the value.
    let (name, value) = unsafe {
        let name = ptr::with_exposed_provenance::<ngx_str_t>(data);
        (string::bytes(&*name), &mut *value)
    };
    let found = Variable::named(name).map_or(Value::Empty, |variable| (variable.get)(r));
    set(value, found.text());
    NGX_OK as ngx_int_t
}

/// Gives nginx a value, valid until it asks again. `ngx_variable_value_t` begins with bit fields,
/// `len:28, valid:1, no_cacheable:1, not_found:1, escape:1`; the generated setter goes through them
/// bit by bit, which is half of what a variable costs.
#[cfg(target_endian = "little")]
fn set(value: &mut ngx_http_variable_value_t, found: ngx_str_t) {
    const LEN: usize = (1 << 28) - 1;
    const VALID: u32 = 1 << 28;
    const NO_CACHEABLE: u32 = 1 << 29;
    const NOT_FOUND: u32 = 1 << 30;
    let not_found = if found.data.is_null() { NOT_FOUND } else { 0 };
    let bits = found.len.min(LEN) as u32 | VALID | NO_CACHEABLE | not_found;
    // SAFETY: the bit fields are the first word of the structure.
    unsafe { ptr::from_mut(value).cast::<u32>().write(bits) };
    value.data = found.data;
}

#[cfg(not(target_endian = "little"))]
fn set(value: &mut ngx_http_variable_value_t, found: ngx_str_t) {
    value.set_valid(1);
    value.set_no_cacheable(1);
    value.set_not_found(u32::from(found.data.is_null()));
    value.set_len(u32::try_from(found.len).unwrap_or(0));
    value.data = found.data;
}

/// `$websocket`
fn websocket(r: *mut ngx_http_request_t) -> Value {
    // SAFETY: nginx gives a valid request.
    let is_main = unsafe { (*r).main } == r;
    let attempt = match context::get(r) {
        Some(context) => context.is_attempt(),
        None => is_main && detect::is_attempt(r),
    };
    if attempt {
        Value::Text(b"1")
    } else {
        Value::Empty
    }
}

/// What becomes of a request's upgrade on its way to the upstream.
enum Forwarded {
    /// The request is plain: as the user's own lines say.
    Plain,
    /// A handshake that keeps the rules.
    Handshake,
    /// One that breaks a rule, with the client's own `Connection`.
    Broken(Option<&'static [u8]>),
    /// No upgrade of any kind.
    Stripped,
}

fn forwarded(r: *mut ngx_http_request_t) -> Forwarded {
    match context::get(r).map(|context| context.verdict) {
        Some(Verdict::Handshake) => Forwarded::Handshake,
        Some(Verdict::PassedOn) => {
            let head = detect::scan(r);
            let pass = context::location_conf(r).other_upgrades() == OtherUpgrades::Pass;
            match head.upgrade() {
                Upgrade::WebSocket if head.connection_has_upgrade() => Forwarded::Handshake,
                Upgrade::WebSocket => Forwarded::Broken(head.connection()),
                Upgrade::Other if !pass => Forwarded::Stripped,
                Upgrade::Absent | Upgrade::Other => Forwarded::Plain,
            }
        }
        Some(Verdict::Stripped | Verdict::Refused) => Forwarded::Stripped,
        // SAFETY: nginx gives a valid request. A subrequest has its parent's headers.
        None if unsafe { (*r).main != r && !(*r).headers_in.upgrade.is_null() } => {
            Forwarded::Stripped
        }
        None => Forwarded::Plain,
    }
}

/// `$websocket_upgrade`
fn upgrade(r: *mut ngx_http_request_t) -> Value {
    upgrade_with(r, LIST)
}

/// `$websocket_connection`
fn connection(r: *mut ngx_http_request_t) -> Value {
    connection_with(r, LIST)
}

/// What stands between the values of several lines for one header: in a value of a variable a
/// comma, in the request to the upstream another line, as nginx would send it.
const LIST: &[u8] = b", ";
const UPGRADE_LINE: &[u8] = b"\r\nUpgrade: ";
const CONNECTION_LINE: &[u8] = b"\r\nConnection: ";

fn upgrade_with(r: *mut ngx_http_request_t, between: &[u8]) -> Value {
    match forwarded(r) {
        Forwarded::Handshake | Forwarded::Broken(_) => Value::Text(b"websocket"),
        Forwarded::Stripped => Value::Empty,
        Forwarded::Plain => match plain(r).and_then(|plain| plain.upgrade) {
            Some(lines) => users_own(r, lines, between, Value::Empty),
            None => Value::Empty,
        },
    }
}

fn connection_with(r: *mut ngx_http_request_t, between: &[u8]) -> Value {
    let lines = plain(r).and_then(|plain| plain.connection);
    let default = Value::Text(inject::DEFAULT_CONNECTION);
    match forwarded(r) {
        Forwarded::Handshake => Value::Text(b"upgrade"),
        Forwarded::Broken(value) => value.map_or(Value::Empty, Value::Text),
        Forwarded::Plain => match lines {
            Some(lines) => users_own(r, lines, between, default),
            None => default,
        },
        Forwarded::Stripped => match lines.map(|lines| users_own(r, lines, LIST, Value::Empty)) {
            Some(own) if !header::has_token(own.bytes(), b"upgrade") => own,
            _ => default,
        },
    }
}

fn plain(r: *mut ngx_http_request_t) -> Option<&'static PlainHeaders> {
    context::location_conf(r).injection.plain
}

impl Value {
    fn text(&self) -> ngx_str_t {
        match self {
            Self::Empty => string::EMPTY,
            Self::Text(text) => string::borrowed(text),
            Self::Of(text) => *text,
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: a value is made for a request that is alive.
        unsafe { string::bytes(&self.text()) }
    }
}

/// What the user's own `proxy_set_header` lines for a header say. `within` is for lines that use
/// the variable which is being evaluated.
fn users_own(
    r: *mut ngx_http_request_t,
    lines: *mut ngx_array_t,
    between: &[u8],
    within: Value,
) -> Value {
    static EVALUATING: AtomicBool = AtomicBool::new(false);
    if EVALUATING.swap(true, Ordering::Relaxed) {
        return within;
    }
    // SAFETY: an array of compiled values, made by the injection; nginx runs one request at a time.
    let value = unsafe {
        let lines = pool::elements::<ngx_http_complex_value_t>(lines);
        let mut values = lines
            .iter()
            .filter_map(|line| request::evaluate(r, line))
            .filter(|value| !value.is_empty());
        let first = values.next();
        values
            .try_fold(first.unwrap_or_default(), |list, value| {
                pool::concat((*r).pool, [list, between, value])
            })
            .filter(|list| !list.is_empty())
            .map_or(Value::Empty, Value::Text)
    };
    EVALUATING.store(false, Ordering::Relaxed);
    value
}

/// `$websocket_injected_upgrade`, which nginx evaluates as it makes the request to the upstream.
fn injected_upgrade(r: *mut ngx_http_request_t) -> Value {
    injected_seam(r);
    upgrade_with(r, UPGRADE_LINE)
}

/// `$websocket_injected_connection`, likewise.
fn injected_connection(r: *mut ngx_http_request_t) -> Value {
    connection_with(r, CONNECTION_LINE)
}

/// `$websocket_injected_seam`, likewise, where there is nothing to be sent.
fn injected_seam(r: *mut ngx_http_request_t) -> Value {
    if let Some(context) = context::get(r).filter(|context| context.is_passed()) {
        seam::join(r, context);
    }
    Value::Empty
}

/// `$websocket_injected_attempt`, which nginx evaluates long after detection.
fn injected_attempt(r: *mut ngx_http_request_t) -> Value {
    match context::get(r) {
        Some(context) if context.is_attempt() => Value::Text(b"1"),
        _ => Value::Empty,
    }
}

/// The state of a request that is a WebSocket attempt and whose outcome is known.
fn outcome<'a>(r: *mut ngx_http_request_t) -> Option<&'a mut Context> {
    // SAFETY: nginx gives a valid request.
    let (main, status) = unsafe { ((*r).main, (*(*r).main).headers_out.status) };
    let context = diagnose::attempt(main)?;
    if status != 0 {
        diagnose::conclude(main, context, status);
    }
    Some(context)
}

/// `$websocket_state`
fn state(r: *mut ngx_http_request_t) -> Value {
    match outcome(r).map(|context| context.state) {
        Some(State::Rejected) => Value::Text(b"rejected"),
        Some(State::Failed) => Value::Text(b"failed"),
        Some(State::Established) => Value::Text(b"established"),
        Some(State::Pending) | None => Value::Empty,
    }
}

/// `$websocket_cause`
fn cause(r: *mut ngx_http_request_t) -> Value {
    match outcome(r).and_then(|context| context.cause) {
        Some(cause) => Value::Text(cause.name().as_bytes()),
        None => Value::Empty,
    }
}

/// `$websocket_advice`
fn advice(r: *mut ngx_http_request_t) -> Value {
    match outcome(r).and_then(|context| context.cause) {
        Some(cause) => Value::Text(cause.advice().as_bytes()),
        None => Value::Empty,
    }
}

/// `$websocket_protocol`
fn protocol(r: *mut ngx_http_request_t) -> Value {
    agreed(r, |context| context.protocol)
}

/// `$websocket_extensions`
fn extensions(r: *mut ngx_http_request_t) -> Value {
    agreed(r, |context| context.extensions)
}

/// What the two sides agreed on, once they have.
fn agreed(r: *mut ngx_http_request_t, of: fn(&Context) -> ngx_str_t) -> Value {
    match context::get(r) {
        Some(context) if context.state == State::Established => Value::Of(of(context)),
        _ => Value::Empty,
    }
}

/// `$websocket_handshake_time`
fn handshake_time(r: *mut ngx_http_request_t) -> Value {
    match outcome(r).and_then(|context| context.handshake_time) {
        Some(time) => seconds(r, time),
        None => Value::Empty,
    }
}

/// The tunnel's account, as it stands or as it ended.
fn summary(r: *mut ngx_http_request_t) -> Option<Summary> {
    // SAFETY: NULL, or a tunnel that lives as long as the request.
    unsafe { context::get(r)?.tunnel.as_ref() }.map(Tunnel::summary)
}

/// `$websocket_close_by`, `$websocket_close_reason`: of a tunnel that is over.
fn closed(r: *mut ngx_http_request_t, of: fn(Summary) -> Value) -> Value {
    // SAFETY: NULL, or a tunnel that lives as long as the request.
    let tunnel = context::get(r).and_then(|context| unsafe { context.tunnel.as_ref() });
    match tunnel {
        Some(tunnel) if tunnel.is_over() => of(tunnel.summary()),
        _ => Value::Empty,
    }
}

/// `$websocket_close_code`
fn close_code(r: *mut ngx_http_request_t) -> Value {
    number(r, |summary| summary.code.map(u64::from))
}

/// `$websocket_bytes_in` and the like
fn number(r: *mut ngx_http_request_t, of: fn(Summary) -> Option<u64>) -> Value {
    match summary(r).and_then(of) {
        Some(number) => text(r, format_args!("{number}")),
        None => Value::Empty,
    }
}

/// `$websocket_duration`
fn duration(r: *mut ngx_http_request_t) -> Value {
    match context::get(r) {
        Some(context) if context.state == State::Established => seconds(r, context.duration(r)),
        _ => Value::Empty,
    }
}

/// `$websocket_ping_rtt`
fn ping_rtt(r: *mut ngx_http_request_t) -> Value {
    match summary(r).and_then(|summary| summary.ping_rtt) {
        Some(time) => seconds(r, time as ngx_msec_t),
        None => Value::Empty,
    }
}

fn seconds(r: *mut ngx_http_request_t, time: ngx_msec_t) -> Value {
    text(r, format_args!("{}.{:03}", time / 1000, time % 1000))
}

fn text(r: *mut ngx_http_request_t, text: fmt::Arguments<'_>) -> Value {
    // SAFETY: the request is alive, and the text lives as long as it.
    Value::Of(unsafe { pool::format((*r).pool, text) })
}
