//! Where nginx's parser stands in a connection that it has begun to read by itself.

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::{
    NGX_AGAIN, ngx_connection_t, ngx_create_pool, ngx_cycle_t, ngx_destroy_pool, ngx_event_t,
    ngx_http_addr_conf_t, ngx_http_connection_t, ngx_http_v2_connection_t, u_char,
};

use super::functions::Functions;

/// The functions by which nginx goes on at the start of a connection, and between two frames.
static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static BETWEEN: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// A place in a connection where its bytes can be followed from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Start,
    BetweenFrames,
}

/// Where nginx stands. `None`: within something.
///
/// # Safety
/// The connection must be open.
pub unsafe fn place(h2c: *const ngx_http_v2_connection_t) -> Option<Place> {
    // SAFETY: the caller vouches for the connection.
    let state = unsafe { &(*h2c).state };
    let next = function(state.handler).filter(|_| state.buffer_used == 0)?;
    [(&START, Place::Start), (&BETWEEN, Place::BetweenFrames)]
        .into_iter()
        .find(|(known, _)| known.load(Ordering::Relaxed) == next)
        .map(|(_, place)| place)
}

/// Learns these functions, which have no names outside of nginx: has it read a connection that nobody is at the other end
/// of, and looks how it goes on. It is one of an address with HTTP/2.
///
/// # Safety
/// `cycle` must be that of a worker that has no connection yet.
pub unsafe fn learn(
    cycle: *mut ngx_cycle_t,
    functions: Functions,
    address: *mut ngx_http_addr_conf_t,
) {
    // SAFETY: the caller vouches for the cycle. All zeros is a connection as nginx makes them, with its events. nginx keeps
    // nothing of these: there are timers, it waits for both, and can't write. Without memory it closes the connection,
    // and destroys its pool.
    unsafe {
        let mut log = *(*cycle).log;
        let pool = ngx_create_pool(4096, &raw mut log);
        if pool.is_null() {
            return;
        }
        let mut nobody = mem::zeroed::<Nobody>();
        let this = &raw mut nobody;
        (*this).http.addr_conf = address;
        (*this).http.conf_ctx = (*(*address).default_server).ctx;
        (*this).c.data = (&raw mut (*this).http).cast();
        (*this).c.read = &raw mut (*this).read;
        (*this).c.write = &raw mut (*this).write;
        (*this).c.log = &raw mut log;
        (*this).c.pool = pool;
        (*this).c.fd = -1;
        (*this).c.recv = Some(recv);
        for event in [&raw mut (*this).read, &raw mut (*this).write] {
            (*event).data = (&raw mut (*this).c).cast();
            (*event).log = &raw mut log;
            (*event).set_active(1);
            (*event).set_timer_set(1);
        }
        (*this).read.set_ready(1);
        (functions.init)(&raw mut (*this).read);
        if (*this).c.destroyed() == 0 {
            ngx_destroy_pool(pool);
        }
    }
}

/// A connection that nobody is at the other end of.
#[derive(Clone, Copy)]
struct Nobody {
    c: ngx_connection_t,
    read: ngx_event_t,
    write: ngx_event_t,
    http: ngx_http_connection_t,
}

/// Gives the preface, and then nothing.
unsafe extern "C" fn recv(c: *mut ngx_connection_t, room: *mut u_char, size: usize) -> isize {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // SAFETY: nginx reads the connection of learn(), into room of this size.
    unsafe {
        let h2c = (*c).data.cast::<ngx_http_v2_connection_t>();
        let next = function((*h2c).state.handler).unwrap_or(ptr::null_mut());
        if (*c).requests == 0 && size >= PREFACE.len() {
            START.store(next, Ordering::Relaxed);
            (*c).requests = 1;
            room.copy_from_nonoverlapping(PREFACE.as_ptr(), PREFACE.len());
            return PREFACE.len() as isize;
        }
        BETWEEN.store(next, Ordering::Relaxed);
        (*(*c).read).set_ready(0);
    }
    NGX_AGAIN as isize
}

/// The address of a function that nginx has put somewhere.
fn function<F>(function: Option<F>) -> Option<*mut u8> {
    const { assert!(size_of::<F>() == size_of::<*mut u8>()) };
    // SAFETY: it is a pointer to a function.
    function.map(|function| unsafe { mem::transmute_copy(&function) })
}
