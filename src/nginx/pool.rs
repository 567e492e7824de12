//! Memory from nginx's pools, and text formatted into it.

use core::ffi::c_void;
use core::fmt::{self, Write};
use core::{mem, ptr, slice};

use nginx_sys::{
    ngx_array_create, ngx_array_push, ngx_array_t, ngx_pagesize, ngx_palloc, ngx_pnalloc,
    ngx_pool_cleanup_add, ngx_pool_cleanup_file, ngx_pool_cleanup_t, ngx_pool_t, ngx_str_t,
};

use super::string::{self, Cut};

/// The longest text that [`format`] makes; the rest is cut.
const MAX_TEXT: usize = 1024;

/// Places `value` in the pool. `None` when there is no memory.
///
/// # Safety
/// `pool` must be valid. The value is never dropped.
pub unsafe fn place<T: Copy>(pool: *mut ngx_pool_t, value: T) -> Option<ptr::NonNull<T>> {
    // SAFETY: the pool is valid, and ngx_palloc() aligns to NGX_ALIGNMENT.
    let place = ptr::NonNull::new(unsafe { ngx_palloc(pool, mem::size_of::<T>()) }.cast::<T>())?;
    // SAFETY: fresh memory of the right size.
    unsafe { place.write(value) };
    Some(place)
}

/// Memory of its own that is all zeros and takes none until it is written to: whoever needs a lot of it is not
/// held up for all of it at once. It goes with the pool. `None` when there is none.
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn pages(pool: *mut ngx_pool_t, size: usize) -> Option<ptr::NonNull<u8>> {
    // SAFETY: the pool is valid; a new mapping, anywhere, which the cleanup takes back. A cleanup without
    // a handler does nothing.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(pool, mem::size_of::<Pages>()).as_mut()?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start = libc::mmap(ptr::null_mut(), size, protection, kind, -1, 0);
        if start == libc::MAP_FAILED {
            return None;
        }
        cleanup.data.cast::<Pages>().write(Pages { start, size });
        cleanup.handler = Some(give_back);
        ptr::NonNull::new(start.cast())
    }
}

struct Pages {
    start: *mut c_void,
    size: usize,
}

unsafe extern "C" fn give_back(pages: *mut c_void) {
    // SAFETY: the pool goes, and with it all that looks at them.
    unsafe {
        let Pages { start, size } = pages.cast::<Pages>().read();
        libc::munmap(start, size);
    }
}

/// Closes the files that would be closed with the pool, of those that were opened since its first cleanup was
/// this one.
///
/// # Safety
/// `pool` must be valid, and nobody may look at these files any more.
pub unsafe fn close_files(pool: *mut ngx_pool_t, before: *const ngx_pool_cleanup_t) {
    // SAFETY: a pool's cleanups are a list, to whose front new ones are put; one without a handler is done.
    unsafe {
        let mut next = (*pool).cleanup;
        while next.cast_const() != before {
            let Some(cleanup) = next.as_mut() else {
                return;
            };
            let closes = |handler: &mut unsafe extern "C" fn(*mut c_void)| {
                ptr::fn_addr_eq(*handler, ngx_pool_cleanup_file as unsafe extern "C" fn(_))
            };
            if let Some(close) = cleanup.handler.take_if(closes) {
                close(cleanup.data);
            }
            next = cleanup.next;
        }
    }
}

/// What the pool keeps for a cleanup with this handler, if there is one.
///
/// # Safety
/// `pool` must be valid, and `T` what the handler is given.
pub unsafe fn kept_for<T>(
    pool: *const ngx_pool_t,
    handler: unsafe extern "C" fn(*mut c_void),
) -> Option<*mut T> {
    // SAFETY: the caller vouches for the pool, whose cleanups are a list.
    unsafe {
        let mut next = (*pool).cleanup;
        while let Some(cleanup) = next.as_ref() {
            if cleanup
                .handler
                .is_some_and(|is| ptr::fn_addr_eq(is, handler))
            {
                return Some(cleanup.data.cast());
            }
            next = cleanup.next;
        }
    }
    None
}

/// Whether the pool has room for so many bytes without another block; where `ngx_palloc()` looks.
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn has_room(pool: *const ngx_pool_t, size: usize) -> bool {
    // SAFETY: a pool's blocks are a list, and `current` is one of them.
    unsafe {
        let mut block: *const ngx_pool_t = (*pool).current;
        while let Some(here) = block.as_ref() {
            let left = (here.d.end as usize).saturating_sub(here.d.last as usize);
            if left >= size.saturating_add(ALIGNMENT) {
                return true;
            }
            block = here.d.next;
        }
    }
    false
}

/// As much as `ngx_palloc()` may skip, `NGX_ALIGNMENT` at most.
const ALIGNMENT: usize = 16;

/// From here on the pool grows by small blocks, as one does that was made with [`SMALL_BLOCK`]. What its
/// first block has left is lost, so nothing is done where that is much.
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn grow_by_little(pool: *mut ngx_pool_t) {
    // SAFETY: a pool is the beginning of its first block, which has `d.end` as its end.
    unsafe {
        let left = ((*pool).d.end as usize).saturating_sub((*pool).d.last as usize);
        if first_block(pool) <= SMALL_BLOCK || left > MAY_BE_LOST {
            return;
        }
        // nginx makes a block as large as the first one is by its end, and finds no room in that one.
        let end = pool.byte_add(SMALL_BLOCK).cast();
        (*pool).d.end = end;
        (*pool).d.last = end;
        put_together(pool);
    }
}

/// From here on what is larger than this many bytes lies in memory of its own, which `ngx_pfree()` can
/// give back; until [`put_together`].
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn put_apart(pool: *mut ngx_pool_t, above: usize) {
    // SAFETY: the caller vouches for the pool.
    unsafe { (*pool).max = above.min(largest(pool)) };
}

/// From here on what a block has room for lies in one, as usual.
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn put_together(pool: *mut ngx_pool_t) {
    // SAFETY: the caller vouches for the pool.
    unsafe { (*pool).max = largest(pool) };
}

const SMALL_BLOCK: usize = 1024;
const MAY_BE_LOST: usize = 256;

/// What `ngx_create_pool()` takes for the most that lies in a block, for a pool of this size.
unsafe fn largest(pool: *const ngx_pool_t) -> usize {
    // SAFETY: nginx sets this once, when it starts.
    let page = unsafe { ngx_pagesize };
    // SAFETY: the caller vouches for the pool.
    let room = unsafe { first_block(pool) }.saturating_sub(size_of::<ngx_pool_t>());
    room.min(page.saturating_sub(1))
}

unsafe fn first_block(pool: *const ngx_pool_t) -> usize {
    // SAFETY: the caller vouches for the pool.
    unsafe { (*pool).d.end as usize }.saturating_sub(pool as usize)
}

/// A new array with room for `capacity` elements of `T`.
///
/// # Safety
/// `pool` must be valid.
pub unsafe fn array<T>(pool: *mut ngx_pool_t, capacity: usize) -> Option<*mut ngx_array_t> {
    // SAFETY: the pool is valid.
    let array = unsafe { ngx_array_create(pool, capacity.max(1), mem::size_of::<T>()) };
    (!array.is_null()).then_some(array)
}

/// Appends to an array.
///
/// # Safety
/// `array` must be valid and hold elements of `T`.
pub unsafe fn push<T: Copy>(array: *mut ngx_array_t, value: T) -> Option<*mut T> {
    // SAFETY: the array is valid, and its elements are of this type.
    let place = unsafe { ngx_array_push(array) }.cast::<T>();
    if place.is_null() {
        return None;
    }
    // SAFETY: ngx_array_push() gave room for one element.
    unsafe { place.write(value) };
    Some(place)
}

/// The elements of an array; none for NULL.
///
/// # Safety
/// `array` must be NULL, or valid for `'a` with elements of `T`.
pub unsafe fn elements<'a, T>(array: *const ngx_array_t) -> &'a [T] {
    // SAFETY: the caller vouches for the array.
    match unsafe { array.as_ref() } {
        Some(array) if array.nelts > 0 => {
            // SAFETY: an array with elements points to them.
            unsafe { slice::from_raw_parts(array.elts.cast::<T>(), array.nelts) }
        }
        _ => &[],
    }
}

/// Formats into the pool; cut at [`MAX_TEXT`] bytes, empty when there is no memory.
///
/// # Safety
/// `pool` must be valid; the text lives as long as it does.
#[inline(never)]
pub unsafe fn format(pool: *mut ngx_pool_t, text: fmt::Arguments<'_>) -> ngx_str_t {
    let mut cut = Cut::<MAX_TEXT>::new();
    // A full one is the cut that was promised.
    let _ = cut.write_fmt(text);
    let text = cut.text();
    // SAFETY: the pool is valid.
    let data = unsafe { ngx_pnalloc(pool, text.len()) }.cast::<u8>();
    if data.is_null() {
        return string::EMPTY;
    }
    // SAFETY: both are as long as the text, and the new memory overlaps nothing.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), data, text.len()) };
    ngx_str_t {
        len: text.len(),
        data,
    }
}
