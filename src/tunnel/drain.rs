//! Graceful shutdown: a worker that is to exit asks its tunnels to leave, one after the other.
//!
//! nginx tells a worker's idle connections at once that it is to exit, by calling their read
//! handlers. The module has one such connection per worker, to nobody.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nginx_sys::{
    NGX_OK, ngx_close_connection, ngx_connection_t, ngx_core_conf_t, ngx_core_module, ngx_cycle_t,
    ngx_event_t, ngx_exiting, ngx_get_connection, ngx_int_t, ngx_msec_t, ngx_queue_init,
    ngx_queue_insert_before, ngx_queue_remove, ngx_queue_t, ngx_random,
};

use super::{CLOSE_TIMEOUT, Tunnel};
use crate::conf::MainConf;
use crate::nginx::clock::now;

/// The worker's tunnels that are to be drained. Set up by [`init_process`], before any tunnel.
static mut TUNNELS: ngx_queue_t = ngx_queue_t {
    prev: ptr::null_mut(),
    next: ptr::null_mut(),
};
static READY: AtomicBool = AtomicBool::new(false);
/// When the worker was told that it is to exit, as [`now`] has it; 0 where it was not.
static EXIT: AtomicUsize = AtomicUsize::new(0);

/// `init_process`: puts up the connection that hears of the exit.
pub unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: a worker is one thread, and nginx gives a valid cycle.
    unsafe {
        ngx_queue_init(&raw mut TUNNELS);
        READY.store(true, Ordering::Relaxed);
        if MainConf::of_cycle(cycle)
            .is_none_or(|main| !main.levels().any(|l| l.is_on() && l.drain().is_some()))
        {
            return NGX_OK as ngx_int_t;
        }
        // nginx's poll method keeps connections by their descriptor, so it has to be a real one.
        let descriptor = libc::eventfd(0, libc::EFD_CLOEXEC);
        let connection = match descriptor {
            ..0 => ptr::null_mut(),
            _ => ngx_get_connection(descriptor, (*cycle).log),
        };
        match connection.as_mut() {
            Some(connection) => {
                connection.set_idle(1);
                connection.data = cycle.cast();
                (*connection.read).handler = Some(exiting);
                (*connection.read).log = (*cycle).log;
            }
            // Without it tunnels are not drained, and live as long as nginx lets them.
            None if descriptor >= 0 => {
                libc::close(descriptor);
            }
            None => {}
        }
    }
    NGX_OK as ngx_int_t
}

/// The worker is to exit.
unsafe extern "C" fn exiting(event: *mut ngx_event_t) {
    // SAFETY: nginx calls the handler of our connection, once.
    unsafe { ngx_close_connection((*event).data.cast::<ngx_connection_t>()) };
    EXIT.store(now(), Ordering::Relaxed);
    let head = &raw mut TUNNELS;
    // SAFETY: the queue holds tunnels that are alive; none leaves it while a time is set.
    unsafe {
        let mut link = (*head).next;
        while link != head {
            let tunnel = link
                .byte_sub(core::mem::offset_of!(Tunnel, queue))
                .cast::<Tunnel>();
            link = (*link).next;
            (*tunnel).drain();
        }
    }
}

/// A tunnel begins.
pub(super) fn enter(tunnel: &mut Tunnel) {
    if tunnel.settings().drain().is_none() || !READY.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the queue is set up, and the tunnel leaves it before its memory goes.
    unsafe { ngx_queue_insert_before(&raw mut TUNNELS, &raw mut tunnel.queue) };
    // SAFETY: a word that only this thread writes.
    if unsafe { ngx_exiting } != 0 {
        // It comes too late to be told.
        tunnel.drain();
    }
}

/// A tunnel is over.
pub(super) fn leave(tunnel: &mut Tunnel) {
    if tunnel.queue.next.is_null() {
        return;
    }
    // SAFETY: it is in the queue, as its link says.
    unsafe { ngx_queue_remove(&raw mut tunnel.queue) };
    tunnel.queue.next = ptr::null_mut();
}

impl Tunnel {
    /// Picks the moment, within the time that nginx leaves the worker.
    fn drain(&mut self) {
        let Some(time) = self.settings().drain() else {
            return;
        };
        let spread = match shutdown_timeout() {
            0 => time,
            limit => {
                let elapsed = match EXIT.load(Ordering::Relaxed) {
                    0 => 0,
                    exit => now().wrapping_sub(exit),
                };
                let left = limit.saturating_sub(elapsed);
                time.min(left.saturating_sub(CLOSE_TIMEOUT).max(left / 2))
            }
        };
        self.clock
            .drain_at(now().wrapping_add(ngx_random() as ngx_msec_t % spread.max(1)));
        // A tunnel that has not begun sets its clock when it does.
        if !self.begins {
            self.set_clock();
        }
    }
}

/// `worker_shutdown_timeout`, 0 where there is none.
fn shutdown_timeout() -> ngx_msec_t {
    // SAFETY: the core module's configuration is there as long as the cycle.
    unsafe {
        let conf = *(*nginx_sys::ngx_cycle).conf_ctx.add(ngx_core_module.index);
        let core = conf.cast::<ngx_core_conf_t>();
        (*core).shutdown_timeout
    }
}
