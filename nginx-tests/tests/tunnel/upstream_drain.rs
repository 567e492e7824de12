//! `websocket_upstream_drain`: which tunnels a reload ends.

use std::time::{Duration, Instant};

use nginx_tests::backend::Listen;
use nginx_tests::environment::nginx_version;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, patient, resolver, wait_until};

use crate::case::{all_ended, assert_ended, backend, http, join, wait_for_frames};
use crate::drain::{part, part_all};

/// The block `chat` with these lines, and a location that passes requests on to it.
pub fn chat(servers: &str, lines: &str) -> String {
    let location = http(lines).replace("%BACKEND%", "chat");
    format!("upstream chat {{ {servers} }} {location}")
}

/// Two backends of one block, `%FIRST%` and `%SECOND%`.
pub struct Pair {
    pub first: ScriptedBackend,
    pub second: ScriptedBackend,
}

pub const BOTH: &str = "server %FIRST%; server %SECOND%;";
pub const FIRST: &str = "server %FIRST%;";

impl Pair {
    pub fn new() -> Self {
        let echo = || backend(|conn| conn.echo_frames());
        Self {
            first: echo(),
            second: echo(),
        }
    }

    pub fn setup(&self, http: &str) -> Setup {
        Nginx::http(http)
            .set("FIRST", self.first.address())
            .set("SECOND", self.second.address())
    }

    pub fn start(&self, http: &str) -> Nginx {
        self.setup(http).start()
    }

    /// So many clients with each: those with the first, and those with the second.
    #[track_caller]
    pub fn join(&self, nginx: &Nginx, each: usize) -> (Vec<Client>, Vec<Client>) {
        let (mut first, mut second) = (vec![], vec![]);
        for _ in 0..1000 {
            let before = self.first.connections();
            let client = join(nginx);
            let mine = match self.first.connections() > before {
                true => &mut first,
                false => &mut second,
            };
            if mine.len() < each {
                mine.push(client);
            } else {
                client.close_politely();
            }
            if first.len() == each && second.len() == each {
                break;
            }
        }
        assert_eq!((first.len(), second.len()), (each, each));
        (first, second)
    }
}

/// They go on, in a worker that is to exit, and leave by themselves.
#[track_caller]
pub fn stay(nginx: &Nginx, mut clients: Vec<Client>) {
    assert_eq!(nginx.exiting_worker_pids().len(), 1);
    for client in &mut clients {
        client.echo("still here");
    }
    clients.into_iter().for_each(Client::close_politely);
    wait_until("the old worker to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}

#[test]
fn a_server_that_is_taken_away_is_left_within_the_time() {
    const EACH: usize = 200;
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 3s;";
    let mut nginx = pair
        .setup(&chat(BOTH, lines))
        .events("worker_connections 2048;")
        .start();
    let (staying, leaving) = pair.join(&nginx, EACH);
    let since = Instant::now();
    nginx.reload_with(&chat(FIRST, lines));
    let mut new = join(&nginx);
    let times = part_all(leaving, 1012, since);
    let (first, last) = (times[0], times[EACH - 1]);
    assert!(last < patient(Duration::from_secs(5)), "{times:?}");
    assert!(last - first > Duration::from_millis(1500), "{times:?}");
    // The server that is left is told, too.
    for connection in (0..EACH).step_by(20) {
        let frames = wait_for_frames(&pair.second, connection, 1);
        assert_eq!(frames.last().unwrap().close_code(), Some(1012));
    }
    let why = ("nginx", "upstream-drain", "1012");
    assert!(all_ended(&nginx, EACH).iter().all(|end| end.why() == why));
    stay(&nginx, staying);
    new.echo("with the new worker");
    drop(new);
    let lines = nginx.log_lines("by nginx: upstream-drain 1012");
    assert_eq!(lines.len(), EACH);
    assert!(lines.iter().all(|line| line.contains("[info]")));
    nginx.stop();
}

#[test]
fn a_server_that_is_marked_down() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms code=1001;";
    let mut nginx = pair.start(&chat(BOTH, lines));
    let (staying, leaving) = pair.join(&nginx, 1);
    nginx.reload_with(&chat(
        "server %FIRST% backup; server %SECOND% down; server 127.0.0.1:1;",
        lines,
    ));
    for client in leaving {
        part(client, 1001);
    }
    assert_ended(&nginx, ("nginx", "upstream-drain", "1001"), "info");
    stay(&nginx, staying);
}

#[test]
fn what_else_changes_is_no_matter() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = pair.start(&chat(&format!("{BOTH} keepalive 4;"), lines));
    let (first, second) = pair.join(&nginx, 2);
    // Another order, weight, method; one of two lines with an address is down; the name in capitals.
    let mut servers =
        "least_conn; server %SECOND% weight=7 max_fails=0; server %FIRST% down; server %FIRST%;"
            .to_owned();
    if nginx_version() >= (1, 30, 0) {
        servers = servers.replace("max_fails=0", "drain");
    }
    let next = chat(&servers, lines).replace("upstream chat", "upstream CHAT");
    nginx.reload_with(&next);
    // Longer than it takes a worker to look, and then to close.
    let mut all: Vec<_> = first.into_iter().chain(second).collect();
    assert!(all[0].silent_for(Duration::from_millis(1200)));
    stay(&nginx, all);
    let all = all_ended(&nginx, 4);
    assert!(all.iter().all(|end| end.why().1 == "normal"), "{all:?}");
}

#[test]
fn every_method_of_balancing_and_blocks_in_shared_memory() {
    for method in [
        "zone chat 64k;",
        "zone chat 64k; keepalive 4;",
        "least_conn;",
        "hash $request_id;",
        "hash $request_id consistent; zone chat 64k;",
        "random;",
        "random two least_conn; zone chat 64k;",
    ] {
        let pair = Pair::new();
        let lines = "websocket_upstream_drain 100ms;";
        let mut nginx = pair.start(&chat(&format!("{method} {BOTH}"), lines));
        let (staying, leaving) = pair.join(&nginx, 1);
        nginx.reload_with(&chat(&format!("{method} {FIRST}"), lines));
        for client in leaving {
            part(client, 1012);
        }
        stay(&nginx, staying);
    }
    // Here one address of a client's means one server.
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let mut nginx = pair.start(&chat("ip_hash; server %SECOND%;", lines));
    let client = join(&nginx);
    nginx.reload_with(&chat(
        "ip_hash; server %FIRST%; server %SECOND% down;",
        lines,
    ));
    part(client, 1012);
}

#[test]
fn an_address_in_two_blocks_leaves_only_one() {
    let pair = Pair::new();
    let blocks = |one: &str, other: &str| {
        format!(
            "upstream one {{ {one} }} upstream other {{ {other} }}
             server {{
                 listen 127.0.0.1:%PORT%;
                 websocket on;
                 websocket_upstream_drain 100ms;
                 location /one {{ proxy_pass http://one; }}
                 location /other {{ proxy_pass http://other; }}
                 location ~ ^/by-name/(.*) {{ proxy_pass http://$1; }}
                 location /literal {{ proxy_pass http://%SECOND%; }}
                 location /off {{ websocket_upstream_drain off; proxy_pass http://one; }}
                 location /loop {{ websocket_tunnel off; proxy_pass http://one; }}
             }}"
        )
    };
    let second = "server %SECOND%;";
    let mut nginx = pair.start(&blocks(second, second));
    let client = |target: &str| {
        let mut client = Client::connect(nginx.port());
        client.establish(target);
        client
    };
    let leaving = ["/one", "/by-name/one"].map(client);
    let staying = ["/other", "/by-name/other", "/literal", "/off", "/loop"].map(client);
    nginx.reload_with(&blocks(FIRST, second));
    for client in leaving {
        part(client, 1012);
    }
    stay(&nginx, staying.into());
}

#[test]
fn a_block_that_is_no_more_has_no_servers() {
    let lines = "websocket_upstream_drain 100ms;";
    for next in [
        chat(FIRST, lines).replace("chat", "room"),
        // What is written there is the address of a host now.
        http(lines).replace("%BACKEND%", "localhost:%SECONDPORT%"),
        "server { listen 127.0.0.1:%PORT%; }".to_owned(),
    ] {
        let pair = Pair::new();
        let http = chat(FIRST, lines);
        let mut nginx = pair
            .setup(&http)
            .set("SECONDPORT", pair.second.port())
            .start();
        let client = join(&nginx);
        nginx.reload_with(&next);
        part(client, 1012);
        wait_until("the old worker to end", || {
            nginx.exiting_worker_pids().is_empty()
        });
    }
}

#[test]
fn servers_at_unix_sockets() {
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let sockets = "server unix:%PREFIX%/first; server unix:%PREFIX%/second;";
    let setup = pair.setup(&chat(sockets, lines));
    let serve = |name: &str| {
        ScriptedBackend::on(Listen::Unix(setup.path(name)), |conn| {
            let handshake = conn.read_request()?.head;
            conn.accept(&handshake)?;
            conn.echo_frames()
        })
    };
    let served = Pair {
        first: serve("first"),
        second: serve("second"),
    };
    let mut nginx = setup.start();
    let (staying, leaving) = served.join(&nginx, 1);
    nginx.reload_with(&chat("server unix:%PREFIX%/first;", lines));
    for client in leaving {
        part(client, 1012);
    }
    stay(&nginx, staying);
}

#[test]
fn names_that_are_resolved_while_nginx_runs() {
    if nginx_version() < (1, 27, 3) {
        return nginx_tests::skipped("this nginx resolves no names of servers while it runs");
    }
    let pair = Pair::new();
    let lines = "websocket_upstream_drain 100ms;";
    let ask = format!("resolver {};", resolver::start());
    let chat = |servers: &str| {
        let servers = servers
            .replace(
                "FIRST",
                &format!("first.test:{} resolve", pair.first.port()),
            )
            .replace(
                "SECOND",
                &format!("second.test:{} resolve", pair.second.port()),
            );
        format!(
            "{ask} {}",
            chat(&format!("zone chat 64k; {servers}"), lines)
        )
    };
    let mut nginx = pair.start(&chat("server FIRST;"));
    wait_until("the name to be resolved", || {
        let mut client = Client::connect(nginx.port());
        client.ask(&Handshake::new("/")).status() == 101
    });
    let mut client = join(&nginx);
    // The same name, with another beside it.
    nginx.reload_with(&chat("server FIRST; server SECOND;"));
    assert!(client.silent_for(Duration::from_millis(500)));
    client.echo("still here");
    // The old worker of all asks for its name's successor, whatever its address is.
    nginx.reload_with(&chat("server FIRST down; server SECOND;"));
    part(client, 1012);
    wait_until("the old workers to end", || {
        nginx.exiting_worker_pids().is_empty()
    });
}
