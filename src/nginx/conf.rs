//! Reading a configuration: the modules of a cycle, their commands and their locations' structures.

use core::ffi::{CStr, c_char, c_void};
use core::{iter, ptr};

use nginx_sys::{
    ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_module_t, ngx_str_t,
    ngx_uint_t,
};

use super::string;

pub const OK: *mut c_char = ptr::null_mut();
/// nginx's `NGX_CONF_ERROR`: the reason has been logged.
pub const ERROR: *mut c_char = usize::MAX as *mut c_char;

pub const UNSET: usize = usize::MAX;
pub const UNSET_FLAG: isize = -1;

/// A setting's value at this level, else the one above, else the default.
pub fn merge<T: Copy + PartialEq>(value: &mut T, above: T, unset: T, default: T) {
    if *value == unset {
        *value = if above == unset { default } else { above };
    }
}

/// The modules of a cycle, in nginx's order.
///
/// # Safety
/// `cycle` must be valid, with its modules initialized.
pub unsafe fn modules<'a>(cycle: *const ngx_cycle_t) -> impl Iterator<Item = &'a ngx_module_t> {
    // SAFETY: cycle->modules is an array that ends with NULL.
    let mut next = unsafe { (*cycle).modules };
    iter::from_fn(move || {
        // SAFETY: not past the NULL.
        let module = unsafe { (*next).as_ref() }?;
        // SAFETY: this element was not the NULL.
        next = unsafe { next.add(1) };
        Some(module)
    })
}

/// The module of that name, if this nginx has it.
///
/// # Safety
/// As [`modules`].
pub unsafe fn module<'a>(cycle: *const ngx_cycle_t, name: &CStr) -> Option<&'a ngx_module_t> {
    // SAFETY: the caller vouches for the cycle; every module in it has been given its name.
    unsafe {
        modules(cycle).find(|module| !module.name.is_null() && CStr::from_ptr(module.name) == name)
    }
}

/// A module's command of that name.
///
/// # Safety
/// `module` must be an initialized nginx module.
pub unsafe fn command<'a>(module: &ngx_module_t, name: &[u8]) -> Option<&'a ngx_command_t> {
    let mut next = module.commands;
    if next.is_null() {
        return None;
    }
    loop {
        // SAFETY: the array ends with a command whose name is empty.
        let command = unsafe { &*next };
        if command.name.len == 0 {
            return None;
        }
        // SAFETY: a command's name is a constant.
        if unsafe { string::bytes(&command.name) } == name {
            return Some(command);
        }
        // SAFETY: this was not the last.
        next = unsafe { next.add(1) };
    }
}

/// The structure that the module of `index` keeps for the whole of `http {}`.
///
/// # Safety
/// `cf` must be in an http context.
pub unsafe fn main(cf: *const ngx_conf_t, index: usize) -> *mut c_void {
    // SAFETY: in an http context `ctx` is an ngx_http_conf_ctx_t with a slot for each module.
    unsafe {
        *(*(*cf).ctx.cast::<ngx_http_conf_ctx_t>())
            .main_conf
            .add(index)
    }
}

/// The structure that the module of `index` keeps for the http level itself, which is never merged.
///
/// # Safety
/// `cf` must be in the http context, and not in a server.
pub unsafe fn http(cf: *const ngx_conf_t, index: usize) -> *mut c_void {
    // SAFETY: as in main().
    unsafe {
        *(*(*cf).ctx.cast::<ngx_http_conf_ctx_t>())
            .loc_conf
            .add(index)
    }
}

/// The words of the directive being read, its name first.
///
/// # Safety
/// `cf` must be the one that nginx gave to a directive's setter.
pub unsafe fn words<'a>(cf: *const ngx_conf_t) -> &'a [ngx_str_t] {
    // SAFETY: while a directive is read, `args` holds its words.
    unsafe { super::pool::elements((*cf).args) }
}

/// A line of the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place {
    file: *const u8,
    file_len: usize,
    line: ngx_uint_t,
}

impl Place {
    pub const NOWHERE: Self = Self {
        file: ptr::null(),
        file_len: 0,
        line: 0,
    };

    pub fn new(file: ngx_str_t, line: ngx_uint_t) -> Self {
        Self {
            file: file.data,
            file_len: file.len,
            line,
        }
    }

    /// The line being read.
    ///
    /// # Safety
    /// `cf` must be the one that nginx gave to a directive's setter.
    pub unsafe fn being_read(cf: *const ngx_conf_t) -> Self {
        // SAFETY: while a directive is read there is a file it is read from.
        unsafe { Self::new((*(*cf).conf_file).file.name, (*(*cf).conf_file).line) }
    }

    pub fn file<'a>(&self) -> &'a [u8] {
        let name = ngx_str_t {
            len: self.file_len,
            data: self.file.cast_mut(),
        };
        // SAFETY: a file's name lives as long as the configuration.
        unsafe { string::bytes(&name) }
    }

    pub fn line(&self) -> ngx_uint_t {
        self.line
    }
}
