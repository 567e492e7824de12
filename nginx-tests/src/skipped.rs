//! Tests that can't be run where they are: nobody is to take them for passed ones.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;

/// Says why the test that runs is skipped: in its output, which is not shown of one that passes, and in a line of
/// the file that `NGINX_TESTS_SKIPPED` names.
pub fn skipped(why: impl Display) {
    println!("skipped: {why}");
    let Some(file) = env::var_os("NGINX_TESTS_SKIPPED").filter(|file| !file.is_empty()) else {
        return;
    };
    let line = format!(
        "{}: {}: {why}\n",
        binary(),
        thread::current().name().unwrap_or("a test")
    );
    let file = OpenOptions::new().append(true).create(true).open(file);
    // One write, as others write there, too.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("a file that takes a line");
}

/// `tunnel` of `…/deps/tunnel-0123456789abcdef`
fn binary() -> String {
    let path = env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-')
        .map_or(&*name, |(name, _)| name)
        .to_owned()
}
