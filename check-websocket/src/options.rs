//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use crate::deadline::Deadline;
use crate::target::{Target, parse_port};
use crate::waiting::Waiting;

/// What to do.
#[derive(Debug)]
pub enum Task {
    /// Try an address.
    Walk(Box<Walk>),
    /// Judge an nginx configuration.
    Configuration {
        source: Source,
        /// Where in it: what becomes of a handshake for this address.
        address: Option<Box<Walk>>,
        deadline: Deadline,
        json: bool,
        quiet: bool,
    },
}

/// Where an nginx configuration comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// What `nginx -T` prints.
    Nginx,
    Stdin,
    File(std::path::PathBuf),
}

/// What to try, and how.
#[derive(Clone, Debug)]
pub struct Walk {
    pub target: Target,
    pub backend: Option<Target>,
    pub origin: Option<String>,
    pub subprotocols: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub resolve: Vec<Resolve>,
    pub family: Option<Family>,
    pub insecure: bool,
    connect_timeout: Duration,
    timeout: Duration,
    pub deadline: Deadline,
    pub waiting: Waiting,
    pub message: Option<String>,
    pub hold: Option<Duration>,
    pub probes: bool,
    pub http2: bool,
    pub repeat: u32,
    pub json: bool,
    pub quiet: bool,
}

impl Walk {
    /// For the lookup, for each connection and for TLS.
    pub fn connect_timeout(&self) -> Duration {
        self.deadline.at_most(self.connect_timeout)
    }

    /// For an answer, a pong and an echo.
    pub fn timeout(&self) -> Duration {
        self.deadline.at_most(self.timeout)
    }
}

/// `--resolve host:port:address`, as curl has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    pub host: String,
    pub port: u16,
    pub address: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Reads the command line. clap answers `--help` and mistakes itself, the latter with status 2.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let (json, quiet) = (matches.get_flag("json"), matches.get_flag("quiet"));
    if matches.contains_id("nginx-conf") {
        let source = match matches.get_one::<String>("nginx-conf").map(String::as_str) {
            None | Some("") => Source::Nginx,
            Some("-") => Source::Stdin,
            Some(file) => Source::File(file.into()),
        };
        let address = matches
            .contains_id("url")
            .then(|| Box::new(walk(&matches, json, quiet)));
        return Ok(Task::Configuration {
            source,
            address,
            deadline: deadline(&matches),
            json,
            quiet,
        });
    }
    let walk = walk(&matches, json, quiet);
    Ok(Task::Walk(Box::new(walk)))
}

/// What is asked for by `--hold` is no waiting that anyone has to be saved from.
fn deadline(matches: &ArgMatches) -> Deadline {
    let time = |name: &str| matches.get_one::<Duration>(name).copied();
    let own = time("deadline").expect("it has a default");
    Deadline::after(own + time("hold").unwrap_or_default())
}

fn walk(matches: &ArgMatches, json: bool, quiet: bool) -> Walk {
    let all = |name: &str| -> Vec<String> {
        matches
            .get_many(name)
            .unwrap_or_default()
            .cloned()
            .collect()
    };
    let time = |name: &str| matches.get_one::<Duration>(name).copied();
    Walk {
        target: matches.get_one("url").cloned().expect("clap asks for it"),
        backend: matches.get_one("backend").cloned(),
        origin: matches.get_one("origin").cloned(),
        subprotocols: all("subprotocol"),
        headers: matches
            .get_many("header")
            .unwrap_or_default()
            .cloned()
            .collect(),
        resolve: matches
            .get_many("resolve")
            .unwrap_or_default()
            .cloned()
            .collect(),
        family: match (matches.get_flag("ipv4"), matches.get_flag("ipv6")) {
            (true, _) => Some(Family::V4),
            (_, true) => Some(Family::V6),
            _ => None,
        },
        insecure: matches.get_flag("insecure"),
        connect_timeout: time("connect-timeout").expect("it has a default"),
        timeout: time("timeout").expect("it has a default"),
        deadline: deadline(matches),
        waiting: match quiet {
            true => Waiting::silent(),
            false => Waiting::detect(),
        },
        message: matches.get_one("message").cloned(),
        hold: time("hold"),
        probes: !matches.get_flag("no-probes"),
        http2: matches.get_flag("http2"),
        repeat: matches.get_one("repeat").copied().unwrap_or(1),
        json,
        quiet,
    }
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("check-websocket")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Tries a WebSocket address the way a browser would, and names what is wrong")
        .after_help(
            "Exit status: 0 it works, 1 it fails, 2 the command line or the configuration can't be \
             read, 3 this program can't tell.",
        )
        .group(
            ArgGroup::new("what")
                .args(["url", "nginx-conf"])
                .multiple(true)
                .required(true),
        )
        .args([
            Arg::new("url")
                .value_name("URL")
                .value_parser(Target::parse)
                .help("ws://, wss://, http:// or https://"),
            option(
                "nginx-conf",
                "FILE",
                "Judge a configuration: FILE, - for standard input, nothing for `nginx -T`; with a \
                 URL, follow it there",
            )
            .num_args(0..=1)
            .default_missing_value("")
            .value_parser(configuration)
            .conflicts_with_all(["backend", "message", "hold", "repeat"]),
            option(
                "backend",
                "URL",
                "Try the server behind nginx too, and compare",
            )
            .value_parser(Target::parse),
            option(
                "origin",
                "ORIGIN",
                "Origin to send; `none` for no Origin [default: the URL's own]",
            )
            .value_parser(header_value),
            option(
                "subprotocol",
                "NAME",
                "Subprotocol to offer; may be repeated",
            )
            .action(ArgAction::Append)
            .value_parser(header_value),
            option(
                "header",
                "NAME: VALUE",
                "Header to send, in place of one of that name; may be repeated",
            )
            .action(ArgAction::Append)
            .value_parser(header),
            option(
                "resolve",
                "HOST:PORT:ADDRESS",
                "Use this address instead of a lookup; may be repeated",
            )
            .action(ArgAction::Append)
            .value_parser(resolve),
            flag("ipv4", "Use IPv4 only").short('4'),
            flag("ipv6", "Use IPv6 only")
                .short('6')
                .conflicts_with("ipv4"),
            flag(
                "insecure",
                "Go on despite a certificate that can't be trusted",
            ),
            option(
                "connect-timeout",
                "TIME",
                "For the lookup, each connection and TLS",
            )
            .default_value("10s")
            .value_parser(time),
            option(
                "timeout",
                "TIME",
                "For the answer to the handshake, a pong and an echo",
            )
            .default_value("70s")
            .value_parser(time),
            option(
                "deadline",
                "TIME",
                "Limit for the whole run, not counting --hold; what is left out is reported",
            )
            .default_value("60s")
            .value_parser(time),
            option("message", "TEXT", "Send this and expect it back").allow_hyphen_values(true),
            option(
                "hold",
                "TIME",
                "Stay connected and silent this long, to find idle timeouts",
            )
            .value_parser(time),
            flag(
                "http2",
                "Try WebSocket over HTTP/2 too (RFC 8441), and compare",
            )
            .conflicts_with("nginx-conf"),
            flag(
                "no-probes",
                "Leave out the handshakes that are wrong on purpose",
            ),
            option("repeat", "N", "Repeat N times").value_parser(value_parser!(u32).range(1..)),
            flag("json", "Print JSON (docs/check-websocket.schema.json)"),
            flag("quiet", "Print nothing if it works, one line if it doesn't").short('q'),
        ])
}

/// A file's name. An address in its place was meant to be followed in what nginx reads.
fn configuration(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => {
            Err("give a file, - or nothing; an address goes in front of this option".to_owned())
        }
        false => Ok(text.to_owned()),
    }
}

/// A time as nginx writes it: `500ms`, `90s`, `2m`, `1h`; seconds without a unit.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err("a time is a number with ms, s, m or h".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a time is a number with ms, s, m or h")?;
    match number.checked_mul(milliseconds) {
        Some(0) => Err("the time must be longer than 0".to_owned()),
        // A day is more than anyone waits for, and far from where clocks overflow.
        Some(time) if time <= 24 * 60 * 60 * 1000 => Ok(Duration::from_millis(time)),
        _ => Err("the time must not be longer than a day".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is \"Name: value\"")?;
    if !websocket_protocol::header::is_token(name.as_bytes()) {
        return Err(format!("\"{name}\" is not a header name"));
    }
    Ok((name.to_owned(), header_value(value.trim())?))
}

/// A line end in a value would be a second header that nobody asked for.
fn header_value(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("a header's value must not contain control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn resolve(text: &str) -> Result<Resolve, String> {
    let form = "it must be HOST:PORT:ADDRESS";
    let (host, rest) = text.split_once(':').ok_or(form)?;
    let (port, address) = rest.split_once(':').ok_or(form)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    Ok(Resolve {
        host: host.to_owned(),
        port: parse_port(port)?,
        address: address
            .parse()
            .map_err(|_| format!("\"{address}\" is not an IP address"))?,
    })
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
