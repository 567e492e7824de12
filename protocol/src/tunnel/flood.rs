//! How much is read from a side at once.

/// How often a side has sent more than a buffer holds, in all turns since one in which little came.
///
/// Mostly little comes, and all of it at once. Where more has come than a usual buffer holds, it pays to
/// ask what the receiver's socket has room for: what that can't take would have to be kept, for as long
/// as the receiver is slow.
///
/// Whoever has the buffers keeps one for each direction, beside its [`Tunnel`](super::Tunnel).
///
/// ```
/// use websocket_protocol::tunnel::{Flood, Sizes};
///
/// let sizes = Sizes { small: 16 << 10, usual: 64 << 10, large: 256 << 10 };
/// let mut flood = Flood::default();
/// assert_eq!(flood.size(sizes, || None), sizes.usual);
/// for _ in 0..3 {
///     flood.read(sizes.usual, sizes.usual);
/// }
/// assert_eq!(flood.size(sizes, || Some(1 << 20)), sizes.large);
/// assert_eq!(flood.size(sizes, || Some(0)), sizes.small);
/// flood.turned(125, sizes);
/// assert_eq!(flood.size(sizes, || None), sizes.usual);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flood(u8);

/// The sizes of the caller's buffers.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// For a receiver that takes hardly anything.
    pub small: usize,
    /// For whatever comes.
    pub usual: usize,
    /// For floods; no more than `usual` where those get none.
    pub large: usize,
}

/// So many reads in a row that fill their buffers are a flood.
const SEVERAL: u8 = 2;

impl Flood {
    /// A read has taken so many bytes; there was room for so many.
    #[inline]
    pub fn read(&mut self, count: usize, room: usize) {
        if count == room {
            self.0 = self.0.saturating_add(1);
        }
    }

    /// A turn is over in which so much came.
    #[inline]
    pub fn turned(&mut self, count: usize, sizes: Sizes) {
        if count < sizes.usual {
            self.0 = 0;
        }
    }

    /// How large a buffer the next read is to have. `room` is how much the receiver's socket takes at
    /// once, where that can be told.
    #[inline]
    pub fn size(self, sizes: Sizes, room: impl FnOnce() -> Option<usize>) -> usize {
        if self.0 == 0 {
            return sizes.usual;
        }
        match room() {
            Some(room) if room < sizes.usual => sizes.small.min(sizes.usual),
            Some(room) if room >= sizes.large && self.0 >= SEVERAL => sizes.large.max(sizes.usual),
            _ => sizes.usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        small: 16,
        usual: 64,
        large: 256,
    };

    /// Each is a turn: its reads, of how much and with how much room.
    fn after(turns: &[&[(usize, usize)]]) -> Flood {
        let mut flood = Flood::default();
        for reads in turns {
            for &(count, room) in *reads {
                flood.read(count, room);
            }
            flood.turned(reads.iter().map(|(count, _)| count).sum(), SIZES);
        }
        flood
    }

    const FULL: (usize, usize) = (64, 64);

    #[test]
    fn what_comes_at_once_is_read_without_a_question() {
        let turns: [&[&[_]]; 4] = [
            &[],
            &[&[(63, 64)]],
            &[&[(30, 64), (40, 64)]],
            &[&[FULL, FULL], &[(63, 256)]],
        ];
        for turns in turns {
            let size = after(turns).size(SIZES, || panic!("nobody wants to know"));
            assert_eq!(size, SIZES.usual);
        }
    }

    #[test]
    fn a_flood_gets_a_large_buffer_where_all_of_it_can_be_passed_on() {
        let flood = after(&[&[FULL], &[FULL, (1, 64)]]);
        for (room, size) in [
            (Some(usize::MAX), 256),
            (Some(256), 256),
            (Some(255), 64),
            (Some(64), 64),
            (Some(63), 16),
            (Some(0), 16),
            (None, 64),
        ] {
            assert_eq!(flood.size(SIZES, || room), size, "{room:?}");
        }
        // One full buffer is no flood yet.
        assert_eq!(after(&[&[FULL]]).size(SIZES, || Some(1000)), 64);
    }

    #[test]
    fn a_flood_lasts_as_long_as_more_comes_than_a_usual_buffer_holds() {
        let flood: [&[_]; 4] = [&[FULL, FULL], &[(256, 256)], &[(64, 256)], &[(16, 16); 4]];
        assert_eq!(after(&flood).size(SIZES, || Some(256)), 256);
        let over = [&flood[..], &[&[(16, 16), (47, 256)]]].concat();
        assert_eq!(after(&over).size(SIZES, || Some(256)), 64);
        let endless = vec![&[FULL][..]; 1000];
        assert_eq!(after(&endless).size(SIZES, || Some(256)), 256);
    }

    #[test]
    fn sizes_that_are_out_of_order_are_not_used() {
        let flood = after(&[&[FULL, FULL]]);
        for large in [0, 64] {
            let sizes = Sizes { large, ..SIZES };
            assert_eq!(flood.size(sizes, || Some(1000)), 64);
        }
        let sizes = Sizes {
            small: 100,
            ..SIZES
        };
        assert_eq!(flood.size(sizes, || Some(0)), 64);
    }
}
