//! What is done for a request a little at a time.

use core::ffi::c_void;
use core::ptr;

use nginx_sys::{
    NGX_ERROR, NGX_HTTP_REQUEST_TIME_OUT, NGX_LOG_INFO, ngx_http_request_t, ngx_int_t,
    ngx_pool_cleanup_add, ngx_uint_t,
};
use websocket_status::{Answer, Close, Count, Meant};
use websocket_zone::Zone;

use super::reply::NO_MEMORY;
use crate::nginx::response::{self, Room};
use crate::nginx::{Request, log};
use crate::zone::monotonic;

/// How much of an answer is made before it is sent: to send more at a time would keep others waiting, too.
const PIECE: usize = 8 * 1024;

// There is one in a request, in its place.
#[allow(clippy::large_enum_variant)]
enum Task {
    Send {
        answer: Answer<'static>,
        room: Room,
    },
    Count {
        zone: Zone<'static>,
        close: Close,
        count: Count,
        then: Then,
    },
}

/// A task, and the request that it is for: a subrequest has its parent's memory.
struct Kept {
    r: *mut ngx_http_request_t,
    task: Task,
}

/// What is done when the tunnels are counted. The request may be gone after that.
pub(super) type Then = fn(Request<'_>, Zone<'static>, &Close, Meant);

/// What a step has led to.
enum Step {
    /// There is more to be done, when others have had their turn.
    More,
    /// The client has to take what was sent.
    Wait,
    /// The request is over.
    Over(ngx_int_t),
    /// So many tunnels are counted.
    Counted(Meant),
}

/// Sends an answer whose header is sent. The request may be gone after that.
pub(super) fn send(r: Request<'_>, answer: Answer<'static>) {
    match Room::new(r, PIECE) {
        Some(room) => {
            response::end_with_client(r);
            begin(r, Task::Send { answer, room });
        }
        None => response::finish(r, ERROR),
    }
}

/// Counts the tunnels that would be closed. The request may be gone after that.
pub(super) fn count(r: Request<'_>, zone: Zone<'static>, close: Close, then: Then) {
    let task = Task::Count {
        zone,
        close,
        count: Count::new(),
        then,
    };
    begin(r, task);
}

fn begin(r: Request<'_>, task: Task) {
    let without_memory = match task {
        // Behind a header there can be no other answer.
        Task::Send { .. } => ERROR,
        Task::Count { .. } => NO_MEMORY,
    };
    // SAFETY: the request is alive, so its pool is; what it gives is of the right size, and aligned to
    // NGX_ALIGNMENT. Nothing in a task needs to be dropped.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(r.pool(), size_of::<Kept>());
        let Some(cleanup) = cleanup.as_mut() else {
            return response::finish(r, without_memory);
        };
        let kept = cleanup.data.cast::<Kept>();
        kept.write(Kept {
            r: r.as_ptr(),
            task,
        });
        cleanup.handler = Some(end);
        response::on_writable(r, go_on);
        go_on(r.as_ptr());
    }
}

type Cleanup = unsafe extern "C" fn(*mut c_void);

/// There is nothing to be done when the request's memory goes. Its address marks the task among the
/// cleanups.
unsafe extern "C" fn end(_task: *mut c_void) {}

/// The request's task.
///
/// # Safety
/// No other reference to it may be left.
unsafe fn find<'r>(r: Request<'r>) -> Option<&'r mut Task> {
    // SAFETY: the request's pool is alive, and its cleanups are a list; ours have a task each.
    unsafe {
        let mut cleanup = (*r.pool()).cleanup;
        while let Some(entry) = cleanup.as_ref() {
            let is_ours = |f: Cleanup| ptr::fn_addr_eq(f, end as Cleanup);
            if entry.handler.is_some_and(is_ours) {
                let kept = entry.data.cast::<Kept>();
                if (*kept).r == r.as_ptr() {
                    return Some(&mut (*kept).task);
                }
            }
            cleanup = entry.next;
        }
    }
    None
}

/// `r->write_event_handler`
unsafe extern "C" fn go_on(r: *mut ngx_http_request_t) {
    // SAFETY: nginx gives a request that is alive.
    let r = unsafe { Request::new(r) };
    // SAFETY: nothing that nginx calls during a step looks at the task.
    let Some(task) = (unsafe { find(r) }) else {
        return;
    };
    match task.step(r) {
        Step::More => response::post(r),
        Step::Wait => {
            if !response::wait(r) {
                response::finish(r, ERROR);
            }
        }
        Step::Over(rc) => response::finish(r, rc),
        Step::Counted(meant) => {
            if let Task::Count {
                zone, close, then, ..
            } = *task
            {
                then(r, zone, &close, meant);
            }
        }
    }
}

impl Task {
    fn step(&mut self, r: Request<'_>) -> Step {
        match self {
            Self::Send { answer, room } => send_piece(r, answer, room),
            Self::Count {
                zone, close, count, ..
            } => match count.go_on(zone, &close.action, monotonic()) {
                Some(meant) => Step::Counted(meant),
                None => Step::More,
            },
        }
    }
}

fn send_piece(r: Request<'_>, answer: &mut Answer<'static>, room: &mut Room) -> Step {
    if response::has_timed_out(r) {
        // As nginx says it.
        log::request(
            r,
            NGX_LOG_INFO as ngx_uint_t,
            format_args!("client timed out"),
        );
        return Step::Over(NGX_HTTP_REQUEST_TIME_OUT as ngx_int_t);
    }
    if response::is_delayed(r) {
        return Step::Wait;
    }
    if room.is_sent() {
        if !room.is_taken() && !response::flush(r) {
            return Step::Over(ERROR);
        }
        if !room.is_taken() {
            return Step::Wait;
        }
        room.clear();
    }
    let filled = answer.fill(room.rest(), monotonic());
    room.add(filled.length);
    if !filled.is_last && !room.is_full() {
        return Step::More;
    }
    match room.send(r, filled.is_last) {
        ERROR => Step::Over(ERROR),
        rc if filled.is_last => Step::Over(rc),
        _ if room.is_taken() => Step::More,
        _ => Step::Wait,
    }
}

const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;
