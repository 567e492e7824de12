//! Tries a WebSocket address the way a browser would, and names what is wrong.

#![forbid(unsafe_code)]

mod answer;
mod answered;
mod certificate;
mod compare;
mod conf;
mod failure;
mod forgotten;
mod handshake;
mod json;
mod lookup;
mod options;
mod print;
mod probes;
mod random;
mod report;
mod request;
mod stream;
mod target;
mod tls;
mod trace;
mod tunnel;
mod walk;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use options::{Source, Task};
use print::Paint;

const FAILS: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let task = match options::parse(env::args_os()) {
        Ok(task) => task,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match task {
        Task::Walk(options) => try_address(&options),
        Task::Configuration {
            source,
            json,
            quiet,
        } => judge_configuration(&source, json, quiet),
    }
}

fn try_address(options: &options::Walk) -> ExitCode {
    let report = report::make(options);
    show(&if options.json {
        json::report(&report)
    } else if options.quiet {
        print::line(&report).unwrap_or_default()
    } else {
        print::report(&report, Paint::detect())
    });
    ExitCode::from(if report.works() { 0 } else { FAILS })
}

fn judge_configuration(source: &Source, json: bool, quiet: bool) -> ExitCode {
    let judgement = match conf::read(source) {
        Ok(judgement) => judgement,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    show(&if json {
        json::configuration(&judgement)
    } else if quiet {
        print::configuration_lines(&judgement)
    } else {
        print::configuration(&judgement, Paint::detect())
    });
    ExitCode::from(if judgement.works() { 0 } else { FAILS })
}

/// Whoever closes the pipe has read enough.
fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
