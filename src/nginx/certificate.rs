//! The client's certificate, as nginx asks for it and has found it.

use core::ffi::c_void;
use core::ptr;

use nginx_sys::{NGX_HTTP_SRV_CONF_OFFSET, ngx_conf_set_enum_slot, ngx_cycle, ngx_uint_t};

use super::{Request, conf, value};

/// What of it makes nginx refuse a request.
pub enum Refused {
    Missing,
    Invalid,
}

/// Whether nginx refuses a request for its client's certificate, as far as that can be told for sure.
/// `optional_no_ca` lets some that have failed pass, by OpenSSL's numbers.
pub fn refused(r: Request<'_>) -> Option<Refused> {
    const ON: ngx_uint_t = 1;
    const OPTIONAL: ngx_uint_t = 2;
    match (asked(r)?, value::named(r, c"ssl_client_verify")) {
        (ON, b"NONE") => Some(Refused::Missing),
        (ON | OPTIONAL, [b'F', b'A', b'I', b'L', b'E', b'D', b':', ..]) => Some(Refused::Invalid),
        _ => None,
    }
}

/// `ssl_verify_client` of the request's server, as a number. The module's structure is not in each
/// nginx's headers, but its command says where the field is.
fn asked(r: Request<'_>) -> Option<ngx_uint_t> {
    // SAFETY: a worker's cycle has its modules initialized, and a request a structure of each in its
    // server; the command table says that such a field lies at this offset.
    unsafe {
        let module = conf::module(ngx_cycle, c"ngx_http_ssl_module")?;
        let command = conf::command(module, b"ssl_verify_client")?;
        let is_known = command.conf == NGX_HTTP_SRV_CONF_OFFSET
            && command
                .set
                .is_some_and(|set| ptr::fn_addr_eq(set, ngx_conf_set_enum_slot as Setter));
        let server: *mut c_void = *(*r.as_ptr()).srv_conf.add(module.ctx_index);
        is_known.then(|| server.byte_add(command.offset).cast::<ngx_uint_t>().read())
    }
}

type Setter = unsafe extern "C" fn(
    *mut nginx_sys::ngx_conf_t,
    *mut nginx_sys::ngx_command_t,
    *mut c_void,
) -> *mut core::ffi::c_char;
