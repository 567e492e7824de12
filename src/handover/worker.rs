//! What a master and a worker begin with.

use nginx_sys::{
    NGX_PROCESS_WORKER, NGX_USE_EPOLL_EVENT, ngx_cycle_t, ngx_event_flags, ngx_process,
};

use super::{channel, depart, listening, receive};
use crate::conf::MainConf;
use crate::tunnel::drain::Heir;

/// A configuration is in force, or only tested.
///
/// # Safety
/// `cycle` must be the one that nginx gives to `init_module`.
pub unsafe fn in_force(cycle: *mut ngx_cycle_t) {
    // SAFETY: the caller vouches for the cycle.
    unsafe { channel::in_force(cycle, is_wanted(cycle)) };
}

/// A worker begins. Who deals with its tunnels when it is to exit, if they are to be handed over.
///
/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn init_process(cycle: *mut ngx_cycle_t) -> Option<Heir> {
    // SAFETY: words that only this thread writes; the caller vouches for the cycle.
    unsafe {
        // Where there is no master, no worker comes after this one. Of an event method this has to know that a
        // socket that is closed can live on.
        let is_able = ngx_process == NGX_PROCESS_WORKER as usize
            && ngx_event_flags & NGX_USE_EPOLL_EVENT as usize != 0;
        if !is_able || !is_wanted(cycle) || !channel::is_open() {
            return None;
        }
        listening::remember(cycle);
        receive::begin(cycle).then_some(depart::HEIR)
    }
}

/// # Safety
/// The cycle's configuration must have been read.
unsafe fn is_wanted(cycle: *const ngx_cycle_t) -> bool {
    // SAFETY: the caller vouches for the cycle.
    unsafe { MainConf::of_cycle(cycle) }.is_some_and(|main| main.handover().is_some())
}
