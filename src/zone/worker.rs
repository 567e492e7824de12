//! A worker's slot of the zone, from its beginning to its end, and what it does there a few times a
//! second.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use nginx_sys::{
    NGX_LOG_NOTICE, NGX_LOG_WARN, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_add_timer,
    ngx_connection_t, ngx_cycle, ngx_cycle_t, ngx_event_t, ngx_log_t, ngx_msec_t, ngx_process,
    ngx_test_config,
};
use websocket_zone::{Full, Writer, Zone};

use super::owners::locks;
use super::{labels, memory};
use crate::conf::MainConf;
use crate::nginx::log;

/// This worker's pen; `None` in the master, and where there is no zone.
pub fn writer() -> Option<&'static Writer<'static>> {
    // SAFETY: set when the worker has a slot, once, and by exit_process() when nothing is counted any
    // more; a worker is one thread.
    unsafe { (*WRITER.0.get()).as_ref() }
}

struct Place(UnsafeCell<Option<Writer<'static>>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for Place {}

static WRITER: Place = Place(UnsafeCell::new(None));

/// `init_module`: a configuration is in force, or only tested.
///
/// # Safety
/// `cycle` must be the one that nginx gives.
pub unsafe fn in_force(cycle: *mut ngx_cycle_t) {
    // SAFETY: the caller vouches for the cycle.
    unsafe {
        match MainConf::of_cycle(cycle) {
            _ if ngx_test_config != 0 => {}
            main if SERVES.load(Ordering::Relaxed) => keep(cycle, main),
            _ => memory::attach(cycle),
        }
    }
}

/// Whether this process has begun to serve.
static SERVES: AtomicBool = AtomicBool::new(false);

/// A process that is master and worker at once keeps what it counts in, and its timer.
///
/// # Safety
/// `cycle` must be the one that nginx gives.
unsafe fn keep(cycle: *mut ngx_cycle_t, main: Option<&MainConf>) {
    // SAFETY: a cycle has a log; a word that only this thread writes.
    let log = unsafe {
        let log = (*cycle).log;
        if let Some((event, _)) = (*TIMER.0.get()).as_mut() {
            event.log = log;
        }
        log
    };
    if let (Some(writer), Some(main)) = (writer(), main) {
        labels::assign(writer, main);
    }
    if !memory::is_for(main) {
        log::cycle(
            log,
            NGX_LOG_WARN,
            format_args!(
                "websocket_zone is what it was when nginx was started: \
                 with \"master_process off\" a reload does not change it"
            ),
        );
    }
}

/// A worker begins.
///
/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn init_process(cycle: *mut ngx_cycle_t, act: Act) {
    // SAFETY: a word that only this thread writes. nginx's helpers are no workers.
    let is_worker =
        [NGX_PROCESS_WORKER, NGX_PROCESS_SINGLE].contains(&(unsafe { ngx_process } as u32));
    SERVES.store(is_worker, Ordering::Relaxed);
    // SAFETY: the caller vouches for the cycle.
    let main = unsafe { MainConf::of_cycle(cycle) };
    let (Some(zone), Some(main), true) = (memory::zone(), main, is_worker) else {
        return;
    };
    // SAFETY: the descriptor is the zone's; what a worker may execute has no use for it.
    unsafe { libc::fcntl(locks().0, libc::F_SETFD, libc::FD_CLOEXEC) };
    if !begin(zone, main) {
        let text = "no room for another worker: this one counts nothing until there is";
        // SAFETY: a cycle has a log.
        say(unsafe { (*cycle).log }, NGX_LOG_WARN, zone, text);
    }
    // SAFETY: nobody looks at it yet; the caller vouches for the cycle.
    unsafe {
        *ACT.0.get() = Some(act);
        start_timer(cycle);
    }
}

/// Takes a slot. `false`: there is none.
fn begin(zone: Zone<'static>, main: &MainConf) -> bool {
    let Some(writer) = Writer::claim(zone, &locks()) else {
        return false;
    };
    // Whatever another one left in another slot.
    zone.sweep(&locks(), Some(writer.slot()));
    labels::assign(&writer, main);
    // SAFETY: there was none that anybody could look at.
    unsafe { *WRITER.0.get() = Some(writer) };
    true
}

/// There was no slot for this worker: another may have given up its own.
///
/// # Safety
/// The log must be that of the worker's cycle.
unsafe fn begin_late(log: *mut ngx_log_t) {
    // SAFETY: nginx's own cycle is there as long as the worker.
    let main = unsafe { MainConf::of_cycle(ngx_cycle) };
    if let (Some(zone), Some(main)) = (memory::zone(), main) {
        if begin(zone, main) {
            let text = "room for this worker: it counts from now on";
            say(log, NGX_LOG_NOTICE, zone, text);
        }
    }
}

/// Says what the zone has.
fn say(log: *mut ngx_log_t, level: u32, zone: Zone<'_>, what: &str) {
    let name = zone.name();
    log::cycle(
        log,
        level,
        format_args!("websocket zone \"{}\" has {what}", name.escape_ascii()),
    );
}

/// A worker exits.
pub fn exit_process() {
    if let Some(writer) = writer() {
        writer.leave(&locks());
    }
    // SAFETY: no reference to it is left.
    unsafe { *WRITER.0.get() = None };
}

/// Often enough for an action to be known to all workers within half a second.
const INTERVAL: ngx_msec_t = 250;

/// What is done a few times a second beside: another worker may have posted something, see
/// [`Writer::news`].
pub type Act = fn(&Writer<'static>);

struct ActPlace(UnsafeCell<Option<Act>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for ActPlace {}

static ACT: ActPlace = ActPlace(UnsafeCell::new(None));

struct Timer(UnsafeCell<Option<(ngx_event_t, ngx_connection_t)>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for Timer {}

static TIMER: Timer = Timer(UnsafeCell::new(None));

/// # Safety
/// `cycle` must be the worker's.
unsafe fn start_timer(cycle: *mut ngx_cycle_t) {
    // SAFETY: all zeros is an event, and a connection, of which nothing is known; both stay where they
    // are. nginx's debug log wants to show an event's connection.
    unsafe {
        let (event, connection) =
            (*TIMER.0.get()).insert((core::mem::zeroed(), core::mem::zeroed()));
        connection.fd = -1;
        event.data = ptr::from_mut(connection).cast();
        event.handler = Some(tick);
        event.log = (*cycle).log;
        // It keeps no worker from exiting.
        event.set_cancelable(1);
        ngx_add_timer(event, INTERVAL);
    }
}

unsafe extern "C" fn tick(event: *mut ngx_event_t) {
    // SAFETY: nginx gives the event, whose log is the cycle's.
    let log = unsafe { (*event).log };
    match writer() {
        Some(writer) => work(writer, log),
        // SAFETY: as above.
        None => unsafe { begin_late(log) },
    }
    // SAFETY: the event is ours, and its timer has fired.
    unsafe { ngx_add_timer(event, INTERVAL) };
}

/// Does at once what is done a few times a second: the worker is about to part with tunnels.
pub fn act() {
    // SAFETY: set by init_process(), if at all; a worker is one thread.
    if let (Some(writer), Some(act)) = (writer(), unsafe { *ACT.0.get() }) {
        act(writer);
    }
}

fn work(writer: &Writer<'static>, log: *mut ngx_log_t) {
    writer.tick(&locks());
    act();
    for full in writer.news_of_full() {
        let what = match full {
            Full::Labels => "no room for more labels: the others are counted as \"other\"",
            Full::Upstreams => "no room for more upstreams: the others are counted as \"other\"",
            Full::Tunnels => "no room for more tunnels: the others are carried, but not listed",
        };
        say(log, NGX_LOG_WARN, writer.zone(), what);
    }
}
