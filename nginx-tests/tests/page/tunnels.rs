//! The live tunnels, sorted and filtered by nginx.

use nginx_tests::Client;

use crate::case::{Stage, stage};

/// Three tunnels with 1, 3 and 2 messages, and the page that shows them.
fn three(stage: &mut Stage) -> Vec<Client> {
    let mut tunnels: Vec<_> = ["/one/a", "/two/b", "/one/c"]
        .map(|target| stage.tunnel(target))
        .into();
    for (tunnel, count) in tunnels.iter_mut().zip([1, 3, 2]) {
        for _ in 0..count {
            tunnel.echo("hello");
        }
    }
    let addresses = [
        "localhost/one/a\none",
        "localhost/two/b\ntwo",
        "localhost/one/c\none",
    ];
    stage.column_is("tunnels", "Address", &addresses);
    stage.column_is(
        "tunnels",
        "Messages",
        &["in 1\nout 1", "in 3\nout 3", "in 2\nout 2"],
    );
    tunnels
}

const SORTED: &str = "[...document.querySelectorAll('#tunnels th')].filter((head) => head.ariaSort).map((head) => head.innerText.trim() + ' ' + head.ariaSort).join()";

#[test]
fn sorting() {
    let Some(mut stage) = stage() else { return };
    let _tunnels = three(&mut stage);
    assert_eq!(stage.browser.eval(SORTED), "Id ascending");
    stage.browser.click("#tunnels thead th:nth-child(8) button");
    stage.column_is(
        "tunnels",
        "Messages",
        &["in 3\nout 3", "in 2\nout 2", "in 1\nout 1"],
    );
    assert_eq!(stage.browser.eval(SORTED), "Messages descending");
    stage.says("shown", "1–3 of 3 tunnels, by messages");

    // By the keyboard: from a heading to the one before it.
    stage
        .browser
        .eval("document.querySelector('#tunnels thead th:nth-child(5) button').focus()");
    stage.browser.press("Enter");
    stage.column_is(
        "tunnels",
        "Messages",
        &["in 1\nout 1", "in 3\nout 3", "in 2\nout 2"],
    );
    assert_eq!(stage.browser.eval(SORTED), "Open for descending");

    // What is in the address holds when the page is loaded again.
    stage.browser.wait("location.hash === '#sort=age'");
    stage.browser.eval("location.reload()");
    stage
        .browser
        .wait(&format!("{SORTED} === 'Open for descending'"));
    stage.ends_clean();
}

#[test]
fn filtering() {
    let Some(mut stage) = stage() else { return };
    let _tunnels = three(&mut stage);
    let choose = |id: &str, value: &str| {
        format!(
            "(() => {{ const select = document.getElementById('{id}'); select.value = '{value}'; \
             select.dispatchEvent(new Event('change')); return select.value === '{value}'; }})()"
        )
    };
    let two = stage.two.address().to_string();
    stage.browser.wait(&choose("upstream", &two));
    stage.column_is("tunnels", "Address", &["localhost/two/b\ntwo"]);
    stage.shows("shown", "1–1 of 1 tunnel, by id");
    stage.browser.click("#filter [type=reset]");
    stage.shows("shown", "1–3 of 3 tunnels, by id");
    stage.browser.wait(&choose("label", "one"));
    stage.column_is(
        "tunnels",
        "Address",
        &["localhost/one/a\none", "localhost/one/c\none"],
    );
    stage.browser.click("#filter [type=reset]");

    stage.browser.click("#client");
    stage.browser.type_text("192.0.2.0/24");
    stage.browser.press("Enter");
    stage.says("tunnels", "No live tunnel is like that.");
    stage
        .browser
        .eval("document.getElementById('client').value = ''");
    stage.browser.click("#client");
    stage.browser.type_text("127.0.0.0/8");
    stage.browser.press("Enter");
    stage.shows("shown", "1–3 of 3 tunnels, by id");
    assert!(
        stage.browser.console.is_empty(),
        "{:?}",
        stage.browser.console
    );

    // What nginx doesn't understand, it says; the filter before stays.
    stage.browser.type_text("x");
    stage.browser.press("Enter");
    stage.says("problem", "client");
    stage.shows("shown", "1–3 of 3 tunnels, by id");
}

#[test]
fn pages() {
    let Some(mut stage) = stage() else { return };
    let mut tunnels: Vec<_> = (0..30).map(|_| stage.tunnel("/one/")).collect();
    stage.shows("shown", "1–25 of 30 tunnels, by id");
    let first = stage.column("tunnels", "Id");
    assert_eq!(first.len(), 25);
    stage.browser.click("#next");
    stage.shows("shown", "26–30 of 30 tunnels, by id");
    let second = stage.column("tunnels", "Id");
    assert_eq!(second.len(), 5);
    assert!(second.iter().all(|id| !first.contains(id)));
    // All of the second page end: what is left is the first.
    tunnels.truncate(20);
    stage.shows("active", "20");
    stage.shows("shown", "1–20 of 20 tunnels, by id");
    stage.ends_clean();
}
