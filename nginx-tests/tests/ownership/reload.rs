//! A reload that fails has no effect, also on workers that are started after it.

use std::fs;

use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use crate::case::{is_limited, said, to};

const ON: &str = "websocket_max_message_size 10; location / { proxy_pass http://%BACKEND%; }";

/// Reloads with a configuration that is read up to its end, where it has a mistake.
#[track_caller]
fn reload_in_vain(nginx: &Nginx, change: impl Fn(&str) -> String) {
    let workers = nginx.worker_pids();
    let path = nginx.path("nginx.conf");
    let changed = change(nginx.config());
    assert_ne!(changed, nginx.config());
    fs::write(path, changed + "\nno_directive;\n").expect("a configuration");
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("unknown directive \"no_directive\"");
    assert_eq!(nginx.worker_pids(), workers);
}

/// Kills the only worker, and waits for the one that the master starts instead.
#[track_caller]
fn replace_worker(nginx: &Nginx) {
    let old = nginx.worker_pids()[0];
    let pid = Pid::from_raw(i32::try_from(old).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("the worker runs");
    wait_until("another worker", || {
        nginx.worker_pids().first().is_some_and(|&new| new != old)
    });
}

fn start(backend: &ScriptedBackend, text: &str) -> Nginx {
    to(backend, text)
        .allow_log("no_directive")
        .allow_log("exited on signal 9")
        .start()
}

/// Asserts that a tunnel is the module's, or is not.
#[track_caller]
fn assert_limited(nginx: &Nginx, limited: bool) {
    let before = said(&nginx.error_log()).len();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    assert_eq!(is_limited(&mut client), limited);
    client.close();
    if limited {
        wait_until("the lines on it", || {
            said(&nginx.error_log()).len() == before + 2
        });
    }
}

#[test]
fn a_worker_after_a_vain_reload_that_turns_all_off() {
    let backend = ScriptedBackend::standard();
    let nginx = start(&backend, ON);
    assert_limited(&nginx, true);
    reload_in_vain(&nginx, |config| config.replace("websocket on;", ""));
    assert_limited(&nginx, true);
    replace_worker(&nginx);
    assert_limited(&nginx, true);
    let broken = Handshake::new("/").add("Sec-WebSocket-Version", "8");
    assert_eq!(Client::connect(nginx.port()).ask(&broken).status(), 400);
    nginx.wait_for_log("websocket handshake failed: version-repeated");
}

#[test]
fn a_worker_after_a_vain_reload_without_a_single_location() {
    let backend = ScriptedBackend::standard();
    let nginx = start(&backend, ON);
    reload_in_vain(&nginx, |config| {
        let (before, _) = config.split_once("http {").expect("an http block");
        format!("{before} http {{ }}")
    });
    replace_worker(&nginx);
    assert_limited(&nginx, true);
}

#[test]
fn a_worker_after_a_vain_reload_that_turns_it_on() {
    let backend = ScriptedBackend::standard();
    let text = "websocket off; %BY_HAND% location / { proxy_pass http://%BACKEND%; }";
    let config = |on: &str| text.replace("websocket off;", on);
    let nginx = start_off(&backend, &config(""));
    assert_limited(&nginx, false);
    reload_in_vain(&nginx, |config| {
        config.replace(
            "proxy_pass",
            "websocket on; websocket_max_message_size 10; proxy_pass",
        )
    });
    assert_limited(&nginx, false);
    replace_worker(&nginx);
    assert_limited(&nginx, false);
    assert_eq!(said(&nginx.stop()), [""; 0]);
}

/// The same in a server in which nothing is on.
fn start_off(backend: &ScriptedBackend, text: &str) -> Nginx {
    Nginx::server(text)
        .set("BY_HAND", crate::case::BY_HAND)
        .set("BACKEND", backend.address())
        .allow_log("no_directive")
        .allow_log("exited on signal 9")
        .start()
}

#[test]
fn tunnels_of_the_worker_before_a_vain_reload_go_on() {
    let backend = ScriptedBackend::standard();
    let nginx = start(&backend, ON);
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    reload_in_vain(&nginx, |config| config.replace("websocket on;", ""));
    client.echo("hello");
    assert!(is_limited(&mut client));
    client.close();
    let log = nginx.stop();
    assert_eq!(said(&log).len(), 2, "{log}");
}

/// A configuration that the module refuses, after nginx has begun to put up its filters anew.
#[test]
fn a_worker_after_a_reload_that_is_refused_has_all_of_nginx_s_filters() {
    let backend = ScriptedBackend::standard();
    let nginx = to(
        &backend,
        "root .; location = /page { } location / { proxy_pass http://%BACKEND%; }",
    )
    .file("page", "0123456789")
    .allow_log("unknown \"websocket_typo\" variable")
    .allow_log("exited on signal 9")
    .start();
    let part = || {
        let request = Handshake::plain("/page").add("Range", "bytes=2-4");
        Client::connect(nginx.port()).exchange(&request)
    };
    assert_eq!(part().text(), "234");
    let changed = nginx
        .config()
        .replace("http {", "http { log_format typo $websocket_typo;");
    fs::write(nginx.path("nginx.conf"), changed).expect("a configuration");
    nginx.signal(Signal::HUP);
    nginx.wait_for_log("unknown \"websocket_typo\" variable");
    replace_worker(&nginx);
    assert_eq!(part().text(), "234");
    assert_limited(&nginx, false);
    nginx.wait_for_log("websocket closed");
}
