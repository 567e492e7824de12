//! Numbers that look random and are the same for the same seed.

/// splitmix64: every seed is as good as another, and neighbours have nothing in common.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let numbers = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        numbers.take(count).collect()
    }

    /// The length of a payload: often one at which the form of the header changes.
    pub fn length(&mut self, most: usize) -> usize {
        let length = match self.below(8) {
            0 => 0,
            1 => 125,
            2 => 126,
            3 => 65_535,
            4 => 65_536,
            5 => self.below(100_000),
            _ => self.below(2_000),
        };
        length.min(most)
    }
}
