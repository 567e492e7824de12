//! Closing tunnels by the page.

use nginx_tests::Client;

use crate::case::{setup, stage, stage_of};

#[track_caller]
fn is_closed(tunnel: &mut Client, code: u16) {
    assert_eq!(tunnel.frame().close_code(), Some(code));
}

#[test]
fn one_tunnel() {
    let Some(mut stage) = stage() else { return };
    let mut tunnels: Vec<_> = (0..3).map(|_| stage.tunnel("/one/")).collect();
    stage.shows("active", "3");
    stage.browser.click("#tunnels tbody tr:nth-child(2) button");
    stage.says("count", "This closes 1 tunnel, at once");
    stage.shows("confirm", "Close 1 tunnel");
    stage.browser.click("#confirm");
    is_closed(&mut tunnels[1], 1012);
    drop(tunnels.remove(1));
    stage.shows("active", "2");
    stage.shows("problem", "1 tunnel was closed.");
    stage.column_is(
        "ends",
        "Ended",
        &["by nginx: control 1012\nit was closed by request"],
    );
    for tunnel in &mut tunnels {
        tunnel.echo("still there");
    }
    stage.ends_clean();
}

#[test]
fn all_of_an_upstream() {
    let Some(mut stage) = stage() else { return };
    let mut ones: Vec<_> = (0..3).map(|_| stage.tunnel("/one/")).collect();
    let mut twos: Vec<_> = (0..2).map(|_| stage.tunnel("/two/")).collect();
    stage.shows("active", "5");
    stage.shows("close-all", "Close all 5…");
    let one = stage.one.address().to_string();
    stage.browser.wait(&format!(
        "(() => {{ const select = document.getElementById('upstream'); select.value = '{one}'; \
         select.dispatchEvent(new Event('change')); return select.value; }})()"
    ));
    stage.shows("close-all", "Close these 3…");
    stage.browser.click("#close-all");
    stage.says("what", &one);
    stage.says(
        "count",
        "This closes 3 tunnels, each at a random moment within 10 s",
    );
    for (field, text) in [("over", "0s"), ("code", "4321"), ("reason", "moved")] {
        stage
            .browser
            .eval(&format!("document.getElementById('{field}').select()"));
        stage.browser.type_text(text);
    }
    stage.says("count", "This closes 3 tunnels, at once");
    stage.browser.click("#confirm");
    for tunnel in &mut ones {
        is_closed(tunnel, 4321);
    }
    drop(ones);
    stage.shows("problem", "3 tunnels were closed.");
    stage.browser.click("#filter [type=reset]");
    stage.shows("active", "2");
    for tunnel in &mut twos {
        tunnel.echo("still there");
    }
    stage.ends_clean();
}

#[test]
fn a_change_of_mind_closes_nothing() {
    let Some(mut stage) = stage() else { return };
    let mut tunnel = stage.tunnel("/one/");
    stage.shows("active", "1");
    for leave in ["click", "escape"] {
        stage.browser.click("#close-all");
        stage.says("count", "This closes 1 tunnel");
        match leave {
            "click" => stage.browser.click("#cancel"),
            _ => stage.browser.press("Escape"),
        }
        stage
            .browser
            .wait("!document.getElementById('dialog').open");
    }
    // One that is older than any: none, and nothing to confirm.
    stage.browser.click("#close-all");
    stage.browser.click("#older");
    stage.browser.type_text("1h");
    stage.says("count", "No live tunnel is like that.");
    assert_eq!(
        stage
            .browser
            .eval("document.getElementById('confirm').disabled"),
        true
    );
    stage.browser.press("Enter");
    stage.browser.press("Escape");
    tunnel.echo("still there");
    stage.ends_clean();
}

/// Where the server has no control, and where this client may not use it.
#[test]
fn nothing_is_offered_that_would_be_refused() {
    for control in ["", "location /control/ { websocket_control on; deny all; }"] {
        let Some(mut stage) = stage_of(setup().set("CONTROL", control)) else {
            return;
        };
        let _tunnel = stage.tunnel("/one/");
        stage.shows("active", "1");
        // As many answers as it would take.
        stage.browser.wait("samples.length > 3");
        let offered = "[...document.querySelectorAll('button')].filter((button) => button.checkVisibility() && button.innerText.startsWith('Close')).length";
        assert_eq!(stage.browser.eval(offered), 0, "{control}");
        if control.is_empty() {
            stage.ends_clean();
        }
    }
}
