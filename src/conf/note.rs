//! Directives as they were written, each at its level.

use core::cell::Cell;
use core::iter;
use core::ptr::{self, NonNull};

use nginx_sys::{ngx_command_t, ngx_conf_t, ngx_palloc};

use crate::nginx::conf::{self, Place};
use crate::nginx::string::{self, Text};

/// Whether a directive's first word asks for nothing.
pub(super) fn is_off(word: &[u8]) -> bool {
    matches!(word, b"off" | b"0")
}

/// Where a directive stands, and what has been found of it.
pub struct Note {
    name: &'static [u8],
    pub place: Place,
    /// Whether it says `off`, or 0: it asks for nothing.
    pub is_off: bool,
    /// Whether `websocket on` holds at its level, or at one below.
    pub is_reached: Cell<bool>,
    /// Whether it makes a difference anywhere.
    pub is_used: Cell<bool>,
    told: Cell<bool>,
    /// The offset of the field that it sets.
    pub(super) field: usize,
    next: Cell<*const Note>,
}

impl Note {
    /// The directive's name.
    pub fn name(&self) -> Text<'static> {
        Text(self.name)
    }

    /// Whether this is asked for the first time, so that a warning is given once.
    pub fn is_news(&self) -> bool {
        !self.told.replace(true)
    }

    /// Of the directive that is being read. `None` when there is no memory.
    ///
    /// # Safety
    /// Both must be what nginx gave to the directive's setter.
    unsafe fn being_read(
        cf: *mut ngx_conf_t,
        command: *const ngx_command_t,
    ) -> Option<NonNull<Self>> {
        // SAFETY: the caller vouches for both. A command's name is a constant, and a note is plain
        // data in fresh memory of the right size.
        unsafe {
            let note = NonNull::new(ngx_palloc((*cf).pool, size_of::<Self>()).cast::<Self>())?;
            let value = conf::words(cf).get(1).map(|word| string::bytes(word));
            note.write(Self {
                name: string::bytes(&(*command).name),
                place: Place::being_read(cf),
                is_off: value.is_some_and(is_off),
                is_reached: Cell::new(false),
                is_used: Cell::new(false),
                told: Cell::new(false),
                field: (*command).offset,
                next: Cell::new(ptr::null()),
            });
            Some(note)
        }
    }
}

/// The directives of one level, in the order in which they were read.
pub struct Notes {
    first: Cell<*const Note>,
}

impl Notes {
    pub const fn none() -> Self {
        Self {
            first: Cell::new(ptr::null()),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        // SAFETY: NULL, or a note that lives as long as the configuration.
        let at = |note: *const Note| unsafe { note.as_ref() };
        iter::successors(at(self.first.get()), move |note| at(note.next.get()))
    }

    /// Notes the directive that is being read. `None` when there is no memory.
    ///
    /// # Safety
    /// Both must be what nginx gave to the directive's setter.
    pub unsafe fn add(&self, cf: *mut ngx_conf_t, command: *const ngx_command_t) -> Option<()> {
        // SAFETY: the caller vouches for both.
        let note = unsafe { Note::being_read(cf, command) }?.as_ptr();
        match self.iter().last() {
            Some(last) => last.next.set(note),
            None => self.first.set(note),
        }
        Some(())
    }
}
