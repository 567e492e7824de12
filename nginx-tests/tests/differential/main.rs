//! What the module leaves alone. Plain requests through every form of location are compared byte
//! for byte, towards the upstream and towards the client, with an nginx that has not loaded it;
//! handshakes with those through the same location written by hand.
//!
//! [`forms`] and [`kinds`] are the tables: a line there is a case in every test.

mod compare;
mod exchange;
mod forms;
mod http2;
mod kinds;
mod upstreams;
mod world;

use compare::{assert_same, report};
use exchange::Exchange;
use forms::{FORMS, Form, Handshakes};
use kinds::KINDS;
use nginx_tests::environment::nginx_version;
use world::{Lines, Nginxes, World};

#[test]
fn plain_requests_are_the_same_bytes_as_without_the_module() {
    let world = World::new();
    let through = |nginx: Nginxes| {
        world.run(nginx, Lines::Own, |run| {
            for server in world::SERVERS {
                for form in FORMS.iter().filter(|form| has_an_end(form)) {
                    for kind in KINDS.iter().filter(|kind| kind.concerns(form)) {
                        run.plain(server, form, kind);
                    }
                }
            }
        })
    };
    let without = through(Nginxes::WithoutTheModule);
    let with = through(Nginxes::On);
    assert_eq!(without.len(), with.len());
    assert!(without.len() > 2 * 30 * 6, "{} exchanges", without.len());
    assert_same(("without the module", &without), ("websocket on", &with));
}

/// Whether this nginx takes the end of a TLS connection for the end of an answer: before 1.21.2 it doesn't,
/// with OpenSSL 3.
fn has_an_end(form: &Form) -> bool {
    nginx_version() >= (1, 21, 2) || !form.name.starts_with("https")
}

#[test]
fn handshakes_are_those_of_a_location_written_by_hand() {
    let world = World::new();
    let through = |nginx: Nginxes, lines: Lines| {
        world.run(nginx, lines, |run| {
            for server in world::SERVERS {
                for form in FORMS
                    .iter()
                    .filter(|form| form.handshakes == Handshakes::Carried)
                {
                    run.handshake(server, form);
                }
            }
        })
    };
    let by_hand = through(Nginxes::WithoutTheModule, Lines::ByHand);
    let with = through(Nginxes::On, Lines::Own);
    assert!(with.len() > 2 * 30, "{} exchanges", with.len());
    report(with.iter().flat_map(not_a_tunnel).collect());
    report(with.iter().flat_map(not_said_once).collect());

    let but_for_the_upgrade = |exchanges: Vec<Exchange>| -> Vec<Exchange> {
        exchanges
            .into_iter()
            .map(Exchange::without_upgrade)
            .collect()
    };
    assert_same(
        ("written by hand", &but_for_the_upgrade(by_hand)),
        ("websocket on", &but_for_the_upgrade(with)),
    );
}

#[test]
fn a_location_that_is_off_below_one_that_is_on_is_as_without_the_module() {
    let world = World::new();
    let through = |nginx: Nginxes| {
        world.run(nginx, Lines::Own, |run| {
            for server in world::SERVERS {
                for form in FORMS.iter().filter(|form| form.is_off()) {
                    run.handshake(server, form);
                }
            }
        })
    };
    let without = through(Nginxes::WithoutTheModule);
    let with = through(Nginxes::On);
    assert!(!with.is_empty());
    assert_same(("without the module", &without), ("websocket off", &with));
}

/// What is wrong with an exchange that had to end in a tunnel.
fn not_a_tunnel(exchange: &Exchange) -> Option<String> {
    let carried = exchange.client.starts_with(b"HTTP/1.1 101 ") && exchange.echoed;
    (!carried).then(|| {
        let seen = String::from_utf8_lossy(&exchange.client);
        format!("== {}: no tunnel\n{seen}", exchange.name)
    })
}

/// What is wrong with an upgrade that went to an upstream over HTTP: it is one line of each kind.
fn not_said_once(exchange: &Exchange) -> Option<String> {
    let head = exchange.handshake_head()?;
    let right = head.start.ends_with(" HTTP/1.1")
        && head.all("Upgrade") == ["websocket"]
        && head.all("Connection") == ["upgrade"];
    (!right).then(|| format!("== {}: not an upgrade\n{}", exchange.name, head.text()))
}
