//! What a proxied location is given at configuration time, so that at run time nginx's own code
//! does the rest, whatever form its `proxy_pass` has.
//!
//! The structures of the proxying modules are private to nginx and differ from version to version.
//! The few fields needed here are found through the modules' command tables, which name for each
//! directive the offset it writes to; where a directive is not what it is known to be, the
//! configuration is refused.

use core::ffi::{CStr, c_char, c_void};
use core::fmt;
use core::ptr;

use nginx_sys::{
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_VERSION_10, NGX_HTTP_VERSION_11, NGX_LOG_WARN, ngx_array_t,
    ngx_command_t, ngx_conf_set_enum_slot, ngx_conf_set_keyval_slot, ngx_conf_set_msec_slot,
    ngx_conf_t, ngx_cycle_t, ngx_http_complex_value_t, ngx_http_conf_ctx_t, ngx_http_module,
    ngx_http_set_predicate_slot, ngx_http_upstream_conf_t, ngx_http_upstream_param_set_slot,
    ngx_http_upstream_param_t, ngx_keyval_t, ngx_pcalloc, ngx_uint_t,
};

use crate::directives::{LocationConf, Place};
use crate::log;
use crate::nginx::{conf, pool, string};

/// Since this version the proxy module speaks HTTP/1.1 and sends no `Connection` by default.
const KEEPALIVE_BY_DEFAULT: ngx_uint_t = 1_029_007;
const NGINX_VERSION: ngx_uint_t = nginx_sys::nginx_version as ngx_uint_t;

/// The `Connection` header the proxy module sends when no line of the user's says otherwise.
pub const DEFAULT_CONNECTION: &[u8] = if NGINX_VERSION < KEEPALIVE_BY_DEFAULT {
    b"close"
} else {
    b""
};

const DEFAULT_VERSION: usize = if NGINX_VERSION < KEEPALIVE_BY_DEFAULT {
    NGX_HTTP_VERSION_10 as usize
} else {
    NGX_HTTP_VERSION_11 as usize
};

/// A field of a proxying module's location structure.
struct Field {
    module: &'static CStr,
    directive: &'static [u8],
    setter: Setter,
    /// The word that says the directive was not written.
    unset: usize,
    kind: Kind,
    /// Whether every build of the module has the directive.
    required: bool,
}

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// What a field holds, and so what is done to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Array of `ngx_keyval_t`: Upgrade and Connection become our variables.
    Headers,
    /// An HTTP version: becomes 1.1.
    Version,
    /// Array of `ngx_http_upstream_param_t`: gets one that is always empty, for the moment its
    /// variable is evaluated.
    Params,
    /// Array of `ngx_http_complex_value_t`: a handshake becomes one more reason not to cache.
    Predicates,
}

const FIELDS: [Field; 10] = [
    Field::new(
        PROXY,
        b"proxy_set_header",
        ngx_conf_set_keyval_slot,
        Kind::Headers,
    ),
    Field::new(
        PROXY,
        b"proxy_http_version",
        ngx_conf_set_enum_slot,
        Kind::Version,
    ),
    Field::new(
        PROXY,
        b"proxy_cache_bypass",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
    Field::new(
        PROXY,
        b"proxy_no_cache",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
    Field::new(
        UWSGI,
        b"uwsgi_param",
        ngx_http_upstream_param_set_slot,
        Kind::Params,
    ),
    Field::new(
        UWSGI,
        b"uwsgi_cache_bypass",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
    Field::new(
        UWSGI,
        b"uwsgi_no_cache",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
    Field::new(
        SCGI,
        b"scgi_param",
        ngx_http_upstream_param_set_slot,
        Kind::Params,
    ),
    Field::new(
        SCGI,
        b"scgi_cache_bypass",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
    Field::new(
        SCGI,
        b"scgi_no_cache",
        ngx_http_set_predicate_slot,
        Kind::Predicates,
    ),
];

const PROXY: &CStr = c"ngx_http_proxy_module";
const UWSGI: &CStr = c"ngx_http_uwsgi_module";
const SCGI: &CStr = c"ngx_http_scgi_module";

impl Field {
    const fn new(
        module: &'static CStr,
        directive: &'static [u8],
        setter: Setter,
        kind: Kind,
    ) -> Self {
        let unset = match kind {
            Kind::Params => 0,
            Kind::Headers | Kind::Version | Kind::Predicates => conf::UNSET,
        };
        // nginx built without a cache has none of its directives.
        let required = !matches!(kind, Kind::Predicates);
        Self {
            module,
            directive,
            setter,
            unset,
            kind,
            required,
        }
    }
}

/// What the module keeps for the whole of `http {}`.
pub struct MainConf {
    /// Where each field is in this nginx; NULL where it has none.
    found: [Option<Found>; FIELDS.len()],
    /// A directive that is not what it is known to be; told where it is first needed.
    mismatch: Option<&'static Field>,
    /// Array of [`Rewritten`].
    rewritten: *mut ngx_array_t,
    /// Whether any location drains its tunnels.
    drains: bool,
}

/// A location drains its tunnels.
///
/// # Safety
/// `cf` must be in the http context.
pub unsafe fn note_drain(cf: *mut ngx_conf_t) {
    // SAFETY: the main conf is made before any location is merged.
    unsafe {
        let main = conf::main(cf, crate::context::module().ctx_index).cast::<MainConf>();
        (*main).drains = true;
    }
}

/// Whether any location drains its tunnels.
///
/// # Safety
/// `cycle` must be valid, with its configuration read.
pub unsafe fn any_drain(cycle: *const ngx_cycle_t) -> bool {
    // SAFETY: NULL where there is no http block, else a context with a slot for each module.
    unsafe {
        let http = *(*cycle).conf_ctx.add(ngx_http_module.index);
        let Some(http) = http.cast::<ngx_http_conf_ctx_t>().as_ref() else {
            return false;
        };
        (*(*http.main_conf.add(crate::context::module().ctx_index)).cast::<MainConf>()).drains
    }
}

/// A field in the running nginx.
#[derive(Clone, Copy)]
struct Found {
    ctx_index: usize,
    offset: usize,
}

/// An array that was rewritten, so that locations with the same source share one.
#[derive(Clone, Copy)]
struct Rewritten {
    field: usize,
    source: usize,
    result: usize,
    plain: Option<&'static PlainHeaders>,
}

/// What the user's own lines send on requests that are not handshakes.
#[derive(Clone, Copy)]
pub struct PlainHeaders {
    /// Array of `ngx_http_complex_value_t`; `None` where the user wrote no such line.
    pub upgrade: Option<*mut ngx_array_t>,
    pub connection: Option<*mut ngx_array_t>,
}

/// What a level of the configuration would be without this module, and whether it was changed.
#[derive(Clone, Copy)]
pub struct Injection {
    originals: [usize; FIELDS.len()],
    proxies: bool,
    injected: bool,
    pub plain: Option<&'static PlainHeaders>,
}

/// A refused configuration. `None`: nginx has said why.
pub type Refusal = Option<Mismatch>;

/// A directive of nginx's that is not what this module knows.
pub struct Mismatch(&'static Field);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"websocket\" cannot be used with this nginx: its \"{}\" directive is not the one \
             that this module was written for",
            self.0.directive.escape_ascii()
        )
    }
}

impl Injection {
    pub const fn new() -> Self {
        let mut originals = [0; FIELDS.len()];
        let mut i = 0;
        while i < FIELDS.len() {
            originals[i] = FIELDS[i].unset;
            i += 1;
        }
        Self {
            originals,
            proxies: false,
            injected: false,
            plain: None,
        }
    }
}

/// `create_main_conf`: finds the fields.
pub unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf.
    let memory = unsafe { ngx_pcalloc((*cf).pool, size_of::<MainConf>()) }.cast::<MainConf>();
    // SAFETY: as above.
    let rewritten = unsafe { pool::array::<Rewritten>((*cf).pool, 4) };
    let (false, Some(rewritten)) = (memory.is_null(), rewritten) else {
        return ptr::null_mut();
    };

    let mut conf = MainConf {
        found: [None; FIELDS.len()],
        mismatch: None,
        rewritten,
        drains: false,
    };
    for (field, found) in FIELDS_REF.iter().zip(&mut conf.found) {
        // SAFETY: nginx gives a valid cf, and its modules are initialized by now.
        match unsafe { find(cf, field) } {
            Ok(place) => *found = place,
            Err(Mismatch(field)) => conf.mismatch = Some(field),
        }
    }
    // SAFETY: fresh memory of the right size.
    unsafe { memory.write(conf) };
    memory.cast()
}

static FIELDS_REF: &[Field; FIELDS.len()] = &FIELDS;

/// Where a field is in the running nginx; `None` where its module was left out.
///
/// # Safety
/// `cf` must be valid, with its cycle's modules initialized.
unsafe fn find(cf: *mut ngx_conf_t, field: &'static Field) -> Result<Option<Found>, Mismatch> {
    // SAFETY: the caller vouches for cf.
    let Some(module) = (unsafe { conf::module((*cf).cycle, field.module) }) else {
        return Ok(None);
    };
    // SAFETY: a module of the cycle.
    match unsafe { conf::command(module, field.directive) } {
        Some(command) if field.is(command) => Ok(Some(Found {
            ctx_index: module.ctx_index,
            offset: command.offset,
        })),
        None if !field.required => Ok(None),
        Some(_) | None => Err(Mismatch(field)),
    }
}

impl Field {
    fn is(&self, command: &ngx_command_t) -> bool {
        command
            .set
            .is_some_and(|set| ptr::fn_addr_eq(set, self.setter))
            && command.conf == NGX_HTTP_LOC_CONF_OFFSET
    }
}

/// `init_main_conf`: what was written at http level, which no merge is called for.
pub unsafe extern "C" fn init_main_conf(cf: *mut ngx_conf_t, main: *mut c_void) -> *mut c_char {
    // SAFETY: nginx gives what create_main_conf() made, in the http context.
    unsafe {
        let main = &*main.cast::<MainConf>();
        let own = conf::location(cf, crate::context::module().ctx_index).cast::<LocationConf>();
        for (found, original) in main.found.iter().zip(&mut (*own).injection.originals) {
            if let Some(found) = found {
                *original = *found.word(cf);
            }
        }
    }
    conf::OK
}

impl Found {
    /// The field in the location being merged.
    ///
    /// # Safety
    /// `cf` must be in an http context.
    unsafe fn word<'a>(self, cf: *mut ngx_conf_t) -> &'a mut usize {
        // SAFETY: the module's own command table says that a word of it lies at this offset.
        unsafe {
            &mut *conf::location(cf, self.ctx_index)
                .byte_add(self.offset)
                .cast::<usize>()
        }
    }
}

/// Called for each location before the proxying modules merge it: injects where the location is on
/// and proxies, and gives the originals back below a location that was injected.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
pub unsafe fn merge(
    cf: *mut ngx_conf_t,
    on: bool,
    written: Place,
    above: &Injection,
    this: &mut Injection,
) -> Result<(), Refusal> {
    // SAFETY: nginx merges in the http context, and main confs come before merges.
    let (core, main) = unsafe {
        let main = conf::main(cf, crate::context::module().ctx_index);
        (conf::core_location(cf), &*main.cast::<MainConf>())
    };
    // The blocks `if` and `limit_except` run the handler of the location around them.
    this.proxies = core.handler.is_some() || (core.noname() != 0 && above.proxies);
    this.injected = on && this.proxies;

    if let (true, Some(field)) = (this.injected, main.mismatch) {
        return Err(Some(Mismatch(field)));
    }
    for (index, field) in FIELDS_REF.iter().enumerate() {
        let (Some(Some(found)), Some(original), Some(inherited)) = (
            main.found.get(index),
            this.originals.get_mut(index),
            above.originals.get(index),
        ) else {
            continue;
        };
        // SAFETY: as above.
        let word = unsafe { found.word(cf) };
        let own = *word != field.unset;
        *original = if own { *word } else { *inherited };

        if this.injected {
            if field.kind == Kind::Version {
                // SAFETY: as above.
                unsafe { warn_of_version(cf, main, *original, written) };
            }
            // SAFETY: as above; `original` is what nginx itself keeps in this field.
            let rewritten = unsafe { rewrite(cf, main, index, field, *original) }.ok_or(None)?;
            *word = rewritten.result;
            if field.kind == Kind::Headers {
                this.plain = rewritten.plain;
            }
        } else if above.injected && !own {
            // SAFETY: as above.
            *word = unsafe { restore(cf, field, *original) }.ok_or(None)?;
        }
    }
    Ok(())
}

/// A field's new word for a location that is on.
///
/// # Safety
/// `cf` must be valid, and `source` the word that nginx keeps in this field.
unsafe fn rewrite(
    cf: *mut ngx_conf_t,
    main: &MainConf,
    index: usize,
    field: &Field,
    source: usize,
) -> Option<Rewritten> {
    // SAFETY: an array made by create_main_conf().
    let done = unsafe { pool::elements::<Rewritten>(main.rewritten) };
    if let Some(rewritten) = done.iter().find(|r| r.field == index && r.source == source) {
        return Some(*rewritten);
    }
    let array: *const ngx_array_t = if source == field.unset {
        ptr::null()
    } else {
        ptr::with_exposed_provenance(source)
    };
    // SAFETY: in these kinds the word is a pointer to an array of what the kind says.
    let (result, plain) = unsafe {
        match field.kind {
            Kind::Version => (NGX_HTTP_VERSION_11 as usize, None),
            Kind::Params => (params(cf, array)?.expose_provenance(), None),
            Kind::Predicates => (predicates(cf, array)?.expose_provenance(), None),
            Kind::Headers => {
                let (array, plain) = headers(cf, array)?;
                (array.expose_provenance(), Some(plain))
            }
        }
    };
    let rewritten = Rewritten {
        field: index,
        source,
        result,
        plain,
    };
    // SAFETY: an array made by create_main_conf().
    unsafe { pool::push(main.rewritten, rewritten) }?;
    Some(rewritten)
}

/// The word that makes a field what it would be without this module, below a location that was
/// injected: leaving it unset would inherit the injection.
///
/// # Safety
/// `cf` must be valid.
unsafe fn restore(cf: *mut ngx_conf_t, field: &Field, original: usize) -> Option<usize> {
    if original != field.unset {
        return Some(original);
    }
    match field.kind {
        Kind::Version => Some(DEFAULT_VERSION),
        Kind::Headers | Kind::Predicates => Some(0),
        // Here unset is NULL, so that only an array of none says "none".
        Kind::Params => {
            // SAFETY: cf is valid.
            let none = unsafe { pool::array::<ngx_http_upstream_param_t>((*cf).pool, 1) }?;
            Some(none.expose_provenance())
        }
    }
}

/// `proxy_set_header` lines in which Upgrade and Connection are ours.
///
/// Each stands where the user's line stood, or else where nginx's default would: plain requests
/// keep the very bytes they had.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_keyval_t`.
unsafe fn headers(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
) -> Option<(*mut ngx_array_t, &'static PlainHeaders)> {
    // SAFETY: the caller vouches for both.
    let (memory, lines) = unsafe { ((*cf).pool, pool::elements::<ngx_keyval_t>(source)) };
    // SAFETY: the pool is valid.
    let result = unsafe { pool::array::<ngx_keyval_t>(memory, lines.len() + 3) }?;
    let mut plain = PlainHeaders {
        upgrade: None,
        connection: None,
    };
    let mut has_host = false;

    for line in lines {
        // SAFETY: a line's words live as long as the configuration.
        let name = unsafe { string::bytes(&line.key) };
        has_host |= name.eq_ignore_ascii_case(HOST.0.to_bytes());
        let (ours, values) = if name.eq_ignore_ascii_case(UPGRADE.0.to_bytes()) {
            (UPGRADE, &mut plain.upgrade)
        } else if name.eq_ignore_ascii_case(CONNECTION.0.to_bytes()) {
            (CONNECTION, &mut plain.connection)
        } else {
            // SAFETY: an array of lines.
            unsafe { pool::push(result, *line) }?;
            continue;
        };
        if values.is_none() {
            // SAFETY: the pool is valid; an array of lines.
            unsafe {
                *values = Some(pool::array::<ngx_http_complex_value_t>(memory, 1)?);
                push_line(result, ours)?;
            }
        }
        if let Some(values) = *values {
            // SAFETY: cf is valid; an array of values.
            unsafe { pool::push(values, conf::compile(cf, line.value)?) }?;
        }
    }
    // SAFETY: an array of lines, and the pool is valid.
    unsafe {
        if plain.connection.is_none() {
            if !has_host {
                push_line(result, HOST)?;
            }
            push_line(result, CONNECTION)?;
        }
        if plain.upgrade.is_none() {
            push_line(result, UPGRADE)?;
        }
        Some((result, pool::place(memory, plain)?.as_ref()))
    }
}

type Line = (&'static CStr, &'static CStr);

const HOST: Line = (c"Host", c"$proxy_host");
const UPGRADE: Line = (c"Upgrade", c"$websocket_injected_upgrade");
const CONNECTION: Line = (c"Connection", c"$websocket_injected_connection");

/// # Safety
/// `lines` must be an array of `ngx_keyval_t`.
unsafe fn push_line(lines: *mut ngx_array_t, (name, value): Line) -> Option<()> {
    let line = ngx_keyval_t {
        key: string::constant(name),
        value: string::constant(value),
    };
    // SAFETY: the caller vouches for the array.
    unsafe { pool::push(lines, line) }.map(|_| ())
}

/// Parameters with one more, which is never sent: its variable is evaluated while the request to
/// the upstream is made, which is the module's moment to join it.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_http_upstream_param_t`.
unsafe fn params(cf: *mut ngx_conf_t, source: *const ngx_array_t) -> Option<*mut ngx_array_t> {
    let seam = ngx_http_upstream_param_t {
        key: string::constant(c"WEBSOCKET"),
        value: string::constant(c"$websocket_injected_seam"),
        skip_empty: 1,
    };
    // SAFETY: the caller vouches for both.
    unsafe { copy_and_push(cf, source, seam) }
}

/// Reasons not to use the cache, with one more: the request is a WebSocket attempt.
///
/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `ngx_http_complex_value_t`.
unsafe fn predicates(cf: *mut ngx_conf_t, source: *const ngx_array_t) -> Option<*mut ngx_array_t> {
    // SAFETY: cf is valid.
    let websocket = unsafe { conf::compile(cf, string::constant(c"$websocket")) }?;
    // SAFETY: the caller vouches for both.
    unsafe { copy_and_push(cf, source, websocket) }
}

/// # Safety
/// `cf` must be valid, and `source` NULL or an array of `T`.
unsafe fn copy_and_push<T: Copy>(
    cf: *mut ngx_conf_t,
    source: *const ngx_array_t,
    last: T,
) -> Option<*mut ngx_array_t> {
    // SAFETY: the caller vouches for all.
    unsafe {
        let elements = pool::elements::<T>(source);
        let result = pool::array::<T>((*cf).pool, elements.len() + 1)?;
        for element in elements {
            pool::push(result, *element)?;
        }
        pool::push(result, last)?;
        Some(result)
    }
}

/// Says that a version written in or above the location does not hold in it.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
unsafe fn warn_of_version(cf: *mut ngx_conf_t, main: &MainConf, version: usize, written: Place) {
    if version == conf::UNSET || version == NGX_HTTP_VERSION_11 as usize {
        return;
    }
    // SAFETY: the caller vouches for cf.
    if unsafe { passes_elsewhere(cf, main) } {
        return;
    }
    // SAFETY: a location's name lives as long as the configuration.
    let name = unsafe { string::bytes(&conf::core_location(cf).name) };
    let version = match version {
        1000 => "1.0",
        2000 => "2",
        _ => "other than 1.1",
    };
    log::configuration(
        cf,
        NGX_LOG_WARN,
        written,
        format_args!(
            "\"proxy_http_version {version}\" is ignored in location \"{}\": \"websocket on\" \
             needs HTTP/1.1 to the upstream",
            name.escape_ascii()
        ),
    );
}

/// Whether the location passes to another module than proxy. A `proxy_pass` with variables leaves
/// no trace that could be read here, so the answer is found on the other side.
///
/// # Safety
/// `cf` must be in an http context.
unsafe fn passes_elsewhere(cf: *mut ngx_conf_t, _main: &MainConf) -> bool {
    const OTHERS: [(&CStr, &[u8]); 5] = [
        (UWSGI, b"uwsgi_connect_timeout"),
        (SCGI, b"scgi_connect_timeout"),
        (c"ngx_http_fastcgi_module", b"fastcgi_connect_timeout"),
        (c"ngx_http_grpc_module", b"grpc_connect_timeout"),
        (c"ngx_http_memcached_module", b"memcached_connect_timeout"),
    ];
    const CONNECT_TIMEOUT: usize = core::mem::offset_of!(ngx_http_upstream_conf_t, connect_timeout);

    OTHERS.iter().any(|(name, directive)| {
        // SAFETY: the caller vouches for cf; a module that sets a time at this offset of its
        // location structure has an ngx_http_upstream_conf_t around it.
        unsafe {
            let Some(module) = conf::module((*cf).cycle, name) else {
                return false;
            };
            let Some(command) = conf::command(module, directive) else {
                return false;
            };
            if !command
                .set
                .is_some_and(|set| ptr::fn_addr_eq(set, ngx_conf_set_msec_slot as Setter))
            {
                return false;
            }
            let Some(offset) = command.offset.checked_sub(CONNECT_TIMEOUT) else {
                return false;
            };
            let upstream = conf::location(cf, module.ctx_index).byte_add(offset);
            !(*upstream.cast::<ngx_http_upstream_conf_t>())
                .upstream
                .is_null()
        }
    })
}
