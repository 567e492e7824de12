//! Random bytes, from the source that TLS uses too.

use rustls::crypto::ring;

pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the system has random bytes");
    bytes
}
