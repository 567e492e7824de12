//! Closing on request.

use serde_json::{Value, json};
use websocket_protocol::RequestAuthority;
use websocket_status::{Close, Closing, Count, Forbidden, Meant, Sender, action, write_error};
use websocket_zone::{Progress, Text};

use crate::world::{NOW, memory, writer, zone};

fn read(write: impl FnOnce(&mut [u8]) -> usize) -> Value {
    let mut room = [0; 2048];
    let length = write(&mut room);
    serde_json::from_slice(&room[..length]).unwrap()
}

#[test]
fn a_query_says_what_to_close() {
    let words = memory();
    let zone = zone(&words);
    let label = writer(zone).label(b"a b");
    let query = "id=7&label=a+b&client=10.0.0.0/8&upstream=10.0.0.5:9000&subprotocol=mqtt&idle=1m\
                 &older=2h&over=60s&code=4000&reason=bye%21&dry_run=1";
    let close = Close::parse(&zone, query.as_bytes(), NOW).unwrap();
    assert!(close.is_dry);
    let action = close.action;
    assert_eq!(action.which.id, Some(7));
    assert_eq!(action.which.label, zone.find_label(b"a b"));
    assert_eq!(action.which.upstream, Some(Text::new(b"10.0.0.5:9000")));
    assert_eq!(action.which.subprotocol, Some(Text::new(b"mqtt")));
    assert_eq!(action.which.idle_ms, Some(60_000));
    assert_eq!(action.which.older_ms, Some(7_200_000));
    assert!(action.which.client.unwrap().contains(b"10.1.2.3"));
    assert_eq!((action.over_ms, action.code), (60_000, 4000));
    assert_eq!(action.reason, Text::new(b"bye!"));
    assert_eq!(action.posted_at, NOW);

    let close = Close::parse(&zone, b"older=0", NOW).unwrap();
    assert!(!close.is_dry);
    assert_eq!((close.action.over_ms, close.action.code), (0, 1012));
    let _ = label;
}

#[test]
fn a_label_without_tunnels_means_none() {
    let words = memory();
    let zone = zone(&words);
    let writer = writer(zone);
    let label = writer.label(b"a");
    writer.established(label, &Default::default(), 0, 0, 0);
    let loops = writer.established(label, &Default::default(), 0, 0, 0);
    writer.own_loop(&loops);
    for (query, matched) in [("label=a", 1), ("label=b", 0), ("older=0", 1)] {
        let close = Close::parse(&zone, query.as_bytes(), NOW).unwrap();
        let mut count = Count::new();
        let counted = core::iter::repeat_with(|| count.go_on(&zone, &close.action, NOW));
        let meant = Meant {
            matched,
            own_loop: matched,
        };
        assert_eq!(counted.flatten().next(), Some(meant), "{query}");
    }
}

#[test]
fn what_is_no_such_request_is_refused() {
    let words = memory();
    let zone = zone(&words);
    let codes = "must be a code that may be sent: 1000 to 1003, 1007 to 1014, or 3000 to 4999";
    for (query, error) in [
        ("", "\"close\" needs to know which tunnels: id, label, client, upstream, subprotocol, idle or older (older=0 is all of them)".to_owned()),
        ("over=5s&code=1012", "\"close\" needs to know which tunnels: id, label, client, upstream, subprotocol, idle or older (older=0 is all of them)".to_owned()),
        ("upstraem=x", "\"upstraem\" is not known".to_owned()),
        ("older=0&id=1&older=1", "\"older\" is given twice".to_owned()),
        ("older=0&over=2d", "over \"2d\" must be at most 24h".to_owned()),
        ("older=0&code=1005", format!("code \"1005\" {codes}")),
        ("older=0&code=1015", format!("code \"1015\" {codes}")),
        ("older=0&code=999", format!("code \"999\" {codes}")),
        ("older=0&code=5000", format!("code \"5000\" {codes}")),
        ("older=0&code=%2B1000", format!("code \"%2B1000\" {codes}")),
        ("older=0&reason=%FF", "reason \"%FF\" must be UTF-8 of at most 123 bytes".to_owned()),
        ("older=0&dry_run=yes", "dry_run \"yes\" must be 1 or 0".to_owned()),
        ("client=*", "client \"*\" must be an address, or a range such as 192.0.2.0/24 or 2001:db8::/32".to_owned()),
        ("id=x", "id \"x\" must be a whole number".to_owned()),
        ("idle=x", "idle \"x\" must be a time, such as 30s, 5m or 1h30m".to_owned()),
    ] {
        let wrong = Close::parse(&zone, query.as_bytes(), NOW).unwrap_err();
        assert_eq!(wrong.to_string(), error);
        assert_eq!(read(|room| write_error(room, wrong)), json!({ "error": error }));
    }
    let long = format!("older=0&reason={}", "x".repeat(124));
    assert!(Close::parse(&zone, long.as_bytes(), NOW).is_err());
    assert!(Close::parse(&zone, &long.as_bytes()[..long.len() - 1], NOW).is_ok());
}

#[test]
fn another_site_may_not() {
    let here = Sender {
        control: Some(b"1"),
        fetch_site: None,
        origin: None,
        authority: RequestAuthority {
            secure: false,
            host: b"status.example:8080",
        },
    };
    let origin = |text: &'static str| Sender {
        origin: Some(text.as_bytes()),
        ..here
    };
    let site = |text: &'static str| Sender {
        fetch_site: Some(text.as_bytes()),
        ..here
    };
    let other = Err(Forbidden::OtherSite);
    for (sender, expected) in [
        (here, Ok(())),
        (origin("http://status.example:8080"), Ok(())),
        (origin("https://status.example:8080"), Ok(())),
        (origin("http://status.example"), other),
        (origin("http://evil.example:8080"), other),
        (origin("http://status.example.evil:8080"), other),
        (origin("null"), other),
        (origin(""), other),
        (site("same-origin"), Ok(())),
        (site("none"), Ok(())),
        (site("same-site"), other),
        (site("cross-site"), other),
        (site("Same-Origin"), other),
        (
            Sender {
                control: None,
                ..here
            },
            Err(Forbidden::NoHeader),
        ),
        (
            Sender {
                control: Some(b""),
                ..here
            },
            Err(Forbidden::NoHeader),
        ),
        (
            Sender {
                control: Some(b"true"),
                ..here
            },
            Err(Forbidden::NoHeader),
        ),
        (
            Sender {
                control: None,
                ..site("cross-site")
            },
            other,
        ),
    ] {
        assert_eq!(sender.may_act(), expected, "{sender:?}");
    }
}

#[test]
fn what_is_answered() {
    let words = memory();
    let zone = zone(&words);
    let query = b"older=0&over=1500ms&code=1000&reason=%22%0A%C3%A9";
    let close = Close::parse(&zone, query, NOW).unwrap();
    let posted = |id| Closing::Posted {
        id,
        action: close.action,
        meant: Meant {
            matched: 5,
            own_loop: 2,
        },
    };
    assert_eq!(
        read(|room| posted(Some(3)).write(room)),
        json!({"action": 3, "dry_run": false, "matched": 5, "own_loop": 2, "over": 1.5, "code": 1000, "reason": "\"\n\u{e9}"})
    );
    assert_eq!(
        read(|room| posted(None).write(room)),
        json!({"action": null, "dry_run": true, "matched": 5, "own_loop": 2, "over": 1.5, "code": 1000, "reason": "\"\n\u{e9}"})
    );
    let progress = Closing::Progress {
        id: 3,
        action: close.action,
        progress: Progress {
            matched: 5,
            open: 2,
            waiting: 0,
        },
    };
    assert_eq!(
        read(|room| progress.write(room)),
        json!({"action": 3, "matched": 5, "open": 2, "done": false, "over": 1.5, "code": 1000, "reason": "\"\n\u{e9}"})
    );
    // The longest there is.
    let query = format!("older=0&reason={}", "%01".repeat(123));
    let close = Close::parse(&zone, query.as_bytes(), NOW).unwrap();
    let posted = Closing::Posted {
        id: Some(u64::MAX),
        action: close.action,
        meant: Meant {
            matched: u64::MAX,
            own_loop: u64::MAX,
        },
    };
    assert_eq!(
        read(|room| posted.write(room))["reason"],
        "\u{1}".repeat(123)
    );

    assert_eq!(action(b"action=17"), Ok(17));
    assert_eq!(
        action(b"id=17").unwrap_err().to_string(),
        "\"action\" is missing: which one to tell of"
    );
}
