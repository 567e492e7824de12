//! `websocket_log_open`: a line of the access log when a tunnel begins, made by nginx's log module as the
//! one at its end.

use nginx_sys::{
    NGX_HTTP_MODULE, NGX_LOG_EMERG, ngx_conf_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_handler_pt, ngx_http_module_t, ngx_http_phase_t, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_module_t,
};

use crate::conf::{LocationConf, MainConf};
use crate::nginx::conf::Place;
use crate::nginx::variables::Kept;
use crate::nginx::{Request, conf, log, pool};

/// Finds the function that writes the access log, if a location needs it: the log phase has others, too.
///
/// # Safety
/// `cf` must be in the http context, with all modules that come before this one set up.
pub unsafe fn find(cf: *mut ngx_conf_t, main: &MainConf) -> Result<(), ()> {
    let Some(level) = main
        .levels()
        .find(|level| level.is_on() && level.logs_open())
    else {
        return Ok(());
    };
    // SAFETY: the caller vouches for cf.
    let found = unsafe { handler(cf) };
    if found.is_none() {
        let text = "\"websocket_log_open\" cannot be used with this nginx: its module for the access \
                    log is not the one that this module was written for";
        // SAFETY: as above.
        log::place(
            unsafe { (*cf).log },
            NGX_LOG_EMERG,
            level
                .log_open_written()
                .map_or(Place::NOWHERE, |note| note.place),
            format_args!("{text}"),
        );
        return Err(());
    }
    main.access_log.set(found);
    Ok(())
}

/// The function is its module's own, and has no name outside. It is the first in its phase, if the module is
/// the first that puts one up anywhere: all do so in the order in which nginx has them.
///
/// # Safety
/// As [`find`].
unsafe fn handler(cf: *const ngx_conf_t) -> ngx_http_handler_pt {
    // SAFETY: a cycle's modules are an array that ends with NULL; the core module has a main conf, with an
    // array of handlers for each phase.
    unsafe {
        let sets_up = |module: &ngx_module_t| {
            module.type_ == NGX_HTTP_MODULE as usize
                && module.index != ngx_http_core_module.index
                && (*module.ctx.cast::<ngx_http_module_t>())
                    .postconfiguration
                    .is_some()
        };
        let first = conf::modules((*cf).cycle).find(|module| sets_up(module))?;
        let log = conf::module((*cf).cycle, c"ngx_http_log_module")?;
        if first.index != log.index {
            return None;
        }
        let core = conf::main(cf, ngx_http_core_module.ctx_index);
        let phases = &raw const (*core.cast::<ngx_http_core_main_conf_t>()).phases;
        let phase = phases
            .cast::<ngx_http_phase_t>()
            .add(ngx_http_phases_NGX_HTTP_LOG_PHASE as usize);
        let handlers = pool::elements::<ngx_http_handler_pt>(&raw const (*phase).handlers);
        handlers.first().copied().flatten()
    }
}

/// A tunnel has begun. What nginx would keep of what it evaluates now, a `map` above all, would be stale
/// when it ends.
pub fn opened(r: Request<'_>) {
    if !LocationConf::of(r).logs_open() {
        return;
    }
    let handler = MainConf::of_request(r).access_log.get();
    if let (Some(handler), Some(kept)) = (handler, Kept::of(r)) {
        // SAFETY: the request is alive; nginx calls this for each request that is over, and it only looks. A
        // file whose name has variables is opened for a line, and would stay so as long as the tunnel.
        unsafe {
            let before = (*r.pool()).cleanup;
            handler(r.as_ptr());
            pool::close_files(r.pool(), before);
        }
        kept.put_back();
    }
}
