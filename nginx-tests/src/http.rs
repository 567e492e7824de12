//! The head of a request or response, as it was on the wire.

/// A start line and header lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The request line or the status line.
    pub start: String,
    /// Names and values in their order, values trimmed.
    pub headers: Vec<(String, String)>,
    /// The bytes, with the empty line that ends them.
    pub raw: Vec<u8>,
}

impl Head {
    /// Parses the bytes of a head; panics if they are none.
    pub fn parse(raw: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("not a header line: {line:?} in {text:?}"));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Self {
            start,
            headers,
            raw,
        }
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The values of every header of this name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The header lines of this name exactly as they were written: `Upgrade: websocket`.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let wanted = format!("{}:", name.to_ascii_lowercase());
        self.text()
            .split("\r\n")
            .filter(|line| line.to_ascii_lowercase().starts_with(&wanted))
            .map(str::to_owned)
            .collect()
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.start
            .strip_prefix("HTTP/")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("not a status line: {:?}", self.start))
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The whole head as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Whether a comma-separated header holds this token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// A head and the body that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Start line and headers.
    pub head: Head,
    /// The body, with any chunked coding removed.
    pub body: Vec<u8>,
}

impl Message {
    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_gives_back_its_parts() {
        let raw =
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade:  websocket\r\nX: a, B\r\nx: c\r\n\r\n";
        let head = Head::parse(raw.to_vec());
        assert_eq!(head.status(), 426);
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.lines("upgrade"), ["Upgrade:  websocket"]);
        assert_eq!(head.all("X"), ["a, B", "c"]);
        assert!(head.has_token("x", "b") && head.has_token("x", "C") && !head.has_token("x", "d"));
    }
}
