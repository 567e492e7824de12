//! This module's place in nginx's arrays of configurations and contexts.

use core::sync::atomic::{AtomicUsize, Ordering};

static INDEX: AtomicUsize = AtomicUsize::new(0);

/// `ctx_index` of the module. nginx keeps it over reloads.
pub fn index() -> usize {
    INDEX.load(Ordering::Relaxed)
}

/// To be called as the first thing that is done for a configuration.
pub fn set_index(index: usize) {
    INDEX.store(index, Ordering::Relaxed);
}
