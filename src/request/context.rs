//! Where a request's state is kept: in the module's slot of the request, and freed with the
//! request's memory.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nginx_sys::{
    ngx_alloc, ngx_http_upstream_state_t, ngx_msec_t, ngx_palloc, ngx_pool_cleanup_add, ngx_str_t,
};
use websocket_protocol::{Advice, Cause};
use websocket_zone::{LabelId, Meter, Noted};

use super::access::Access;
use super::remark::Gathered;
use super::state::{Carrier, Ending, Joined, RequestFunction, State};
use super::tries::Tries;
use crate::conf::LocationConf;
use crate::nginx::clock::now;
use crate::nginx::{Request, Upstream, module, pool, string};
use crate::tunnel::{Side, Tunnel};
use crate::zone;

/// A request that asks for a WebSocket. Its fields are cells: nginx may call back while it is
/// looked at, as it does for every line that it logs.
pub struct Attempt {
    state: Cell<State>,
    /// The rule that it breaks, if it breaks one and goes on all the same.
    broken: Cell<Option<Broken>>,
    /// The client's Sec-WebSocket-Key, where it lies.
    key: Cell<ngx_str_t>,
    /// What was seen of a failure, and what follows from it.
    pub seen: Cell<ngx_str_t>,
    pub advice: Cell<Advice>,
    /// What the upstream says of it.
    pub remark: Gathered,
    pub tries: Tries,
    pub access: Access,
    /// The location where it was judged, which an error page's may differ from.
    conf: Cell<*const LocationConf>,
    /// When the request's first byte came, as [`now`] has it.
    begun: Cell<ngx_msec_t>,
    /// How long the handshake took, milliseconds, once it is known.
    handshake_time: Cell<Option<u32>>,
    /// What the upstream chose.
    pub protocol: Cell<ngx_str_t>,
    pub extensions: Cell<ngx_str_t>,
    /// Whether it is [`Counted`].
    is_counted: bool,
    /// Memory that is not the pool's; NULL where there is none.
    apart: Cell<*mut c_void>,
}

/// What is kept of an attempt to count it.
pub struct Counted {
    /// Under what.
    pub label: Cell<LabelId>,
    /// Whether a WebSocket may have come of it.
    pub asks: Cell<bool>,
    /// For what is counted of its tunnel.
    pub meter: Cell<Option<Meter>>,
    pub noted: Noted,
}

/// One that is counted: so nothing of that takes memory where there is no zone.
#[repr(C)]
struct WithCount {
    attempt: Attempt,
    counted: Counted,
}

/// A rule that a handshake breaks, and what shows it.
#[derive(Clone, Copy)]
pub struct Broken {
    pub rule: Cause,
    pub seen: ngx_str_t,
}

/// What it is to the module, and what changes that: see [`State`].
impl Attempt {
    pub fn state(&self) -> State {
        self.state.get()
    }

    pub fn joined(&self) -> Option<Joined> {
        self.state().joined()
    }

    pub fn ending(&self) -> Option<Ending> {
        self.state().ending()
    }

    pub fn is_ended(&self) -> bool {
        self.ending().is_some()
    }

    /// The tunnel that the module carries, or carried.
    pub fn tunnel(&self) -> Option<NonNull<Tunnel>> {
        match self.state().carrier()? {
            Carrier::Module(tunnel) => Some(tunnel),
            Carrier::Nginx(_) => None,
        }
    }

    /// Whether the upstream is joined now.
    pub fn join(&self, joined: Joined) -> bool {
        self.state.set(self.state().join(joined));
        self.joined()
            .is_some_and(|now| now.upstream == joined.upstream)
    }

    pub fn rejoin(&self, process_header: Option<RequestFunction>) {
        self.state.set(self.state().rejoin(process_header));
    }

    /// Whether it was the joined upstream that has switched.
    pub fn switch(&self, upstream: Upstream<'_>) -> bool {
        self.state.set(self.state().switch(upstream.as_ptr()));
        self.joined().is_some()
    }

    pub fn carry(&self, carrier: Carrier) {
        self.state.set(self.state().carry(carrier));
    }

    pub fn leave(&self, ended_by: Option<Side>) {
        self.state.set(self.state().leave(ended_by));
    }

    pub fn turn_away(&self, carrier: Carrier) {
        self.state.set(self.state().turn_away(carrier));
    }

    pub fn conclude(&self, ending: Ending) {
        self.state.set(self.state().conclude(ending));
    }
}

impl Attempt {
    /// Judges it, for the first time or in another location. `asks`: whether a WebSocket may come of
    /// it.
    pub fn judge(&self, r: Request<'_>, asks: bool, broken: Option<Broken>, key: &[u8]) {
        self.access.begin();
        self.conf.set(LocationConf::of(r));
        self.state.set(self.state().judge(asks));
        self.broken.set(broken);
        self.key.set(string::borrowed(key));
    }

    /// What the location where it was judged makes of the module's directives.
    pub fn conf<'r>(&self, _of: Request<'r>) -> &'r LocationConf {
        // SAFETY: a configuration outlives its requests.
        unsafe { &*self.conf.get() }
    }

    /// What was seen of one upstream's failure is none of the next one's.
    pub fn forget_seen(&self) {
        self.seen.set(string::EMPTY);
        self.advice.set(Advice::Usual);
        self.remark.forget();
    }

    pub fn broken(&self) -> Option<Broken> {
        self.broken.get()
    }

    /// What is kept of it to count it; `None` where nothing is counted.
    pub fn counted(&self) -> Option<&Counted> {
        // SAFETY: begin() made it so.
        self.is_counted
            .then(|| unsafe { &(*ptr::from_ref(self).cast::<WithCount>()).counted })
    }

    /// The client's Sec-WebSocket-Key; empty where there is none.
    pub fn key<'r>(&self, _of: Request<'r>) -> &'r [u8] {
        // SAFETY: the key is a part of the request that the attempt belongs to.
        unsafe { string::bytes(&self.key.get()) }
    }

    /// nginx's notes on the attempts to reach an upstream, without those for what came afterwards,
    /// such as `post_action`.
    pub fn states<'r>(&self, r: Request<'r>) -> &'r [ngx_http_upstream_state_t] {
        let states = r.upstream_states();
        states.get(..self.tries.begun()).unwrap_or(states)
    }

    /// How long the request has lasted, milliseconds, whatever becomes of the clock of the day.
    pub fn elapsed(&self) -> ngx_msec_t {
        now().wrapping_sub(self.begun.get())
    }

    /// The handshake is over.
    pub fn note_handshake_time(&self) {
        let time = u32::try_from(self.elapsed()).unwrap_or(u32::MAX);
        self.handshake_time.set(Some(time));
    }

    /// Its tunnel has come from another process: so old, after a handshake that took so long, milliseconds.
    pub fn came(&self, age: ngx_msec_t, handshake_time: ngx_msec_t) {
        let time = u32::try_from(handshake_time).unwrap_or(u32::MAX);
        self.handshake_time.set(Some(time));
        let begun = now().wrapping_sub(age).wrapping_sub(time as ngx_msec_t);
        self.begun.set(begun);
    }

    /// How long the handshake took, milliseconds, if it is over.
    pub fn handshake_time(&self) -> Option<ngx_msec_t> {
        self.handshake_time.get().map(|time| time as ngx_msec_t)
    }

    /// How long the tunnel has lasted, milliseconds.
    pub fn duration(&self) -> ngx_msec_t {
        self.elapsed()
            .saturating_sub(self.handshake_time().unwrap_or_default())
    }

    /// Room for a tunnel as long as the request lives, once: in a pool's block that has it, else apart. A
    /// pool would take a block of a page for it, which is as much again as an idle tunnel needs.
    pub fn make_room(&self, r: Request<'_>, size: usize) -> Option<NonNull<Tunnel>> {
        // SAFETY: the request is alive, so its pool is.
        unsafe {
            if pool::has_room(r.pool(), size) {
                return NonNull::new(ngx_palloc(r.pool(), size).cast());
            }
            if !self.apart.get().is_null() {
                return None;
            }
            self.apart.set(ngx_alloc(size, r.log()));
        }
        NonNull::new(self.apart.get().cast())
    }
}

/// The request's state, if it has one that no internal redirect has taken out of its place since it was
/// looked for last.
pub fn in_place<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    // SAFETY: what begin() put there; only cells of it change.
    unsafe { r.context(module::index()).cast::<Attempt>().as_ref() }
}

/// The request's state, if it has one. An internal redirect takes a module's context away; the
/// request's own memory still has it.
pub fn of<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    if let Some(attempt) = in_place(r) {
        return Some(attempt);
    }
    if !r.is_main() {
        return None;
    }
    // SAFETY: the request's pool is alive, and its cleanups are a list; ours has an attempt.
    unsafe {
        let mut cleanup = (*r.pool()).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            if entry
                .handler
                .is_some_and(|f| ptr::fn_addr_eq(f, end as Cleanup))
            {
                r.set_context(module::index(), entry.data);
                return entry.data.cast::<Attempt>().as_ref();
            }
            cleanup = entry.next;
        }
    }
    None
}

/// Begins to remember a request. `None` when there is no memory.
///
/// Not in the pool: a request with few headers fills its two blocks nearly to the brim, and what is
/// put there early would make nginx take a third one, a page, for as long as the tunnel lasts.
pub fn begin<'r>(r: Request<'r>) -> Option<&'r Attempt> {
    // SAFETY: the request is alive, so its pool is; the attempt is freed with the pool.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(r.pool(), 0);
        if cleanup.is_null() {
            return None;
        }
        let is_counted = zone::writer().is_some();
        let size = if is_counted {
            size_of::<WithCount>()
        } else {
            size_of::<Attempt>()
        };
        let attempt = NonNull::new(ngx_alloc(size, r.log()).cast::<Attempt>())?;
        if is_counted {
            let counted = &raw mut (*attempt.as_ptr().cast::<WithCount>()).counted;
            counted.write(Counted {
                label: Cell::new(LocationConf::of(r).label.get()),
                asks: Cell::new(false),
                meter: Cell::new(None),
                noted: Noted::default(),
            });
        }
        attempt.write(Attempt {
            state: Cell::new(State::Judged),
            broken: Cell::new(None),
            key: Cell::new(string::EMPTY),
            seen: Cell::new(string::EMPTY),
            advice: Cell::new(Advice::Usual),
            remark: Gathered::new(),
            tries: Tries::new(),
            access: Access::new(),
            conf: Cell::new(LocationConf::of(r)),
            begun: Cell::new(now().wrapping_sub(r.elapsed())),
            handshake_time: Cell::new(None),
            protocol: Cell::new(string::EMPTY),
            extensions: Cell::new(string::EMPTY),
            is_counted,
            apart: Cell::new(ptr::null_mut()),
        });
        (*cleanup).handler = Some(end);
        (*cleanup).data = attempt.as_ptr().cast();
        r.set_context(module::index(), attempt.as_ptr().cast());
        Some(attempt.as_ref())
    }
}

type Cleanup = unsafe extern "C" fn(*mut c_void);

/// Runs when the request's memory goes. Its address marks our entry among the cleanups.
///
/// A tunnel has let go of all it holds by then, on every way that nginx is known to end a request.
/// This is the second line.
unsafe extern "C" fn end(attempt: *mut c_void) {
    let attempt = attempt.cast::<Attempt>();
    // SAFETY: begin() registered it with the attempt; that, what is apart and the tunnel are ours
    // alone, and the pool's blocks are freed after its cleanups have run.
    unsafe {
        if let Some(mut tunnel) = (*attempt).tunnel() {
            tunnel.as_mut().let_go();
        }
        libc::free((*attempt).apart.get());
        libc::free(attempt.cast());
    }
}
