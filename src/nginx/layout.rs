//! What must hold of the bit fields in nginx's structures for the generated accessors to be right.
//!
//! C lets no bit field cross a boundary of its type, a word of four bytes. bindgen counts the boundaries
//! from where a run of fields begins. That is the same if the run begins on one, or lies within one
//! word. In `ngx_http_request_t` it does not, from nginx 1.29.3 on: so none of that structure's
//! are used.

use nginx_sys::{
    ngx_buf_t, ngx_connection_t, ngx_event_t, ngx_http_addr_conf_t, ngx_http_connection_t,
    ngx_http_core_loc_conf_t, ngx_http_headers_in_t, ngx_http_upstream_conf_t, ngx_http_upstream_t,
    ngx_http_variable_value_t, ngx_peer_connection_t,
};

const WORD: usize = 4;

macro_rules! assert_right {
    ($($structure:ty),* $(,)?) => {
        $(const _: () = assert!(
            core::mem::offset_of!($structure, _bitfield_1) % WORD == 0
                || core::mem::offset_of!($structure, _bitfield_1) % WORD
                    + size_of_field(|s: &$structure| &s._bitfield_1)
                    <= WORD,
            concat!("the bit fields of ", stringify!($structure), " are elsewhere")
        );)*
    };
}

const fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

assert_right!(
    ngx_buf_t,
    ngx_connection_t,
    ngx_event_t,
    ngx_http_addr_conf_t,
    ngx_http_connection_t,
    ngx_http_core_loc_conf_t,
    ngx_http_headers_in_t,
    ngx_http_upstream_conf_t,
    ngx_http_upstream_t,
    ngx_http_variable_value_t,
    ngx_peer_connection_t,
);

#[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
assert_right!(nginx_sys::ngx_ssl_connection_t);

#[cfg(ngx_feature = "http_v2")]
assert_right!(
    nginx_sys::ngx_http_v2_connection_t,
    nginx_sys::ngx_http_v2_out_frame_t,
    nginx_sys::ngx_http_v2_stream_t,
);
