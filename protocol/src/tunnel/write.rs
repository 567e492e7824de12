//! What a tunnel has written.

/// What is to be written to a direction's receiver next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing; more is to be read first.
    Nothing,
    /// So many of the unsent bytes, from the front.
    Theirs(usize),
    /// [`Tunnel::ours`](super::Tunnel::ours): frames that the tunnel puts in.
    Ours,
    /// So many of the unsent bytes, from the front, are not to be written but dropped.
    Drop(usize),
}

impl Write {
    #[inline]
    pub(super) fn all_of(unsent: &[u8]) -> Self {
        match unsent.len() {
            0 => Self::Nothing,
            count => Self::Theirs(count),
        }
    }

    pub(super) fn drop_all(unsent: &[u8]) -> Self {
        match unsent.len() {
            0 => Self::Nothing,
            count => Self::Drop(count),
        }
    }
}
