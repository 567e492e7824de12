//! Header blocks (RFC 7541) of requests, made from their text of HTTP/1.1, and the little that is to be known of
//! those of answers.

/// A request, as far as it matters which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    ForPage,
    ForWebSocket,
}

/// What an encoder remembers: browsers send the fields of a request once, and then refer to them.
#[derive(Default)]
pub struct Encoder {
    /// The fields of plain requests, of which the last is the table's first.
    table: Vec<(String, String)>,
}

/// Entries of the static table (RFC 7541 appendix A).
const METHOD: u8 = 2;
const METHOD_GET: u8 = 2;
const PATH: u8 = 4;
const SCHEME_HTTPS: u8 = 7;
const STATUS_200: u8 = 8;
/// Where the dynamic one begins.
const DYNAMIC: usize = 62;

const INDEXED: u8 = 0x80;
const ADDED: u8 = 0x40;
const RESIZED: std::ops::RangeInclusive<u8> = 0x20..=0x3f;

/// What belongs to a connection of HTTP/1.1.
const NOT_IN_HTTP2: [&str; 3] = ["connection", "sec-websocket-key", "upgrade"];

impl Encoder {
    /// The block of a request.
    pub fn block(&mut self, request: &[u8]) -> Option<(Asks, Vec<u8>)> {
        let text = std::str::from_utf8(request).ok()?;
        let mut lines = text.split("\r\n");
        let path = lines.next()?.split(' ').nth(1)?;
        let fields: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let asks = match fields.iter().any(|(name, _)| name == "upgrade") {
            true => Asks::ForWebSocket,
            false => Asks::ForPage,
        };
        let mut block = Vec::new();
        match asks {
            Asks::ForPage => block.push(INDEXED | METHOD_GET),
            Asks::ForWebSocket => {
                block.push(METHOD);
                string(&mut block, "CONNECT");
                literal(&mut block, ":protocol", "websocket");
            }
        }
        block.extend([INDEXED | SCHEME_HTTPS, PATH]);
        string(&mut block, path);
        for (name, value) in &fields {
            match (asks, &**name) {
                (Asks::ForPage, "host") => self.remembered(&mut block, ":authority".into(), value),
                (Asks::ForWebSocket, "host") => literal(&mut block, ":authority", value),
                (_, name) if NOT_IN_HTTP2.contains(&name) => {}
                (Asks::ForPage, _) => self.remembered(&mut block, name.clone(), value),
                (Asks::ForWebSocket, name) => literal(&mut block, name, value),
            }
        }
        Some((asks, block))
    }

    /// A field that goes into the table, where it isn't there. All that are sent fit into 4,096 bytes, so none leaves.
    fn remembered(&mut self, block: &mut Vec<u8>, name: String, value: &str) {
        let mut newest_first = self.table.iter().rev();
        let place = newest_first.position(|(had, its)| *had == name && its == value);
        if let Some(place) = place {
            number(block, INDEXED, 7, DYNAMIC + place);
            return;
        }
        block.push(ADDED);
        string(block, &name);
        string(block, value);
        self.table.push((name, value.to_owned()));
    }
}

/// Whether an answer's block begins with the status 200, which has an entry of its own.
pub fn is_ok(block: &[u8]) -> bool {
    // The table's size may come first, in one byte where it is small.
    let mut rest = block.iter().skip_while(|byte| RESIZED.contains(byte));
    rest.next() == Some(&(INDEXED | STATUS_200))
}

/// A field that goes into no table.
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    string(block, name);
    string(block, value);
}

fn string(block: &mut Vec<u8>, text: &str) {
    number(block, 0, 7, text.len());
    block.extend(text.as_bytes());
}

/// A number in the last bits of a byte, and in more of them where it is large (RFC 7541 section 5.1).
fn number(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        block.push(first | value as u8);
        return;
    }
    block.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn a_handshake_is_an_extended_connect() {
        let (asks, block) = Encoder::default().block(http::PROGRAM_HANDSHAKE).unwrap();
        let wanted = [
            &b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x87\x04\x03/ws"[..],
            b"\x00\x0a:authority\x09localhost",
            b"\x00\x15sec-websocket-version\x0213",
        ];
        assert_eq!((asks, block), (Asks::ForWebSocket, wanted.concat()));
    }

    #[test]
    fn a_page_is_asked_for_by_its_fields_once() {
        let mut encoder = Encoder::default();
        let (asks, first) = encoder.block(http::PLAIN).unwrap();
        let (_, second) = encoder.block(http::PLAIN).unwrap();
        assert_eq!(asks, Asks::ForPage);
        let front = b"\x82\x87\x04\x03/ws";
        assert!(first.starts_with(front) && first.len() > 200);
        assert_eq!(
            second,
            [&front[..], &[0xc3, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe]].concat()
        );
    }

    #[test]
    fn numbers_have_as_many_bytes_as_they_take() {
        for (value, bytes) in [
            (126, &[0xfe][..]),
            (127, &[0xff, 0]),
            (1464, &[0xff, 0xb9, 10]),
        ] {
            let mut block = Vec::new();
            number(&mut block, INDEXED, 7, value);
            assert_eq!(block, bytes);
        }
    }

    #[test]
    fn a_status_stands_first() {
        assert!(is_ok(b"\x88\x5f") && is_ok(b"\x20\x88"));
        assert!(!is_ok(b"\x8d") && !is_ok(b"\x48\x03501") && !is_ok(b""));
    }
}
