//! Graceful shutdown: a worker that is to exit asks its tunnels to leave, one after the other.
//!
//! nginx tells a worker's idle connections at once that it is to exit, by calling their read
//! handlers. The module has one such connection per worker, to nobody.

use core::cell::UnsafeCell;
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

/// The worker's tunnels that heed its exit, or all where they are counted or handed over. Set up by
/// [`init_process`], before any tunnel.
static mut TUNNELS: ngx_queue_t = ngx_queue_t {
    prev: ptr::null_mut(),
    next: ptr::null_mut(),
};
/// Those that are to stay to their end, where the others are handed over.
static mut STAYING: ngx_queue_t = ngx_queue_t {
    prev: ptr::null_mut(),
    next: ptr::null_mut(),
};
static READY: AtomicBool = AtomicBool::new(false);
/// When the worker was told that it is to exit, as [`now`] has it; 0 where it was not.
static EXIT: AtomicUsize = AtomicUsize::new(0);

/// Who deals with the worker's tunnels when it is to exit, before they are told.
#[derive(Clone, Copy)]
pub struct Heir {
    /// The worker is to exit.
    pub exits: fn(),
    /// A tunnel has begun afterwards. Whether it is dealt with, too.
    pub comes_late: fn() -> bool,
}

static HEIR: HeirPlace = HeirPlace(UnsafeCell::new(None));

struct HeirPlace(UnsafeCell<Option<Heir>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for HeirPlace {}

fn heir() -> Option<Heir> {
    // SAFETY: set by init_process(), before any tunnel; a worker is one thread.
    unsafe { *HEIR.0.get() }
}

/// Whether all tunnels are to be in the queue, whatever they heed.
pub fn has_heir() -> bool {
    heir().is_some()
}

/// What is to become of a tunnel of a worker that is to exit.
pub enum Fate {
    /// It is gone, or is to be asked about again.
    Open,
    /// It stays, and is told that the worker is to exit.
    Stays,
    /// Likewise, and none behind it is to be asked about now.
    Enough,
}

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
pub unsafe fn init_process(cycle: *mut ngx_cycle_t, heeds: Heeds, heir: Option<Heir>) -> ngx_int_t {
    // SAFETY: a worker is one thread, and nginx gives a valid cycle.
    unsafe {
        ngx_queue_init(&raw mut TUNNELS);
        ngx_queue_init(&raw mut STAYING);
        *HEIR.0.get() = heir;
        READY.store(true, Ordering::Relaxed);
        if !heeds.exit && heir.is_none() {
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
    match heir() {
        Some(heir) => (heir.exits)(),
        None => tell_all(News::Exit),
    }
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

/// All links of the worker's queues. None may leave them meanwhile but the one that is looked at.
pub fn each(mut look: impl FnMut(NonNull<Link>)) {
    for queue in [&raw mut TUNNELS, &raw mut STAYING] {
        // SAFETY: it is one of the two.
        unsafe {
            walk(queue, |link| {
                look(link);
                true
            })
        };
    }
}

/// Decides about the tunnels that are not known to stay, one after the other.
pub fn decide(mut fate: impl FnMut(NonNull<Link>) -> Fate) {
    let decide = |link: NonNull<Link>| match fate(link) {
        Fate::Open => true,
        Fate::Stays => {
            // SAFETY: it is in the queue, with its tunnel.
            unsafe { stay(link) };
            true
        }
        Fate::Enough => false,
    };
    // SAFETY: it is one of the two.
    unsafe { walk(&raw mut TUNNELS, decide) };
}

/// # Safety
/// The link must be that of a tunnel that is alive and in a queue.
unsafe fn stay(link: NonNull<Link>) {
    // SAFETY: the caller vouches for the link; both queues are set up.
    unsafe {
        let queue = &raw mut (*link.as_ptr()).queue;
        ngx_queue_remove(queue);
        ngx_queue_insert_before(&raw mut STAYING, queue);
        (link.as_ref().tell)(link, News::Exit);
    }
}

/// Looks at one link after the other, until it is enough.
///
/// # Safety
/// `head` must be one of the two queues.
unsafe fn walk(head: *mut ngx_queue_t, mut look: impl FnMut(NonNull<Link>) -> bool) {
    if !READY.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the queue is set up, and holds links of tunnels that are alive.
    unsafe {
        let mut next = (*head).next;
        while next != head {
            let link = next.byte_sub(core::mem::offset_of!(Link, queue));
            next = (*next).next;
            if !look(NonNull::new_unchecked(link.cast())) {
                return;
            }
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
            ngx_exiting != 0 && !heir().is_some_and(|heir| (heir.comes_late)())
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
