//! `page-shot URL WIDTH HEIGHT LIGHT.png DARK.png`: waits until the page of `websocket_status` at this
//! address has seen two minutes, and writes what a browser shows then, in both colour schemes.

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

use nginx_tests::browser::Browser;

/// How often the page is asked whether it has.
const PAUSE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, width, height, light, dark] = &arguments[..] else {
        eprintln!("usage: page-shot URL WIDTH HEIGHT LIGHT.png DARK.png");
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
    browser.emulate(width, height, "light");
    browser.open(url);
    while browser.eval("covered() > 120") != true {
        thread::sleep(PAUSE);
    }
    // The same moment twice.
    browser.eval("clearTimeout(timer)");
    for (file, scheme) in [(light, "light"), (dark, "dark")] {
        browser.emulate(width, height, scheme);
        if let Err(error) = fs::write(file, browser.screenshot()) {
            eprintln!("page-shot: {file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
