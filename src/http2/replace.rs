//! A GET in the place of an extended CONNECT.

use nginx_sys::{
    ngx_encode_base64, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_v2_connection_t,
    ngx_random, ngx_str_t,
};
use websocket_protocol::http2::{
    BROKEN_BLOCK, Block, FrameHeader, KEY_SIZE, asks_for_websocket, header_frame, rewrite,
    rewritten_size,
};

use super::bytes::Bytes;
use super::functions;
use super::hpack::Hpack;

/// Writes the frame of a GET for an extended CONNECT. Whether the block is one; `None`: there is no memory.
///
/// # Safety
/// The connection must be open, and nginx have read all that came before the block.
pub unsafe fn replace(
    h2c: *mut ngx_http_v2_connection_t,
    block: Block<'_>,
    reply: &mut Bytes,
) -> Option<bool> {
    // SAFETY: the caller vouches for the connection.
    let (mut table, limit, log) = unsafe {
        if (*h2c).goaway() != 0 {
            return Some(false);
        }
        let hc = (*h2c).http_connection;
        let servers = (*(*hc).conf_ctx).srv_conf;
        let server = *servers.add(ngx_http_core_module.ctx_index);
        let bounds = (*server.cast::<ngx_http_core_srv_conf_t>()).large_client_header_buffers;
        (
            Hpack::new(h2c, functions::get()?)?,
            bounds
                .size
                .saturating_mul(usize::try_from(bounds.num).ok()?)
                .min(MOST),
            (*(*h2c).connection).log,
        )
    };
    let joined = table.memory(block.size())?;
    block.join(joined);
    if !asks_for_websocket(joined, &mut table) {
        return Some(false);
    }
    let room = FrameHeader::SIZE + rewritten_size(joined.len(), limit);
    let place = reply.zeros(room, log).ok()?;
    let (head, body) = place.split_at_mut_checked(FrameHeader::SIZE)?;
    let length = rewrite(joined, &mut table, limit, &key(), body);
    let length = length.unwrap_or_else(|| {
        // nginx ends the connection.
        for (place, byte) in body.iter_mut().zip(BROKEN_BLOCK) {
            *place = *byte;
        }
        BROKEN_BLOCK.len()
    });
    head.copy_from_slice(&header_frame(block.stream, length as u32));
    reply.truncate(FrameHeader::SIZE + length);
    Some(true)
}

/// The most bytes of fields: what they become has to fit into one frame.
const MOST: usize = 8 << 20;

/// A key for the upstream: RFC 8441 has none.
fn key() -> [u8; KEY_SIZE] {
    let mut nonce = [0_u8; 16];
    for byte in &mut nonce {
        *byte = (ngx_random() >> 7) as u8;
    }
    let mut key = [0_u8; KEY_SIZE];
    let mut source = ngx_str_t {
        len: nonce.len(),
        data: nonce.as_mut_ptr(),
    };
    let mut encoded = ngx_str_t {
        len: key.len(),
        data: key.as_mut_ptr(),
    };
    // SAFETY: sixteen bytes become twenty-four.
    unsafe { ngx_encode_base64(&raw mut encoded, &raw mut source) };
    key
}
