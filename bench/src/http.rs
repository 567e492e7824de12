//! The requests of the generator and the answers of the backend: constants, and as much parsing as
//! it takes to know one from another.

use std::borrow::Cow;

/// As a browser sends it: a proxy has to look at every header.
pub const BROWSER_HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Upgrade: websocket\r\n\
    Origin: http://localhost\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    \r\n";

macro_rules! program_handshake {
    ($path:literal) => {
        concat!(
            "GET ",
            $path,
            " HTTP/1.1\r\n\
            Host: localhost\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\
            \r\n"
        )
        .as_bytes()
    };
}

/// As a program may send it: what RFC 6455 wants, and nothing else.
pub const PROGRAM_HANDSHAKE: &[u8] = program_handshake!("/ws");
/// For a tunnel whose backend only takes what comes, and for one whose backend sends.
pub const SINK_HANDSHAKE: &[u8] = program_handshake!("/ws/sink");
pub const SOURCE_HANDSHAKE: &[u8] = program_handshake!("/ws/source");

/// For one whose backend reads nothing that comes.
pub const DEAF_HANDSHAKE: &[u8] = program_handshake!("/ws/deaf");

/// For one whose backend sends without end.
pub const ENDLESS_HANDSHAKE: &[u8] = program_handshake!("/ws/endless");

/// For a tunnel whose backend sends what one client says to all clients of the same room.
pub fn broadcast_handshake(room: u64) -> Vec<u8> {
    let text = String::from_utf8_lossy(program_handshake!("/ws/room/"));
    let path = format!("/ws/room/{room}");
    text.replacen("/ws/room/", &path, 1).into_bytes()
}

/// The room that a request is for.
pub fn room(head: &[u8]) -> Option<u64> {
    let room = path(head)?.strip_prefix(b"/ws/room/")?;
    std::str::from_utf8(room).ok()?.parse().ok()
}

/// For a list of all tunnels.
pub const LIST: &[u8] = b"GET /list?sort=bytes&tunnels=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Whether there is a way to the backend: a request that doesn't count.
pub const READY: &[u8] = b"GET /ws/ready HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The key is RFC 6455's own example, and so is the answer to it.
pub const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n";

const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to a handshake. A proxy that has it from HTTP/2, where there is no key, has made one up.
pub fn switching(head: &[u8]) -> Cow<'static, [u8]> {
    let key = field(head, b"sec-websocket-key").unwrap_or_default();
    if key == KEY {
        return SWITCHING.into();
    }
    let mut answer = SWITCHING.to_vec();
    let at = SWITCHING
        .windows(ACCEPT.len())
        .position(|part| part == ACCEPT);
    let place = at.and_then(|at| answer.get_mut(at..at + ACCEPT.len()));
    if let Some(place) = place {
        place.copy_from_slice(&websocket_protocol::accept_key(key));
    }
    answer.into()
}

pub const PLAIN: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    \r\n";

pub const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 13\r\n\
    \r\n\
    Hello, world\n";

const BODY: &[u8] = b"Hello, world\n";

/// More than any request or answer here.
pub const MAX_HEAD: usize = 4096;

/// The length of the head, with the empty line that ends it.
pub fn head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.map(|end| end + 4)
}

/// What an answer is so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Incomplete,
    Complete,
    Wrong,
}

/// Whether these bytes are the answer to a handshake, and no more.
pub fn switched(bytes: &[u8]) -> Answer {
    match head(bytes) {
        None => Answer::Incomplete,
        Some(end) => {
            let right = end == bytes.len()
                && bytes.starts_with(b"HTTP/1.1 101 ")
                && field(bytes, b"sec-websocket-accept") == Some(ACCEPT);
            if right {
                Answer::Complete
            } else {
                Answer::Wrong
            }
        }
    }
}

/// Whether these bytes are the page, and no more.
pub fn page(bytes: &[u8]) -> Answer {
    let Some(end) = head(bytes) else {
        return Answer::Incomplete;
    };
    let body = &bytes[end..];
    if !bytes.starts_with(b"HTTP/1.1 200 ") || !BODY.starts_with(body) {
        Answer::Wrong
    } else if body.len() < BODY.len() {
        Answer::Incomplete
    } else {
        Answer::Complete
    }
}

/// Whether a request, as the proxy passes it on, asks for a WebSocket.
pub fn is_handshake(head: &[u8]) -> bool {
    field(head, b"upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && field(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case(b"upgrade"))
}

/// Whether a request is for this path.
pub fn is_for(head: &[u8], path: &[u8]) -> bool {
    self::path(head) == Some(path)
}

fn path(head: &[u8]) -> Option<&[u8]> {
    head.split(|byte| *byte == b' ').nth(1)
}

fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        assert!(is_handshake(BROWSER_HANDSHAKE));
        assert!(is_handshake(PROGRAM_HANDSHAKE));
        assert!(!is_handshake(PLAIN));
        assert!(is_for(SINK_HANDSHAKE, b"/ws/sink"));
        assert!(!is_for(PROGRAM_HANDSHAKE, b"/ws/sink"));
        let room_handshake = broadcast_handshake(17 << 32);
        assert!(is_handshake(&room_handshake));
        assert_eq!(room(&room_handshake), Some(17 << 32));
        assert_eq!(room(PROGRAM_HANDSHAKE), None);
    }

    #[test]
    fn each_key_has_its_answer() {
        assert_eq!(&*switching(PROGRAM_HANDSHAKE), SWITCHING);
        let other = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";
        let answer = switching(other);
        let accept = field(&answer, b"sec-websocket-accept");
        assert_eq!(accept, Some(&b"HSmrc0sMlYUkAGmm5OPpG2HaGWk="[..]));
        assert_eq!(answer.len(), SWITCHING.len());
    }

    #[test]
    fn answers_are_complete_or_wrong() {
        for (judge, answer) in [
            (switched as fn(&[u8]) -> Answer, SWITCHING),
            (page as fn(&[u8]) -> Answer, PAGE),
        ] {
            assert_eq!(judge(answer), Answer::Complete);
            assert_eq!(judge(&answer[..answer.len() - 1]), Answer::Incomplete);
            assert_eq!(judge(&[answer, b"x"].concat()), Answer::Wrong);
            assert_eq!(judge(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), Answer::Wrong);
        }
    }
}
