//! All that is asked for a warning, and how it is written.

use core::cell::Cell;
use core::fmt;
use core::ptr;

use nginx_sys::{NGX_LOG_WARN, ngx_array_t, ngx_conf_t, ngx_log_t};

use super::foreign::Foreign;
use super::subrequests::Subrequests;
use crate::conf::{LocationConf, MainConf};
use crate::inject::fields::{Modules, Proxying};
use crate::inject::twin::handler_around;
use crate::nginx::conf::Place;
use crate::nginx::string::Text;
use crate::nginx::{log, pool};

/// All that is asked for a warning.
pub struct Advice<'a> {
    pub cf: *mut ngx_conf_t,
    log: *mut ngx_log_t,
    pub main: &'a MainConf,
    pub modules: &'a Modules,
    pub foreign: Foreign,
    subrequests: Subrequests,
    /// What has been warned of; `None` without memory for it.
    told: Cell<Option<*mut ngx_array_t>>,
}

impl<'a> Advice<'a> {
    /// # Safety
    /// `cf` must be in the http context, after the merges.
    pub unsafe fn new(cf: *mut ngx_conf_t, main: &'a MainConf, modules: &'a Modules) -> Self {
        // SAFETY: the caller vouches for cf.
        unsafe {
            Self {
                cf,
                log: (*cf).log,
                main,
                modules,
                foreign: Foreign::find(cf),
                subrequests: Subrequests::find(cf),
                told: Cell::new(pool::array::<*const ()>((*cf).temp_pool, 4)),
            }
        }
    }

    /// The levels that are warned of. What only subrequests come to has no upgrade of its own.
    pub fn levels(&self) -> impl Iterator<Item = &'a LocationConf> + Clone {
        let levels = self.main.levels().filter(|level| level.has_advice());
        levels.filter(|level| !self.subrequests.come_to(self.main, level))
    }

    /// Those among some levels whose requests are passed on by `proxy_pass` or its like.
    pub fn proxied<'l>(
        &self,
        levels: impl Iterator<Item = &'l LocationConf> + Clone,
    ) -> impl Iterator<Item = (&'l LocationConf, &'a Proxying)> + Clone {
        let modules = self.modules;
        levels.filter_map(move |level| Some((level, modules.with(handler_around(level))?)))
    }

    /// Whether this is asked for the first time of what several levels share.
    pub fn is_news<T>(&self, shared: *const T) -> bool {
        let Some(told) = self.told.get() else {
            return true;
        };
        let shared: *const () = shared.cast();
        // SAFETY: an array of these, which changes only here.
        unsafe {
            if pool::elements::<*const ()>(told)
                .iter()
                .any(|&known| ptr::eq(known, shared))
            {
                return false;
            }
            // Without memory a warning may come twice.
            pool::push(told, shared);
        }
        true
    }

    pub fn warn_at(&self, place: Place, text: fmt::Arguments<'_>) {
        warn_at(self.log, place, text);
    }

    /// About one location, at the line of its `websocket on`.
    pub fn warn_of(&self, level: &LocationConf, text: fmt::Arguments<'_>) {
        self.warn_in(level.place(), level, text);
    }

    /// About one location, at another line.
    pub fn warn_in(&self, place: Place, level: &LocationConf, text: fmt::Arguments<'_>) {
        let name = Text(level.name());
        self.warn_at(place, format_args!("{text} in location \"{name}\""));
    }
}

pub fn warn_at(log: *mut ngx_log_t, place: Place, text: fmt::Arguments<'_>) {
    log::place(log, NGX_LOG_WARN, place, text);
}
