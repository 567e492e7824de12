//! Lists of headers, as nginx has parsed them.

use core::marker::PhantomData;
use core::slice;

use nginx_sys::{ngx_list_part_t, ngx_list_t, ngx_table_elt_t};

use super::string;

/// The headers of a list, in the order they came.
#[derive(Clone)]
pub struct Headers<'r> {
    part: *const ngx_list_part_t,
    next: usize,
    list: PhantomData<&'r ngx_list_t>,
}

impl<'r> Headers<'r> {
    /// # Safety
    /// `list` must be a list of `ngx_table_elt_t` that nginx has parsed, and live as long as `'r`;
    /// an empty one may be uninitialized but for zeros.
    pub unsafe fn of(list: *const ngx_list_t) -> Self {
        Self {
            // SAFETY: the caller vouches for the list.
            part: unsafe { &raw const (*list).part },
            next: 0,
            list: PhantomData,
        }
    }

    /// Those that are looked for, with their values.
    pub fn named<H: Copy>(
        self,
        names: &'static [Name<H>],
    ) -> impl Iterator<Item = (H, &'r [u8])> + Clone {
        self.filter_map(move |header| {
            // SAFETY: nginx has parsed the list's headers, with their hashes and lower-case names.
            let name = names.iter().find(|name| unsafe { name.is_of(header) })?;
            Some((name.header, value(header)))
        })
    }
}

impl<'r> Headers<'r> {
    /// The value of the first with this name.
    pub fn first(self, name: &'static Name<()>) -> Option<&'r [u8]> {
        let mut found = self.named(slice::from_ref(name));
        found.next().map(|((), value)| value)
    }
}

impl<'r> Iterator for Headers<'r> {
    type Item = &'r ngx_table_elt_t;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // SAFETY: NULL or a part of the list.
            let here = unsafe { self.part.as_ref() }?;
            if self.next < here.nelts {
                // SAFETY: within the part's elements.
                let header = unsafe { &*here.elts.cast::<ngx_table_elt_t>().add(self.next) };
                self.next += 1;
                return Some(header);
            }
            self.part = here.next;
            self.next = 0;
        }
    }
}

/// Empties each header of this name.
///
/// # Safety
/// `list` must be a list of `ngx_table_elt_t` that nginx has parsed, with no reference into it left.
pub unsafe fn empty<H: Copy>(list: *mut ngx_list_t, name: &'static Name<H>) {
    // SAFETY: the caller vouches for the list, whose parts end with NULL.
    unsafe {
        let mut part = &raw mut (*list).part;
        while !part.is_null() {
            let headers = (*part).elts.cast::<ngx_table_elt_t>();
            for header in (0..(*part).nelts).map(|index| headers.add(index)) {
                if name.is_of(&*header) {
                    (*header).value.len = 0;
                }
            }
            part = (*part).next;
        }
    }
}

/// Has none of the headers of a response with these names, in lower case, be sent.
///
/// # Safety
/// `list` must be the list of headers of a response, with no reference into it left.
pub unsafe fn leave_out(list: *mut ngx_list_t, names: &[&str]) {
    // SAFETY: the caller vouches for the list, whose parts end with NULL.
    unsafe {
        let mut part = &raw mut (*list).part;
        while !part.is_null() {
            let headers = (*part).elts.cast::<ngx_table_elt_t>();
            for header in (0..(*part).nelts).map(|index| headers.add(index)) {
                let name = string::bytes(&(*header).key);
                if names
                    .iter()
                    .any(|left_out| name.eq_ignore_ascii_case(left_out.as_bytes()))
                {
                    (*header).hash = 0;
                }
            }
            part = (*part).next;
        }
    }
}

/// A header's value.
pub fn value(header: &ngx_table_elt_t) -> &[u8] {
    // SAFETY: nginx keeps a header's value as long as the header.
    unsafe { string::bytes(&header.value) }
}

/// A header that is looked for. nginx keeps a hash of each name, so that names are compared only
/// where they are nearly sure to be equal.
#[derive(Clone, Copy)]
pub struct Name<H> {
    hash: usize,
    lower_case: &'static [u8],
    header: H,
}

impl<H: Copy> Name<H> {
    pub const fn new(lower_case: &'static str, header: H) -> Self {
        let lower_case = lower_case.as_bytes();
        Self {
            hash: string::hash(lower_case),
            lower_case,
            header,
        }
    }

    /// Whether a header has this name.
    ///
    /// # Safety
    /// The header must be one that nginx has parsed, with its hash and its lower-case name.
    unsafe fn is_of(&self, header: &ngx_table_elt_t) -> bool {
        header.hash == self.hash
            && header.key.len == self.lower_case.len()
            // SAFETY: the lower-case name is as long as the name.
            && unsafe { slice::from_raw_parts(header.lowcase_key, header.key.len) }
                == self.lower_case
    }
}
