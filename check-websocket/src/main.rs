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
mod paint;
mod print;
mod print_conf;
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
use paint::Paint;

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
            address,
            json,
            quiet,
        } => judge_configuration(&source, address.as_deref(), json, quiet),
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

fn judge_configuration(
    source: &Source,
    address: Option<&options::Walk>,
    json: bool,
    quiet: bool,
) -> ExitCode {
    let reading = match conf::read(source, address) {
        Ok(reading) => reading,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    show(&if json {
        json::configuration(&reading)
    } else if quiet {
        print_conf::lines(&reading)
    } else {
        print_conf::all(&reading, Paint::detect())
    });
    ExitCode::from(if reading.works() { 0 } else { FAILS })
}

/// Whoever closes the pipe has read enough.
fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
