//! The address to try: `ws://`, `wss://`, and `http(s)://` for those who copy it from a browser.

use std::fmt;
use std::net::Ipv6Addr;

/// A WebSocket address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is reached by TLS.
    pub secure: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Target {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("\"{text}\" must begin with ws:// or wss://"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => {
                return Err(format!(
                    "{scheme}:// is not ws://, wss://, http:// or https://"
                ));
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err("a WebSocket address has no fragment (#…)".to_owned());
        }
        if authority.contains('@') {
            let advice = "give credentials with --header \"Authorization: …\", not in the address";
            return Err(advice.to_owned());
        }
        let (host, port) = split_port(authority)?;
        check_host(host)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the path has characters that must be written as %XX".to_owned());
        }
        Ok(Self {
            secure,
            host: as_browsers_write(host),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// What a browser writes into Host: the port only where it isn't the scheme's own.
    pub fn authority(&self) -> String {
        let host = self.bracketed();
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The origin of a page that this server itself would have delivered.
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// In small letters, and an IPv6 address in its shortest form: so it goes into Host and Origin.
fn as_browsers_write(host: &str) -> String {
    let address = host
        .parse::<Ipv6Addr>()
        .ok()
        .map(|address| address.to_string());
    address.unwrap_or_else(|| host.to_ascii_lowercase())
}

/// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or("the bracket of an IPv6 address is not closed")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(format!("\"{rest}\" after the host is not a port")),
        Some(port) => parse_port(port).map(|port| (host, Some(port))),
    }
}

pub fn parse_port(port: &str) -> Result<u16, String> {
    let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port_number = digits
        .and_then(|digits| digits.parse().ok())
        .filter(|&port| port != 0);
    port_number.ok_or_else(|| format!("\"{port}\" is not a port from 1 to 65535"))
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the address has no host".to_owned());
    }
    if !host.is_ascii() {
        return Err(format!("write \"{host}\" in its ASCII form (xn--…)"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    if host.bytes().all(fits) {
        Ok(())
    } else {
        Err(format!("\"{host}\" is not a host name"))
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[track_caller]
    fn parts(text: &str) -> (bool, String, u16, String) {
        let target = Target::parse(text).expect("an address");
        (target.secure, target.host, target.port, target.path)
    }

    #[test]
    fn schemes_bring_their_ports() {
        let expected = |secure, port| (secure, "a.example".to_owned(), port, "/".to_owned());
        assert_eq!(parts("ws://a.example"), expected(false, 80));
        assert_eq!(parts("HTTP://a.example"), expected(false, 80));
        assert_eq!(parts("wss://a.example"), expected(true, 443));
        assert_eq!(parts("https://a.example/"), expected(true, 443));
    }

    #[test]
    fn ports_paths_and_queries() {
        let (secure, host, port, path) = parts("ws://[::1]:8080/chat?room=1");
        assert_eq!(
            (secure, host.as_str(), port, path.as_str()),
            (false, "::1", 8080, "/chat?room=1")
        );
        assert_eq!(parts("ws://a?b").3, "/?b");
    }

    #[test]
    fn the_default_port_is_not_written() {
        let authority = |text| Target::parse(text).expect("an address").authority();
        assert_eq!(authority("wss://a:443/"), "a");
        assert_eq!(authority("wss://a:80/"), "a:80");
        assert_eq!(authority("ws://[::1]:80/"), "[::1]");
        let target = Target::parse("https://a:8443").expect("an address");
        assert_eq!(target.origin(), "https://a:8443");
        assert_eq!(target.to_string(), "wss://a:8443/");
        assert_eq!(authority("WS://LOCALHOST:8080/A"), "localhost:8080");
        assert_eq!(authority("ws://[2001:DB8:0:0::1]/"), "[2001:db8::1]");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "a.example",
            "ftp://a",
            "ws://",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:+1",
            "ws://a b",
            "ws://u:p@a",
            "ws://a/#top",
            "ws://ä",
            "ws://a/ä",
            "ws://[::1",
            "ws://[::1]x",
            "ws://a/b c",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
