//! What a worker tells of tunnels that it has taken in: one line when no more have come for a moment.

use core::cell::UnsafeCell;

use nginx_sys::{
    NGX_LOG_NOTICE, ngx_add_timer, ngx_connection_t, ngx_event_t, ngx_log_t, ngx_msec_t,
};
use websocket_protocol::Counted;

use crate::nginx::log;

/// How long nothing has to come for what has come to be told, milliseconds.
const QUIET: ngx_msec_t = 500;

struct Tally {
    event: ngx_event_t,
    nobody: ngx_connection_t,
    adopted: u64,
    refused: u64,
}

struct Place(UnsafeCell<Option<Tally>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for Place {}

static TALLY: Place = Place(UnsafeCell::new(None));

fn tally(look: impl FnOnce(&mut Tally)) {
    // SAFETY: a worker is one thread, and no call is within another.
    if let Some(tally) = unsafe { (*TALLY.0.get()).as_mut() } {
        look(tally);
    }
}

/// A worker begins to count.
pub fn begin(log: *mut ngx_log_t) {
    // SAFETY: all zeros is an event, and a connection, of which nothing is known; both stay where they are.
    unsafe {
        *TALLY.0.get() = Some(Tally {
            event: core::mem::zeroed(),
            nobody: core::mem::zeroed(),
            adopted: 0,
            refused: 0,
        });
    }
    tally(|tally| {
        tally.nobody.fd = -1;
        tally.event.data = (&raw mut tally.nobody).cast();
        tally.event.handler = Some(tell);
        tally.event.log = log;
        // No worker stays for it.
        tally.event.set_cancelable(1);
    });
}

/// A tunnel that was handed over goes on here, or may not.
pub fn note(goes_on: bool) {
    tally(|tally| {
        if goes_on {
            tally.adopted = tally.adopted.saturating_add(1);
        } else {
            tally.refused = tally.refused.saturating_add(1);
        }
        // nginx leaves a timer where it is when it is to move by little.
        // SAFETY: the event is ours.
        unsafe { ngx_add_timer(&raw mut tally.event, QUIET) };
    });
}

unsafe extern "C" fn tell(event: *mut ngx_event_t) {
    tally(|tally| {
        let (adopted, refused) = (
            core::mem::take(&mut tally.adopted),
            core::mem::take(&mut tally.refused),
        );
        // SAFETY: nginx gives the event of the timer.
        let log = unsafe { (*event).log };
        let adopted = Counted(adopted, "tunnel");
        log::cycle(
            log,
            NGX_LOG_NOTICE,
            format_args!("websocket handover: {adopted} taken over, {refused} refused"),
        );
    });
}
