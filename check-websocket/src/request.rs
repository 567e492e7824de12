//! The handshake as a browser sends it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use websocket_protocol::Chosen;

use crate::options::Walk;
use crate::random;
use crate::target::Target;

const PROGRAM: &str = "check-websocket/";
const AGENT: &str = concat!("check-websocket/", env!("CARGO_PKG_VERSION"));

/// A request to be sent. The handshake, or what something on the way could make of it.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub version: &'static str,
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The handshake of this command line, to this server.
    pub fn new(target: &Target, options: &Walk) -> Self {
        let key = STANDARD.encode(random::bytes::<16>());
        let mut request = Self {
            path: target.path.clone(),
            version: "1.1",
            headers: Vec::new(),
        };
        request.add("Host", options.target.authority());
        request.add("Connection", "Upgrade");
        request.add("Pragma", "no-cache");
        request.add("Cache-Control", "no-cache");
        request.add("User-Agent", AGENT);
        request.add("Upgrade", "websocket");
        match options.origin.as_deref() {
            Some("none") => {}
            Some(origin) => request.add("Origin", origin),
            None => request.add("Origin", options.target.origin()),
        }
        request.add("Sec-WebSocket-Version", "13");
        request.add("Sec-WebSocket-Key", key);
        if !options.subprotocols.is_empty() {
            request.add("Sec-WebSocket-Protocol", options.subprotocols.join(", "));
        }
        for (name, _) in &options.headers {
            request.remove(name);
        }
        for (name, value) in &options.headers {
            request.add(name, value);
        }
        request
    }

    /// The same with another key, for another connection.
    pub fn again(&self) -> Self {
        let mut request = self.clone();
        let own = |(name, _): &&mut (String, String)| name == "Sec-WebSocket-Key";
        if let Some((_, key)) = request.headers.iter_mut().find(own) {
            *key = STANDARD.encode(random::bytes::<16>());
        }
        request
    }

    pub fn without(mut self, names: &[&str]) -> Self {
        for name in names {
            self.remove(name);
        }
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.remove(name);
        self.add(name, value);
        self
    }

    /// Says in the program's own User-Agent what it is for, so that logs show it.
    pub fn named(self, purpose: &str) -> Self {
        match self.header("User-Agent") {
            Some(agent) if agent.starts_with(PROGRAM) => {
                let agent = format!("{agent} ({purpose})");
                self.with("User-Agent", agent)
            }
            _ => self,
        }
    }

    pub fn over(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> + Clone {
        let named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// Request line and headers, to be shown. Reports are passed on, so credentials are left out.
    pub fn shown(&self) -> Vec<String> {
        let secret = |line: &String| {
            let (name, value) = line.split_once(':')?;
            is_secret(name.as_bytes(), value.as_bytes()).then(|| format!("{name}: {HIDDEN}"))
        };
        let mut lines = self.lines().into_iter();
        // The first is no header.
        let first = lines.next();
        let headers = lines.map(|line| secret(&line).unwrap_or(line));
        first.into_iter().chain(headers).collect()
    }

    /// The request line.
    pub fn line(&self) -> String {
        format!("GET {} HTTP/{}", self.path, self.version)
    }

    fn lines(&self) -> Vec<String> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        std::iter::once(self.line()).chain(headers).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut text = self.lines().join("\r\n");
        text += "\r\n\r\n";
        text.into_bytes()
    }
}

pub const HIDDEN: &str = "(not shown)";

/// What a header's name has in it whose value is nobody else's business.
const SECRETS: [&[u8]; 10] = [
    b"authorization",
    b"cookie",
    b"token",
    b"secret",
    b"password",
    b"credential",
    b"session",
    b"jwt",
    b"apikey",
    b"-key",
];

/// Whether a header's value is nobody else's business. Pages also put credentials where names of subprotocols are.
pub fn is_secret(name: &[u8], value: &[u8]) -> bool {
    let is_list = name.eq_ignore_ascii_case(b"sec-websocket-protocol");
    let is_of_handshake = name.eq_ignore_ascii_case(b"sec-websocket-key");
    (is_list && subprotocols(value).any(|name| !Chosen(name).is_name()))
        || (!is_of_handshake && names_secret(name))
}

/// Whether a line that is no header may be one of these all the same, or go on with the one before.
pub fn may_hold_secret(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..]) || names_secret(line)
}

fn names_secret(text: &[u8]) -> bool {
    SECRETS.iter().any(|secret| {
        let mut windows = text.windows(secret.len());
        windows.any(|part| part.eq_ignore_ascii_case(secret))
    })
}

fn subprotocols(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

impl Request {
    /// The parts of its headers that are nobody else's business.
    pub fn secrets(&self) -> Vec<&str> {
        let headers = self.headers.iter();
        let secret = headers.filter(|(name, value)| is_secret(name.as_bytes(), value.as_bytes()));
        let parts = secret.flat_map(|(name, value)| secrets_of(&name.to_ascii_lowercase(), value));
        parts.filter(|part| !part.is_empty()).collect()
    }
}

/// Those of one header.
fn secrets_of<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    let value = value.trim();
    match name {
        "cookie" => {
            let pairs = value.split(';').filter_map(|pair| pair.split_once('='));
            pairs.map(|(_, value)| value.trim()).collect()
        }
        "sec-websocket-protocol" => {
            let names = value.split(',').map(str::trim);
            names
                .filter(|name| !Chosen(name.as_bytes()).is_name())
                .collect()
        }
        // The name of its scheme is none.
        name if name.ends_with("authorization") => match value.split_once(char::is_whitespace) {
            Some((_, credentials)) => std::iter::once(credentials.trim())
                .chain(credentials.split_whitespace())
                .collect(),
            None => vec![value],
        },
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_of_a_header_and_what_is_not() {
        let request = Request {
            path: "/ws?token=x&t=12:30".to_owned(),
            version: "1.1",
            headers: [
                ("Authorization", "Bearer s3cret"),
                (
                    "Sec-WebSocket-Protocol",
                    "bearer.abcdefghijklmnopqrstuvwxyz, chat",
                ),
                ("Cookie", "sid=t0p; lang=en"),
                ("X-Api-Key", "a b"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let secrets = [
            "s3cret",
            "s3cret",
            "bearer.abcdefghijklmnopqrstuvwxyz",
            "t0p",
            "en",
            "a b",
        ];
        assert_eq!(request.secrets(), secrets);
        let shown = request.shown();
        assert_eq!(shown[0], "GET /ws?token=x&t=12:30 HTTP/1.1");
        assert!(
            shown[1..]
                .iter()
                .all(|line| line.ends_with(": (not shown)"))
        );
    }

    #[test]
    fn credentials_are_nobody_else_s_business() {
        for (name, value) in [
            ("Proxy-Authorization", "x"),
            ("x-api-key", "x"),
            ("X-Auth-Token", "x"),
            ("PHPSESSION", "x"),
            (
                "Sec-WebSocket-Protocol",
                "chat, bearer.abcdefghijklmnopqrstuvwxyz",
            ),
        ] {
            assert!(is_secret(name.as_bytes(), value.as_bytes()), "{name}");
        }
        for (name, value) in [
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            (
                "Sec-WebSocket-Protocol",
                "graphql-transport-ws, chat, mqtt, v12.stomp",
            ),
            ("X-Forwarded-For", "192.0.2.1"),
        ] {
            assert!(!is_secret(name.as_bytes(), value.as_bytes()), "{name}");
        }
    }

    fn options(extra: &[&str]) -> Walk {
        let arguments = ["check-websocket", "wss://a.example:8443/chat"];
        let arguments = arguments.iter().chain(extra).map(|text| text.into());
        match crate::options::parse(arguments).expect("a right command line") {
            crate::options::Task::Walk(walk) => *walk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_handshake_is_what_a_browser_sends() {
        let options = options(&["--subprotocol", "a", "--subprotocol", "b"]);
        let request = Request::new(&options.target, &options);
        assert_eq!(request.lines()[0], "GET /chat HTTP/1.1");
        for (name, value) in [
            ("Host", "a.example:8443"),
            ("Origin", "https://a.example:8443"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Protocol", "a, b"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        let key = |request: &Request| request.header("Sec-WebSocket-Key").map(str::to_owned);
        assert_eq!(key(&request).map(|key| key.len()), Some(24));
        assert_ne!(key(&request), key(&request.again()));
    }

    #[test]
    fn given_headers_replace_its_own() {
        let options = options(&[
            "--origin",
            "none",
            "--header",
            "HOST: b",
            "--header",
            "Cookie: c",
        ]);
        let request = Request::new(&options.target, &options);
        assert_eq!(request.header("Origin"), None);
        assert_eq!(request.all("Host").collect::<Vec<_>>(), ["b"]);
        assert_eq!(request.header("cookie"), Some("c"));
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let options = options(&[
            "--header",
            "cookie: s3cret",
            "--header",
            "Authorization: s3cret",
        ]);
        let request = Request::new(&options.target, &options);
        assert!(String::from_utf8_lossy(&request.bytes()).contains("cookie: s3cret\r\n"));
        let shown = request.shown().join("\n");
        assert!(
            shown.contains("cookie: (not shown)") && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn the_user_agent_says_what_a_request_is_for() {
        let own = options(&[]);
        let request = Request::new(&own.target, &own).named("http-1.0");
        let agent = request.header("User-Agent").unwrap_or_default();
        assert!(
            agent.starts_with("check-websocket/") && agent.ends_with(" (http-1.0)"),
            "{agent}"
        );
        let given = options(&["--header", "User-Agent: mine"]);
        let request = Request::new(&given.target, &given).named("http-1.0");
        assert_eq!(request.header("User-Agent"), Some("mine"));
    }
}
