//! A directive as it was written, shared by all levels in which it is in force.

use core::cell::Cell;
use core::ptr::{self, NonNull};

use nginx_sys::{ngx_conf_t, ngx_palloc};

use crate::nginx::conf::Place;

/// Where a directive stands, and what has been found of it.
pub struct Note {
    pub place: Place,
    /// Whether it makes a difference anywhere.
    pub is_used: Cell<bool>,
    told: Cell<bool>,
}

impl Note {
    /// Of the directive that is being read; NULL when there is no memory.
    ///
    /// # Safety
    /// `cf` must be the one that nginx gave to a directive's setter.
    pub unsafe fn being_read(cf: *mut ngx_conf_t) -> *const Self {
        // SAFETY: the caller vouches for cf.
        let note = unsafe { ngx_palloc((*cf).pool, size_of::<Self>()) }.cast::<Self>();
        let Some(note) = NonNull::new(note) else {
            return ptr::null();
        };
        // SAFETY: fresh memory of the right size; as above.
        unsafe {
            note.write(Self {
                place: Place::being_read(cf),
                is_used: Cell::new(false),
                told: Cell::new(false),
            });
        }
        note.as_ptr()
    }

    /// Whether this is asked for the first time, so that a warning is given once.
    pub fn is_news(&self) -> bool {
        !self.told.replace(true)
    }
}
