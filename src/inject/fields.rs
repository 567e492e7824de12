//! The fields of the proxying modules' location structures.
//!
//! These structures are private to nginx and differ from version to version. The few fields needed
//! here are found through the modules' command tables, which name for each directive the offset it
//! writes to; where a directive is not what it is known to be, the configuration is refused.

use core::ffi::{CStr, c_char, c_void};
use core::fmt;
use core::mem::offset_of;
use core::ptr;

use nginx_sys::{
    NGX_HTTP_LOC_CONF_OFFSET, ngx_command_t, ngx_conf_set_enum_slot, ngx_conf_set_flag_slot,
    ngx_conf_set_keyval_slot, ngx_conf_set_msec_slot, ngx_conf_set_str_slot, ngx_conf_t,
    ngx_http_set_complex_value_slot, ngx_http_set_predicate_slot, ngx_http_upstream_conf_t,
    ngx_http_upstream_param_set_slot,
};

use crate::nginx::conf;

/// A field of a proxying module's location structure: one word.
pub struct Field {
    module: &'static CStr,
    directive: &'static [u8],
    setter: Setter,
    pub kind: Kind,
}

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// What a field holds, and so what is done to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Array of `ngx_keyval_t`: Upgrade and Connection become our variables.
    Headers,
    /// An HTTP version: becomes 1.1.
    Version,
    /// Array of `ngx_http_upstream_param_t`: gets one that is always empty, for the moment its
    /// variable is evaluated.
    Params,
    /// Array of `ngx_http_complex_value_t`: a handshake becomes one more reason not to cache.
    Predicates,
    /// `ngx_http_complex_value_t`, read for the advice it is worth.
    Value,
    /// The length of a text, likewise.
    Length,
    /// A flag, likewise.
    Flag,
}

/// All of them. The names that follow are places in it.
pub static FIELDS: [Field; 13] = [
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
    Field::new(
        PROXY,
        b"proxy_method",
        ngx_http_set_complex_value_slot,
        Kind::Value,
    ),
    Field::new(
        PROXY,
        b"proxy_set_body",
        ngx_conf_set_str_slot,
        Kind::Length,
    ),
    Field::new(
        PROXY,
        b"proxy_pass_request_headers",
        ngx_conf_set_flag_slot,
        Kind::Flag,
    ),
];
pub const HEADERS: usize = 0;
pub const METHOD: usize = 10;
pub const BODY: usize = 11;
pub const PASS_HEADERS: usize = 12;

/// The words of a location's fields.
pub type Words = [usize; FIELDS.len()];

/// What they are where nothing was written.
pub const UNSET: Words = {
    let mut words = [0; FIELDS.len()];
    let mut i = 0;
    while i < FIELDS.len() {
        words[i] = FIELDS[i].unset();
        i += 1;
    }
    words
};

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
        Self {
            module,
            directive,
            setter,
            kind,
        }
    }

    /// The word that says the directive was not written.
    pub const fn unset(&self) -> usize {
        match self.kind {
            Kind::Params | Kind::Length => 0,
            _ => conf::UNSET,
        }
    }

    /// Whether the module can't do without it: nginx built without a cache has none of its
    /// directives, and advice is no more than advice.
    fn is_required(&self) -> bool {
        matches!(self.kind, Kind::Headers | Kind::Version | Kind::Params)
    }

    fn is(&self, command: &ngx_command_t) -> bool {
        is_set_by(command, self.setter) && command.conf == NGX_HTTP_LOC_CONF_OFFSET
    }
}

fn is_set_by(command: &ngx_command_t, setter: Setter) -> bool {
    command.set.is_some_and(|set| ptr::fn_addr_eq(set, setter))
}

/// A field in the running nginx.
#[derive(Clone, Copy)]
pub struct Found {
    ctx_index: usize,
    offset: usize,
}

impl Found {
    /// The field in the location being merged.
    ///
    /// # Safety
    /// `cf` must be in an http context.
    pub unsafe fn word<'a>(self, cf: *mut ngx_conf_t) -> &'a mut usize {
        // SAFETY: the module's own command table says that a word of it lies at this offset.
        unsafe {
            &mut *conf::location(cf, self.ctx_index)
                .byte_add(self.offset)
                .cast()
        }
    }
}

/// Where the fields are in the running nginx.
pub struct Places {
    /// `None` where nginx was built without the module or the directive.
    pub found: [Option<Found>; FIELDS.len()],
    /// A directive that is not what it is known to be: told where the module is used, if it is.
    pub mismatch: Option<Mismatch>,
}

/// A directive of nginx's that is not what this module knows.
#[derive(Clone, Copy)]
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

impl Places {
    /// Finds them.
    ///
    /// # Safety
    /// `cf` must be valid, with its cycle's modules initialized.
    pub unsafe fn find(cf: *mut ngx_conf_t) -> Self {
        let mut places = Self {
            found: [None; FIELDS.len()],
            mismatch: None,
        };
        for (field, found) in FIELDS.iter().zip(&mut places.found) {
            // SAFETY: the caller vouches for cf.
            let Some(module) = (unsafe { conf::module((*cf).cycle, field.module) }) else {
                continue;
            };
            // SAFETY: a module of the cycle.
            match unsafe { conf::command(module, field.directive) } {
                Some(command) if field.is(command) => {
                    *found = Some(Found {
                        ctx_index: module.ctx_index,
                        offset: command.offset,
                    });
                }
                _ if field.is_required() => places.mismatch = Some(Mismatch(field)),
                _ => {}
            }
        }
        places
    }
}

/// Whether the location passes to another module than proxy. A `proxy_pass` with variables leaves
/// no trace that could be read here, so the answer is found on the other side.
///
/// # Safety
/// `cf` must be in an http context.
pub unsafe fn passes_elsewhere(cf: *mut ngx_conf_t) -> bool {
    const OTHERS: [(&CStr, &[u8]); 5] = [
        (UWSGI, b"uwsgi_connect_timeout"),
        (SCGI, b"scgi_connect_timeout"),
        (c"ngx_http_fastcgi_module", b"fastcgi_connect_timeout"),
        (c"ngx_http_grpc_module", b"grpc_connect_timeout"),
        (c"ngx_http_memcached_module", b"memcached_connect_timeout"),
    ];
    // SAFETY: the caller vouches for cf.
    OTHERS.iter().any(|(module, directive)| unsafe {
        upstream_settings(cf, module, directive)
            .is_some_and(|settings| !(*settings).upstream.is_null())
    })
}

/// The upstream settings in a module's location structure, found through the directive for their
/// `connect_timeout`.
///
/// # Safety
/// `cf` must be in an http context.
unsafe fn upstream_settings(
    cf: *mut ngx_conf_t,
    module: &CStr,
    directive: &[u8],
) -> Option<*const ngx_http_upstream_conf_t> {
    // SAFETY: the caller vouches for cf; a module that sets a time at this offset has an
    // ngx_http_upstream_conf_t around it.
    unsafe {
        let module = conf::module((*cf).cycle, module)?;
        let command = conf::command(module, directive)?;
        let offset = command
            .offset
            .checked_sub(offset_of!(ngx_http_upstream_conf_t, connect_timeout))
            .filter(|_| is_set_by(command, ngx_conf_set_msec_slot))?;
        Some(conf::location(cf, module.ctx_index).byte_add(offset).cast())
    }
}
