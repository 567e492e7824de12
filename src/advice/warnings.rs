//! All that is asked for a warning, and how it is written.

use core::cell::RefCell;
use core::fmt;
use core::iter;
use core::ptr;

use nginx_sys::{NGX_LOG_WARN, ngx_conf_t, ngx_log_t};

use super::foreign::Foreign;
use super::set::Set;
use super::subrequests::Subrequests;
use crate::conf::{LocationConf, MainConf};
use crate::inject::fields::{Modules, Proxying};
use crate::inject::twin::handler_around;
use crate::nginx::conf::Place;
use crate::nginx::log;
use crate::nginx::string::Text;

/// All that is asked for a warning.
pub struct Advice<'a> {
    pub cf: *mut ngx_conf_t,
    log: *mut ngx_log_t,
    pub main: &'a MainConf,
    pub modules: &'a Modules,
    pub foreign: Foreign,
    /// Levels that only subrequests come to.
    of_subrequests: Set,
    /// What has been warned of.
    told: RefCell<Set>,
}

impl<'a> Advice<'a> {
    /// # Safety
    /// `cf` must be in the http context, after the merges.
    pub unsafe fn new(cf: *mut ngx_conf_t, main: &'a MainConf, modules: &'a Modules) -> Self {
        // SAFETY: the caller vouches for cf.
        unsafe {
            let subrequests = Subrequests::find(cf);
            Self {
                cf,
                log: (*cf).log,
                main,
                modules,
                foreign: Foreign::find(cf),
                of_subrequests: Set::of((*cf).temp_pool, subrequests.targets(main)),
                told: RefCell::new(Set::new((*cf).temp_pool)),
            }
        }
    }

    /// A set of these, for as long as advice is given.
    pub fn set<T>(&self, things: impl Iterator<Item = *const T>) -> Set {
        // SAFETY: a configuration is being read, and this is gone before.
        unsafe { Set::of((*self.cf).temp_pool, things) }
    }

    /// One that has nothing yet.
    pub fn no_set(&self) -> Set {
        self.set(iter::empty::<*const ()>())
    }

    /// The levels that are warned of. What only subrequests come to has no upgrade of its own.
    pub fn levels(&self) -> impl Iterator<Item = &'a LocationConf> + Clone {
        let levels = self.main.levels().filter(|level| level.has_advice());
        levels.filter(|level| !self.of_subrequests.has(ptr::from_ref(*level)))
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
        self.told.borrow_mut().add(shared)
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
