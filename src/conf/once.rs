//! A directive that stands once at a level: its words, and the field that they are read into.

use core::ffi::{CStr, c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t, ngx_str_t};

use super::LocationConf;
use super::note::is_off;
use super::refuse::unknown;
use crate::nginx::{conf, string};

/// What nginx has a directive read by.
pub type Setter =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

pub(super) const IS_DUPLICATE: &CStr = c"is duplicate";

pub(super) const NOTHING_BEHIND_OFF: &str = "nothing stands behind \"off\"";

/// The words of the directive that is being read.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub cf: *mut ngx_conf_t,
    /// Its name is the first.
    pub all: &'a [ngx_str_t],
}

impl<'a> Words<'a> {
    /// The word behind the name, which nginx has seen to.
    pub fn first(self) -> &'a [u8] {
        self.behind_name().next().unwrap_or_default()
    }

    /// The parameters behind that one.
    pub fn rest(self) -> impl Iterator<Item = &'a [u8]> {
        self.behind_name().skip(1)
    }

    /// What stands behind a word that asks for nothing.
    fn behind_off(self) -> Option<&'a [u8]> {
        self.rest().next().filter(|_| is_off(self.first()))
    }

    fn behind_name(self) -> impl Iterator<Item = &'a [u8]> {
        let words = self.all.iter().skip(1);
        // SAFETY: words of the configuration.
        words.map(|word| unsafe { string::bytes(word) })
    }
}

/// Reads the directive's words into a field that is still `unset`, and notes where it stands. `read` gives what it
/// has told nginx where it refuses one.
///
/// # Safety
/// The first three must be what nginx gave to the directive's setter, and `field` one of `conf`.
pub(super) unsafe fn once<T: PartialEq>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    field: *mut T,
    unset: T,
    read: impl FnOnce(Words<'_>) -> Result<T, *mut c_char>,
) -> *mut c_char {
    // SAFETY: the caller vouches for them.
    unsafe {
        if *field != unset {
            return IS_DUPLICATE.as_ptr().cast_mut();
        }
        let words = Words {
            cf,
            all: conf::words(cf),
        };
        match (read(words), words.behind_off()) {
            (Ok(value), None) => {
                *field = value;
                note(cf, command, conf)
            }
            (Ok(_), Some(surplus)) => unknown(cf, surplus, NOTHING_BEHIND_OFF),
            (Err(refused), _) => refused,
        }
    }
}

/// Has one of nginx's own setters read the directive, and notes where it stands.
///
/// # Safety
/// The first three must be what nginx gave to the directive's setter, and `read` made for its field.
pub(super) unsafe fn noted(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    read: Setter,
) -> *mut c_char {
    // SAFETY: the caller vouches for them.
    unsafe {
        match read(cf, command, conf) {
            conf::OK => note(cf, command, conf),
            refused => refused,
        }
    }
}

/// # Safety
/// All must be what nginx gave to the directive's setter.
unsafe fn note(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    // SAFETY: the caller vouches for them.
    match unsafe { (*conf.cast::<LocationConf>()).notes.add(cf, command) } {
        Some(()) => conf::OK,
        None => conf::ERROR,
    }
}
