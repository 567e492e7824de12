//! `websocket_handover`

use core::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t};

use super::MainConf;
use super::once::{IS_DUPLICATE, NOTHING_BEHIND_OFF};
use super::refuse::{refuse, unknown};
use crate::nginx::{conf, string};
use crate::types::Handover;

/// `off | on [recheck | trust]`
pub unsafe extern "C" fn set_handover(
    cf: *mut ngx_conf_t,
    _command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own main structure, and a word or two after the name.
    let (main, words) = unsafe { (&mut *conf.cast::<MainConf>(), conf::words(cf)) };
    if main.handover.is_some() {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: words of the configuration.
    let word = |at: usize| words.get(at).map(|word| unsafe { string::bytes(word) });
    main.handover = Some(match (word(1), word(2)) {
        (Some(b"off"), None) => None,
        (Some(b"off"), Some(surplus)) => return unknown(cf, surplus, NOTHING_BEHIND_OFF),
        (Some(b"on"), None | Some(b"recheck")) => Some(Handover::Recheck),
        (Some(b"on"), Some(b"trust")) => Some(Handover::Trust),
        (Some(b"on"), Some(other)) => {
            return unknown(cf, other, "it must be \"recheck\" or \"trust\"");
        }
        _ => return refuse(cf, format_args!("\"on\" or \"off\"")),
    });
    conf::OK
}
