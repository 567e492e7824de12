//! Ranges of addresses.

use core::net::IpAddr;

/// A range of addresses, such as `10.0.0.0/8`; one address is a range, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `ADDRESS` or `ADDRESS/PREFIX`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            Some(_) => return None,
            None => longest,
        };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether an address, as nginx writes it, is within. A client that has come over IPv4 to a socket for
    /// IPv6 is in ranges of IPv4, as for `allow` and `deny`.
    pub fn contains(&self, address: &[u8]) -> bool {
        let address = core::str::from_utf8(address).ok();
        let Some(address) = address.and_then(|address| address.parse::<IpAddr>().ok()) else {
            return false;
        };
        let address = match self.address {
            IpAddr::V4(_) => address.to_canonical(),
            IpAddr::V6(_) => address,
        };
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let differs = u32::from(range) ^ u32::from(address);
                differs
                    .checked_shr(32 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let differs = u128::from(range) ^ u128::from(address);
                differs
                    .checked_shr(128 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    pub(crate) fn words(self) -> [u64; 3] {
        let (family, bits) = match self.address {
            IpAddr::V4(address) => (4, u128::from(u32::from(address))),
            IpAddr::V6(address) => (6, u128::from(address)),
        };
        [
            family << 8 | u64::from(self.prefix),
            bits as u64,
            (bits >> 64) as u64,
        ]
    }

    pub(crate) fn from_words([kind, low, high]: [u64; 3]) -> Option<Self> {
        let bits = u128::from(low) | u128::from(high) << 64;
        let (address, longest) = match kind >> 8 {
            4 => (IpAddr::V4((bits as u32).into()), 32),
            6 => (IpAddr::V6(bits.into()), 128),
            _ => return None,
        };
        let prefix = kind as u8;
        (prefix <= longest).then_some(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within() {
        for (range, within, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.5", "10.0.0.5", "10.0.0.6"),
            ("10.0.0.4/31", "10.0.0.5", "10.0.0.6"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("::/0", "ff::", "1.2.3.4"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:0.0.0.0/96", "::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", "::10.0.0.1"),
        ] {
            let range = Cidr::parse(range).unwrap();
            assert!(range.contains(within.as_bytes()), "{range:?} {within}");
            assert!(!range.contains(outside.as_bytes()), "{range:?} {outside}");
            assert!(!range.contains(b"unix:"));
            assert_eq!(Cidr::from_words(range.words()), Some(range));
        }
        for kind in [0, 4 << 8 | 33, 6 << 8 | 129, 4 << 8 | 255, 5 << 8] {
            assert_eq!(Cidr::from_words([kind, 0, 0]), None);
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in [
            "",
            "/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "x",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
