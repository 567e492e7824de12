use super::*;

/// A table that holds whatever is added, the newest first. Its Huffman's code is the text backwards.
#[derive(Default)]
struct Plain {
    added: Vec<(&'static [u8], &'static [u8])>,
}

/// The entries of RFC 7541 appendix A that the tests need.
const STATIC: &[(u32, &[u8], &[u8])] = &[
    (1, b":authority", b""),
    (2, b":method", b"GET"),
    (4, b":path", b"/"),
    (7, b":scheme", b"https"),
    (16, b"accept-encoding", b"gzip, deflate"),
];

fn leak(bytes: Vec<u8>) -> &'static [u8] {
    Vec::leak(bytes)
}

impl Table<'static> for Plain {
    fn field(&mut self, index: u32) -> Option<(&'static [u8], &'static [u8])> {
        match index.checked_sub(DYNAMIC) {
            Some(dynamic) => self.added.iter().rev().nth(dynamic as usize).copied(),
            None => STATIC
                .iter()
                .find(|entry| entry.0 == index)
                .map(|&(_, name, value)| (name, value)),
        }
    }

    fn name(&mut self, index: u32) -> Option<&'static [u8]> {
        self.field(index).map(|(name, _)| name)
    }

    fn decode(&mut self, text: &[u8]) -> Option<&'static [u8]> {
        Some(leak(text.iter().rev().copied().collect()))
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.added.push((leak(name.to_vec()), leak(value.to_vec())));
        Some(())
    }

    fn resize(&mut self, size: u32) -> Option<()> {
        (size <= 4096).then(|| self.added.clear())
    }
}

fn asks(block: &'static [u8]) -> bool {
    let mut table = Plain::default();
    let asks = asks_for_websocket(block, &mut table);
    assert!(table.added.is_empty(), "it only looks");
    asks
}

const KEY: &[u8; KEY_SIZE] = b"AAAAAAAAAAAAAAAAAAAAAA==";
const LIMIT: usize = 1000;

fn rewritten(block: &'static [u8], table: &mut Plain) -> Option<Vec<u8>> {
    let mut room = vec![0; rewritten_size(block.len(), LIMIT)];
    let length = rewrite(block, table, LIMIT, KEY, &mut room)?;
    room.truncate(length);
    Some(room)
}

/// The end of each block.
const BEHIND: &[u8] = b"\0\x11sec-websocket-key\x18AAAAAAAAAAAAAAAAAAAAAA==";

fn with_key(block: &[u8]) -> Option<Vec<u8>> {
    Some([block, BEHIND].concat())
}

#[test]
fn an_extended_connect_is_found() {
    assert!(asks(
        b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x44\x01/\x87\x41\x01a"
    ));
    assert!(asks(
        b"\x02\x07CONNECT\0\x09:protocol\x09WebSocket\x84\x87\x10\x01a\x01b"
    ));
    assert!(asks(b"\x02\x87TCENNOC\0\x89locotorp:\x89tekcosbew\x84\x87"));
}

#[test]
fn another_request_is_none() {
    for block in [
        &b"\x82\x84\x87\x41\x01a"[..],
        b"\x02\x07CONNECT\x84\x87",
        b"\x02\x07CONNECT\0\x09:protocol\x0bconnect-udp\x84\x87",
        b"\x82\0\x09:protocol\x09websocket\x84\x87",
        b"",
    ] {
        assert!(!asks(block), "{block:?}");
    }
}

#[test]
fn a_malformed_one_is_the_servers() {
    for block in [
        // No scheme, no path.
        &b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84"[..],
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x87",
        // Something twice.
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84\x87\x87",
        b"\x02\x07CONNECT\x82\0\x09:protocol\x09websocket\x84\x87",
        // A pseudo-header field of answers, and one behind other fields.
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84\x87\0\x07:status\x03200",
        b"\x02\x07CONNECT\x84\x87\0\x01a\x01b\0\x09:protocol\x09websocket",
        // Indices that are nowhere, and a block that is cut off.
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84\x87\xbe",
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84\x87\x80",
        b"\x02\x07CONNECT\0\x09:protocol\x09websocket\x84\x87\x02",
    ] {
        assert!(!asks(block), "{block:?}");
    }
}

#[test]
fn a_look_finds_entries_where_they_are_when_it_comes_to_them() {
    let mut table = Plain::default();
    table.add(b":protocol", b"websocket").unwrap();
    table.add(b":method", b"CONNECT").unwrap();
    assert!(asks_for_websocket(b"\xbe\xbf\x84\x87", &mut table));
    // What it adds itself moves them.
    assert!(asks_for_websocket(b"\x44\x02/a\xbf\xc0\x87", &mut table));
    assert!(!asks_for_websocket(b"\x44\x02/a\xbe\xbf\x87", &mut table));
    assert!(asks_for_websocket(
        b"\x44\x02/a\x7f\x00\x07CONNECT\xc1\x87",
        &mut table
    ));
}

#[test]
fn it_becomes_a_get_with_a_key() {
    let mut table = Plain::default();
    let block =
        b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x44\x02/a\x87\x41\x01h\x90\x10\x01x\x01y";
    let expected = with_key(b"\x82\x04\x02/a\x87\x01\x01h\x90\0\x01x\x01y");
    assert_eq!(rewritten(block, &mut table), expected);
    assert_eq!(
        table.added,
        [
            (&b":method"[..], &b"CONNECT"[..]),
            (b":protocol", b"websocket"),
            (b":path", b"/a"),
            (b":authority", b"h"),
        ]
    );
}

#[test]
fn what_refers_to_the_table_is_written_out() {
    let mut table = Plain::default();
    table.add(b"x-name", b"value").unwrap();
    let block = b"\xbe\x0f\x2f\x85rehto\0\x81n\x01v";
    let expected = with_key(b"\x82\0\x06x-name\x05value\0\x06x-name\x85rehto\0\x81n\x01v");
    assert_eq!(rewritten(block, &mut table), expected);
}

#[test]
fn its_own_key_is_not_taken() {
    let mut table = Plain::default();
    let block = b"\0\x11sec-websocket-key\x01k\0\x15sec-websocket-version\x0213";
    let expected = with_key(b"\x82\0\x15sec-websocket-version\x0213");
    assert_eq!(rewritten(block, &mut table), expected);
}

#[test]
fn a_malformed_one_stays_one() {
    let mut table = Plain::default();
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        let block = [&[0, name.len() as u8], name.as_bytes(), b"\x01v"].concat();
        let expected = with_key(b"\x82\0\x09:protocol\x0aconnection");
        assert_eq!(rewritten(leak(block), &mut table), expected);
    }
    let misplaced = with_key(b"\x82\0\x01a\x01b\0\x09:protocol\x09misplaced");
    assert_eq!(rewritten(b"\0\x01a\x01b\x84", &mut table), misplaced);
    assert_eq!(
        rewritten(b"\0\x01a\x01b\0\x09:protocol\x01x", &mut table),
        misplaced
    );
}

#[test]
fn a_broken_one_is_none() {
    let mut table = Plain::default();
    for block in [
        &b"\xbe"[..],
        b"\x80",
        b"\0\x05a",
        b"\x3f\xff\xff\x03",
        b"\x7e\x01v",
    ] {
        assert_eq!(rewritten(block, &mut table), None, "{block:?}");
    }
}

#[test]
fn a_small_block_of_large_fields_is_too_large() {
    let mut table = Plain::default();
    table.add(b"n", &[b'v'; 99]).unwrap();
    let length = rewritten(&[0xbe; 10], &mut table).map(|block| block.len());
    assert_eq!(length, Some(1 + 10 * (1 + 1 + 1 + 1 + 99) + BEHIND.len()));
    assert_eq!(rewritten(&[0xbe; 11], &mut table), None);
    // Also what is not written counts.
    table.add(b"sec-websocket-key", &[b'v'; 83]).unwrap();
    assert_eq!(rewritten(&[0xbe; 10], &mut table), with_key(b"\x82"));
    assert_eq!(rewritten(&[0xbe; 11], &mut table), None);
}
