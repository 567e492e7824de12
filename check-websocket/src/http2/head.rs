//! Header blocks (RFC 7541), as far as a client needs them that asks once: fields without any compression, and the
//! status of an answer, which comes before all other fields.

use crate::request::Request;

/// The block of an extended CONNECT (RFC 8441 section 4).
pub fn connect(request: &Request, secure: bool) -> Vec<u8> {
    let mut block = Vec::new();
    let scheme = if secure { "https" } else { "http" };
    for (name, value) in [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", scheme),
        (":path", &request.path),
        (":authority", request.header("Host").unwrap_or_default()),
    ] {
        push(&mut block, name, value);
    }
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        if !NOT_IN_HTTP2.contains(&name.as_str()) {
            push(&mut block, &name, value);
        }
    }
    block
}

/// What belongs to a connection, and what HTTP/2 makes needless.
const NOT_IN_HTTP2: [&str; 8] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-connection",
    "sec-websocket-key",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A literal that goes into no table.
fn push(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend_from_slice(text.as_bytes());
    }
}

/// With a prefix of seven bits.
fn integer(block: &mut Vec<u8>, value: usize) {
    const MOST: usize = 0x7f;
    if value < MOST {
        block.push(value as u8);
        return;
    }
    block.push(MOST as u8);
    let mut rest = value - MOST;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// The status of the first answer of a connection.
pub fn status(block: &[u8]) -> Option<u16> {
    const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut rest = block;
    // The size of the table may change first.
    while let [first @ 0x20..=0x3f, behind @ ..] = rest {
        rest = behind;
        if first & 0x1f == 0x1f {
            let more = rest.iter().take_while(|&&byte| byte & 0x80 != 0).count();
            rest = rest.get(more + 1..)?;
        }
    }
    let (&first, rest) = rest.split_first()?;
    match first {
        0x88..=0x8e => STATUSES.get(usize::from(first - 0x88)).copied(),
        // A literal with a name of the static table: all of 8 to 14 are `:status`.
        0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => text(rest),
        // A name of its own.
        0x40 | 0x00 | 0x10 => {
            let (name, rest) = string(rest)?;
            // As it is, and by Huffman's code.
            let names: [&[u8]; 2] = [b":status", &[0xb8, 0x84, 0x8d, 0x36, 0xa3]];
            names.contains(&name).then(|| text(rest))?
        }
        _ => None,
    }
}

/// A string as it stands there.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    match length & 0x7f {
        0x7f => None,
        length => rest.split_at_checked(usize::from(length)),
    }
}

/// Three digits, as they are or by Huffman's code.
fn text(bytes: &[u8]) -> Option<u16> {
    let is_coded = bytes.first()? & 0x80 != 0;
    let (value, _) = string(bytes)?;
    let digits = if is_coded {
        decoded(value)?
    } else {
        value.try_into().ok()?
    };
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u16::from(digit - b'0'))
    })
}

/// In Huffman's code 0, 1 and 2 have five bits, the other digits six (RFC 7541 appendix B).
fn decoded(bytes: &[u8]) -> Option<[u8; 3]> {
    if bytes.len() > 3 {
        return None;
    }
    let bits = bytes
        .iter()
        .fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
    let mut left = bytes.len() * 8;
    let mut digits = [0; 3];
    for digit in &mut digits {
        let mut front = |count: usize| {
            left = left.checked_sub(count)?;
            Some((bits >> left & ((1 << count) - 1)) as u8)
        };
        *digit = match front(5)? {
            code @ 0..=2 => b'0' + code,
            code @ 12..=15 => {
                // 3 is 25.
                let code = code << 1 | front(1)?;
                match code - 22 {
                    digit @ 3..=9 => b'0' + digit,
                    _ => return None,
                }
            }
            _ => return None,
        };
    }
    // What is left is filled with ones.
    (left < 8 && bits & ((1 << left) - 1) == (1 << left) - 1).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_many_forms() {
        for (status, block) in [
            (200, &b"\x88"[..]),
            (404, b"\x8d"),
            (200, b"\x20\x88\x0f\x0d\x01x"),
            (200, b"\x3f\xe1\x1f\x88"),
            (501, b"\x48\x03501"),
            (403, b"\x08\x03403\x0f"),
            (302, b"\x48\x82\x64\x02"),
            (307, b"\x48\x83\x64\x0e\xff"),
            (501, b"\x48\x82\x6c\x01"),
            (101, b"\x00\x07:status\x03101"),
            (501, b"\x40\x85\xb8\x84\x8d\x36\xa3\x82\x6c\x01"),
        ] {
            assert_eq!(super::status(block), Some(status), "{block:x?}");
        }
    }

    #[test]
    fn what_is_none_is_none() {
        for block in [
            &b""[..],
            b"\x20",
            b"\x3f\xff",
            b"\x82",
            b"\x48",
            b"\x48\x0350",
            b"\x48\x0250",
            b"\x48\x0350x",
            b"\x48\x84\x00\x00\x00\x00",
            b"\x48\x82\x60\x00",
            b"\x48\x83\x64\x0e\x00",
            b"\x48\x80",
            b"\x00\x04name\x03200",
            b"\x00\x7f",
        ] {
            assert_eq!(super::status(block), None, "{block:x?}");
        }
        // Nothing of two bytes and more ends it.
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                super::status(&[first, second, 0x82, first, second]);
            }
        }
    }

    #[test]
    fn long_values_have_long_lengths() {
        for (length, bytes) in [
            (0, &[0][..]),
            (126, &[126]),
            (127, &[127, 0]),
            (255, &[127, 128, 1]),
            (1337, &[127, 186, 9]),
        ] {
            let mut block = Vec::new();
            integer(&mut block, length);
            assert_eq!(block, bytes);
        }
    }
}
