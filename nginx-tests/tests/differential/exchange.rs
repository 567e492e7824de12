//! One request through nginx: what the client got and what upstreams got.

use std::collections::BTreeMap;

use nginx_tests::http::Head;

/// The upstream of subrequests.
pub const ASIDE: &str = "ASIDE";

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub struct Piece {
    pub upstream: &'static str,
    /// The number of its connection, from the beginning of the run.
    pub connection: usize,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Exchange {
    /// Server, form and kind.
    pub name: String,
    /// Every byte until the end of the connection, but for the date.
    pub client: Vec<u8>,
    /// Whether frames came back.
    pub echoed: bool,
    pub upstream: Vec<Piece>,
}

impl Exchange {
    /// The parts that can differ, each with its place: the client's, then each upstream's first
    /// request, second request and so on.
    pub fn parts(&self) -> BTreeMap<(&'static str, usize), String> {
        let mut parts = BTreeMap::from([(("CLIENT", 0), readable(&self.client))]);
        for piece in &self.upstream {
            let of_this_one = |(name, _): &&(&str, usize)| *name == piece.upstream;
            let next = parts.keys().filter(of_this_one).count();
            let text = format!(
                "(connection {})\n{}",
                piece.connection,
                readable(&piece.bytes)
            );
            parts.insert((piece.upstream, next), text);
        }
        parts
    }

    /// The head of the handshake that an upstream got, if it got one over HTTP.
    pub fn handshake_head(&self) -> Option<Head> {
        self.upstream.iter().find_map(Piece::handshake_head)
    }

    /// Without the lines that make an upgrade: where they stand is nobody's concern.
    pub fn without_upgrade(mut self) -> Self {
        for piece in &mut self.upstream {
            if let Some(head) = piece.handshake_head() {
                let of_the_upgrade = |line: &str| {
                    let line = line.to_ascii_lowercase();
                    line.starts_with("upgrade:") || line.starts_with("connection:")
                };
                let kept: String = (head.text().split_inclusive("\r\n"))
                    .filter(|line| !of_the_upgrade(line))
                    .collect();
                let rest = piece.bytes.split_off(head.raw.len());
                piece.bytes = [kept.into_bytes(), rest].concat();
            }
        }
        self
    }
}

impl Piece {
    /// Its head, if it is the handshake itself and no subrequest of it.
    fn handshake_head(&self) -> Option<Head> {
        if self.upstream == ASIDE {
            return None;
        }
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let is_http = self.bytes.starts_with(b"GET ") || self.bytes.starts_with(b"PUT ");
        let head = is_http.then(|| Head::parse(self.bytes[..end].to_vec()))?;
        head.header("Sec-WebSocket-Key").is_some().then_some(head)
    }
}

/// The same without the only thing that two answers may differ in.
pub fn without_date(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"Date: ") {
            kept.extend(b"Date: *\r\n");
        } else {
            kept.extend(line);
        }
    }
    kept
}

/// Bytes as lines in which everything can be seen.
fn readable(bytes: &[u8]) -> String {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| format!("{}\n", line.escape_ascii()))
        .collect()
}
