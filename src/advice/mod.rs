//! What `nginx -t` warns of: what cannot work, does nothing, or does something else than it seems, in
//! the configuration as it is after the merge.

mod effect;
mod foreign;
mod headers;
mod http2;
mod set;
mod subrequests;
mod times;
mod warnings;

use nginx_sys::ngx_conf_t;

use crate::conf::MainConf;
use crate::inject::fields::Modules;
use warnings::Advice;

pub use effect::warn_without_websocket;
pub use times::check_drains;

/// Every level has been merged, and some are on. Who does not use the module is not advised by it.
///
/// # Safety
/// `cf` must be in the http context, after the merges.
pub unsafe fn warn(cf: *mut ngx_conf_t, main: &MainConf, modules: &Modules) {
    // SAFETY: the caller vouches for cf.
    let advice = unsafe { Advice::new(cf, main, modules) };
    effect::warn(&advice);
    headers::warn(&advice);
    http2::warn(&advice);
    times::warn(&advice);
}
