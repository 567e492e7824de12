//! What the module keeps for the whole of `http {}`.

use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::{
    ngx_array_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module, ngx_pcalloc,
};

use crate::advice::Use;
use crate::context::module;
use crate::inject::Rewritten;
use crate::inject::fields::Places;
use crate::location::{LocationConf, Place};
use crate::nginx::{conf, pool};

pub struct MainConf {
    /// Whether any location is on. Where none is, the module joins no phase and no filter.
    pub in_use: Cell<bool>,
    pub places: Places,
    /// Array of [`Rewritten`].
    pub rewritten: *mut ngx_array_t,
    /// Array of [`Use`].
    pub uses: *mut ngx_array_t,
    /// Array of [`Drain`].
    pub drains: *mut ngx_array_t,
}

/// A `websocket_drain` that is in force somewhere.
#[derive(Clone, Copy)]
pub struct Drain {
    pub written: Place,
    /// Milliseconds.
    pub time: usize,
    pub advised: bool,
}

impl MainConf {
    /// # Safety
    /// `cf` must be in the http context, with the main confs made.
    pub unsafe fn of<'a>(cf: *const ngx_conf_t) -> &'a Self {
        // SAFETY: create() made it.
        unsafe { &*conf::main(cf, module().ctx_index).cast::<Self>() }
    }

    /// `None` where there is no http block.
    ///
    /// # Safety
    /// `cycle` must be valid, with its configuration read.
    pub unsafe fn of_cycle<'a>(cycle: *const ngx_cycle_t) -> Option<&'a Self> {
        // SAFETY: NULL where there is no http block, else a context with a slot for each module.
        unsafe {
            let http = *(*cycle).conf_ctx.add(ngx_http_module.index);
            let http = http.cast::<ngx_http_conf_ctx_t>().as_ref()?;
            (*http.main_conf.add(module().ctx_index))
                .cast::<Self>()
                .as_ref()
        }
    }

    pub fn drains(&self) -> &[Drain] {
        // SAFETY: an array of these, made by create().
        unsafe { pool::elements(self.drains) }
    }
}

/// `create_main_conf`
pub unsafe extern "C" fn create(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf, and its modules are initialized by now.
    unsafe {
        let memory = (*cf).pool;
        let main = ngx_pcalloc(memory, size_of::<MainConf>()).cast::<MainConf>();
        let (Some(rewritten), Some(uses), Some(drains), false) = (
            pool::array::<Rewritten>(memory, 4),
            pool::array::<Use>(memory, 4),
            pool::array::<Drain>(memory, 1),
            main.is_null(),
        ) else {
            return ptr::null_mut();
        };
        main.write(MainConf {
            in_use: Cell::new(false),
            places: Places::find(cf),
            rewritten,
            uses,
            drains,
        });
        main.cast()
    }
}

/// `init_main_conf`: what was written at http level, which no merge is called for.
pub unsafe extern "C" fn init(cf: *mut ngx_conf_t, main: *mut c_void) -> *mut c_char {
    // SAFETY: nginx gives what create() made, in the http context, where the module has a location
    // structure too.
    unsafe {
        let location = conf::location(cf, module().ctx_index).cast::<LocationConf>();
        (*location).injection.read_http_level(cf, &*main.cast());
    }
    conf::OK
}
