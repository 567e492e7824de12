//! Descriptors that a new binary inherits. It shares nothing with the one that it is to take the place of but
//! those, which stay open over `exec`, and its environment, which tells their numbers; so nginx does with
//! listening sockets.

use core::ffi::CStr;
use core::str;

use nginx_sys::{ngx_core_conf_t, ngx_core_module, ngx_cycle_t, ngx_str_t};

use super::pool;

/// Tells the next binary of a file, by a variable of its environment: nginx gives it the variables of the
/// configuration in force.
///
/// # Safety
/// `cycle` must be the one that nginx gives.
pub unsafe fn hand_over(cycle: *mut ngx_cycle_t, variable: &CStr, file: libc::c_int) {
    // SAFETY: the core module's configuration is there as long as the cycle; a variable is its name,
    // and behind that '=' and a value that ends with a NUL.
    unsafe {
        let core = *(*cycle).conf_ctx.add(ngx_core_module.index);
        let environment = &raw mut (*core.cast::<ngx_core_conf_t>()).env;
        let name = variable.to_str().unwrap_or_default();
        let text = pool::format((*cycle).pool, format_args!("{name}={file}\0"));
        if text.data.is_null() {
            return;
        }
        pool::push(
            environment,
            ngx_str_t {
                len: name.len(),
                data: text.data,
            },
        );
    }
}

/// The file that the binary before has told of. It is there when nginx starts, and never again.
pub fn inherited(variable: &CStr) -> Option<libc::c_int> {
    str::from_utf8(environment(variable)?)
        .ok()?
        .parse()
        .ok()
        .filter(|file| *file > 2)
}

/// The value of a variable of the environment.
fn environment(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: NULL, or a string that stays as it is while nginx starts: nothing else runs.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}
