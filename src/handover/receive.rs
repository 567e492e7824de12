//! A worker takes in tunnels that others hand over: two whenever it is told that there are some, as all workers are,
//! so that each gets its part.

use nginx_sys::{
    NGX_ERROR, NGX_LOG_WARN, ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_cycle,
    ngx_cycle_t, ngx_event_t, ngx_get_connection, ngx_handle_read_event, ngx_log_t, ngx_msec_t,
    ngx_post_event, ngx_posted_next_events,
};

use super::parcel::{Descriptor, Received};
use super::{adopt, channel, parcel, tally};
use crate::nginx::{events, log};

/// More would put all in one worker.
const AT_ONCE: usize = 2;

/// A tunnel takes two connections, and what its request asks takes some, too.
const LEAST_FREE: usize = 16;

/// How long a worker waits where it can't take in what is there, milliseconds.
const PAUSE: ngx_msec_t = 50;

/// A worker begins. Whether it takes in tunnels.
///
/// # Safety
/// `cycle` must be the worker's.
pub unsafe fn begin(cycle: *mut ngx_cycle_t) -> bool {
    // A descriptor of its own: to close that leaves the channel open.
    let Some(descriptor) = Descriptor::copy(channel::receiving()) else {
        return false;
    };
    // SAFETY: the caller vouches for the cycle; the connection is ours.
    unsafe {
        let connection = ngx_get_connection(descriptor.get(), (*cycle).log);
        if connection.is_null() {
            return false;
        }
        descriptor.give();
        let read = (*connection).read;
        (*connection).set_idle(1);
        (*read).handler = Some(told);
        (*read).log = (*cycle).log;
        // No worker stays for it.
        (*read).set_cancelable(1);
        if ngx_handle_read_event(read, 0) == NGX_ERROR as isize || !channel::enter() {
            close(connection);
            return false;
        }
        tally::begin((*cycle).log);
    }
    true
}

/// The channel has other descriptors, so that closing this one ends nothing.
///
/// # Safety
/// The connection must be the one of [`begin`].
unsafe fn close(connection: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection, which is open.
    unsafe {
        events::forget(connection);
        ngx_close_connection(connection);
    }
}

/// There is something in the channel, or was; or the worker is to exit.
unsafe extern "C" fn told(event: *mut ngx_event_t) {
    // SAFETY: nginx calls the handler of our connection, whose events it has.
    unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        if (*connection).close() != 0 {
            channel::leave();
            return close(connection);
        }
        let has_waited = (*event).timedout() != 0;
        (*event).set_ready(0);
        (*event).set_timedout(0);
        for _ in 0..AT_ONCE {
            // Who has sent it takes back what nobody has room for. If he is no more, and nobody else takes it either, it
            // comes to an end here.
            let may_take = || has_connections() && has_descriptors();
            let is_left_over = || has_waited && !channel::has_sender();
            if channel::has_newer() || !may_take() && !is_left_over() {
                if !channel::is_empty() && (*event).timer_set() == 0 {
                    ngx_add_timer(event, PAUSE);
                }
                return;
            }
            if !take_one((*event).log) {
                return;
            }
        }
        ngx_post_event(event, &raw mut ngx_posted_next_events);
    }
}

fn has_connections() -> bool {
    // SAFETY: the worker's cycle is there as long as it.
    unsafe { (*ngx_cycle).free_connection_n >= LEAST_FREE }
}

/// The kernel closes sockets for which there is no number.
fn has_descriptors() -> bool {
    let some = [(); parcel::MOST_DESCRIPTORS].map(|()| Descriptor::copy(channel::receiving()));
    some.iter().all(Option::is_some)
}

/// Takes in all that there is: nobody else will.
pub fn take_all(log: *mut ngx_log_t) {
    if channel::is_open() {
        while take_one(log) {}
    }
}

/// Whether there was one.
fn take_one(log: *mut ngx_log_t) -> bool {
    match parcel::receive(log) {
        Received::Nothing => false,
        Received::Parcel(parcel) => {
            adopt::adopt(parcel, log);
            true
        }
        Received::Lost => {
            let text = "a tunnel that was handed over is lost: it has come without its sockets, or there is no memory";
            log::cycle(
                log,
                NGX_LOG_WARN,
                format_args!("websocket handover: {text}"),
            );
            true
        }
    }
}
