//! The values of one header, which may be repeated.

use crate::header::trim;

/// The value of a header that should be there once, without white space around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Single<'a> {
    first: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Single<'a> {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            count: 0,
        }
    }

    pub(crate) fn add(&mut self, value: &'a [u8]) {
        self.first.get_or_insert(trim(value));
        self.count = self.count.saturating_add(1);
    }

    pub(crate) const fn is_there(&self) -> bool {
        self.first.is_some()
    }

    pub(crate) const fn first(&self) -> Option<&'a [u8]> {
        self.first
    }

    /// The value if there is one; if there are several, their number is the error.
    pub(crate) const fn get(&self) -> Result<Option<&'a [u8]>, usize> {
        if self.count > 1 {
            Err(self.count)
        } else {
            Ok(self.first)
        }
    }
}

/// The first four values of a header that may be repeated.
///
/// Handshakes carry one; four leaves room for what a proxy may split or add. Later ones are not
/// kept: a check that looks at all values at once steps aside for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    kept: [&'a [u8]; KEPT],
    count: usize,
}

const KEPT: usize = 4;

impl<'a> Lines<'a> {
    pub(crate) const fn new() -> Self {
        Self {
            kept: [&[]; KEPT],
            count: 0,
        }
    }

    pub(crate) fn add(&mut self, value: &'a [u8]) {
        if let Some(place) = self.kept.get_mut(self.count) {
            *place = value;
        }
        self.count = self.count.saturating_add(1);
    }

    pub(crate) fn first(&self) -> Option<&'a [u8]> {
        self.iter().next()
    }

    /// The values kept, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.kept.iter().take(self.count).copied()
    }
}
