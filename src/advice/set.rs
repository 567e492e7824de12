//! What has been met while a configuration is looked through.

use core::slice;

use nginx_sys::{ngx_array_t, ngx_pool_t};

use crate::nginx::pool;

/// Things of a configuration, by where they lie, in order. Without memory for one it is left out.
pub struct Set(Option<*mut ngx_array_t>);

impl Set {
    /// # Safety
    /// `pool` must be valid as long as the set.
    pub unsafe fn new(pool: *mut ngx_pool_t) -> Self {
        // SAFETY: the caller vouches for the pool.
        Self(unsafe { pool::array::<usize>(pool, 4) })
    }

    /// A set of these.
    ///
    /// # Safety
    /// `pool` must be valid as long as the set.
    pub unsafe fn of<T>(pool: *mut ngx_pool_t, things: impl Iterator<Item = *const T>) -> Self {
        // SAFETY: the caller vouches for the pool.
        let mut set = unsafe { Self::new(pool) };
        for thing in things {
            set.push(thing.addr());
        }
        set.places_mut().sort_unstable();
        set
    }

    pub fn has<T>(&self, thing: *const T) -> bool {
        self.places().binary_search(&thing.addr()).is_ok()
    }

    /// Adds one. Whether it is new.
    pub fn add<T>(&mut self, thing: *const T) -> bool {
        let place = thing.addr();
        let Err(at) = self.places().binary_search(&place) else {
            return false;
        };
        if self.push(place) {
            if let Some(behind) = self.places_mut().get_mut(at..) {
                behind.rotate_right(1);
            }
        }
        true
    }

    fn push(&mut self, place: usize) -> bool {
        // SAFETY: an array of these.
        self.0
            .is_some_and(|array| unsafe { pool::push(array, place) }.is_some())
    }

    fn places(&self) -> &[usize] {
        // SAFETY: as above; it changes only by who has the set to change it.
        self.0.map_or(&[], |array| unsafe { pool::elements(array) })
    }

    fn places_mut(&mut self) -> &mut [usize] {
        match self.0 {
            // SAFETY: as above.
            Some(array) => unsafe {
                slice::from_raw_parts_mut((*array).elts.cast(), (*array).nelts)
            },
            None => &mut [],
        }
    }
}
