//! A request's upstream.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::slice;

use nginx_sys::{
    NGX_OK, NGX_PEER_NEXT, ngx_connection_t, ngx_http_upstream_conf_t, ngx_http_upstream_t,
    ngx_msec_t, ngx_pfree, ngx_pnalloc, ngx_pool_t, ngx_uint_t,
};

use super::clock::now;
use super::headers::{self, Headers};

/// An upstream of a request that one of nginx's callbacks was given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Upstream<'r> {
    raw: NonNull<ngx_http_upstream_t>,
    life: PhantomData<&'r ngx_http_upstream_t>,
}

impl<'r> Upstream<'r> {
    /// # Safety
    /// `raw` must live as long as `'r`.
    pub unsafe fn new(raw: NonNull<ngx_http_upstream_t>) -> Self {
        Self {
            raw,
            life: PhantomData,
        }
    }

    pub fn as_ptr(self) -> *mut ngx_http_upstream_t {
        self.raw.as_ptr()
    }

    /// The upstream's fields, for a look. Nothing of nginx's may run while it lasts.
    fn fields(&self) -> &ngx_http_upstream_t {
        // SAFETY: the upstream is alive, and the reference ends within the method that asked.
        unsafe { self.raw.as_ref() }
    }

    /// The status of its answer, 0 where there is none.
    pub fn status(self) -> ngx_uint_t {
        self.fields().headers_in.status_n
    }

    /// The headers of its answer.
    pub fn headers(self) -> Headers<'r> {
        // SAFETY: nginx has parsed the answer's headers, which live as long as the request.
        unsafe { Headers::of(&raw const (*self.as_ptr()).headers_in.headers) }
    }

    /// The Location of its answer.
    pub fn redirect(self) -> Option<&'r [u8]> {
        // SAFETY: NULL, or a header of the answer.
        unsafe { (*self.as_ptr()).headers_in.location.as_ref() }.map(headers::value)
    }

    /// The X-Accel-Redirect of its answer.
    pub fn internal_redirect(self) -> Option<&'r [u8]> {
        // SAFETY: NULL, or a header of the answer.
        unsafe { (*self.as_ptr()).headers_in.x_accel_redirect.as_ref() }.map(headers::value)
    }

    /// Whether nginx is to make a tunnel of it.
    pub fn is_upgraded(self) -> bool {
        self.fields().upgrade() != 0
    }

    pub fn clear_upgrade(self) {
        // SAFETY: the upstream is alive.
        unsafe { (*self.as_ptr()).set_upgrade(0) };
    }

    /// Lets go of the server that has answered before nginx would (`ngx_http_upstream_next()`), as of one that has not
    /// failed, and is to be in use as before; one on trial passes. Its connection stays open for nginx to close.
    pub fn acquit_server(self) {
        // SAFETY: the upstream is alive; where a server was chosen it has the functions of who chose it.
        unsafe {
            let u = self.as_ptr();
            let peer = &raw mut (*u).peer;
            let Some(free) = (*peer).free.filter(|_| !(*peer).sockaddr.is_null()) else {
                return;
            };
            if let (Some(state), Some(connection)) =
                ((*u).state.as_mut(), (*peer).connection.as_ref())
            {
                state.bytes_sent = connection.sent;
            }
            (*u).set_keepalive(0);
            free(peer, (*peer).data, NGX_PEER_NEXT as ngx_uint_t);
            (*peer).sockaddr = ptr::null_mut();
        }
    }

    /// How long it has been asked for, milliseconds.
    pub fn waited(self) -> ngx_msec_t {
        now().wrapping_sub(self.fields().start_time)
    }

    /// The settings in force.
    pub fn conf(self) -> *mut ngx_http_upstream_conf_t {
        self.fields().conf
    }

    /// The beginning of the request as nginx has written it for the upstream, headers included;
    /// empty before that. nginx keeps it, to ask the next server the same; but not where it passes a
    /// body on as it comes: then the chain's links are the body's as soon as it is sent.
    pub fn request_head(self, has_body: bool) -> &'r [u8] {
        // SAFETY: NULL, or settings that live as long as the request.
        let is_buffered = unsafe { self.conf().as_ref() }.is_some_and(|c| c.request_buffering != 0);
        if has_body && !is_buffered {
            return &[];
        }
        // SAFETY: NULL, or a chain of buffers that lives as long as the request. The first one was made
        // for the head; its bytes go from its start to its last, whatever has been sent of them. One that
        // has no start stands for bytes that are another's.
        unsafe {
            let Some(first) = self.fields().request_bufs.as_ref() else {
                return &[];
            };
            let (start, last) = ((*first.buf).start, (*first.buf).last);
            match (last as usize).checked_sub(start as usize) {
                Some(len) if len > 0 && !start.is_null() => slice::from_raw_parts(start, len),
                _ => &[],
            }
        }
    }

    /// Frees that beginning, if all of it has gone out and its memory is its own: nobody is asked again.
    /// `pool` is the request's. What log lines quote of it, the address, is copied.
    pub fn forget_request_head(self, has_body: bool, pool: *mut ngx_pool_t) {
        let head = self.request_head(has_body).as_ptr_range();
        // SAFETY: as in request_head(), whose bytes nobody looks at any more; nginx takes any address.
        unsafe {
            let Some(first) = self.fields().request_bufs.as_ref() else {
                return;
            };
            let buffer = &mut *first.buf;
            if head.is_empty() || buffer.pos != buffer.last {
                return;
            }
            let uri = self.fields().uri;
            if head.contains(&uri.data.cast_const()) {
                let copy = ngx_pnalloc(pool, uri.len).cast::<u8>();
                if copy.is_null() {
                    return;
                }
                ptr::copy_nonoverlapping(uri.data, copy, uri.len);
                (*self.as_ptr()).uri.data = copy;
            }
            if ngx_pfree(pool, buffer.start.cast()) == NGX_OK as isize {
                let nothing = ptr::null_mut();
                (buffer.start, buffer.pos) = (nothing, nothing);
                (buffer.last, buffer.end) = (nothing, nothing);
            }
        }
    }

    /// What nginx has read of its answer behind the header.
    pub fn unread(self) -> &'r [u8] {
        let buffer = &self.fields().buffer;
        match (buffer.last as usize).checked_sub(buffer.pos as usize) {
            // SAFETY: nginx has read these bytes into its buffer, which it keeps until it reads anew.
            Some(len) if len > 0 => unsafe { slice::from_raw_parts(buffer.pos, len) },
            _ => &[],
        }
    }

    /// Whether its answer has filled the buffer that its header has to fit into.
    pub fn is_buffer_full(self) -> bool {
        let buffer = &self.fields().buffer;
        buffer.last == buffer.end
    }

    /// Whether `proxy_bind` chooses the local address of its connections.
    pub fn is_bound(self) -> bool {
        !self.fields().peer.local.is_null()
    }

    /// The connection to the server in use.
    pub fn connection(self) -> Option<NonNull<ngx_connection_t>> {
        NonNull::new(self.fields().peer.connection)
    }
}
