//! The stand-ins for reading and writing both sockets while the request of a tunnel that was handed over runs through
//! nginx's phases: what is read comes from the message, and what is written is dropped.

use nginx_sys::{
    NGX_AGAIN, ngx_chain_t, ngx_connection_t, ngx_http_request_t, ngx_io, ngx_msec_t, off_t, u_char,
};

use super::arrival::{self, Arrival};
use crate::nginx::clock::now;
use crate::nginx::{Request, events};

/// Whether a request, or its main request, is that of a tunnel on its way: it has not gone on, and was not refused.
#[inline]
pub fn is_arriving(r: Request<'_>) -> bool {
    // SAFETY: a request has a connection.
    let recv = unsafe { (*(*r.as_ptr()).connection).recv };
    recv.is_some_and(|recv| core::ptr::fn_addr_eq(recv, read_request as Recv))
}

type Recv = unsafe extern "C" fn(*mut ngx_connection_t, *mut u_char, usize) -> isize;

/// Whether a request is that of a tunnel which was refused: what it is answered goes nowhere.
pub fn is_turned_away(r: Request<'_>) -> bool {
    // SAFETY: a request has a connection.
    let send = unsafe { (*(*r.as_ptr()).connection).send_chain };
    send.is_some_and(|send| core::ptr::fn_addr_eq(send, drop_chain as SendChain)) && !is_arriving(r)
}

type SendChain =
    unsafe extern "C" fn(*mut ngx_connection_t, *mut ngx_chain_t, off_t) -> *mut ngx_chain_t;

/// A client's connection is not read or written from here on.
pub fn stand_in(client: &mut ngx_connection_t) {
    client.recv = Some(read_request);
    client.send = Some(drop_bytes);
    // SAFETY: set before there is any connection.
    client.recv_chain = unsafe { ngx_io.recv_chain };
    client.send_chain = Some(drop_chain);
}

/// An upstream's connection is not.
pub fn stand_in_for_upstream(upstream: &mut ngx_connection_t) {
    stand_in(upstream);
    upstream.recv = Some(read_answer);
}

/// Gives a client the head of its request.
unsafe extern "C" fn read_request(
    client: *mut ngx_connection_t,
    room: *mut u_char,
    size: usize,
) -> isize {
    // SAFETY: nginx gives an open connection, and room for so many bytes.
    unsafe {
        let Some(arrival) = arrival::of_connection(client) else {
            return nothing_more(client);
        };
        let message = &arrival.message;
        let proxy = copy(message.proxy, &arrival.proxy_read, room, size);
        let head = copy(
            message.request,
            &arrival.request_read,
            room.add(proxy),
            size - proxy,
        );
        if arrival.request_read.get() == message.request.len() {
            // What the client says is for the tunnel.
            (*(*client).read).set_ready(0);
        }
        match proxy + head {
            0 => nothing_more(client),
            count => count as isize,
        }
    }
}

/// Gives an upstream's connection the head of its answer.
unsafe extern "C" fn read_answer(
    upstream: *mut ngx_connection_t,
    room: *mut u_char,
    size: usize,
) -> isize {
    // SAFETY: nginx gives an open connection, whose data is its request, and room for so many bytes.
    unsafe {
        let r = (*upstream).data.cast::<ngx_http_request_t>();
        let Some(arrival) = arrival::of(Request::new(r)) else {
            return nothing_more(upstream);
        };
        let answer = arrival.message.answer;
        let count = copy(answer, &arrival.answer_read, room, size);
        if arrival.answer_read.get() == answer.len() {
            (*(*upstream).read).set_ready(0);
        }
        match count {
            0 => nothing_more(upstream),
            count => count as isize,
        }
    }
}

/// # Safety
/// The connection must be open.
unsafe fn nothing_more(connection: *mut ngx_connection_t) -> isize {
    // SAFETY: the caller vouches for the connection.
    unsafe { (*(*connection).read).set_ready(0) };
    NGX_AGAIN as isize
}

/// Copies as much as there is room for, behind what was copied before. How much that was.
///
/// # Safety
/// There must be room for so many bytes.
unsafe fn copy(text: &[u8], read: &core::cell::Cell<usize>, room: *mut u8, size: usize) -> usize {
    let rest = text.get(read.get()..).unwrap_or_default();
    let count = rest.len().min(size);
    // SAFETY: the caller vouches for the room, which is nginx's.
    unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), room, count) };
    read.set(read.get().saturating_add(count));
    count
}

unsafe extern "C" fn drop_bytes(_: *mut ngx_connection_t, _: *mut u_char, size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

unsafe extern "C" fn drop_chain(
    _: *mut ngx_connection_t,
    mut chain: *mut ngx_chain_t,
    _: off_t,
) -> *mut ngx_chain_t {
    // SAFETY: nginx gives a chain of buffers, which are sent when nothing of them is left.
    unsafe {
        while let Some(link) = chain.as_mut() {
            let buffer = &mut *link.buf;
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            chain = link.next;
        }
    }
    core::ptr::null_mut()
}

/// A connection is read and written again.
///
/// # Safety
/// It must be one of those above.
unsafe fn step_aside(connection: *mut ngx_connection_t) {
    // SAFETY: the caller vouches for the connection; nginx's functions are set before there is any.
    unsafe {
        (*connection).recv = ngx_io.recv;
        (*connection).send = ngx_io.send;
        (*connection).recv_chain = ngx_io.recv_chain;
        (*connection).send_chain = ngx_io.send_chain;
        (*(*connection).read).set_ready(0);
        (*(*connection).write).set_ready(1);
    }
}

/// The tunnel goes on: both sockets are its own again, and all that nginx has noted of it is what it was. Whether
/// nginx's event method can tell of them.
///
/// # Safety
/// The request must be upgraded, with this arrival.
pub unsafe fn land(r: Request<'_>, arrival: &Arrival) -> bool {
    let account = &arrival.message.account;
    // SAFETY: the caller vouches for the request, which has both connections.
    unsafe {
        let request = &mut *r.as_ptr();
        restore(request, arrival);
        let client = request.connection;
        let u = &mut *request.upstream;
        let upstream = u.peer.connection;
        (*client).sent = account.client_sent as off_t;
        (*upstream).sent = account.upstream_sent as off_t;
        u.start_time = now().wrapping_sub(account.upstream_age as ngx_msec_t);
        if let Some(state) = u.state.as_mut() {
            let time = |time: Option<u64>| time.map_or(ngx_msec_t::MAX, |time| time as ngx_msec_t);
            state.connect_time = time(account.connect_time);
            state.header_time = time(account.header_time);
            state.bytes_received = account.upstream_received as off_t;
        }
        step_aside(client);
        step_aside(upstream);
        events::know(client) && events::know(upstream)
    }
}

/// The request is refused: what it is answered is dropped still, and the client's socket is read again, until it is
/// at its end.
///
/// # Safety
/// The request must be alive, with this arrival; its response must not be at its end.
pub unsafe fn end_replay(r: Request<'_>, arrival: &Arrival) {
    // SAFETY: the caller vouches for the request, which has a connection.
    unsafe {
        let request = &mut *r.as_ptr();
        restore(request, arrival);
        let client = request.connection;
        (*client).sent = arrival.message.account.client_sent as off_t;
        step_aside(client);
        (*client).send = Some(drop_bytes);
        (*client).send_chain = Some(drop_chain);
        events::know(client);
        // There may be something: nginx reads it before it closes the socket.
        (*(*client).read).set_ready(1);
    }
}

/// When the request began, and what was counted of it.
fn restore(request: &mut ngx_http_request_t, arrival: &Arrival) {
    let account = &arrival.message.account;
    request.start_sec = account.start_sec as _;
    request.start_msec = ngx_msec_t::from(account.start_msec);
    request.request_length = account.request_length as off_t;
    // SAFETY: a request has a connection.
    unsafe { (*request.connection).requests = account.requests as _ };
}
