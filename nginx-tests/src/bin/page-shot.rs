//! `page-shot URL FILE light|dark WIDTH HEIGHT`: waits until the page of `websocket_status` at this address
//! has seen a minute, and writes what a browser shows then as a PNG.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::{env, fs};

use nginx_tests::browser::Browser;

/// How often the page is asked whether it has.
const PAUSE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, file, scheme, width, height] = &arguments[..] else {
        eprintln!("usage: page-shot URL FILE light|dark WIDTH HEIGHT");
        return ExitCode::from(2);
    };
    let (Ok(width), Ok(height)) = (width.parse(), height.parse()) else {
        eprintln!("page-shot: WIDTH and HEIGHT are numbers of pixels");
        return ExitCode::from(2);
    };
    let Some(mut browser) = Browser::start() else {
        eprintln!("page-shot: Chromium is not installed");
        return ExitCode::FAILURE;
    };
    browser.emulate(width, height, scheme);
    browser.open(url);
    while browser.eval("covered() > 60") != true {
        thread::sleep(PAUSE);
    }
    match fs::write(file, browser.screenshot()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("page-shot: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}
