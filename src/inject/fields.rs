//! The modules that proxy, and where their fields are in the running nginx.
//!
//! Their location structures are private to nginx and differ from version to version. The few
//! fields needed here are found through the modules' command tables, which name for each directive
//! the offset it writes to. A directive that is not what it is known to be refuses the
//! configuration: nothing is guessed.

use core::ffi::{CStr, c_char, c_void};
use core::mem::offset_of;
use core::{fmt, ptr};

use nginx_sys::{
    NGX_HTTP_LOC_CONF_OFFSET, ngx_array_t, ngx_command_t, ngx_conf_set_enum_slot,
    ngx_conf_set_keyval_slot, ngx_conf_set_msec_slot, ngx_conf_set_str_slot, ngx_conf_t,
    ngx_http_complex_value_t, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_set_complex_value_slot, ngx_http_upstream_conf_t, ngx_http_upstream_param_set_slot,
    ngx_module_t, ngx_str_t, ngx_uint_t,
};

use super::probe;
use crate::nginx::{conf, string};

/// A module that passes requests to an upstream, as it is known to be.
struct Known {
    module: &'static CStr,
    /// What its directives begin with.
    name: &'static str,
    /// Sets the location's handler.
    pass: &'static [u8],
    /// Its offset tells where the module's `ngx_http_upstream_conf_t` begins.
    connect_timeout: &'static [u8],
    lines: Directive,
    /// Those of proxy, which writes HTTP.
    http: Option<&'static Http>,
}

struct Http {
    version: Directive,
    method: Directive,
    body: Directive,
}

/// A directive and the setter that tells the type of its field.
struct Directive {
    name: &'static [u8],
    setter: Setter,
}

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

static PROXY: Known = Known {
    module: c"ngx_http_proxy_module",
    name: "proxy",
    pass: b"proxy_pass",
    connect_timeout: b"proxy_connect_timeout",
    lines: Directive {
        name: b"proxy_set_header",
        setter: ngx_conf_set_keyval_slot,
    },
    http: Some(&Http {
        version: Directive {
            name: b"proxy_http_version",
            setter: ngx_conf_set_enum_slot,
        },
        method: Directive {
            name: b"proxy_method",
            setter: ngx_http_set_complex_value_slot,
        },
        body: Directive {
            name: b"proxy_set_body",
            setter: ngx_conf_set_str_slot,
        },
    }),
};

static OTHERS: [Known; 2] = [
    Known {
        module: c"ngx_http_uwsgi_module",
        name: "uwsgi",
        pass: b"uwsgi_pass",
        connect_timeout: b"uwsgi_connect_timeout",
        lines: Directive {
            name: b"uwsgi_param",
            setter: ngx_http_upstream_param_set_slot,
        },
        http: None,
    },
    Known {
        module: c"ngx_http_scgi_module",
        name: "scgi",
        pass: b"scgi_pass",
        connect_timeout: b"scgi_connect_timeout",
        lines: Directive {
            name: b"scgi_param",
            setter: ngx_http_upstream_param_set_slot,
        },
        http: None,
    },
];

/// A directive of nginx's that is not what this module knows.
#[derive(Clone, Copy)]
pub struct Mismatch(&'static [u8]);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"websocket\" cannot be used with this nginx: its \"{}\" directive is not the one \
             that this module was written for",
            string::Text(self.0)
        )
    }
}

/// A proxying module of the running nginx.
pub struct Proxying {
    pub module: &'static ngx_module_t,
    /// What its directives begin with: `proxy`.
    pub name: &'static str,
    handler: ngx_http_handler_pt,
    upstream: usize,
    lines: usize,
    pub http: Option<HttpFields>,
}

/// With a variable in it, so that no upstream is looked for: a capture is none that would have to be
/// evaluated; without PCRE there are none.
const ADDRESS: &CStr = if cfg!(ngx_feature = "pcre") {
    c"http://$1"
} else {
    c"http://$host"
};

/// Offsets of the fields that only proxy has.
#[derive(Clone, Copy)]
pub struct HttpFields {
    version: usize,
    method: usize,
    body: usize,
}

/// Those that this nginx was built with.
pub struct Modules([Option<Proxying>; 3]);

impl Modules {
    /// # Safety
    /// `cf` must be in the http context, with its cycle's modules initialized.
    pub unsafe fn find(cf: *mut ngx_conf_t) -> Result<Self, Mismatch> {
        let [uwsgi, scgi] = &OTHERS;
        // SAFETY: the caller vouches for cf.
        unsafe {
            Ok(Self([
                Proxying::find(cf, &PROXY)?,
                Proxying::find(cf, uwsgi)?,
                Proxying::find(cf, scgi)?,
            ]))
        }
    }

    /// The one that runs a location with this handler.
    pub fn with(&self, handler: ngx_http_handler_pt) -> Option<&Proxying> {
        let Self(modules) = self;
        modules.iter().flatten().find(|module| module.is(handler))
    }

    pub fn proxy(&self) -> Option<&Proxying> {
        let Self([proxy, ..]) = self;
        proxy.as_ref()
    }
}

impl Proxying {
    /// # Safety
    /// As [`Modules::find`].
    unsafe fn find(cf: *mut ngx_conf_t, known: &'static Known) -> Result<Option<Self>, Mismatch> {
        // SAFETY: the caller vouches for cf.
        let Some(module) = (unsafe { conf::module((*cf).cycle, known.module) }) else {
            return Ok(None);
        };
        let timeout = Directive {
            name: known.connect_timeout,
            setter: ngx_conf_set_msec_slot,
        };
        let upstream = offset(module, &timeout)?
            .checked_sub(offset_of!(ngx_http_upstream_conf_t, connect_timeout))
            .ok_or(Mismatch(known.connect_timeout))?;
        let http = match known.http {
            Some(http) => Some(HttpFields {
                version: offset(module, &http.version)?,
                method: offset(module, &http.method)?,
                body: offset(module, &http.body)?,
            }),
            None => None,
        };
        // SAFETY: as above.
        let probed = unsafe { probe::run(cf, module, known.pass, ADDRESS) };
        let handler = probed.and_then(|probed| probed.handler);
        if handler.is_none() {
            return Err(Mismatch(known.pass));
        }
        Ok(Some(Self {
            module,
            name: known.name,
            handler,
            upstream,
            lines: offset(module, &known.lines)?,
            http,
        }))
    }

    /// Whether a location with this handler passes to this module's upstream.
    pub fn is(&self, handler: ngx_http_handler_pt) -> bool {
        match (handler, self.handler) {
            (Some(a), Some(b)) => ptr::fn_addr_eq(a, b),
            _ => false,
        }
    }

    /// What every module of nginx's http has: how its structures are made and merged.
    pub fn functions(&self) -> &'static ngx_http_module_t {
        // SAFETY: a module of http has this behind its `ctx`, for as long as it is loaded.
        unsafe { &*self.module.ctx.cast::<ngx_http_module_t>() }
    }

    /// The lines of `proxy_set_header`, of `ngx_keyval_t`, or the like parameters, of
    /// `ngx_http_upstream_param_t`. NULL where there are none.
    ///
    /// # Safety
    /// `location` must be a location structure of this module.
    pub unsafe fn lines(&self, location: *mut c_void) -> *mut *mut ngx_array_t {
        // SAFETY: the module's own command table says that such a field lies at this offset.
        unsafe { location.byte_add(self.lines).cast() }
    }

    /// The settings of the upstream.
    ///
    /// # Safety
    /// `location` must be a location structure of this module.
    pub unsafe fn upstream(&self, location: *mut c_void) -> *mut ngx_http_upstream_conf_t {
        // SAFETY: a module that sets a connect_timeout at its offset has this around it.
        unsafe { location.byte_add(self.upstream).cast() }
    }
}

impl HttpFields {
    /// `NGX_HTTP_VERSION_…`
    ///
    /// # Safety
    /// `location` must be a location structure of the module that has these fields.
    pub unsafe fn version(&self, location: *mut c_void) -> *mut ngx_uint_t {
        // SAFETY: the module's own command table says that such a field lies at this offset.
        unsafe { location.byte_add(self.version).cast() }
    }

    /// NULL where the client's method goes on.
    ///
    /// # Safety
    /// As [`version`](Self::version).
    pub unsafe fn method(&self, location: *mut c_void) -> *mut *mut ngx_http_complex_value_t {
        // SAFETY: as in version().
        unsafe { location.byte_add(self.method).cast() }
    }

    /// A text without data where the client's body goes on.
    ///
    /// # Safety
    /// As [`version`](Self::version).
    pub unsafe fn body(&self, location: *mut c_void) -> *mut ngx_str_t {
        // SAFETY: as in version().
        unsafe { location.byte_add(self.body).cast() }
    }
}

/// Where a directive writes to.
fn offset(module: &ngx_module_t, directive: &Directive) -> Result<usize, Mismatch> {
    // SAFETY: a module of the cycle is initialized.
    let command = unsafe { conf::command(module, directive.name) };
    command
        .filter(|command| {
            command
                .set
                .is_some_and(|set| ptr::fn_addr_eq(set, directive.setter))
                && command.conf == NGX_HTTP_LOC_CONF_OFFSET
        })
        .map(|command| command.offset)
        .ok_or(Mismatch(directive.name))
}
