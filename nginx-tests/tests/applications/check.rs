//! Whether an application behaves as its row of the page says.

use crate::page::{Row, pinned, section};
use crate::program::find;
use crate::stage::Stage;
use crate::table::Application;

const HOSTS: [Option<&str>; 3] = [None, Some("$host"), Some("$http_host")];

/// The codes that ask a client to come back. The first is the default.
const CODES: [u16; 2] = [1012, 1001];

pub fn check(application: &Application) {
    if let Some(missing) = application.needs.iter().find(|name| find(name).is_none()) {
        println!(
            "skipped: {} needs {missing}, which is not installed",
            application.title
        );
        return;
    }
    let said = section(application.title);
    let mut stage = Stage::new(application);
    let seen = Row {
        version: pinned(application.package),
        hosts: HOSTS.map(|host| with_host(&mut stage, &said.location, host)),
        drain: after_drains(&mut stage, &said.location),
    };
    assert_eq!(seen, said.row, "{}: seen and said", application.title);
    let needs_host = seen.hosts[0] != "works";
    let has_host = said.location.contains("proxy_set_header Host $http_host;");
    assert_eq!(
        has_host, needs_host,
        "{}: {}",
        application.title, said.location
    );
}

/// What comes of the page's location with this Host.
fn with_host(stage: &mut Stage, location: &str, host: Option<&str>) -> String {
    stage.configure(&set_host(location, host), CODES[0]);
    let before = stage.attempts().len();
    let mut client = stage.client();
    let outcome = stage.outcome(&mut client, "hello");
    drop(client);
    if outcome == "works" {
        stage.saw_a_tunnel(before);
    }
    outcome
}

fn set_host(location: &str, host: Option<&str>) -> String {
    let lines = location
        .lines()
        .filter(|line| !line.contains("proxy_set_header Host "));
    let bare = lines.collect::<Vec<_>>().join("\n");
    let line = host.map(|host| format!("proxy_set_header Host {host};\n"));
    let with = format!("{}websocket on;", line.unwrap_or_default());
    bare.replacen("websocket on;", &with, 1)
}

/// Whether a client is there again after a reload, one for each code.
fn after_drains(stage: &mut Stage, location: &str) -> String {
    let [first, second] = CODES;
    stage.configure(location, first);
    let mut client = stage.client();
    assert_eq!(stage.outcome(&mut client, "hello"), "works");
    let mut comes_back = Vec::new();
    for (code, next) in [(first, second), (second, first)] {
        stage.drain(location, code, next);
        let back = stage.outcome(&mut client, "again") == "works";
        if !back {
            client = stage.client();
            assert_eq!(stage.outcome(&mut client, "hello"), "works");
        }
        comes_back.push(back);
    }
    match comes_back[..] {
        [true, true] => "comes back".to_owned(),
        [true, false] => format!("comes back after {first}"),
        [false, true] => format!("comes back after {second}"),
        _ => "stays away".to_owned(),
    }
}
