//! What the page shows is what there is, and changes with it.

use nginx_tests::{Handshake, Nginx};
use websocket_protocol::Cause;

use crate::case::{SERVERS, Stage, stage, stage_of};

#[test]
fn a_label_that_is_the_address_is_shown_once() {
    let unnamed = SERVERS
        .replace("server_name localhost;", "")
        .replace(" websocket_label one;", "");
    let setup = Nginx::http(unnamed).set("SIZE", "1m").set("CONTROL", "");
    let Some(mut stage) = stage_of(setup) else {
        return;
    };
    let _tunnels = [stage.tunnel("/one/"), stage.tunnel("/one/room")];
    stage.column_is("tunnels", "Address", &["/one/", "/one/room\n/one/"]);
    stage.ends_clean();
}

#[test]
fn tunnels_come_and_go() {
    let Some(mut stage) = stage() else { return };
    stage.shows("verdict", "No WebSocket handshake yet");
    stage.shows("active", "0");
    stage.says("tunnels", "No tunnel is open.");

    let mut first = stage.tunnel("/one/room?token=secret");
    let second = stage.tunnel("/two/");
    stage.shows("active", "2");
    stage.shows("verdict", "WebSocket is healthy");
    stage.says("because", "2 tunnels are open. All 2 handshakes");
    stage.column_is(
        "tunnels",
        "Address",
        &["localhost/one/room\none", "localhost/two/\ntwo"],
    );
    let upstreams = [stage.one.address(), stage.two.address()];
    stage.column_is("tunnels", "Upstream", &[&upstreams[0], &upstreams[1]]);
    stage.column_is("tunnels", "Messages", &["in 0\nout 0", "in 0\nout 0"]);

    first.echo("hello");
    stage.column_is("tunnels", "Messages", &["in 1\nout 1", "in 0\nout 0"]);
    stage.column_is("tunnels", "Bytes", &["in 11 B\nout 7 B", "in 0 B\nout 0 B"]);
    stage.column_is("labels", "Open", &["1", "1"]);
    stage.column_is("upstreams", "Established", &["1", "1"]);

    second.close_politely();
    stage.shows("active", "1");
    stage.column_is("ends", "Ended", &["by client: normal 1000"]);
    stage.column_is("ends", "Address", &["localhost/two/\ntwo"]);
    stage.column_is("closes", "Close code", &["1000"]);
    stage.column_is("tunnels", "Address", &["localhost/one/room\none"]);
    let page = stage.browser.eval("document.documentElement.outerHTML");
    assert!(!page.as_str().expect("a page").contains("secret"));
    stage.ends_clean();
}

#[test]
fn charts_say_what_they_show() {
    let Some(mut stage) = stage() else { return };
    let _tunnels: Vec<_> = (0..3).map(|_| stage.tunnel("/one/")).collect();
    let label =
        |of: &str| format!("document.querySelector('#plot-{of} svg').getAttribute('aria-label')");
    let active = label("active");
    stage
        .browser
        .wait(&format!("{active}.includes('open: 3 now, 3 at most')"));
    let handshakes = label("handshakes");
    let risen = "/established: .* now, [0-9.]*[1-9][0-9.]* at most/";
    stage.browser.wait(&format!("{risen}.test({handshakes})"));
    let line = "document.querySelector('#plot-active path.line').getAttribute('d')";
    let drawn = stage.browser.wait(line);
    stage.browser.wait(&format!("{line} !== {drawn}"));
    stage.ends_clean();
}

#[test]
fn failures_come_with_their_advice() {
    let Some(mut stage) = stage() else { return };
    for _ in 0..3 {
        stage.failure(&Handshake::new("/dead/"));
    }
    stage.shows("verdict", "Every handshake fails");
    let cause = Cause::UpstreamRefused;
    stage.says("concerns", cause.name());
    stage.says("concerns", cause.advice());
    stage.column_is("causes", "Cause", &["upstream-refused\nupstream"]);
    stage.column_is("causes", "In all", &["3\n100 %"]);
    stage.column_is("causes", "What to do", &[cause.advice()]);
    stage.column_is("failures", "What to do", &[cause.advice(); 3]);
    stage.column_is("failures", "Client", &["127.0.0.1"; 3]);
    let dead = format!("127.0.0.1:{}", stage.nginx.port_of("DEADPORT"));
    stage.column_is("upstreams", "Upstream", &[&dead]);

    // Among many that succeed they are few.
    let _tunnels: Vec<_> = (0..10).map(|_| stage.tunnel("/one/")).collect();
    stage.shows("verdict", "Some handshakes fail");
    stage.ends_clean();
}

#[test]
fn a_client_that_is_refused_makes_nobody_ill() {
    let Some(mut stage) = stage() else { return };
    let _tunnels: Vec<_> = (0..3).map(|_| stage.tunnel("/one/")).collect();
    for _ in 0..2 {
        stage.failure(&Handshake::new("/choosy/").add("Origin", "https://example.org"));
    }
    stage.column_is("causes", "In all", &["2\n100 %"]);
    stage.says("because", "Of 5 handshakes");
    stage.shows("verdict", "WebSocket is healthy");
    stage.ends_clean();
}

#[test]
fn it_says_when_nothing_answers_and_when_the_counters_begin_anew() {
    let Some(mut stage) = stage() else { return };
    let tunnel = stage.tunnel("/one/");
    stage.shows("active", "1");
    stage.shows("notice", "");
    let larger = SERVERS.replace("%SIZE%", "2m");
    stage.nginx.reload_with(&larger);
    stage.says("notice", "The counters began anew");
    stage.shows("active", "0");
    assert!(
        stage.browser.console.is_empty(),
        "{:?}",
        stage.browser.console
    );

    let Stage {
        mut browser, nginx, ..
    } = stage;
    drop(tunnel);
    nginx.stop();
    browser.wait("document.getElementById('verdict').innerText === 'nginx does not answer'");
    let because = browser.eval("document.getElementById('because').innerText");
    let because = because.as_str().expect("a text");
    assert!(because.contains("What is below is from"), "{because}");
}

#[test]
fn it_can_be_paused() {
    let Some(mut stage) = stage() else { return };
    stage.browser.click("#pause");
    stage.shows("pause", "Resume");
    let _tunnel = stage.tunnel("/one/");
    // Longer than between two answers.
    stage
        .browser
        .eval("new Promise((resolve) => setTimeout(resolve, 2 * EVERY))");
    stage.shows("active", "0");
    stage.browser.click("#pause");
    stage.shows("active", "1");
    stage.ends_clean();
}
