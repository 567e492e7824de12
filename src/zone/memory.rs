//! Where the zone's memory comes from: a file without a name, which old and new workers, and old and new
//! binaries, have mapped at once.
//!
//! nginx's own shared memory is not to be found again by a new binary. So the descriptor of this file is
//! handed over like those of listening sockets.

use core::ffi::CStr;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use nginx_sys::{NGX_LOG_ALERT, NGX_LOG_NOTICE, ngx_cycle_t};
use websocket_zone::{Memory, Zone};

use super::clock::wall;
use super::owners::FILE;
use crate::conf::{MainConf, ZoneConf};
use crate::nginx::{inherit, log};

/// The mapping; NULL where there is none. The master sets it before it makes workers.
static WORDS: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What all workers count in, if there is a zone.
pub fn zone() -> Option<Zone<'static>> {
    Zone::open(words(
        WORDS.load(Ordering::Relaxed),
        COUNT.load(Ordering::Relaxed),
    )?)
}

fn words(start: *mut AtomicU64, count: usize) -> Option<&'static [AtomicU64]> {
    // SAFETY: a mapping of so many words is there as long as it is the one that is used, and whoever
    // writes to it from another process does so by atomics, too.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start, count) })
}

/// A configuration is in force. Sees to it that there is the zone that it wants: the one
/// there was, the one of the binary before, or a new one.
///
/// # Safety
/// `cycle` must be the one that nginx gives.
pub(super) unsafe fn attach(cycle: *mut ngx_cycle_t) {
    // SAFETY: the caller vouches for the cycle.
    let conf = unsafe { MainConf::of_cycle(cycle) }.and_then(MainConf::zone);
    let before = Mapping::current().or_else(Mapping::inherited);
    let Some(conf) = conf else {
        if let Some(before) = before {
            before.leave();
        }
        return;
    };
    let had_one = before.is_some();
    let mapping = match before {
        Some(before) if before.is_for(&conf) => Some(before),
        before => {
            if let Some(before) = before {
                before.leave();
            }
            Mapping::create(&conf)
        }
    };
    // SAFETY: a cycle has a log.
    let log = unsafe { (*cycle).log };
    let name = conf.name.escape_ascii();
    match mapping {
        Some(mapping) => {
            if had_one && mapping.is_new {
                log::cycle(
                    log,
                    NGX_LOG_NOTICE,
                    format_args!(
                        "websocket zone \"{name}\" is not as it was: its counters begin at zero"
                    ),
                );
            }
            mapping.enter();
            // SAFETY: the caller vouches for the cycle.
            unsafe { inherit::hand_over(cycle, VARIABLE, mapping.file) };
        }
        None => {
            log::cycle(
                log,
                NGX_LOG_ALERT,
                format_args!("no memory for websocket zone \"{name}\": nothing is counted"),
            );
        }
    }
}

/// Whether the zone that there is, or that there is none, is what a configuration wants.
pub(super) fn is_for(main: Option<&MainConf>) -> bool {
    match (Mapping::current(), main.and_then(MainConf::zone)) {
        (Some(mapping), Some(conf)) => mapping.is_for(&conf),
        (mapping, conf) => mapping.is_none() && conf.is_none(),
    }
}

fn wanted<'a>(conf: &ZoneConf<'a>) -> Memory<'a> {
    Memory {
        name: conf.name,
        history: conf.history,
        started: wall(),
    }
}

#[derive(Clone, Copy)]
struct Mapping {
    file: libc::c_int,
    start: *mut AtomicU64,
    /// Bytes.
    size: usize,
    is_new: bool,
}

impl Mapping {
    fn current() -> Option<Self> {
        let start = WORDS.load(Ordering::Relaxed);
        (!start.is_null()).then(|| Self {
            file: FILE.load(Ordering::Relaxed),
            start,
            size: COUNT.load(Ordering::Relaxed) * size_of::<AtomicU64>(),
            is_new: false,
        })
    }

    /// That of the binary before, which this one is to take the place of. It is there when nginx
    /// starts, and never again.
    fn inherited() -> Option<Self> {
        static HAS_STARTED: AtomicBool = AtomicBool::new(false);
        if HAS_STARTED.swap(true, Ordering::Relaxed) {
            return None;
        }
        let file = inherit::inherited(VARIABLE)?;
        // SAFETY: of any descriptor, or none, this tells the size.
        let size = usize::try_from(unsafe { libc::lseek(file, 0, libc::SEEK_END) }).ok()?;
        let mapping = Self::map(file, size)?;
        if !mapping.words().is_some_and(Zone::is_there) {
            // What else it may be is not ours.
            mapping.unmap();
            return None;
        }
        Some(mapping)
    }

    /// Whether it is what a configuration wants.
    fn is_for(&self, conf: &ZoneConf<'_>) -> bool {
        self.size == conf.size && self.zone().is_some_and(|zone| zone.is_for(&wanted(conf)))
    }

    fn create(conf: &ZoneConf<'_>) -> Option<Self> {
        let size = conf.size;
        // SAFETY: the name is a string. The kernel's own call: not every libc has a function for it.
        let file = unsafe { libc::syscall(libc::SYS_memfd_create, c"websocket_zone".as_ptr(), 0) };
        let file = libc::c_int::try_from(file).ok().filter(|file| *file >= 0)?;
        // SAFETY: the descriptor is ours.
        let has_size = unsafe { libc::ftruncate(file, size as libc::off_t) } == 0;
        let mapping = if has_size {
            Self::map(file, size)
        } else {
            None
        };
        let created = mapping.filter(|mapping| {
            mapping
                .words()
                .is_some_and(|words| Zone::create(words, wanted(conf)).is_some())
        });
        if created.is_none() {
            if let Some(mapping) = mapping {
                mapping.unmap();
            }
            // SAFETY: as above.
            unsafe { libc::close(file) };
        }
        created.map(|mapping| Self {
            is_new: true,
            ..mapping
        })
    }

    fn map(file: libc::c_int, size: usize) -> Option<Self> {
        // SAFETY: a new mapping, anywhere.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file,
                0,
            )
        };
        (start != libc::MAP_FAILED).then(|| Self {
            file,
            start: start.cast(),
            size,
            is_new: false,
        })
    }

    fn words(&self) -> Option<&'static [AtomicU64]> {
        words(self.start, self.size / size_of::<AtomicU64>())
    }

    fn zone(&self) -> Option<Zone<'static>> {
        Zone::open(self.words()?)
    }

    fn unmap(self) {
        // SAFETY: nothing of the mapping is kept. Workers have it on their own.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }

    /// It is the one that is used from now on.
    fn enter(self) {
        FILE.store(self.file, Ordering::Relaxed);
        WORDS.store(self.start, Ordering::Relaxed);
        COUNT.store(self.size / size_of::<AtomicU64>(), Ordering::Relaxed);
    }

    /// It is used by this process no more.
    fn leave(self) {
        FILE.store(-1, Ordering::Relaxed);
        WORDS.store(ptr::null_mut(), Ordering::Relaxed);
        COUNT.store(0, Ordering::Relaxed);
        self.unmap();
        // SAFETY: the descriptor was ours, or given to us by the binary before.
        unsafe { libc::close(self.file) };
    }
}

const VARIABLE: &CStr = c"NGX_WEBSOCKET_ZONE";
