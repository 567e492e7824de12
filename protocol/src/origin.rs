//! Which pages may open a WebSocket (RFC 6455 section 10.2, RFC 6454).

use core::{fmt, str};

use crate::header::trim;

/// One rule of an origin list. Patterns are the caller's business.
///
/// Hosts and schemes are compared in any case. Ports are compared with the scheme's default filled
/// in: `https://example.com` and `https://example.com:443` are one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginRule<'a> {
    /// `none`: the request has no Origin, as from most clients that are no browsers.
    None,
    /// `same`: the origin's host and port are those that the request was sent to.
    ///
    /// A Host without a port may come from a plain request whose TLS ended in front of this server.
    /// So it stands for port 443 in a secure request, and for 80 or 443 in a plain one, whichever
    /// is the default of the origin's scheme.
    Same,
    /// `null`: the opaque origin of sandboxed frames and local files.
    Null,
    /// `scheme://host[:port]`: this origin.
    Exact(Origin<'a>),
    /// `scheme://*.host[:port]`: origins at any depth below the host, which is kept with its
    /// leading dot. Not the host itself.
    Subdomains(Origin<'a>),
}

impl<'a> OriginRule<'a> {
    /// Reads a rule as it is written in a configuration.
    pub fn parse(rule: &'a [u8]) -> Result<Self, OriginRuleError> {
        Ok(match rule {
            b"none" => Self::None,
            b"same" => Self::Same,
            b"null" => Self::Null,
            b"*" | b"all" | b"any" | b"off" => return Err(OriginRuleError::All),
            _ => {
                let origin = Origin::split(rule)?;
                match origin.host.strip_prefix(b"*") {
                    Some(host @ [b'.', name @ ..]) if is_host(name) => {
                        Self::Subdomains(Origin { host, ..origin })
                    }
                    _ if origin.host.contains(&b'*') => return Err(OriginRuleError::Wildcard),
                    _ => Self::Exact(origin.checked()?),
                }
            }
        })
    }

    /// Whether a request with this Origin header falls under the rule.
    pub fn matches(&self, origin: Option<&[u8]>, request: RequestAuthority<'_>) -> bool {
        let Some(value) = origin.map(trim) else {
            return *self == Self::None;
        };
        match self {
            Self::None => false,
            Self::Null => value == b"null",
            Self::Same => Origin::parse(value).is_ok_and(|origin| request.is_same(origin)),
            Self::Exact(rule) => Origin::parse(value).is_ok_and(|origin| {
                rule.has_scheme_and_port_of(origin) && rule.host.eq_ignore_ascii_case(origin.host)
            }),
            Self::Subdomains(rule) => Origin::parse(value).is_ok_and(|origin| {
                rule.has_scheme_and_port_of(origin) && is_below(origin.host, rule.host)
            }),
        }
    }
}

/// Where a request was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestAuthority<'a> {
    /// Whether it came over TLS to this server.
    pub secure: bool,
    /// The Host header's value, with its port if it has one.
    pub host: &'a [u8],
}

impl RequestAuthority<'_> {
    fn is_same(self, origin: Origin<'_>) -> bool {
        let Some(default) = origin.default_port() else {
            return false;
        };
        let Ok((host, port)) = split_port(trim(self.host)) else {
            return false;
        };
        let port = port.unwrap_or(if self.secure { 443 } else { default });
        origin.port.unwrap_or(default) == port && origin.host.eq_ignore_ascii_case(host)
    }
}

/// The parts of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(value: &'a [u8]) -> Result<Self, OriginRuleError> {
        Self::split(value)?.checked()
    }

    /// The parts, the host as it stands.
    fn split(value: &'a [u8]) -> Result<Self, OriginRuleError> {
        let end = value
            .iter()
            .position(|&byte| byte == b':')
            .ok_or(OriginRuleError::Scheme)?;
        let (scheme, rest) = value.split_at_checked(end).ok_or(OriginRuleError::Scheme)?;
        let authority = rest.strip_prefix(b"://").ok_or(OriginRuleError::Scheme)?;
        if !is_scheme(scheme) {
            return Err(OriginRuleError::Scheme);
        }
        if authority
            .iter()
            .any(|byte| matches!(byte, b'/' | b'?' | b'#'))
        {
            return Err(OriginRuleError::Path);
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { scheme, host, port })
    }

    /// Itself, if its host can be one. Web views send `file://`, which has none.
    fn checked(self) -> Result<Self, OriginRuleError> {
        let is_file = self.host.is_empty() && self.scheme.eq_ignore_ascii_case(b"file");
        if is_file || is_host(self.host) {
            Ok(self)
        } else {
            Err(OriginRuleError::Host)
        }
    }

    fn has_scheme_and_port_of(&self, other: Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.port.or(self.default_port()) == other.port.or(other.default_port())
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme {
            scheme if scheme.eq_ignore_ascii_case(b"http") => Some(80),
            scheme if scheme.eq_ignore_ascii_case(b"https") => Some(443),
            _ => None,
        }
    }
}

/// Why a rule can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginRuleError {
    /// It stands for every origin, for which there is no rule.
    All,
    /// It doesn't begin with a scheme and `://`.
    Scheme,
    /// The host is missing or has characters that no host has.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// Something follows the host and port.
    Path,
    /// A `*` stands anywhere else than before the host's first dot.
    Wildcard,
}

impl fmt::Display for OriginRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::All => "leave it out to allow all",
            Self::Scheme => {
                "it must be \"none\", \"same\", \"null\", an origin such as \"https://example.com\", \
                 or \"~\" and a regular expression"
            }
            Self::Host => "its host is missing or invalid",
            Self::Port => "its port must be a number from 1 to 65535",
            Self::Path => "an origin ends after its host and port, without a slash or path",
            Self::Wildcard => {
                "a wildcard must be the whole first label, as in \"https://*.example.com\""
            }
        })
    }
}

impl core::error::Error for OriginRuleError {}

/// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
fn split_port(authority: &[u8]) -> Result<(&[u8], Option<u16>), OriginRuleError> {
    let after_brackets = match authority {
        [b'[', ..] => authority.iter().position(|&byte| byte == b']'),
        _ => Some(0),
    };
    let from = after_brackets.ok_or(OriginRuleError::Host)?;
    let colon = authority.iter().skip(from).position(|&byte| byte == b':');
    let Some(end) = colon.and_then(|colon| colon.checked_add(from)) else {
        return Ok((authority, None));
    };
    let (host, port) = authority
        .split_at_checked(end)
        .ok_or(OriginRuleError::Port)?;
    let port = port
        .get(1..)
        .and_then(parse_port)
        .ok_or(OriginRuleError::Port)?;
    Ok((host, Some(port)))
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    // `parse` alone would take a plus sign.
    let digits = str::from_utf8(digits)
        .ok()
        .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().filter(|&port| port != 0)
}

fn is_scheme(scheme: &[u8]) -> bool {
    matches!(scheme, [first, rest @ ..] if first.is_ascii_alphabetic()
        && rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', address @ .., b']'] => {
            address.contains(&b':')
                && address
                    .iter()
                    .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        _ => {
            !host.is_empty()
                && host
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    }
}

/// Whether `host` is `suffix`, which begins with a dot, with at least a character before it.
fn is_below(host: &[u8], suffix: &[u8]) -> bool {
    let Some(length) = host.len().checked_sub(suffix.len()) else {
        return false;
    };
    matches!(host.split_at_checked(length), Some(([.., last], end))
        if *last != b'.' && end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests;
