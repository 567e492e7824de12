//! Command lines, right and wrong.

use super::*;

fn task(arguments: &[&str]) -> Result<Task, clap::Error> {
    let arguments = ["check-websocket"].iter().chain(arguments);
    parse(arguments.map(OsString::from))
}

fn walk(arguments: &[&str]) -> Walk {
    match task(arguments).expect("a right command line") {
        Task::Walk(walk) => *walk,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_option_is_taken() {
    let walk = walk(&[
        "wss://a/chat",
        "--backend",
        "ws://b:81",
        "--origin",
        "https://c",
        "--subprotocol",
        "x",
        "--subprotocol",
        "y",
        "--header",
        "Cookie: a=b: c",
        "--resolve",
        "a:443:[::1]",
        "--insecure",
        "--connect-timeout",
        "500ms",
        "--timeout",
        "2m",
        "-6",
        "--json",
        "-q",
        "--repeat",
        "3",
        "--message",
        "-hello",
        "--hold",
        "90s",
        "--no-probes",
    ]);
    assert_eq!(walk.target.host, "a");
    assert_eq!(walk.backend.map(|backend| backend.port), Some(81));
    assert_eq!(walk.origin.as_deref(), Some("https://c"));
    assert_eq!(walk.subprotocols, ["x", "y"]);
    assert_eq!(walk.headers, [("Cookie".to_owned(), "a=b: c".to_owned())]);
    assert_eq!(
        walk.resolve[0].address,
        IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])
    );
    assert_eq!(walk.family, Some(Family::V6));
    assert_eq!(walk.connect_timeout, Duration::from_millis(500));
    assert_eq!(walk.timeout, Duration::from_secs(120));
    assert_eq!(walk.hold, Some(Duration::from_secs(90)));
    assert_eq!(walk.message.as_deref(), Some("-hello"));
    assert_eq!(walk.repeat, 3);
    assert!(walk.insecure && walk.json && walk.quiet && !walk.probes);
}

#[test]
fn configurations_come_from_three_places() {
    let source = |arguments: &[&str]| match task(arguments).expect("a right command line") {
        Task::Configuration { source, .. } => source,
        other => panic!("{other:?}"),
    };
    let followed = |arguments: &[&str]| match task(arguments).expect("a right command line") {
        Task::Configuration {
            source, address, ..
        } => (source, address.map(|walk| walk.target.path)),
        other => panic!("{other:?}"),
    };
    let path = Some("/b".to_owned());
    assert_eq!(
        followed(&["--nginx-conf", "a.conf", "ws://a/b"]),
        (Source::File("a.conf".into()), path.clone())
    );
    assert_eq!(
        followed(&["ws://a/b", "--nginx-conf"]),
        (Source::Nginx, path)
    );
    assert_eq!(followed(&["--nginx-conf"]), (Source::Nginx, None));
    assert_eq!(source(&["--nginx-conf"]), Source::Nginx);
    assert_eq!(source(&["--nginx-conf", "-"]), Source::Stdin);
    assert_eq!(
        source(&["--nginx-conf", "a.conf"]),
        Source::File("a.conf".into())
    );
}

#[test]
fn mistakes_have_status_2() {
    for arguments in [
        &[][..],
        &["a.example"],
        &["ws://a", "ws://b"],
        &["--nginx-conf", "ws://a"],
        &["ws://a", "--nginx-conf", "-", "--backend", "ws://b"],
        &["ws://a", "-4", "-6"],
        &["ws://a", "--hold", "0"],
        &["ws://a", "--hold", "2d"],
        &["ws://a", "--hold", "25h"],
        &["ws://a", "--repeat", "0"],
        &["ws://a", "--header", "no colon"],
        &["ws://a", "--header", "a b: c"],
        &["ws://a", "--header", "A: b\r\nC: d"],
        &["ws://a", "--resolve", "a:80:b"],
        &["ws://a", "--resolve", "a:80"],
        &["ws://a", "--no-such-option"],
    ] {
        let error = task(arguments).expect_err(&format!("{arguments:?}"));
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn help_has_status_0() {
    assert_eq!(task(&["--help"]).expect_err("help").exit_code(), 0);
}
