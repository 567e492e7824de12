//! Who is alive: each worker has a lock on a byte of the zone's file, which the kernel takes away when the
//! process is no more, whatever ended it.

use core::sync::atomic::{AtomicI32, Ordering};

use websocket_zone::Owners;

/// The zone's file, by a descriptor of this process.
#[derive(Clone, Copy)]
pub struct Locks(pub libc::c_int);

impl Owners for Locks {
    fn take(&self, slot: usize) -> bool {
        self.lock(slot, libc::F_WRLCK)
    }

    fn give_back(&self, slot: usize) {
        self.lock(slot, libc::F_UNLCK);
    }
}

impl Locks {
    /// These locks are the process's, not the descriptor's, so that a child has none of its parent's. They
    /// would go if any descriptor of the file were closed: nothing else has one.
    fn lock(self, slot: usize, kind: libc::c_int) -> bool {
        // SAFETY: all zeros is a lock.
        let mut lock: libc::flock = unsafe { core::mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = slot as libc::off_t;
        lock.l_len = 1;
        // SAFETY: the kernel reads a lock, and does not wait.
        unsafe { libc::fcntl(self.0, libc::F_SETLK, &raw const lock) == 0 }
    }
}

/// The descriptor of the zone's file; negative where there is none.
pub(super) static FILE: AtomicI32 = AtomicI32::new(-1);

pub(super) fn locks() -> Locks {
    Locks(FILE.load(Ordering::Relaxed))
}
