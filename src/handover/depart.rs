//! A worker that is to exit hands its tunnels over: some in each turn of the event loop, and all that it can before
//! it tells the rest.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use nginx_sys::{
    NGX_LOG_NOTICE, ngx_add_timer, ngx_connection_t, ngx_cycle, ngx_event_t, ngx_log_t, ngx_msec_t,
};
use websocket_protocol::Counted;

use super::parcel::Parcel;
use super::{adopt, channel, detach, pack, receive};
use crate::nginx::clock::now;
use crate::nginx::{Request, log};
use crate::request::{self, Attempt};
use crate::tunnel::drain::{self, Fate, Heir};
use crate::tunnel::{Tunnel, tunnel_of};
use crate::zone;

/// What drains a worker is to leave the tunnels to this.
pub const HEIR: Heir = Heir { exits, comes_late };

/// So many tunnels go in a turn: a millisecond or two, after which others come first.
const AT_ONCE: usize = 64;

/// Milliseconds between two turns.
const PAUSE: ngx_msec_t = 1;

/// How long a worker tries to get rid of a tunnel when there is another for it, milliseconds: on its way nobody hears
/// it.
const GIVE_UP: ngx_msec_t = 2000;

/// How long it waits for another to come before that time begins: meanwhile its tunnels go on where they are.
const PATIENCE: ngx_msec_t = 6000;

/// What a worker that is to exit is about.
struct Leaving {
    event: ngx_event_t,
    nobody: ngx_connection_t,
    /// Until when it tries.
    until: ngx_msec_t,
    is_trying: bool,
    /// It did for long enough: others take in nothing.
    has_given_up: bool,
    since: ngx_msec_t,
    /// A tunnel that is this worker's no more, and has not found room in the channel.
    parked: Option<Parcel>,
    gone: u64,
    stayed: u64,
    /// How many of these have been told of.
    told: (u64, u64),
}

impl Leaving {
    fn tries(&mut self, does: bool) {
        self.is_trying = does;
        channel::sends(does);
    }

    /// There is no reason yet to give up.
    fn goes_on(&mut self) {
        self.until = now().wrapping_add(at_most(GIVE_UP));
    }
}

/// Of the time that nginx leaves the worker no more than this is spent so: tunnels that stay are to be drained in it.
fn at_most(time: ngx_msec_t) -> ngx_msec_t {
    drain::time_left().map_or(time, |left| time.min(left / 4))
}

struct Place(UnsafeCell<Option<Leaving>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for Place {}

static LEAVING: Place = Place(UnsafeCell::new(None));

/// Calls with what this worker is about. Nothing of it is kept beyond, and nginx is not called meanwhile.
fn leaving<T>(look: impl FnOnce(&mut Leaving) -> T) -> Option<T> {
    // SAFETY: a worker is one thread, and no call is within another.
    unsafe { (*LEAVING.0.get()).as_mut() }.map(look)
}

/// The worker is to exit.
fn exits() {
    channel::leave();
    // It may have begun only a moment ago, and have looked at nothing yet.
    if let Some(writer) = zone::writer() {
        writer.zone().look_at_peak();
    }
    let begun = now();
    // SAFETY: all zeros is an event, and a connection, of which nothing is known; nothing looks at them before.
    unsafe {
        *LEAVING.0.get() = Some(Leaving {
            event: core::mem::zeroed(),
            nobody: core::mem::zeroed(),
            until: begun.wrapping_add(at_most(GIVE_UP)),
            is_trying: false,
            has_given_up: false,
            since: begun,
            parked: None,
            gone: 0,
            stayed: 0,
            told: (0, 0),
        });
    }
    leaving(|leaving| {
        leaving.nobody.fd = -1;
        leaving.event.data = (&raw mut leaving.nobody).cast();
        leaving.event.handler = Some(turn);
        leaving.event.log = cycle_log();
    });
    if has_successor() {
        leaving(|leaving| leaving.tries(true));
        // Not now: nginx goes through its connections.
        wait_if_needed();
    } else {
        settle();
    }
}

/// Whether there is another worker for the tunnels, or will be one soon.
fn has_successor() -> bool {
    channel::has_other() || channel::is_superseded()
}

/// A tunnel has begun since.
fn comes_late() -> bool {
    let has_given_up = leaving(|leaving| leaving.has_given_up).unwrap_or(true);
    if has_given_up || !has_successor() {
        return false;
    }
    leaving(|leaving| {
        if !leaving.is_trying {
            leaving.tries(true);
            leaving.goes_on();
        }
    });
    wait();
    true
}

unsafe extern "C" fn turn(_: *mut ngx_event_t) {
    work();
}

/// Another turn after a pause, for which the worker stays.
fn wait() {
    leaving(|leaving| {
        if leaving.event.timer_set() == 0 {
            // SAFETY: the event is ours, and has no timer.
            unsafe { ngx_add_timer(&raw mut leaving.event, PAUSE) };
        }
    });
}

fn work() {
    let is_late = leaving(|leaving| {
        let is_late = (leaving.until.wrapping_sub(now()) as isize) <= 0;
        leaving.has_given_up |= is_late;
        is_late
    });
    if is_late.unwrap_or(true) || !has_successor() {
        return settle();
    }
    if !channel::has_other() {
        leaving(|leaving| {
            if now().wrapping_sub(leaving.since) < at_most(PATIENCE) {
                leaving.goes_on();
            }
        });
        return wait();
    }
    if send_parked() {
        hand_over();
    }
    wait_if_needed();
}

/// Another turn, unless all are gone. Somebody has to see to it that what was sent is taken in.
fn wait_if_needed() {
    let is_free = leaving(|leaving| leaving.parked.is_none()).unwrap_or(true);
    if !is_free || are_open() || !channel::is_empty() {
        return wait();
    }
    // What comes into the channel now is another worker's, which sees to it.
    leaving(|leaving| leaving.tries(false));
    tell();
}

/// Whether a tunnel is left that may still go.
fn are_open() -> bool {
    let mut are = false;
    drain::decide(|_| {
        are = true;
        Fate::Enough
    });
    are
}

/// No more can go: what nobody has taken in comes back, and all that is here stays.
fn settle() {
    leaving(|leaving| leaving.is_trying = false);
    // nginx is called, and may call back.
    if let Some(parked) = leaving(|leaving| leaving.parked.take()).flatten() {
        adopt::adopt(parked, cycle_log());
    }
    receive::take_all(cycle_log());
    // Only now: what no sender sees to is turned away where there is no room for it.
    leaving(|leaving| channel::sends(leaving.is_trying));
    let mut stayed = 0;
    drain::decide(|_| {
        stayed += 1;
        Fate::Stays
    });
    stays(stayed);
    tell();
}

fn stays(count: u64) {
    leaving(|leaving| leaving.stayed = leaving.stayed.saturating_add(count));
}

/// Whether nothing is in the way of others.
fn send_parked() -> bool {
    let Some(parked) = leaving(|leaving| leaving.parked.take()).flatten() else {
        return true;
    };
    if parked.send() {
        leaving(|leaving| {
            leaving.gone = leaving.gone.saturating_add(1);
            leaving.goes_on();
        });
        return true;
    }
    leaving(|leaving| leaving.parked = Some(parked));
    false
}

fn hand_over() {
    // Tunnels that somebody wants to be closed are to hear of it here.
    zone::act();
    let (mut asked, mut stayed) = (0, 0);
    drain::decide(|link| {
        if asked == AT_ONCE || !channel::has_room() {
            return Fate::Enough;
        }
        asked += 1;
        // SAFETY: a link of the queue is a part of a tunnel whose request is alive, and none of its turns is under
        // way while a timer of this module's has fired.
        match unsafe { depart(tunnel_of(link)) } {
            Departed::Gone => Fate::Open,
            Departed::Later => Fate::Enough,
            Departed::Not => {
                stayed += 1;
                Fate::Stays
            }
        }
    });
    stays(stayed);
}

enum Departed {
    Gone,
    /// It is to be asked about again, and others behind it.
    Later,
    /// It stays.
    Not,
}

/// Sends one tunnel away.
///
/// # Safety
/// The tunnel's request must be alive, and none of its turns under way.
unsafe fn depart(tunnel: NonNull<Tunnel>) -> Departed {
    // SAFETY: the caller vouches for the request; no reference to it or to its tunnel is left when it is detached.
    unsafe {
        // Of a socket that was reset the kernel no longer tells who is at its other end.
        if tunnel.as_ref().has_left() {
            return Departed::Not;
        }
        let r = Request::new(tunnel.as_ref().request());
        let Some(u) = r.upstream().filter(|u| detach::is_possible(r, *u)) else {
            return Departed::Not;
        };
        let Some(message) = pack::pack(tunnel.as_ref(), r, u) else {
            return Departed::Not;
        };
        let Some(sockets) = detach::sockets(r, u) else {
            return Departed::Later;
        };
        count_off(r, tunnel.as_ref());
        detach::detach(r.as_ptr());
        let parcel = Parcel { message, sockets };
        leaving(|leaving| leaving.parked = Some(parcel));
    }
    if send_parked() {
        Departed::Gone
    } else {
        Departed::Later
    }
}

/// From here on it is counted nowhere, until somebody takes it in: never twice.
fn count_off(r: Request<'_>, tunnel: &Tunnel) {
    let counted = request::of(r).and_then(Attempt::counted);
    let meter = counted.and_then(|counted| counted.meter.take());
    if let (Some(writer), Some(counted), Some(meter)) = (zone::writer(), counted, meter) {
        writer.moved(&meter, &counted.noted, &tunnel.traffic());
        writer.departed(&meter);
    }
}

/// How many are gone and how many stay, if that is news.
fn tell() {
    let told = leaving(|leaving| {
        let news = (
            leaving.gone.saturating_sub(leaving.told.0),
            leaving.stayed.saturating_sub(leaving.told.1),
        );
        leaving.told = (leaving.gone, leaving.stayed);
        (news, now().wrapping_sub(leaving.since))
    });
    let Some(((gone, stayed), took)) = told else {
        return;
    };
    if gone > 0 || stayed > 0 {
        let (gone, stay) = (
            Counted(gone, "tunnel"),
            if stayed == 1 { "stays" } else { "stay" },
        );
        log::cycle(
            cycle_log(),
            NGX_LOG_NOTICE,
            format_args!("websocket handover: {gone} handed over in {took} ms, {stayed} {stay}"),
        );
    }
}

fn cycle_log() -> *mut ngx_log_t {
    // SAFETY: the worker's cycle is there as long as it.
    unsafe { (*ngx_cycle).log }
}
