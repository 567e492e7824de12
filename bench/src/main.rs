//! Measures what WebSocket connections cost a proxy: the module against the same nginx with the
//! hand-written configuration, and against any further peer.
//!
//! The proxy's one worker has a core of its own. This process, which is load generator and backend
//! at once, in one event loop, has another. Peers take turns many times a second, so that whatever
//! else the machine does falls on all of them.

mod backend;
mod callgrind;
mod crowd;
mod epoll;
mod figure;
mod figures;
mod flood;
mod frame;
mod http;
mod http2;
mod load;
mod measure;
mod network;
mod options;
mod page;
mod peer;
mod perf;
mod process;
mod program;
mod relay;
mod report;
mod result;
mod running;
mod scenario;
mod setup;
mod slow;
mod statistics;
mod stream;
mod stuck;
mod svg;
mod tls;
mod tls_stream;
mod world;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::measure::{Laboratory, Outcome};
use crate::options::{Command, Format, Options};
use crate::peer::Peer;
use crate::report::Column;
use crate::result::Result;
use crate::scenario::Scenario;

fn main() -> ExitCode {
    let command = match options::parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Help => {
            println!("{}", options::USAGE);
            Ok(())
        }
        Command::Relay(config) => relay::run(&config),
        Command::Run(options) => run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let laboratory = Laboratory::new(options)?;
    let results = match &options.page {
        Some(path) => write_page(options, &laboratory, path)?,
        None => measure_all(options, &laboratory, &options.scenarios, &options.peers)?,
    };
    match options.format {
        Format::Text => {}
        Format::Markdown => print!("{}", report::markdown(&results)),
        Format::Json => println!("{}", report::json(&results, &versions(options)?)),
    }
    Ok(())
}

fn measure_all(
    options: &Options,
    laboratory: &Laboratory<'_>,
    scenarios: &[Scenario],
    peers: &[&'static Peer],
) -> Result<Vec<Outcome>> {
    if options.format == Format::Text && options.page.is_none() {
        print!("{}", report::versions(&versions(options)?));
    }
    let mut results = Vec::new();
    for scenario in scenarios {
        let result = laboratory
            .measure(scenario, peers)
            .map_err(|error| format!("{}: {error}", scenario.name))?;
        if options.format == Format::Text {
            print!("{}", report::text(&result));
        }
        if let Some(directory) = &options.svg {
            write_chart(
                directory,
                &scenario.name,
                &result.columns().collect::<Vec<_>>(),
            )?;
        }
        results.push(result);
    }
    Ok(results)
}

/// Measures what a page says, and writes it there, with its charts in a folder of its name.
fn write_page(options: &Options, laboratory: &Laboratory<'_>, path: &Path) -> Result<Vec<Outcome>> {
    let page = fs::read_to_string(path)?;
    let blocks = page::blocks(&page)?;
    let charts = path.with_extension("");
    let folder = charts.file_name().unwrap_or_default().to_string_lossy();
    // A mistake in the last one shows before the first is measured.
    let plans = blocks.iter().map(|block| options.of_block(block));
    let plans = plans.collect::<Result<Vec<_>>>()?;
    let (mut results, mut contents, mut measured) = (Vec::new(), Vec::new(), Vec::new());
    for (block, (scenarios, peers)) in blocks.iter().zip(plans) {
        if block.name == page::VERSIONS {
            let lines = format!(
                "{}{}",
                report::versions(&versions(options)?),
                process::machine()
            );
            contents.push(format!("```text\n{lines}```\n"));
            continue;
        }
        let outcomes = measure_all(options, laboratory, &scenarios, &peers)?;
        let columns: Vec<_> = outcomes.iter().flat_map(Outcome::columns).collect();
        write_chart(&charts, block.name, &columns)?;
        // Two are there to be compared with each other.
        let (table, of_outcome): (_, fn(&Outcome) -> _) = match peers[..] {
            [_, _] => (report::markdown(&outcomes), report::in_full),
            _ => (report::side_by_side(&columns), report::in_short),
        };
        measured.extend(outcomes.iter().map(of_outcome));
        let names: Vec<&str> = scenarios.iter().map(|scenario| &*scenario.name).collect();
        let (names, name) = (names.join(", "), block.name);
        contents.push(format!("![{names}]({folder}/{name}.svg)\n\n{table}"));
        results.extend(outcomes);
    }
    let figures = report::json_of_page(measured, &versions(options)?);
    fs::write(charts.join("figures.json"), figures)?;
    fs::write(path, page::fill(&page, &blocks, &contents))?;
    Ok(results)
}

fn write_chart(directory: &Path, name: &str, columns: &[Column]) -> Result<()> {
    fs::create_dir_all(directory)?;
    let file = directory.join(name).with_extension("svg");
    Ok(fs::write(file, svg::chart(name, columns))?)
}

/// What each peer is.
fn versions(options: &Options) -> Result<Vec<(&'static str, String)>> {
    let peers = options.peers.iter();
    peers
        .map(|peer| Ok((peer.name, peer.version(&options.setup)?)))
        .collect()
}
