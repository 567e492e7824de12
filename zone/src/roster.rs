//! Which servers a configuration has, in words that one process writes and others read.
//!
//! Each server is one word, made of its group's name and its own: what is asked is only whether it is among them,
//! and two that make the same word are as rare as can be.

use core::iter;

/// The words of a roster: a mark, the number of the configuration, how many servers there are, a checksum of all
/// that, and the servers in order.
#[derive(Clone, Copy)]
pub struct Roster<'a> {
    /// Which configuration it is of: each has another.
    pub number: u64,
    servers: &'a [u64],
}

const HEAD: usize = 4;
const MARK: u64 = u64::from_be_bytes(*b"wsroster");

impl<'a> Roster<'a> {
    /// How many words there are before the servers.
    pub const HEAD: usize = HEAD;

    /// The word that stands for a server of a group, whose name may be written in any case.
    pub fn word(group: &[u8], server: &[u8]) -> u64 {
        let group = group.iter().map(u8::to_ascii_lowercase);
        // No name holds a NUL.
        let bytes = group.chain(iter::once(0)).chain(server.iter().copied());
        mixed(bytes.fold(BASIS, fold))
    }

    /// Makes a roster of words behind whose head are servers, in any order.
    pub fn make(words: &mut [u64], number: u64) {
        let Some((head, servers)) = words.split_first_chunk_mut::<HEAD>() else {
            return;
        };
        servers.sort_unstable();
        let check = check(number, servers);
        *head = [MARK, number, servers.len() as u64, check];
    }

    /// The number of the configuration and how many words there are, by the head; `None` where it is none.
    pub fn head(words: &[u64]) -> Option<(u64, usize)> {
        let [MARK, number, servers, _] = *words.first_chunk::<HEAD>()? else {
            return None;
        };
        let servers = usize::try_from(servers).ok()?;
        Some((number, servers.checked_add(HEAD)?))
    }

    /// `None` where it is none, or was read while it was written.
    pub fn open(words: &'a [u64]) -> Option<Self> {
        let (number, length) = Self::head(words)?;
        let (head, servers) = words.get(..length)?.split_first_chunk::<HEAD>()?;
        (head.last() == Some(&check(number, servers))).then_some(Self { number, servers })
    }

    /// Whether the group has that server.
    pub fn has(&self, group: &[u8], server: &[u8]) -> bool {
        self.servers
            .binary_search(&Self::word(group, server))
            .is_ok()
    }
}

fn check(number: u64, servers: &[u64]) -> u64 {
    let words = iter::once(number).chain(servers.iter().copied());
    mixed(words.flat_map(u64::to_ne_bytes).fold(BASIS, fold))
}

/// FNV-1a.
const BASIS: u64 = 0xCBF2_9CE4_8422_2325;

fn fold(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
}

/// Lets each bit depend on all: the last bytes of a text would only be in the lower ones.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(number: u64, servers: &[(&[u8], &[u8])]) -> Vec<u64> {
        let mut words = vec![0; Roster::HEAD];
        words.extend(
            servers
                .iter()
                .map(|(group, server)| Roster::word(group, server)),
        );
        Roster::make(&mut words, number);
        words
    }

    #[test]
    fn what_was_written_is_there_and_nothing_else() {
        let names: Vec<Vec<u8>> = (0..1000)
            .map(|n| format!("10.0.{}.{}:80", n / 250, n % 250).into())
            .collect();
        let servers: Vec<(&[u8], &[u8])> =
            names.iter().map(|name| (&b"chat"[..], &name[..])).collect();
        let words = made(7, &servers);
        let roster = Roster::open(&words).unwrap();
        assert_eq!(roster.number, 7);
        assert!(names.iter().all(|name| roster.has(b"chat", name)));
        assert!(roster.has(b"CHAT", &names[5]));
        assert!(!names.iter().any(|name| roster.has(b"other", name)));
        assert!(!roster.has(b"chat", b"10.0.0.1:81") && !roster.has(b"chat", b""));
        // Where a name ends is a part of it.
        let words = made(8, &[(b"ab", b"c")]);
        let roster = Roster::open(&words).unwrap();
        assert!(roster.has(b"ab", b"c") && !roster.has(b"a", b"bc"));
    }

    #[test]
    fn none_is_one_too() {
        let words = made(1, &[]);
        assert!(!Roster::open(&words).unwrap().has(b"a", b"b"));
    }

    #[test]
    fn a_shorter_one_in_the_place_of_a_longer_one() {
        let mut words = made(1, &[(b"a", b"b"), (b"a", b"c")]);
        let next = made(2, &[(b"a", b"c")]);
        words[..next.len()].copy_from_slice(&next);
        let roster = Roster::open(&words).unwrap();
        assert!(roster.number == 2 && roster.has(b"a", b"c") && !roster.has(b"a", b"b"));
    }

    #[test]
    fn what_is_half_written_is_none() {
        let before = made(1, &[(b"a", b"b"), (b"a", b"c"), (b"a", b"d")]);
        let after = made(2, &[(b"x", b"b"), (b"x", b"c"), (b"x", b"d"), (b"x", b"e")]);
        // The first word is the same in both.
        for written in 2..after.len() {
            let mut words = after[..written].to_vec();
            words.extend_from_slice(before.get(written..).unwrap_or_default());
            assert!(Roster::open(&words).is_none(), "{written}");
        }
        for length in 0..before.len() {
            assert!(Roster::open(&before[..length]).is_none(), "{length}");
        }
        let mut wrong = before;
        wrong[2] = u64::MAX;
        assert!(Roster::open(&wrong).is_none());
    }
}
