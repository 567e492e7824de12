//! How long a connection has been there. nginx notes when it began from 1.19.10 on.

use nginx_sys::{ngx_connection_t, ngx_msec_t};

/// Milliseconds. `None`: this nginx doesn't know.
#[cfg(nginx_since = "1.19.10")]
pub fn of(connection: &ngx_connection_t) -> Option<ngx_msec_t> {
    Some(super::clock::now().wrapping_sub(connection.start_time))
}

#[cfg(not(nginx_since = "1.19.10"))]
pub fn of(_: &ngx_connection_t) -> Option<ngx_msec_t> {
    None
}

/// A connection that has come in another way than nginx's has been there for so long, milliseconds.
#[cfg(nginx_since = "1.19.10")]
pub fn set(connection: &mut ngx_connection_t, age: ngx_msec_t) {
    connection.start_time = super::clock::now().wrapping_sub(age);
}

#[cfg(not(nginx_since = "1.19.10"))]
pub fn set(_: &mut ngx_connection_t, _: ngx_msec_t) {}
