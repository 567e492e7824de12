//! From a command line to a report and an exit status.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};

use crate::conf;
use crate::deadline::Deadline;
use crate::options::{self, Source, Task};
use crate::page::Page;
use crate::paint::Paint;
use crate::request::HIDDEN;
use crate::{json, print, print_conf, report};

const FAILS: u8 = 1;
/// The command line is wrong, or the configuration can't be read, or not all of it.
const UNREAD: u8 = 2;
const UNKNOWN: u8 = 3;

/// Does what a command line says.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A mistake is told with the argument: a line end in it must make no line.
    let is_one_line = arguments
        .iter()
        .any(|argument| argument.to_string_lossy().contains(['\n', '\r']));
    match options::parse(arguments) {
        Ok(Task::Walk(options)) => try_address(&options),
        Ok(Task::Configuration {
            source,
            address,
            deadline,
            json,
            quiet,
        }) => judge_configuration(&source, address.as_deref(), deadline, json, quiet),
        // Help goes to standard output, mistakes to standard error.
        Err(mut error) => {
            hide_secrets(&mut error);
            let text = error.render().to_string();
            if error.use_stderr() {
                let mut page = Page::new(Paint::none());
                match is_one_line {
                    true => page.line(text.trim_end()),
                    false => page.lines(&text),
                }
                page.print(io::stderr().lock());
                return ExitCode::from(UNREAD);
            }
            let mut page = Page::new(Paint::none());
            page.lines(&text);
            page.print(io::stdout().lock());
            ExitCode::SUCCESS
        }
    }
}

/// What a mistake quotes may be a credential.
fn hide_secrets(mistake: &mut clap::Error) {
    let quoted = |kind| mistake.get(kind).map(ToString::to_string);
    let argument = quoted(ContextKind::InvalidArg).unwrap_or_default();
    let value = quoted(ContextKind::InvalidValue).unwrap_or_default();
    if argument.starts_with("--header") || value.contains('@') {
        let hidden = ContextValue::String(HIDDEN.to_owned());
        mistake.insert(ContextKind::InvalidValue, hidden);
    }
}

fn try_address(options: &options::Walk) -> ExitCode {
    let report = report::make(options);
    options.waiting.is_over();
    let page = if options.json {
        json::report(&report)
    } else if options.quiet {
        print::line(&report)
    } else {
        print::report(&report, Paint::detect())
    };
    page.print(io::stdout().lock());
    match &report.front.failure {
        None => ExitCode::SUCCESS,
        Some(failure) if failure.is_unknown() => ExitCode::from(UNKNOWN),
        Some(_) => ExitCode::from(FAILS),
    }
}

fn judge_configuration(
    source: &Source,
    address: Option<&options::Walk>,
    deadline: Deadline,
    json: bool,
    quiet: bool,
) -> ExitCode {
    let reading = match conf::read(source, address, deadline) {
        Ok(reading) => reading,
        Err(error) => {
            complain(&format!("error: {error}"));
            return ExitCode::from(UNREAD);
        }
    };
    let page = if json {
        json::configuration(&reading)
    } else if quiet {
        print_conf::lines(&reading)
    } else {
        print_conf::all(&reading, Paint::detect())
    };
    page.print(io::stdout().lock());
    for unread in &reading.unread {
        complain(&format!("error: {unread}"));
    }
    match reading.works() {
        _ if !reading.unread.is_empty() => ExitCode::from(UNREAD),
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILS),
    }
}

fn complain(text: &str) {
    Page::complaint(text).print(io::stderr().lock());
}
