//! Which server an address reaches: first by `listen`, then by name.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::hostname::Matched;
use super::parse::Directive;
use super::pattern::Patterns;

/// Where a request comes in.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// The address it was sent to, where that is known.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// Its Host, in small letters and without a port.
    pub host: &'a str,
}

/// The server that a request reaches.
pub struct Server<'a> {
    pub directive: &'a Directive,
    /// What the port speaks. It is the port's: one `listen` with `ssl` is enough.
    pub is_tls: bool,
    /// Why this one.
    pub why: String,
}

/// Chooses among the servers of an `http` block. `None` if none listens there.
pub fn choose<'a>(
    http: &'a [Directive],
    arrival: &Arrival<'_>,
    patterns: &Patterns,
) -> Option<Server<'a>> {
    let servers = http
        .iter()
        .filter(|directive| directive.name == "server" && directive.block.is_some());
    let mut listening: Vec<(&Directive, Listen)> = servers
        .flat_map(|server| listens(server).map(move |listen| (server, listen)))
        .filter(|(_, listen)| listen.ports.contains(&arrival.port))
        .collect();
    if let Some(address) = arrival.address {
        // The most exact address takes all.
        let nearest = listening
            .iter()
            .filter_map(|(_, listen)| listen.nearness(address))
            .max()?;
        listening.retain(|(_, listen)| listen.nearness(address) == Some(nearest));
    }
    let is_tls = listening.iter().any(|(_, listen)| listen.is_tls);
    let (directive, why) = by_name(&listening, arrival, patterns)?;
    Some(Server {
        directive,
        is_tls,
        why,
    })
}

fn by_name<'a>(
    listening: &[(&'a Directive, Listen)],
    arrival: &Arrival<'_>,
    patterns: &Patterns,
) -> Option<(&'a Directive, String)> {
    let mut best: Option<(Named, &Directive, &str)> = None;
    for (server, _) in listening {
        for name in names(server) {
            let Some(named) = Named::of(name, arrival.host, patterns) else {
                continue;
            };
            // Of two that are equal the first is taken.
            if best.as_ref().is_none_or(|(other, ..)| named > *other) {
                best = Some((named, server, name));
            }
        }
    }
    if let Some((_, server, name)) = best {
        return Some((server, format!("its server_name {name} matches")));
    }
    let default = listening.iter().find(|(_, listen)| listen.is_default);
    let (server, _) = default.or(listening.first())?;
    Some((
        server,
        format!(
            "no server_name matches {}, and it is the default server of port {}",
            arrival.host, arrival.port
        ),
    ))
}

/// How a server's name matches, the better the greater.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    ByExpression,
    ByName(Matched),
}

impl Named {
    fn of(name: &str, host: &str, patterns: &Patterns) -> Option<Self> {
        let Some(expression) = name.strip_prefix('~') else {
            return Matched::of(name, host).map(Self::ByName);
        };
        let matches = patterns.get(expression, true)?.is_in(host);
        matches.then_some(Self::ByExpression)
    }
}

fn names(server: &Directive) -> impl Iterator<Item = &str> {
    let lines = server
        .children()
        .iter()
        .filter(|line| line.name == "server_name");
    lines.flat_map(|line| line.words.iter().map(String::as_str))
}

/// A `listen`.
struct Listen {
    /// `None` for all of a family.
    address: Option<IpAddr>,
    /// Whether it takes IPv6; a wildcard takes one family only, unless told otherwise.
    families: (bool, bool),
    ports: RangeInclusive<u16>,
    is_tls: bool,
    is_default: bool,
}

/// Those of a server, without the ones that no address of a browser leads to.
fn listens(server: &Directive) -> impl Iterator<Item = Listen> {
    let lines: Vec<&Directive> = server
        .children()
        .iter()
        .filter(|line| line.name == "listen")
        .collect();
    let ssl_on = server
        .children()
        .iter()
        .any(|line| line.name == "ssl" && line.says("on"));
    let default = lines.is_empty().then_some(Listen {
        address: None,
        families: (true, false),
        ports: 80..=80,
        is_tls: ssl_on,
        is_default: false,
    });
    let read = lines.into_iter().filter_map(Listen::read);
    let read: Vec<Listen> = read.chain(default).collect();
    read.into_iter().map(move |listen| Listen {
        is_tls: listen.is_tls || ssl_on,
        ..listen
    })
}

/// A port, or the first and the last of many.
fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

impl Listen {
    fn read(line: &Directive) -> Option<Self> {
        let (text, has) = (line.word(0), |word: &str| {
            line.words.iter().skip(1).any(|other| other == word)
        });
        if text.starts_with("unix:") || has("quic") {
            return None;
        }
        let (host, ports) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, ports(port)?),
            _ => match ports(text) {
                Some(ports) => ("*", ports),
                None => (text, 80..=80),
            },
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (address, families) = match host {
            "*" | "0.0.0.0" => (None, (true, false)),
            "::" => (None, (has("ipv6only=off"), true)),
            "localhost" => (Some(IpAddr::from([127, 0, 0, 1])), (true, false)),
            // A name that only its resolver knows: taken for whatever is asked.
            host => match host.parse() {
                Ok(address) => (Some(address), (true, true)),
                Err(_) => (None, (true, true)),
            },
        };
        Some(Self {
            address,
            families,
            ports,
            is_tls: has("ssl"),
            is_default: has("default_server") || has("default"),
        })
    }

    /// Whether it takes a connection to this address: 2 for that very address, 1 for any.
    fn nearness(&self, address: IpAddr) -> Option<u8> {
        match self.address {
            Some(own) => (own == address).then_some(2),
            None if address.is_ipv4() => self.families.0.then_some(1),
            None => self.families.1.then_some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::parse::parse;

    /// The line of the server that is reached, and whether the port speaks TLS.
    fn chosen(http: &str, address: Option<&str>, port: u16, host: &str) -> Option<(usize, bool)> {
        let directives = parse("a", http).expect("right syntax");
        let arrival = Arrival {
            address: address.map(|text| text.parse().expect("an address")),
            port,
            host,
        };
        choose(&directives, &arrival, &Patterns::new())
            .map(|server| (server.directive.line, server.is_tls))
    }

    #[test]
    fn by_port_and_address() {
        let http = "server { listen 80; }
            server { listen 127.0.0.1:80; listen 8080; }
            server { listen [::]:80; listen 443 ssl; listen [::1]:81; }
            server { listen unix:/a; }
            server { server_name b; }";
        let line = |address, port| chosen(http, address, port, "x").map(|(line, _)| line);
        assert_eq!(line(Some("127.0.0.1"), 80), Some(2));
        assert_eq!(line(Some("192.0.2.1"), 80), Some(1));
        assert_eq!(line(Some("2001:db8::1"), 80), Some(3));
        assert_eq!(line(Some("::1"), 81), Some(3));
        assert_eq!(line(Some("127.0.0.1"), 81), None);
        assert_eq!(line(None, 8080), Some(2));
        assert_eq!(line(None, 9), None);
        assert_eq!(chosen(http, None, 443, "x"), Some((3, true)));
        assert_eq!(chosen(http, None, 80, "b"), Some((5, false)));
    }

    #[test]
    fn by_name() {
        let http = "server { listen 80; server_name a.example www.a.example; }
            server { listen 80; server_name *.example .org; }
            server { listen 80; server_name www.*; }
            server { listen 80; server_name ~^db\\d+\\.; }
            server { listen 80 default_server; server_name *.b.example; }";
        let line = |host| chosen(http, None, 80, host).map(|(line, _)| line);
        for (host, expected) in [
            ("a.example", 1),
            ("www.a.example", 1),
            ("x.example", 2),
            ("x.b.example", 5),
            ("www.example", 2),
            ("www.net", 3),
            ("org", 2),
            ("db1.net", 4),
            ("dbx.net", 5),
            ("example", 5),
        ] {
            assert_eq!(line(host), Some(expected), "{host}");
        }
    }
}
