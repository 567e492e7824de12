//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::page::Block;
use crate::peer::{
    ALL_PEERS, BEFORE, DEFAULT_PEERS, DEFAULT_PEERS_OF_HTTP2, DEFAULT_PEERS_WITH_BEFORE, PEERS,
    Peer,
};
use crate::result::Result;
use crate::scenario::Scenario;
use crate::setup::Setup;

pub const USAGE: &str = "\
Usage: bench --nginx FILE --module FILE --directory DIR [SCENARIO…] [OPTION…]

Scenarios, each also with -tls at the end, or with -h2, for HTTP/2; when none is
named, all but broadcast, many, latency, slow-crowd, pages and stuck:
  handshake    connect, handshake, close
  plain        a plain request on a connection that is kept
  echo-SIZE    messages of 125, 64k, 1m or any other size; with -dN, N of them
               under way in each tunnel (1)
  idle         the memory of tunnels that are open and silent; idle-browser
               with the handshake of a browser, which has more headers
  slow-readers the memory of tunnels whose clients read less than is sent to
               them, and what is left of it when they are gone
  broadcast    what one client says, sent to all
  many         a message a second in each of many tunnels; many-listed beside a
               client that asks for lists of them (of the peer zone)
  latency      how long messages take at half of the rate that the peer is
               capable of, beside a client that reads slowly; latency-even at half
               of the least that one of them is capable of
  slow-crowd   how long messages take beside many clients that read a byte a
               second, and how long on the same proxy without them
  pages        the memory of pages, each with four idle tunnels
  stuck        how long messages take in 49 tunnels of a page that asks for
               fifty things at once, beside a tunnel whose backend reads nothing,
               and without it; stuck-plain: how long what it asks for takes
  fairness-up  how long a plain request waits beside tunnels that carry all they
               can to the backend; fairness-down, from it
With -cN, N connections: echo-64k-d4-c8-tls

  --runs N         how often each peer is started and measured (5)
  --seconds S      how long it is measured each time (2)
  --quick          two short runs: shows that all works, not what it costs
  --before FILE    another build of the module: the peer before
  --peers A,B      which peers of module, before, zone (with a websocket_zone),
                   off (the module's location is off: for plain
                   requests), http1 (clients speak HTTP/1.1 to it, also in
                   -h2), h2off (websocket_http2 off), haproxy, envoy, caddy, traefik, apache, relay
                   and stock; ratios are to the last one (module,stock; with
                   --before module,before; with -h2 module,http1); all: module, those that users would
                   pick instead, relay and stock
  --json           results as JSON
  --markdown       results as a table in Markdown
  --svg DIR        a chart of each scenario, there
  --page FILE      measure what the marks of this page say, with all peers
                   where nothing else is said, and write it between them
  --wrap COMMAND   what to run the proxy under, such as a profiler

  --nginx FILE     the nginx to measure
  --module FILE    the module, built for it
  --programs DIR   where haproxy, envoy, caddy, traefik and apache2 are
  --directory DIR  where the peers run; what was in it is lost";

pub enum Command {
    Help,
    /// As a peer, with its configuration.
    Relay(PathBuf),
    Run(Box<Options>),
}

pub struct Options {
    pub scenarios: Vec<Scenario>,
    pub peers: Vec<&'static Peer>,
    pub runs: usize,
    pub measured: Duration,
    pub format: Format,
    /// Where charts go.
    pub svg: Option<PathBuf>,
    /// What says itself what is to be measured.
    pub page: Option<PathBuf>,
    pub setup: Setup,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Markdown,
    Json,
}

/// Keeps a mistake from running for days.
const MAX_RUNS: usize = 100;
const MAX_SECONDS: f64 = 60.0;

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
    let mut arguments = arguments.peekable();
    if arguments.next_if_eq("relay").is_some() {
        let config = arguments.next().ok_or("relay needs a file")?;
        return Ok(Command::Relay(config.into()));
    }
    let [mut nginx, mut module, mut directory]: [Option<PathBuf>; 3] = [None, None, None];
    let mut chosen = None;
    let mut options = Options {
        scenarios: Vec::new(),
        peers: Vec::new(),
        runs: 5,
        measured: Duration::from_secs(2),
        format: Format::Text,
        svg: None,
        page: None,
        setup: Setup {
            nginx: PathBuf::new(),
            module: PathBuf::new(),
            before: None,
            programs: None,
            wrap: Vec::new(),
            directory: PathBuf::new(),
        },
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--nginx" => nginx = Some(value()?.into()),
            "--module" => module = Some(value()?.into()),
            "--before" => options.setup.before = Some(std::path::absolute(value()?)?),
            "--programs" => options.setup.programs = Some(std::path::absolute(value()?)?),
            "--directory" => directory = Some(value()?.into()),
            "--runs" => options.runs = runs(&value()?)?,
            "--seconds" => options.measured = seconds(&value()?)?,
            "--quick" => {
                options.runs = 2;
                options.measured = Duration::from_millis(200);
            }
            "--peers" => chosen = Some(value()?),
            "--json" => options.format = Format::Json,
            "--markdown" => options.format = Format::Markdown,
            "--svg" => options.svg = Some(value()?.into()),
            "--page" => options.page = Some(value()?.into()),
            "--wrap" => {
                options.setup.wrap = value()?.split_whitespace().map(str::to_owned).collect()
            }
            option if option.starts_with('-') => {
                return Err(format!("there is no option {option}").into());
            }
            scenario => options.scenarios.push(Scenario::parse(scenario)?),
        }
    }
    options.setup.nginx = absolute(nginx, "--nginx")?;
    options.setup.module = absolute(module, "--module")?;
    options.setup.directory = absolute(directory, "--directory")?;
    let with_before = options.setup.before.is_some();
    options.peers = peers(match &chosen {
        Some(names) => names,
        None if options.page.is_some() => "all",
        None if with_before => DEFAULT_PEERS_WITH_BEFORE,
        None if options.are_of_http2() => DEFAULT_PEERS_OF_HTTP2,
        None => DEFAULT_PEERS,
    })?;
    if !with_before && options.peers.iter().any(|peer| peer.name == BEFORE) {
        return Err(format!("the peer {BEFORE} takes --{BEFORE} FILE").into());
    }
    if options.scenarios.is_empty() {
        options.scenarios = Scenario::all()?;
    }
    Ok(Command::Run(Box::new(options)))
}

impl Options {
    fn are_of_http2(&self) -> bool {
        !self.scenarios.is_empty() && self.scenarios.iter().all(|scenario| scenario.http2)
    }

    /// What a block of a page wants.
    pub fn of_block(&self, block: &Block<'_>) -> Result<(Vec<Scenario>, Vec<&'static Peer>)> {
        let mut chosen = self.peers.clone();
        let mut scenarios = Vec::new();
        let mut arguments = block.arguments.iter();
        while let Some(argument) = arguments.next() {
            if *argument == "--peers" {
                let names = arguments.next();
                chosen = peers(names.ok_or("--peers needs a value")?)?;
            } else {
                scenarios.push(Scenario::parse(argument)?);
            }
        }
        Ok((scenarios, chosen))
    }
}

/// Peers run elsewhere.
fn absolute(path: Option<PathBuf>, option: &str) -> Result<PathBuf> {
    let path = path.ok_or_else(|| format!("{option} is missing"))?;
    Ok(std::path::absolute(path)?)
}

fn runs(text: &str) -> Result<usize> {
    let runs = text
        .parse()
        .ok()
        .filter(|runs| (1..=MAX_RUNS).contains(runs));
    Ok(runs.ok_or_else(|| format!("--runs takes 1 to {MAX_RUNS}"))?)
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text
        .parse()
        .ok()
        .filter(|&s| (0.1..=MAX_SECONDS).contains(&s));
    let seconds = seconds.ok_or_else(|| format!("--seconds takes 0.1 to {MAX_SECONDS}"))?;
    Ok(Duration::from_secs_f64(seconds))
}

fn peers(names: &str) -> Result<Vec<&'static Peer>> {
    let names = if names == "all" { ALL_PEERS } else { names };
    let find = |name| {
        let found = PEERS.iter().find(|peer| peer.name == name);
        found.ok_or_else(|| format!("there is no peer \"{name}\"").into())
    };
    names.split(',').map(find).collect()
}
