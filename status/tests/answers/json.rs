//! JSON: it can be read, and says what there is.

use core::sync::atomic::AtomicU64;

use proptest::prelude::*;
use serde_json::Value;
use websocket_status::{Answer, Ask, Entry, Report};

use crate::world::{ABOUT, Happening, NOW, happen, happening, json, memory, writer, zone};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_can_be_read_whatever_was_sent(
        happenings in prop::collection::vec(happening(), 0..20),
        piece in 1..3000usize,
    ) {
        let words = memory();
        let zone = zone(&words);
        let writer = writer(zone);
        for what in &happenings {
            happen(&writer, what);
        }
        let text = json(zone, "", 1 << 20);
        let value: Value = serde_json::from_str(&text).unwrap();
        let open = happenings.iter().filter(|what| !what.ends).count();
        prop_assert_eq!(&value["tunnels"]["matched"], open);
        prop_assert_eq!(value["tunnels"]["list"].as_array().unwrap().len(), open);
        prop_assert_eq!(value["failures"].as_array().unwrap().len(), happenings.len().min(16));
        prop_assert_eq!(value["ends"].as_array().unwrap().len(), (happenings.len() - open).min(16));
        prop_assert_eq!(&value["totals"]["attempts"], 2 * happenings.len());
        // Nothing that ends a line, or is no character.
        prop_assert!(!text.trim_end().contains(|c: char| c.is_ascii_control()));
        prop_assert_eq!(json(zone, "", piece), text);
    }
}

fn plain(number: u64, label: &str, upstream: &str) -> Happening {
    Happening {
        texts: ["192.0.2.1", "example.com", "/chat?token=1", upstream, ""].map(|text| text.into()),
        label: label.into(),
        cause: 0,
        number,
        ends: false,
    }
}

fn ids(value: &Value) -> Vec<u64> {
    let list = value["tunnels"]["list"].as_array().unwrap();
    list.iter()
        .map(|tunnel| tunnel["id"].as_u64().unwrap())
        .collect()
}

/// As the page offers them.
#[test]
fn long_labels_are_asked_for_as_they_are_shown() {
    let words = memory();
    let zone = zone(&words);
    let writer = writer(zone);
    // A number is bytes, age and round trip at once.
    let long = "x".repeat(120);
    let labels = [format!("{long}1"), format!("{long}2")];
    for (number, label) in [1, 2].into_iter().zip(&labels) {
        happen(&writer, &plain(number, label, "10.0.0.1:80"));
    }
    let all: Value = serde_json::from_str(&json(zone, "", 4096)).unwrap();
    let mut shown = vec![];
    for tunnel in all["tunnels"]["list"].as_array().unwrap() {
        let label = tunnel["label"].as_str().unwrap();
        shown.push(label.to_owned());
        let encoded: String = label.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = json(zone, &format!("label={encoded}"), 4096);
        let found: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(ids(&found), [tunnel["id"].as_u64().unwrap()], "{label}");
    }
    assert_eq!(shown.len(), 2);
    assert_ne!(shown[0], shown[1]);
}

#[test]
fn tunnels_are_sorted_and_chosen() {
    let words = memory();
    let zone = zone(&words);
    let writer = writer(zone);
    // A number is bytes, age and round trip at once.
    let numbers = [500, 100, 900, 300, 700];
    let meters: Vec<_> = numbers
        .iter()
        .enumerate()
        .map(|(at, number)| {
            let upstream = ["10.0.0.1:80", "10.0.0.2:80"][at % 2];
            happen(&writer, &plain(*number, ["a", "b c"][at % 2], upstream)).id
        })
        .collect();
    let listed = |query: &str| -> Vec<u64> {
        let value: Value = serde_json::from_str(&json(zone, query, 4096)).unwrap();
        let at = |id| numbers[meters.iter().position(|meter| *meter == id).unwrap()];
        ids(&value).into_iter().map(at).collect()
    };
    assert_eq!(listed(""), [500, 100, 900, 300, 700]);
    assert_eq!(listed("sort=id&tunnels=2&offset=1"), [100, 900]);
    assert_eq!(listed("sort=bytes"), [900, 700, 500, 300, 100]);
    assert_eq!(listed("sort=rtt&tunnels=2"), [900, 700]);
    // The older and the longer idle, the smaller the time it began or moved.
    assert_eq!(listed("sort=age"), [100, 300, 500, 700, 900]);
    assert_eq!(listed("sort=idle&offset=3"), [700, 900]);
    // All alike: by id.
    assert_eq!(listed("sort=messages"), [500, 100, 900, 300, 700]);
    assert_eq!(listed("sort=waiting&tunnels=1"), [500]);
    assert_eq!(listed("tunnels=0"), [0; 0]);
    assert_eq!(listed("offset=9"), [0; 0]);
    assert_eq!(listed("label=b+c"), [100, 300]);
    assert_eq!(listed("label=x"), [0; 0]);
    assert_eq!(listed("upstream=10.0.0.1:80&sort=bytes"), [900, 700, 500]);
    assert_eq!(listed("client=192.0.2.0/24&tunnels=3"), [500, 100, 900]);
    assert_eq!(listed("client=192.0.3.0/24"), [0; 0]);
    assert_eq!(
        listed("client=192.0.2.1&label=a&upstream=10.0.0.2:80"),
        [0; 0]
    );
}

#[test]
fn as_many_of_the_past_as_are_wanted() {
    let words = memory();
    let zone = zone(&words);
    let writer = writer(zone);
    for number in 0..20 {
        happen(
            &writer,
            &Happening {
                ends: true,
                ..plain(number, "a", "x")
            },
        );
    }
    let value: Value = serde_json::from_str(&json(zone, "failures=2&ends=3", 4096)).unwrap();
    let times = |key: &str| -> Vec<f64> {
        let list = value[key].as_array().unwrap();
        list.iter()
            .map(|entry| entry["time"].as_f64().unwrap())
            .collect()
    };
    assert_eq!(times("failures"), [0.019, 0.018]);
    assert_eq!(times("ends"), [0.019, 0.018, 0.017]);
    // Queries carry tokens.
    assert_eq!(value["ends"][0]["uri"], "/chat");
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let words = memory();
    let zone = zone(&words);
    for (query, error) in [
        ("tunnels=x", "tunnels \"x\" must be a whole number"),
        ("offset=-1", "offset \"-1\" must be a whole number"),
        (
            "tunnels=100001",
            "tunnels \"100001\" must be at most 100000",
        ),
        (
            "tunnels=60000&offset=60000",
            "offset \"60000\" must be less: at most 100000 with tunnels and offset together",
        ),
        (
            "sort=size",
            "sort \"size\" must be id, bytes, messages, age, idle, rtt or waiting",
        ),
        (
            "client=x",
            "client \"x\" must be an address, or a range such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        ("label=%", "label \"%\" must be percent-encoded text"),
    ] {
        let wrong = websocket_status::Ask::parse(&zone, query.as_bytes()).unwrap_err();
        assert_eq!(wrong.to_string(), error);
    }
    assert!(websocket_status::Ask::parse(&zone, b"_=17&format=json").is_ok());
}

#[test]
fn a_step_is_short_however_much_there_is() {
    // Room for a few thousand tunnels, most of it free.
    let words: Vec<AtomicU64> = (0..512 * 1024).map(|_| AtomicU64::new(0)).collect();
    let zone = zone(&words);
    let writer = writer(zone);
    for number in 0..600 {
        happen(&writer, &plain(number, "a", "10.0.0.1:80"));
    }
    let ask = Ask::parse(&zone, b"sort=bytes&tunnels=1000").unwrap();
    let mut entries = vec![Entry::EMPTY; ask.room(&zone)];
    let mut answer = Answer::report(Report::new(zone, ask, ABOUT, &mut entries));
    let mut room = vec![0; 1 << 20];
    let (mut steps, mut without_text, mut longest) = (0, 0, 0);
    loop {
        let filled = answer.fill(&mut room, NOW);
        steps += 1;
        without_text += usize::from(filled.length == 0);
        longest = longest.max(filled.length);
        if filled.is_last {
            break;
        }
    }
    // The largest item is the head.
    assert!(longest < 6000, "{longest} bytes at once");
    assert!(
        without_text > 12,
        "600 tunnels are looked through in {without_text} steps"
    );
    assert!(steps > 120, "{steps} steps");
}
