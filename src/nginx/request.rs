//! A request.

use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::{self, NonNull};

use nginx_sys::{
    NGX_DONE, NGX_HTTP_SPECIAL_RESPONSE, NGX_HTTP_SWITCHING_PROTOCOLS, NGX_HTTP_VERSION_9,
    NGX_HTTP_VERSION_20, ngx_del_timer, ngx_http_clean_header, ngx_http_read_client_request_body,
    ngx_http_request_t, ngx_http_upstream_state_t, ngx_int_t, ngx_list_push, ngx_log_t, ngx_msec_t,
    ngx_pfree, ngx_pool_t, ngx_str_t, ngx_table_elt_t, ngx_timeofday, ngx_uint_t,
};

use super::headers::{self, Headers, Name};
use super::{Upstream, age, pool, string, tls};

/// A request that one of nginx's callbacks was given. What it lends lives in the request's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    life: PhantomData<&'r ngx_http_request_t>,
}

impl<'r> Request<'r> {
    /// # Safety
    /// `raw` must be a request that lives as long as `'r`: that of a callback, and no longer than
    /// up to a call that may finalize it.
    pub unsafe fn new(raw: *mut ngx_http_request_t) -> Self {
        Self {
            // SAFETY: nginx gives no callback a request that is NULL.
            raw: unsafe { NonNull::new_unchecked(raw) },
            life: PhantomData,
        }
    }

    pub fn as_ptr(self) -> *mut ngx_http_request_t {
        self.raw.as_ptr()
    }

    /// The request's fields, for a look. Nothing of nginx's may run while it lasts.
    fn fields(&self) -> &ngx_http_request_t {
        // SAFETY: the request is alive, and the reference ends within the method that asked.
        unsafe { self.raw.as_ref() }
    }

    // ---- which request it is ------------------------------------------------

    pub fn is_main(self) -> bool {
        self.fields().main == self.as_ptr()
    }

    pub fn main(self) -> Self {
        // SAFETY: a request's main request lives longer than it.
        unsafe { Self::new(self.fields().main) }
    }

    /// Whether it is the one that its connection's events are for: of a request and its subrequests one
    /// is at a time, and a subrequest in the background never.
    pub fn is_active(self) -> bool {
        // SAFETY: a request has a connection.
        unsafe { (*self.fields().connection).data.cast() == self.as_ptr() }
    }

    /// Whether the body of its answer goes anywhere. nginx has a bit for that, `header_only`, which is to
    /// be seen by who sets it: HEAD; `post_action`, which goes back to HTTP/0.9 when the answer is
    /// out; a subrequest in the background, which nobody waits for; and `auth_request`, which gives its
    /// subrequests a body of their own.
    pub fn takes_body(self) -> bool {
        if self.method() == b"HEAD" || self.http_version() < 1000 {
            return false;
        }
        // SAFETY: a subrequest's parent lives longer than it, and what is postponed is a list.
        unsafe {
            let Some(parent) = self.fields().parent.as_ref() else {
                return true;
            };
            if self.fields().request_body != parent.request_body {
                return false;
            }
            let mut postponed = parent.postponed;
            while let Some(entry) = postponed.as_ref() {
                if entry.request == self.as_ptr() {
                    return true;
                }
                postponed = entry.next;
            }
            false
        }
    }

    /// Whether it is a subrequest that the main request itself has made.
    pub fn is_child_of_main(self) -> bool {
        self.fields().parent == self.fields().main
    }

    /// Whether it is answered with a file, as a location without a handler does: only a file has a time then.
    pub fn is_answered_with_file(self) -> bool {
        let request = self.fields();
        request.content_handler.is_none() && request.headers_out.last_modified_time != -1
    }

    /// Whether it is the page of an error (`error_page`).
    pub fn is_error_page(self) -> bool {
        self.fields().err_status != 0
    }

    /// Whether nginx runs it for `post_action`, when the client's own request is over. nginx says so by
    /// a version whose requests have no headers, so that none of them asks for anything.
    pub fn is_post_action(self) -> bool {
        self.http_version() == NGX_HTTP_VERSION_9 as ngx_uint_t
    }

    // ---- what modules keep for it -------------------------------------------

    /// A module's part of the location that the request is in.
    pub fn location(self, index: usize) -> *mut c_void {
        // SAFETY: a request always has a location's structures, one for each module.
        unsafe { *self.fields().loc_conf.add(index) }
    }

    /// Whether the request is in the location with these structures.
    pub fn is_in(self, location: *mut *mut c_void) -> bool {
        self.fields().loc_conf == location
    }

    /// Puts the request into another location's structures.
    ///
    /// # Safety
    /// `location` must have a structure for each module, and live as long as the configuration.
    pub unsafe fn enter(self, location: *mut *mut c_void) {
        // SAFETY: the request is alive.
        unsafe { (*self.as_ptr()).loc_conf = location };
    }

    pub fn context(self, index: usize) -> *mut c_void {
        // SAFETY: a request has a slot for each module.
        unsafe { *self.fields().ctx.add(index) }
    }

    pub fn set_context(self, index: usize, context: *mut c_void) {
        // SAFETY: a request has a slot for each module.
        unsafe { *self.fields().ctx.add(index) = context }
    }

    pub fn pool(self) -> *mut ngx_pool_t {
        self.fields().pool
    }

    pub fn log(self) -> *mut ngx_log_t {
        // SAFETY: a request has a connection, and that a log.
        unsafe { (*self.fields().connection).log }
    }

    // ---- what the client sent -----------------------------------------------

    pub fn method(self) -> &'r [u8] {
        // SAFETY: the request's line is parsed, and lives as long as it.
        unsafe { string::bytes(&(*self.as_ptr()).method_name) }
    }

    /// The query, as it was sent.
    pub fn query(self) -> &'r [u8] {
        // SAFETY: the request's line is parsed, and lives as long as it.
        unsafe { string::bytes(&(*self.as_ptr()).args) }
    }

    /// The path that the request is for, decoded.
    pub fn path(self) -> &'r [u8] {
        // SAFETY: the request's line is parsed, and lives as long as it.
        unsafe { string::bytes(&(*self.as_ptr()).uri) }
    }

    /// The address in its first line, as the client has written it.
    pub fn target(self) -> &'r [u8] {
        // SAFETY: the request's line is parsed, and lives as long as it; else the text is empty.
        unsafe { string::bytes(&(*self.as_ptr()).unparsed_uri) }
    }

    /// `NGX_HTTP_VERSION_…`
    pub fn http_version(self) -> ngx_uint_t {
        self.fields().http_version
    }

    /// Whether it has its connection with other requests at a time: HTTP/2 and HTTP/3.
    pub fn is_stream(self) -> bool {
        self.http_version() >= NGX_HTTP_VERSION_20 as ngx_uint_t
    }

    pub fn set_http_version(self, version: ngx_uint_t) {
        // SAFETY: the request is alive.
        unsafe { (*self.as_ptr()).http_version = version };
    }

    /// Has its body read, if there is one, and a function called then, which is to finish the request.
    ///
    /// # Safety
    /// To be called by a content handler, which gives back what this does.
    pub unsafe fn read_body(
        self,
        handler: unsafe extern "C" fn(*mut ngx_http_request_t),
    ) -> ngx_int_t {
        // SAFETY: the request is alive.
        let rc = unsafe { ngx_http_read_client_request_body(self.as_ptr(), Some(handler)) };
        if rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
            rc
        } else {
            NGX_DONE as ngx_int_t
        }
    }

    pub fn has_body(self) -> bool {
        let headers = &self.fields().headers_in;
        headers.content_length_n > 0 || headers.chunked() != 0
    }

    pub fn headers(self) -> Headers<'r> {
        // SAFETY: nginx has parsed the request's headers, which live as long as it.
        unsafe { Headers::of(&raw const (*self.as_ptr()).headers_in.headers) }
    }

    pub fn host(self) -> Option<&'r [u8]> {
        // SAFETY: NULL, or a header of the request.
        unsafe { (*self.as_ptr()).headers_in.host.as_ref() }.map(headers::value)
    }

    pub fn origin(self) -> Option<&'r [u8]> {
        static ORIGIN: Name<()> = Name::new("origin", ());
        self.headers().first(&ORIGIN)
    }

    /// Whether nginx has noted an Upgrade header.
    pub fn has_upgrade(self) -> bool {
        !self.fields().headers_in.upgrade.is_null()
    }

    /// Takes the upgrade from the request: without one nginx makes no tunnel of an answer.
    pub fn clear_upgrade(self) {
        // SAFETY: nginx takes NULL for a request without the header.
        unsafe { (*self.as_ptr()).headers_in.upgrade = ptr::null_mut() };
    }

    /// Likewise, and so that no `$http_upgrade` tells of it either: what answers in place of a request
    /// that was refused is to be asked for nothing but a page. Values that were borrowed are as long as
    /// they were.
    pub fn forget_upgrade(self) {
        static UPGRADE: Name<()> = Name::new("upgrade", ());
        self.clear_upgrade();
        // SAFETY: nginx has parsed the request's headers; references into the list end with the look
        // that they are for.
        unsafe { headers::empty(&raw mut (*self.as_ptr()).headers_in.headers, &UPGRADE) };
    }

    #[cfg(ngx_feature = "http_ssl")]
    pub fn is_secure(self) -> bool {
        // SAFETY: a request has a connection.
        unsafe { !(*self.fields().connection).ssl.is_null() }
    }

    #[cfg(not(ngx_feature = "http_ssl"))]
    pub fn is_secure(self) -> bool {
        false
    }

    /// What is sent to the client from here on is not gathered in a buffer that nginx keeps.
    pub fn send_unbuffered(self) {
        // A stream of HTTP/2 shares its connection with others.
        if !self.is_stream() {
            // SAFETY: a request has a connection, which is open.
            unsafe { tls::send_past(self.fields().connection) };
        }
    }

    /// Where the head of its response lies, as long as nginx holds that back to send it with what follows;
    /// nowhere where there is nothing, or more.
    pub fn waiting_head(self) -> Range<*mut u8> {
        // SAFETY: what is to be sent is a chain of buffers.
        unsafe {
            match self.fields().out.as_ref() {
                Some(link) if link.next.is_null() => (*link.buf).start..(*link.buf).end,
                _ => ptr::null_mut()..ptr::null_mut(),
            }
        }
    }

    /// Frees it, if all has been sent and its memory is its own, and if nothing of it is what variables tell
    /// (`ngx_http_header_filter`: `$sent_http_content_type`, `$sent_http_location`).
    pub fn forget_sent(self, head: Range<*mut u8>) {
        let out = &self.fields().headers_out;
        // SAFETY: NULL, or a header of the response.
        let location = unsafe { out.location.as_ref() }.map(|header| header.value.data);
        let is_told = head.contains(&out.content_type.data)
            || location.is_some_and(|text| head.contains(&text));
        if !head.start.is_null() && self.fields().out.is_null() && !is_told {
            // SAFETY: the request is alive; nginx looks for the address and takes any.
            unsafe { ngx_pfree(self.pool(), head.start.cast()) };
        }
    }

    /// Whether the PROXY protocol is spoken where its client is connected.
    pub fn is_behind_proxy_protocol(self) -> bool {
        // SAFETY: a request has what nginx keeps of its client's connection, and that its address.
        unsafe { (*(*self.fields().http_connection).addr_conf).proxy_protocol() != 0 }
    }

    /// Whether it came without TLS to a port where nginx speaks it.
    pub fn is_plain_to_tls(self) -> bool {
        // SAFETY: a request has what nginx keeps of its client's connection.
        !self.is_secure() && unsafe { (*self.fields().http_connection).ssl() != 0 }
    }

    /// Whether its location answers by a handler of a module, as `proxy_pass` does.
    pub fn has_content_handler(self) -> bool {
        self.fields().content_handler.is_some()
    }

    /// Whether nginx has begun to run its phases: no request that it refuses for its header or its
    /// connection comes so far.
    pub fn has_reached_phases(self) -> bool {
        self.fields().write_event_handler.is_some()
    }

    /// Whether what nginx has read of its header fills the last buffer that there was for it.
    pub fn is_header_buffer_full(self) -> bool {
        // SAFETY: NULL, or a buffer of the client's connection.
        unsafe { self.fields().header_in.as_ref() }.is_some_and(|buffer| buffer.pos == buffer.end)
    }

    /// Whether nginx has found the client's connection broken.
    pub fn has_client_failed(self) -> bool {
        // SAFETY: a request has a connection.
        unsafe { (*self.fields().connection).error() != 0 }
    }

    // ---- the response -------------------------------------------------------

    /// The status that `error_page` has decided for whatever is answered, 0 where it has none.
    pub fn error_status(self) -> ngx_uint_t {
        self.fields().err_status
    }

    /// Lets the response have its own status, whatever `error_page` led to it.
    pub fn clear_error_status(self) {
        // SAFETY: the request is alive.
        unsafe { (*self.as_ptr()).err_status = 0 };
    }

    /// The status of the response, 0 where it is not decided.
    pub fn status(self) -> ngx_uint_t {
        self.fields().headers_out.status
    }

    /// Gives the status its words, where nginx has none for it.
    pub fn set_status_line(self, line: &'static CStr) {
        // SAFETY: the request is alive.
        unsafe {
            let place = &raw mut (*self.as_ptr()).headers_out.status_line;
            if (*place).len == 0 {
                *place = string::constant(line);
            }
        }
    }

    /// The Location of the response.
    pub fn redirect(self) -> Option<&'r [u8]> {
        // SAFETY: NULL, or a header of the response.
        unsafe { (*self.as_ptr()).headers_out.location.as_ref() }.map(headers::value)
    }

    /// Its response was 101 before, whatever it is now.
    pub fn was_switching(self) {
        // SAFETY: the request is alive.
        unsafe { (*self.as_ptr()).headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS as ngx_uint_t };
        self.clear_error_status();
    }

    /// Forgets the response, of which nothing is sent yet.
    pub fn clear_response(self) {
        // SAFETY: the request is alive.
        unsafe { ngx_http_clean_header(self.as_ptr()) };
    }

    /// Whether the response asks for credentials, or would have before `error_page`.
    pub fn has_www_authenticate(self) -> bool {
        !self.fields().headers_out.www_authenticate.is_null()
    }

    /// Adds a header to a response whose header is not sent yet. `None` when there is no memory.
    pub fn add_header(self, name: &'static CStr, value: ngx_str_t) -> Option<()> {
        // SAFETY: the request is alive, so its list of headers is.
        unsafe {
            let header = ngx_list_push(&raw mut (*self.as_ptr()).headers_out.headers);
            let header = header.cast::<ngx_table_elt_t>();
            if header.is_null() {
                return None;
            }
            ptr::write_bytes(header, 0, 1);
            (*header).hash = 1;
            (*header).key = string::constant(name);
            (*header).value = value;
        }
        Some(())
    }

    /// Has `limit_rate` hold nothing back any more. To be called when it has been evaluated, which is
    /// when the first byte of the response is sent.
    pub fn lift_limit_rate(self) {
        // SAFETY: a request has a connection with events.
        unsafe {
            (*self.as_ptr()).limit_rate = 0;
            let write = (*self.fields().connection).write;
            (*write).set_delayed(0);
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
        }
    }

    // ---- what nginx does for it ---------------------------------------------

    pub fn upstream(self) -> Option<Upstream<'r>> {
        // SAFETY: NULL, or an upstream that lives as long as the request.
        NonNull::new(self.fields().upstream).map(|raw| unsafe { Upstream::new(raw) })
    }

    /// What nginx noted of each upstream server it tried.
    pub fn upstream_states(self) -> &'r [ngx_http_upstream_state_t] {
        // SAFETY: NULL, or an array of states that lives as long as the request.
        unsafe { pool::elements(self.fields().upstream_states) }
    }

    /// What nginx is doing for the request, in its words.
    pub fn action(self) -> &'static [u8] {
        // SAFETY: a log's action is NULL or constant text.
        unsafe {
            let action = (*self.log()).action;
            if action.is_null() {
                b""
            } else {
                CStr::from_ptr(action).to_bytes()
            }
        }
    }

    /// How long ago the request's first byte came, milliseconds, as `$request_time` has it: by the clock of
    /// the day, which may have been set meanwhile. So no more than its connection has lasted, where nginx knows that.
    pub fn elapsed(self) -> ngx_msec_t {
        let day = ngx_timeofday();
        let seconds = day.sec.wrapping_sub(self.fields().start_sec) as isize;
        let milliseconds = (day.msec as isize).wrapping_sub(self.fields().start_msec as isize);
        let total = seconds.wrapping_mul(1000).wrapping_add(milliseconds);
        // SAFETY: a request has a connection.
        let connected = age::of(unsafe { &*self.fields().connection });
        ngx_msec_t::try_from(total)
            .unwrap_or(0)
            .min(connected.unwrap_or(ngx_msec_t::MAX))
    }

    /// Text that lives as long as the request; empty when there is no memory.
    pub fn format(self, text: fmt::Arguments<'_>) -> ngx_str_t {
        // SAFETY: the request is alive, so its pool is.
        unsafe { pool::format(self.pool(), text) }
    }
}
