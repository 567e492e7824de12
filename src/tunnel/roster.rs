//! Which servers the configuration in force has, for the workers of those before it. These have nothing of
//! it, and are told that they are to exit, and no more.
//!
//! It is in a file without a name: the master writes it, and all that came after its first writing can read
//! it, among them another binary and its workers.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use core::{iter, slice};

use nginx_sys::{NGX_LOG_ALERT, ngx_calloc, ngx_cycle_t, ngx_log_t, ngx_test_config};
use websocket_zone::Roster;

use crate::nginx::block::{Block, Server, blocks};
use crate::nginx::{inherit, log};

/// The file; negative where there is none. It stays as long as the process.
static FILE: AtomicI32 = AtomicI32::new(-1);

const VARIABLE: &CStr = c"NGX_WEBSOCKET_ROSTER";

/// A configuration is in force, or only tested. `is_needed`: some of its tunnels will have to know of the
/// one that comes after it.
///
/// # Safety
/// `cycle` must be the one that nginx gives to `init_module`.
pub unsafe fn publish(cycle: *mut ngx_cycle_t, is_needed: bool) {
    // SAFETY: a word that only this thread writes.
    if unsafe { ngx_test_config } != 0 {
        return;
    }
    let file = file(is_needed);
    if file.is_none() && !is_needed {
        return;
    }
    // SAFETY: the caller vouches for the cycle, which has a log.
    let is_written = unsafe {
        file.is_some_and(|file| {
            inherit::hand_over(cycle, VARIABLE, file);
            write(cycle, file)
        })
    };
    if !is_written {
        let text = "no memory for the list of servers: websocket_upstream_drain closes nothing";
        // SAFETY: as above.
        log::cycle(
            unsafe { (*cycle).log },
            NGX_LOG_ALERT,
            format_args!("{text}"),
        );
    }
}

/// The one there was, that of the binary before, or a new one where it is needed.
fn file(is_needed: bool) -> Option<libc::c_int> {
    static HAS_STARTED: AtomicBool = AtomicBool::new(false);
    let inherited = || {
        let file = inherit::inherited(VARIABLE)?;
        // What else it may be is not ours.
        head(file).map(|_| file)
    };
    let is_first = !HAS_STARTED.swap(true, Ordering::Relaxed);
    let before = Some(FILE.load(Ordering::Relaxed)).filter(|file| *file >= 0);
    let file = before.or_else(|| is_first.then(inherited).flatten());
    let file = file.or_else(|| is_needed.then(create).flatten())?;
    FILE.store(file, Ordering::Relaxed);
    Some(file)
}

fn create() -> Option<libc::c_int> {
    // SAFETY: the name is a string. The kernel's own call: not every libc has a function for it.
    let file = unsafe { libc::syscall(libc::SYS_memfd_create, c"websocket_roster".as_ptr(), 0) };
    libc::c_int::try_from(file).ok().filter(|file| *file >= 0)
}

/// Whether there was room for it.
///
/// # Safety
/// As [`publish`].
unsafe fn write(cycle: *mut ngx_cycle_t, file: libc::c_int) -> bool {
    // SAFETY: the caller vouches for the cycle.
    let (servers, log) = unsafe { (blocks(cycle).flat_map(served), (*cycle).log) };
    let Some(mut memory) = Words::new(Roster::HEAD.saturating_add(servers.clone().count()), log)
    else {
        return false;
    };
    let words = memory.get_mut();
    for (place, word) in words.iter_mut().skip(Roster::HEAD).zip(servers) {
        *place = word;
    }
    let before = head(file).map_or(0, |(number, _)| number);
    Roster::make(words, before.wrapping_add(1));
    let size = size_of_val(words);
    // SAFETY: the words are as many.
    let written = unsafe { libc::pwrite(file, words.as_ptr().cast(), size, 0) };
    usize::try_from(written) == Ok(size)
}

/// What a block sends requests to: itself, each address, and each name that is resolved again and again.
fn served(block: Block<'_>) -> impl Iterator<Item = u64> + Clone {
    let up = block.servers().filter(|server| !server.is_down());
    let addresses = up.clone().flat_map(Server::addresses);
    let names = up.filter(|server| server.is_resolved()).map(Server::name);
    iter::once(ITSELF)
        .chain(addresses)
        .chain(names)
        .map(move |server| Roster::word(block.name(), server))
}

/// In the place of a server: that the block is there.
const ITSELF: &[u8] = b"";

/// What this worker has read, since it is to exit.
struct Known {
    roster: Roster<'static>,
    /// Where that is.
    _memory: Words,
}

struct Place(UnsafeCell<Option<Known>>);

// SAFETY: a worker is one thread.
unsafe impl Sync for Place {}

static KNOWN: Place = Place(UnsafeCell::new(None));

fn known() -> Option<Roster<'static>> {
    // SAFETY: a worker is one thread, and nothing of it is kept beyond a question.
    unsafe { (*KNOWN.0.get()).as_ref() }.map(|known| known.roster)
}

/// Looks which configuration is in force. Whether it is another one than before.
pub fn look(log: *mut ngx_log_t) -> bool {
    match read_known(log) {
        Some(known) => {
            // SAFETY: as in known().
            unsafe { *KNOWN.0.get() = Some(known) };
            true
        }
        None => false,
    }
}

/// The worker exits.
pub fn exit_process() {
    // SAFETY: as in known().
    unsafe { *KNOWN.0.get() = None };
}

/// `None` where it is known already, or cannot be read: if the master is about to write, there will be
/// another look.
fn read_known(log: *mut ngx_log_t) -> Option<Known> {
    let file = FILE.load(Ordering::Relaxed);
    let (number, count) = head(file)?;
    if known().is_some_and(|known| known.number == number) {
        return None;
    }
    let mut memory = Words::new(count, log)?;
    if !read(file, memory.get_mut()) {
        return None;
    }
    // SAFETY: they stay where they are, and are written to no more, as long as the memory is kept.
    let words = unsafe { slice::from_raw_parts(memory.start, memory.count) };
    Some(Known {
        roster: Roster::open(words)?,
        _memory: memory,
    })
}

/// Whether a server of a block, which a tunnel leads to, is one that the configuration in force has left.
pub fn is_left(block: Block<'_>, address: &[u8]) -> bool {
    let Some(known) = known() else {
        return false;
    };
    let has = |server: &[u8]| known.has(block.name(), server);
    let is_its = |server: Server<'_>| server.addresses().any(|its| its == address);
    if block.servers().any(is_its) {
        return !has(address);
    }
    // An address that a name had while nginx ran, or one that another module has chosen.
    let mut names = block
        .servers()
        .filter(|server| server.is_resolved())
        .peekable();
    match names.peek() {
        Some(_) => !names.any(|server| has(server.name())),
        None => !has(ITSELF),
    }
}

fn head(file: libc::c_int) -> Option<(u64, usize)> {
    let mut words = [0; Roster::HEAD];
    read(file, &mut words).then(|| Roster::head(&words))?
}

/// Whether there are so many words.
fn read(file: libc::c_int, words: &mut [u64]) -> bool {
    let size = size_of_val(words);
    // SAFETY: the words are as many; a descriptor that is none, or is of another kind, is an error.
    let read = unsafe { libc::pread(file, words.as_mut_ptr().cast(), size, 0) };
    usize::try_from(read) == Ok(size)
}

/// Memory for words, which are zero at first.
struct Words {
    start: *mut u64,
    count: usize,
}

impl Words {
    fn new(count: usize, log: *mut ngx_log_t) -> Option<Self> {
        let size = count.checked_mul(size_of::<u64>())?;
        // SAFETY: the log is a cycle's.
        let start = unsafe { ngx_calloc(size, log) }.cast::<u64>();
        (!start.is_null()).then_some(Self { start, count })
    }

    fn get_mut(&mut self) -> &mut [u64] {
        // SAFETY: new() made room for so many.
        unsafe { slice::from_raw_parts_mut(self.start, self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: new() got it, and nothing of it is in use.
        unsafe { libc::free(self.start.cast()) };
    }
}
