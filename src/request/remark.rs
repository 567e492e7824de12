//! What an upstream says in the body of its answer, gathered as it comes.

use core::cell::Cell;
use core::ptr;

use nginx_sys::{ngx_pnalloc, ngx_str_t};
use websocket_protocol::Remark;

use crate::nginx::{Request, string};

/// Room for one byte more than is shown, which tells that there are more.
const ROOM: usize = Remark::MAX + 1;

pub struct Gathered {
    /// Its bytes are the beginning of [`ROOM`], where there is memory.
    bytes: Cell<ngx_str_t>,
    is_expected: Cell<bool>,
    begins_anew: Cell<bool>,
}

impl Gathered {
    pub const fn new() -> Self {
        Self {
            bytes: Cell::new(string::EMPTY),
            is_expected: Cell::new(false),
            begins_anew: Cell::new(false),
        }
    }

    /// The body of one answer is none of the next one's.
    pub fn forget(&self) {
        self.truncate();
        self.is_expected.set(false);
    }

    /// A body comes that is worth a look. `came` is what is there already; what is gathered later is the
    /// body from its beginning.
    pub fn expect(&self, r: Request<'_>, came: &[u8]) {
        self.is_expected.set(true);
        self.gather(r, came);
        self.is_expected.set(true);
        self.begins_anew.set(true);
    }

    /// The rest of it will not come by.
    pub fn stop(&self) {
        self.is_expected.set(false);
    }

    pub fn is_expected(&self) -> bool {
        self.is_expected.get()
    }

    /// The next piece of it.
    pub fn gather(&self, r: Request<'_>, piece: &[u8]) {
        if piece.is_empty() || !self.is_expected() {
            return;
        }
        if self.begins_anew.replace(false) {
            self.truncate();
        }
        let mut bytes = self.bytes.get();
        if bytes.data.is_null() {
            // SAFETY: the request is alive, so its pool is.
            bytes.data = unsafe { ngx_pnalloc(r.pool(), ROOM) }.cast();
        }
        if bytes.data.is_null() {
            return self.stop();
        }
        let len = piece.len().min(ROOM.saturating_sub(bytes.len));
        // SAFETY: there is room for ROOM bytes, of which so many are left; the piece lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), bytes.data.add(bytes.len), len) };
        bytes.len += len;
        self.bytes.set(bytes);
        self.is_expected.set(bytes.len < ROOM);
    }

    /// What has come of it.
    pub fn bytes<'r>(&self, _of: Request<'r>) -> &'r [u8] {
        // SAFETY: the bytes lie in the memory of the request that this belongs to.
        unsafe { string::bytes(&self.bytes.get()) }
    }

    fn truncate(&self) {
        let bytes = self.bytes.get();
        self.bytes.set(ngx_str_t { len: 0, ..bytes });
    }
}
