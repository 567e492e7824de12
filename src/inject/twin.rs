//! A twin: a configuration of its own for a location's handshakes.
//!
//! For nginx it looks like an `if` block of the location: an array with every module's structures,
//! the location's own but for that of the proxying module, which is a child of the location's
//! own, made and merged by that module itself. So nginx's code does the rest at run time, whatever
//! form the location's `proxy_pass` has, and what is written in the location stays untouched for
//! all other requests.

use core::ffi::c_void;
use core::ptr;

use nginx_sys::{
    NGX_HTTP_VERSION_11, NGX_LOG_ERR, ngx_array_t, ngx_conf_t, ngx_http_complex_value_t,
    ngx_http_conf_ctx_t, ngx_http_core_module, ngx_http_max_module, ngx_log_t, ngx_palloc,
    ngx_uint_t,
};

use super::fields::{Modules, Proxying};
use super::lines::{self, Exempt};
use crate::conf::twins::Twins;
use crate::conf::{LocationConf, MainConf};
use crate::nginx::{conf, pool, string};

/// A refused configuration; why has been logged.
pub struct Refused;

/// Gives each location that is on and proxies its twin. To be called when all levels are merged.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn make_all(
    cf: *mut ngx_conf_t,
    main: &MainConf,
    modules: &Modules,
) -> Result<(), Refused> {
    // SAFETY: the caller vouches for cf.
    let done = Done(unsafe { pool::array::<Lines>((*cf).temp_pool, 4) }.ok_or(Refused)?);
    for level in main.levels().filter(|level| level.is_on()) {
        if let Some(module) = modules.with(handler_around(level)) {
            // SAFETY: as above; the module proxies this level.
            let twins = unsafe { make(cf, module, level, &done) }.ok_or(Refused)?;
            level.twins.set(twins);
        }
    }
    Ok(())
}

/// The content handler of a level. The blocks `if` and `limit_except` run that of the location
/// around them.
pub fn handler_around(level: &LocationConf) -> nginx_sys::ngx_http_handler_pt {
    let core = level.core();
    match level.above() {
        Some(above) if core.handler.is_none() && core.noname() != 0 => handler_around(above),
        _ => core.handler,
    }
}

/// # Safety
/// As [`make_all`], and `module` must be the one that proxies the level.
unsafe fn make(
    cf: *mut ngx_conf_t,
    module: &Proxying,
    level: &LocationConf,
    done: &Done,
) -> Option<Twins> {
    let own = level.of_module(module.module.ctx_index);
    // SAFETY: a level that was merged has a structure of the module, with its lines in it.
    unsafe {
        let source = *module.lines(own);
        let purposes = match module.http {
            Some(http) => {
                let exempt = Exempt {
                    from_lost_headers: (*module.upstream(own)).pass_request_headers == 0,
                    from_body: !(*http.body(own)).data.is_null(),
                };
                [Purpose::Handshakes(exempt), Purpose::Stripped]
            }
            None => [Purpose::Joining, Purpose::WithoutParameters],
        };
        let mut twins = [ptr::null_mut(); 2];
        for (twin, purpose) in twins.iter_mut().zip(purposes) {
            if let Some(lines) = done.lines(cf, source, purpose)? {
                *twin = child(cf, module, level, lines, purpose)?;
            }
        }
        let [handshake, stripped] = twins;
        let version = module.http.map(|http| *http.version(own));
        Some(Twins {
            handshake,
            stripped,
            apart: version.is_some_and(|version| version > NGX_HTTP_VERSION_11 as ngx_uint_t),
            sets_handshake: module.http.is_some() && lines::set_handshake(source),
        })
    }
}

/// What a configuration is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Handshakes over HTTP.
    Handshakes(Exempt),
    /// Requests that lose their upgrade.
    Stripped,
    /// Handshakes by uwsgi or scgi, which only have to be joined.
    Joining,
    /// Requests by these that lose their upgrade.
    WithoutParameters,
}

/// Lines that were made, so that locations with the same source share them.
#[derive(Clone, Copy)]
struct Lines {
    source: *const ngx_array_t,
    purpose: Purpose,
    result: Option<*mut ngx_array_t>,
}

/// An array of [`Lines`].
struct Done(*mut ngx_array_t);

impl Done {
    /// The lines for a purpose; `None` inside where the location's own will do.
    ///
    /// # Safety
    /// `cf` must be valid, and `source` NULL or the array of lines that the purpose is for.
    unsafe fn lines(
        &self,
        cf: *mut ngx_conf_t,
        source: *const ngx_array_t,
        purpose: Purpose,
    ) -> Option<Option<*mut ngx_array_t>> {
        // SAFETY: an array of these, which changes only below.
        let known = unsafe { pool::elements::<Lines>(self.0) };
        if let Some(known) = known
            .iter()
            .find(|lines| ptr::eq(lines.source, source) && lines.purpose == purpose)
        {
            return Some(known.result);
        }
        // SAFETY: the caller vouches for both.
        let result = unsafe {
            match purpose {
                Purpose::Handshakes(exempt) => Some(lines::for_handshakes(cf, source, exempt)?),
                Purpose::Stripped => lines::for_stripped(cf, source)?,
                Purpose::Joining => Some(lines::with_joining_parameter(cf, source)?),
                Purpose::WithoutParameters => Some(lines::without_upgrade_parameters(cf, source)?),
            }
        };
        let lines = Lines {
            source,
            purpose,
            result,
        };
        // SAFETY: as above.
        unsafe { pool::push(self.0, lines) }?;
        Some(result)
    }
}

/// Makes the array with a child of the location's own structure in it. `None` when there is no
/// memory or the module refuses, which it has said.
///
/// # Safety
/// As [`make`]; `lines` must be an array of the module's lines.
unsafe fn child(
    cf: *mut ngx_conf_t,
    module: &Proxying,
    level: &LocationConf,
    lines: *mut ngx_array_t,
    purpose: Purpose,
) -> Option<*mut *mut c_void> {
    let functions = module.functions();
    let (create, merge) = (functions.create_loc_conf?, functions.merge_loc_conf?);
    // SAFETY: the number of http modules is known once the http block is begun.
    let count = unsafe { ngx_http_max_module };
    // SAFETY: the caller vouches for cf and the level.
    unsafe {
        let array = ngx_palloc((*cf).pool, count * size_of::<*mut c_void>()).cast::<*mut c_void>();
        if array.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping(level.level.location, array, count);
        let own_core = level.core();
        // While it is merged, the level is an `if` block of itself to the module.
        let mut core = *own_core;
        core.set_noname(1);
        core.set_lmt_excpt(0);
        *array.add(ngx_http_core_module.ctx_index) = (&raw mut core).cast();

        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let saved = *context;
        (*context).srv_conf = level.level.server;
        (*context).loc_conf = array;
        let made = create(cf);
        let merged = if made.is_null() {
            conf::ERROR
        } else {
            *array.add(module.module.ctx_index) = made;
            *module.lines(made) = lines;
            set(cf, module, level, made, purpose);
            let _quiet = Quiet::new((*cf).log);
            merge(cf, level.of_module(module.module.ctx_index), made)
        };
        *context = saved;
        *array.add(ngx_http_core_module.ctx_index) = ptr::from_ref(own_core).cast_mut().cast();
        (merged == conf::OK).then_some(array)
    }
}

/// What is set in the child before it inherits the rest.
///
/// # Safety
/// `made` must be a structure of the module, not merged yet.
unsafe fn set(
    cf: *mut ngx_conf_t,
    module: &Proxying,
    level: &LocationConf,
    made: *mut c_void,
    purpose: Purpose,
) {
    if matches!(purpose, Purpose::Stripped | Purpose::WithoutParameters) {
        return;
    }
    // SAFETY: the caller vouches for the structure.
    unsafe {
        // No answer to a handshake comes from a file, or goes into one.
        let upstream = module.upstream(made);
        (*upstream).set_store(0);
        set_no_cache(upstream);
        let Some(http) = module.http else { return };
        *http.version(made) = NGX_HTTP_VERSION_11 as ngx_uint_t;
        let own = level.of_module(module.module.ctx_index);
        if !(*http.method(own)).is_null() {
            *http.method(made) = get_method(cf);
        }
        if !(*http.body(own)).data.is_null() {
            *http.body(made) = string::constant(c"");
        }
    }
}

/// `proxy_method GET`
///
/// # Safety
/// `cf` must be valid.
unsafe fn get_method(cf: *mut ngx_conf_t) -> *mut ngx_http_complex_value_t {
    // SAFETY: a plain C structure for which all zeros is the empty value; the caller vouches for cf.
    unsafe {
        let mut method: ngx_http_complex_value_t = core::mem::zeroed();
        method.value = string::constant(c"GET");
        // Without memory the location's own method stays; the merge will find none either.
        pool::place((*cf).pool, method).map_or(UNSET_METHOD, ptr::NonNull::as_ptr)
    }
}

const UNSET_METHOD: *mut ngx_http_complex_value_t = ptr::without_provenance_mut(conf::UNSET);

#[cfg(any(ngx_feature = "http_cache", ngx_feature = "compat"))]
unsafe fn set_no_cache(upstream: *mut nginx_sys::ngx_http_upstream_conf_t) {
    // SAFETY: the caller has found the settings.
    unsafe { (*upstream).set_cache(0) };
}

#[cfg(not(any(ngx_feature = "http_cache", ngx_feature = "compat")))]
unsafe fn set_no_cache(_upstream: *mut nginx_sys::ngx_http_upstream_conf_t) {}

/// While it lives, nginx's warnings are not logged: the location's own merge has caused them.
struct Quiet {
    log: *mut ngx_log_t,
    level: ngx_uint_t,
}

impl Quiet {
    /// # Safety
    /// `log` must be valid while it lives.
    unsafe fn new(log: *mut ngx_log_t) -> Self {
        // SAFETY: the caller vouches for the log.
        let level = unsafe { (*log).log_level };
        // SAFETY: as above.
        unsafe { (*log).log_level = level.min(NGX_LOG_ERR as ngx_uint_t) };
        Self { log, level }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: new()'s caller vouches for the log.
        unsafe { (*self.log).log_level = self.level };
    }
}
