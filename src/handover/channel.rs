//! What all generations of workers have in common: a pair of sockets that messages go through, and a file that
//! says which generations there are.
//!
//! Each configuration that comes into force is a generation. A worker that takes in tunnels holds a lock on the
//! byte of the file that has its generation's number, and the kernel takes that away when it is no more,
//! by whatever it ended. So whoever looks for another worker asks the kernel for locks, and never finds one
//! that is dead. Workers that send tunnels, and masters, have places of their own in the file.
//!
//! A new binary gets the descriptors as it gets those of listening sockets. The variables that tell of them name
//! the version of the messages: a binary that speaks another one finds no channel, and makes its own.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};

use nginx_sys::{NGX_LOG_ALERT, ngx_cycle_t, ngx_test_config};
use websocket_protocol::handover;

use crate::nginx::{inherit, log};

/// The descriptors; negative where there are none. The master sets them before it makes workers.
static SEND: AtomicI32 = AtomicI32::new(-1);
static RECEIVE: AtomicI32 = AtomicI32::new(-1);
static FILE: AtomicI32 = AtomicI32::new(-1);

/// The generation of this process's configuration.
static GENERATION: AtomicI64 = AtomicI64::new(0);

const _: () = assert!(handover::VERSION == 1, "the variables name the version");
static VARIABLES: [(&CStr, &AtomicI32); 3] = [
    (c"NGX_WEBSOCKET_HANDOVER_1_SEND", &SEND),
    (c"NGX_WEBSOCKET_HANDOVER_1_RECEIVE", &RECEIVE),
    (c"NGX_WEBSOCKET_HANDOVER_1_FILE", &FILE),
];

/// A configuration is in force, or only tested.
///
/// # Safety
/// `cycle` must be the one that nginx gives to `init_module`.
pub unsafe fn in_force(cycle: *mut ngx_cycle_t, is_needed: bool) {
    // SAFETY: a word that only this thread writes.
    if unsafe { ngx_test_config } != 0 {
        return;
    }
    inherit();
    if !is_needed {
        return close();
    }
    if (!is_open() && !open()) || !begin_generation() {
        close();
        let text = "there is no channel for tunnels to be handed over by: they are not";
        // SAFETY: the caller vouches for the cycle, which has a log.
        log::cycle(
            unsafe { (*cycle).log },
            NGX_LOG_ALERT,
            format_args!("{text}"),
        );
        return;
    }
    for (variable, descriptor) in VARIABLES {
        // SAFETY: as above.
        unsafe { inherit::hand_over(cycle, variable, descriptor.load(Ordering::Relaxed)) };
    }
}

pub fn is_open() -> bool {
    FILE.load(Ordering::Relaxed) >= 0
}

/// Where messages are sent, and where they are received.
pub fn sending() -> libc::c_int {
    SEND.load(Ordering::Relaxed)
}

pub fn receiving() -> libc::c_int {
    RECEIVE.load(Ordering::Relaxed)
}

/// Takes what the binary before has told of. It is there when nginx starts, and never again.
fn inherit() {
    static HAS_STARTED: AtomicBool = AtomicBool::new(false);
    if HAS_STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    for (variable, descriptor) in VARIABLES {
        let inherited = inherit::inherited(variable).unwrap_or(-1);
        descriptor.store(inherited, Ordering::Relaxed);
    }
    let are_sockets = [&SEND, &RECEIVE]
        .iter()
        .all(|socket| is_our_kind(socket.load(Ordering::Relaxed)));
    if !are_sockets || read_generation().is_none() {
        // What else it may be is not ours.
        forget();
    }
}

fn open() -> bool {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK;
    // SAFETY: there is room for two descriptors, and the name is a string. The kernel's own call: not every
    // libc has a function for it.
    let file = unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) != 0 {
            return false;
        }
        libc::syscall(libc::SYS_memfd_create, c"websocket_handover".as_ptr(), 0)
    };
    SEND.store(pair[0], Ordering::Relaxed);
    RECEIVE.store(pair[1], Ordering::Relaxed);
    FILE.store(libc::c_int::try_from(file).unwrap_or(-1), Ordering::Relaxed);
    make_room(pair[0]);
    file >= 0 && write_words([MAGIC, 0])
}

/// As much as the system lets wait in the channel: more than it does for others, where this is root.
fn make_room(socket: libc::c_int) {
    let size: libc::c_int = 4 << 20;
    for option in [libc::SO_SNDBUF, libc::SO_SNDBUFFORCE] {
        // SAFETY: the descriptor is ours; the kernel reads an int.
        unsafe {
            libc::setsockopt(
                socket,
                libc::SOL_SOCKET,
                option,
                (&raw const size).cast(),
                size_of_val(&size) as libc::socklen_t,
            )
        };
    }
}

fn close() {
    for (_, descriptor) in VARIABLES {
        let descriptor = descriptor.load(Ordering::Relaxed);
        if descriptor >= 0 {
            // SAFETY: it is ours, or was given to us by the binary before.
            unsafe { libc::close(descriptor) };
        }
    }
    forget();
}

fn forget() {
    for (_, descriptor) in VARIABLES {
        descriptor.store(-1, Ordering::Relaxed);
    }
}

fn is_our_kind(socket: libc::c_int) -> bool {
    let mut kind: libc::c_int = 0;
    let mut size = size_of_val(&kind) as libc::socklen_t;
    // SAFETY: of any descriptor, or none, this tells the kind; the kernel writes an int.
    let status = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut size,
        )
    };
    status == 0 && kind == libc::SOCK_SEQPACKET
}

/// A worker that takes in tunnels has a lock on the byte of its generation's number, one that sends them on the byte so
/// many behind, and so has the master that began the generation.
const SENDERS: i64 = 1 << 61;
const MASTERS: i64 = 1 << 62;

/// What the file begins with, before the number of the last generation.
const MAGIC: u64 = u64::from_le_bytes(*b"wshandov");

fn begin_generation() -> bool {
    let Some(last) = read_generation() else {
        return false;
    };
    // Bytes of a file have numbers as large as this type's.
    let generation = last.saturating_add(1);
    GENERATION.store(generation, Ordering::Relaxed);
    // Without it, workers of other generations don't wait for those that are to come.
    let _ = ask(libc::F_SETLK, libc::F_RDLCK, MASTERS + generation, 1);
    write_words([MAGIC, generation as u64])
}

fn read_generation() -> Option<i64> {
    let mut words = [0_u64; 2];
    let size = size_of_val(&words);
    // SAFETY: the words are as many; a descriptor that is none, or is of another kind, is an error.
    let read = unsafe {
        libc::pread(
            FILE.load(Ordering::Relaxed),
            words.as_mut_ptr().cast(),
            size,
            0,
        )
    };
    let [magic, generation] = words;
    let is_ours = usize::try_from(read) == Ok(size) && magic == MAGIC;
    i64::try_from(generation).ok().filter(|_| is_ours)
}

fn write_words(words: [u64; 2]) -> bool {
    let size = size_of_val(&words);
    // SAFETY: the words are as many.
    let written =
        unsafe { libc::pwrite(FILE.load(Ordering::Relaxed), words.as_ptr().cast(), size, 0) };
    usize::try_from(written) == Ok(size)
}

/// This worker takes in tunnels from here on. Whether it could say so.
pub fn enter() -> bool {
    for (_, descriptor) in VARIABLES {
        // SAFETY: it is the channel's; what a worker may execute has no use for it.
        unsafe {
            libc::fcntl(
                descriptor.load(Ordering::Relaxed),
                libc::F_SETFD,
                libc::FD_CLOEXEC,
            )
        };
    }
    let own = GENERATION.load(Ordering::Relaxed);
    ask(libc::F_SETLK, libc::F_RDLCK, own, 1).is_some()
}

/// It does no more.
pub fn leave() {
    let own = GENERATION.load(Ordering::Relaxed);
    let _ = ask(libc::F_SETLK, libc::F_UNLCK, own, 1);
}

/// It sends its own from here on, and takes back what nobody takes in; or it does no more.
pub fn sends(does: bool) {
    let own = GENERATION.load(Ordering::Relaxed);
    let kind = if does { libc::F_RDLCK } else { libc::F_UNLCK };
    let _ = ask(libc::F_SETLK, kind, SENDERS + own, 1);
}

/// Whether another worker does.
pub fn has_sender() -> bool {
    is_locked(SENDERS, MASTERS - SENDERS)
}

/// Whether a worker of another configuration takes in tunnels.
pub fn has_other() -> bool {
    let own = GENERATION.load(Ordering::Relaxed);
    has_newer() || is_locked(0, own)
}

/// Whether one of a newer configuration does: then what is in the channel is for that.
pub fn has_newer() -> bool {
    let next = GENERATION.load(Ordering::Relaxed).saturating_add(1);
    is_locked(next, SENDERS - next)
}

/// Whether a newer configuration has come into force, so that workers of it are there or will be soon: not where an upgrade
/// was rolled back, whose master is no more.
pub fn is_superseded() -> bool {
    read_generation().is_some_and(|last| {
        last > GENERATION.load(Ordering::Relaxed) && is_locked(MASTERS + last, 1)
    })
}

/// Whether another process holds a lock within so many bytes from here.
fn is_locked(start: i64, len: i64) -> bool {
    let held = ask(libc::F_GETLK, libc::F_WRLCK, start, len);
    held.is_some_and(|lock| libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// Asks the kernel about a lock, or for one. `None`: it can't, or not now.
fn ask(command: libc::c_int, kind: libc::c_int, start: i64, len: i64) -> Option<libc::flock> {
    // SAFETY: all zeros is a lock.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = len as libc::off_t;
    // SAFETY: the kernel reads a lock, writes one, and does not wait.
    let status = unsafe { libc::fcntl(FILE.load(Ordering::Relaxed), command, &raw mut lock) };
    (status == 0).then_some(lock)
}

/// Whether there is room for another message.
pub fn has_room() -> bool {
    is_ready(sending(), libc::POLLOUT)
}

/// Whether all that was sent has been received.
pub fn is_empty() -> bool {
    !is_ready(receiving(), libc::POLLIN)
}

fn is_ready(socket: libc::c_int, events: libc::c_short) -> bool {
    let mut asked = libc::pollfd {
        fd: socket,
        events,
        revents: 0,
    };
    // SAFETY: one descriptor is asked about, and not waited for.
    let count = unsafe { libc::poll(&raw mut asked, 1, 0) };
    count == 1 && asked.revents & events != 0
}
