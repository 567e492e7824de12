//! Graceful shutdown: a worker that is to exit asks its tunnels to leave, one after the other.
//!
//! nginx tells a worker's idle connections at once that it is to exit, by calling their read
//! handlers. The module has one such connection per worker, to nobody.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nginx_sys::{
    NGX_OK, ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_core_conf_t,
    ngx_core_module, ngx_cycle, ngx_cycle_t, ngx_event_t, ngx_exiting, ngx_get_connection,
    ngx_int_t, ngx_msec_t, ngx_queue_init, ngx_queue_insert_before, ngx_queue_remove, ngx_queue_t,
};

use super::roster;
use crate::nginx::clock::now;

/// What a tunnel is held by in the worker's queue.
pub struct Link {
    queue: ngx_queue_t,
    tell: Tell,
}

/// Tells the tunnel that holds a link.
type Tell = unsafe fn(NonNull<Link>, News);

/// What there is to tell.
#[derive(Clone, Copy)]
pub enum News {
    /// The worker is to exit.
    Exit,
    /// It is, and another configuration is in force than before.
    Servers,
}

/// The worker's tunnels that heed its exit, or all where they are counted. Set up by [`init_process`], before any tunnel.
static mut TUNNELS: ngx_queue_t = ngx_queue_t {
    prev: ptr::null_mut(),
    next: ptr::null_mut(),
};
static READY: AtomicBool = AtomicBool::new(false);
/// When the worker was told that it is to exit, as [`now`] has it; 0 where it was not.
static EXIT: AtomicUsize = AtomicUsize::new(0);

/// What a configuration's tunnels want to know of their worker's exit.
#[derive(Clone, Copy)]
pub struct Heeds {
    /// That it is to come.
    pub exit: bool,
    /// Which configuration comes after it.
    pub servers: bool,
}

/// A worker begins: puts up the connection that hears of its exit, if any location heeds that.
///
/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn init_process(cycle: *mut ngx_cycle_t, heeds: Heeds) -> ngx_int_t {
    // SAFETY: a worker is one thread, and nginx gives a valid cycle.
    unsafe {
        ngx_queue_init(&raw mut TUNNELS);
        READY.store(true, Ordering::Relaxed);
        if !heeds.exit {
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
                let handler = if heeds.servers { leaving } else { exiting };
                (*connection.read).handler = Some(handler);
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
    tell_all(News::Exit);
}

/// The worker is to exit, and looks why.
unsafe extern "C" fn leaving(event: *mut ngx_event_t) {
    // SAFETY: as in exiting(). What a worker needs of its cycle is there as long as the worker.
    unsafe {
        roster::look((*ngx_cycle).log);
        exiting(event);
        let event = &raw mut LOOK_AGAIN;
        (*event).handler = Some(look_again);
        (*event).log = (*ngx_cycle).log;
        (*event).data = (&raw mut NOBODY).cast();
        // No worker stays for it.
        (*event).set_cancelable(1);
        ngx_add_timer(event, LOOK_EVERY);
    }
}

/// For tunnels that stay there may be another reload, of which this worker is not told.
unsafe extern "C" fn look_again(event: *mut ngx_event_t) {
    // SAFETY: nginx gives the event of the timer.
    unsafe {
        if roster::look((*event).log) {
            tell_all(News::Servers);
        }
        ngx_add_timer(event, LOOK_EVERY);
    }
}

/// Milliseconds.
const LOOK_EVERY: ngx_msec_t = 1000;

/// The event of its timer.
// SAFETY: all zeros is an event of which nothing is known.
static mut LOOK_AGAIN: ngx_event_t = unsafe { core::mem::zeroed() };
/// Its connection, which nginx's debug log wants to name.
// SAFETY: all zeros is a connection of which nothing is known.
static mut NOBODY: ngx_connection_t = unsafe { core::mem::zeroed() };

fn tell_all(news: News) {
    // SAFETY: the links are of tunnels that are alive.
    each(|link| unsafe { (link.as_ref().tell)(link, news) });
}

/// All links of the worker's queue. None may leave it meanwhile.
pub fn each(mut look: impl FnMut(NonNull<Link>)) {
    if !READY.load(Ordering::Relaxed) {
        return;
    }
    let head = &raw mut TUNNELS;
    // SAFETY: the queue is set up, and holds links of tunnels that are alive.
    unsafe {
        let mut next = (*head).next;
        while next != head {
            let link = next.byte_sub(core::mem::offset_of!(Link, queue));
            next = (*next).next;
            look(NonNull::new_unchecked(link.cast()));
        }
    }
}

impl Link {
    /// One that is in no queue.
    pub fn new(tell: Tell) -> Self {
        Self {
            queue: ngx_queue_t {
                prev: ptr::null_mut(),
                next: ptr::null_mut(),
            },
            tell,
        }
    }

    /// A tunnel begins. Whether the worker is to exit already, so that it comes too late to be told.
    ///
    /// # Safety
    /// `link` must be valid, with the pointer good for the tunnel around it, and stay where it is until it
    /// [leaves](Self::leave).
    pub unsafe fn enter(link: *mut Self) -> bool {
        if !READY.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: the queue is set up, and the caller vouches for the link; a word that only this thread
        // writes.
        unsafe {
            ngx_queue_insert_before(&raw mut TUNNELS, &raw mut (*link).queue);
            ngx_exiting != 0
        }
    }

    /// A tunnel is over.
    pub fn leave(&mut self) {
        if self.queue.next.is_null() {
            return;
        }
        // SAFETY: it is in the queue, as its link says.
        unsafe { ngx_queue_remove(&raw mut self.queue) };
        self.queue.next = ptr::null_mut();
    }
}

/// What is left until nginx cuts off the tunnels of a worker that is to exit, milliseconds; `None` where
/// it doesn't.
pub fn time_left() -> Option<ngx_msec_t> {
    match (shutdown_timeout(), EXIT.load(Ordering::Relaxed)) {
        (0, _) => None,
        (limit, 0) => Some(limit),
        (limit, exit) => Some(limit.saturating_sub(now().wrapping_sub(exit))),
    }
}

/// `worker_shutdown_timeout`, 0 where there is none.
fn shutdown_timeout() -> ngx_msec_t {
    // SAFETY: the core module's configuration is there as long as the cycle.
    unsafe {
        let conf = *(*ngx_cycle).conf_ctx.add(ngx_core_module.index);
        let core = conf.cast::<ngx_core_conf_t>();
        (*core).shutdown_timeout
    }
}
