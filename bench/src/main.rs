//! Measures what WebSocket connections cost a proxy: the module against the same nginx with the
//! hand-written configuration, and against any further peer.
//!
//! The proxy's one worker has a core of its own. This process, which is load generator and backend
//! at once, in one event loop, has another. Peers take turns many times a second, so that whatever
//! else the machine does falls on all of them.

mod backend;
mod epoll;
mod flood;
mod frame;
mod http;
mod load;
mod measure;
mod options;
mod peer;
mod perf;
mod process;
mod relay;
mod report;
mod result;
mod scenario;
mod slow;
mod statistics;
mod stream;
mod tls;
mod world;

use std::env;
use std::process::ExitCode;

use crate::options::{Command, Format, Options};
use crate::result::Result;

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
    let laboratory = measure::Laboratory::new(options)?;
    let mut results = Vec::new();
    for scenario in &options.scenarios {
        let result = laboratory
            .measure(scenario)
            .map_err(|error| format!("{}: {error}", scenario.name))?;
        if options.format == Format::Text {
            print!("{}", report::text(&result));
        }
        results.push(result);
    }
    match options.format {
        Format::Text => {}
        Format::Markdown => print!("{}", report::markdown(&results)),
        Format::Json => println!("{}", report::json(&results)),
    }
    Ok(())
}
