//! The heads of a handshake: nothing but what could have come over the wire, and only one of each.

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

/// Whether this is the head of one GET request, and nothing behind it.
pub(super) fn is_request(head: &[u8]) -> bool {
    head.starts_with(b"GET ") && is_one(head)
}

/// Whether this is the head of one answer that switches protocols, and nothing behind it.
pub(super) fn is_answer(head: &[u8]) -> bool {
    let is_switch = |rest: &[u8]| matches!(rest.split_first_chunk(), Some((b" 101", _)));
    let rest = head.strip_prefix(b"HTTP/1.").and_then(<[u8]>::split_first);
    rest.is_some_and(|(minor, rest)| minor.is_ascii_digit() && is_switch(rest)) && is_one(head)
}

/// Whether this is nothing, or one line that begins as the PROXY protocol has it (version 1).
pub(super) fn is_proxy(line: &[u8]) -> bool {
    const LONGEST: usize = 107;
    let is_line = |line: &[u8]| {
        let inner = line
            .strip_prefix(b"PROXY ")
            .and_then(|line| line.strip_suffix(b"\r\n"));
        line.len() <= LONGEST && inner.is_some_and(|inner| !inner.iter().any(u8::is_ascii_control))
    };
    line.is_empty() || is_line(line)
}

/// Whether it ends where a head ends, and not before. nginx takes a line feed alone for the end of a line.
fn is_one(head: &[u8]) -> bool {
    let Some(lines) = head.strip_suffix(END) else {
        return false;
    };
    let mut lines = lines.split(|byte| *byte == b'\n');
    !head.contains(&0) && lines.all(|line| !line.is_empty() && line != b"\r")
}
