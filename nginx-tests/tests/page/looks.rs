//! Light and dark, wide and narrow, for eyes, for a keyboard and for a screen reader.

use nginx_tests::client::get;
use nginx_tests::{Client, Handshake};
use serde_json::{Value, json};

use crate::case::{Stage, stage, texts};

/// A page with something in every part.
fn full(stage: &mut Stage) -> Vec<Client> {
    let long = format!("/one/{}", "a-rather-long-name/".repeat(9));
    let tunnels = [&long, "/two/", "/two/"].map(|target| stage.tunnel(target));
    stage.tunnel("/one/").close_politely();
    for _ in 0..3 {
        stage.failure(&Handshake::new("/dead/"));
    }
    stage.column_is("closes", "Close code", &["1000"]);
    stage.column_is("causes", "Last 5 min", &["3"]);
    stage.shows("shown", "1–3 of 3 tunnels, by id");
    tunnels.into()
}

/// Texts that have too little contrast with what is behind them, as WCAG 2 counts it for level AA.
const PALE: &str = "(() => {
    const numbers = (color) => {
        const n = color.match(/[-.e\\d]+/g).map(Number), unit = color.startsWith('color(') ? 1 : 255;
        return [n[0] / unit, n[1] / unit, n[2] / unit, n[3] ?? 1];
    };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const color = numbers(getComputedStyle(node).backgroundColor);
            if (color[3] === 1) return color;
            if (color[3] > 0) throw new Error('half of a background: ' + node.outerHTML);
        }
        throw new Error('no background');
    };
    const light = (color) =>
        color.slice(0, 3).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    return [...document.querySelectorAll('body *')].filter((node) => {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!own || !node.checkVisibility() || node.disabled || node.closest('.sr, script, option')) return false;
        const style = getComputedStyle(node), size = parseFloat(style.fontSize);
        const [a, b] = [light(numbers(style.color)), light(behind(node))].sort((x, y) => y - x);
        const large = size >= 24 || size >= 18.66 && style.fontWeight >= 600;
        return (a + 0.05) / (b + 0.05) < (large ? 3 : 4.5);
    }).map((node) => node.outerHTML);
})()";

/// What reaches beyond the window.
const WIDE: &str = "[...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && !node.closest('thead, .sr') && node.getBoundingClientRect().right > innerWidth + 0.5).map((node) => node.outerHTML.slice(0, 200))";

#[test]
fn both_colour_schemes_can_be_read() {
    let Some(mut stage) = stage() else { return };
    let _tunnels = full(&mut stage);
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        for width in [1400, 360] {
            stage.browser.emulate(width, 900, scheme);
            let background = "getComputedStyle(document.body).backgroundColor";
            backgrounds.push(stage.browser.eval(background));
            let pale = stage.browser.eval(PALE);
            assert_eq!(texts(&pale), [""; 0], "{scheme}, {width}");
        }
        stage.browser.click("#close-all");
        stage.says("count", "This closes 3 tunnels");
        let pale = stage.browser.eval(PALE);
        assert_eq!(texts(&pale), [""; 0], "{scheme}, the dialog");
        stage.browser.press("Escape");
    }
    assert_eq!(backgrounds[0], backgrounds[1]);
    assert_eq!(backgrounds[2], backgrounds[3]);
    assert_ne!(backgrounds[0], backgrounds[2]);
    stage.ends_clean();
}

#[test]
fn a_narrow_window_needs_no_scrolling_aside() {
    let Some(mut stage) = stage() else { return };
    stage.browser.emulate(360, 740, "light");
    fits(&mut stage);
    let _tunnels = full(&mut stage);
    fits(&mut stage);
    stage.browser.click("#close-all");
    stage.says("count", "This closes 3 tunnels");
    fits(&mut stage);
    stage.browser.press("Escape");
    // What sorts the rows where there are no headings.
    let sort = "(() => { const select = document.getElementById('sort'); select.value = 'waiting'; \
                select.dispatchEvent(new Event('change')); return select.checkVisibility(); })()";
    assert_eq!(stage.browser.eval(sort), true);
    stage.shows("shown", "1–3 of 3 tunnels, by bytes waiting");
    stage.ends_clean();
}

#[track_caller]
fn fits(stage: &mut Stage) {
    let width = stage.browser.eval("document.documentElement.scrollWidth");
    assert_eq!(width, 360);
    let wide = stage.browser.eval(WIDE);
    assert_eq!(texts(&wide), [""; 0]);
}

/// The tree that a browser gives to a screen reader.
#[test]
fn a_screen_reader_is_given_tables_and_names() {
    let Some(mut stage) = stage() else { return };
    let _tunnels = full(&mut stage);
    let mut found = Vec::new();
    for width in [1400, 360] {
        stage.browser.emulate(width, 900, "light");
        let tree = stage.browser.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("nodes");
        let of = |role: &str| {
            let is = move |node: &&Value| node["role"]["value"] == role && node["ignored"] == false;
            let name = |node: &Value| node["name"]["value"].as_str().unwrap_or("").to_owned();
            nodes.iter().filter(is).map(name).collect::<Vec<_>>()
        };
        for role in ["button", "textbox", "combobox", "image", "table", "heading"] {
            assert!(
                of(role).iter().all(|name| !name.is_empty()),
                "{role}: {:?}",
                of(role)
            );
        }
        let tables = of("table");
        assert_eq!(tables.len(), 7, "{tables:?}");
        assert!(tables.contains(&"Live tunnels".to_owned()), "{tables:?}");
        assert_eq!(of("image").len(), 3);
        assert!(
            of("heading").contains(&"Every handshake fails".to_owned())
                || of("heading").contains(&"Some handshakes fail".to_owned())
        );
        assert!(
            of("button")
                .iter()
                .any(|name| name.starts_with("Close tunnel "))
        );
        found.push((tables, of("row").len(), of("rowheader"), of("columnheader")));
    }
    assert_eq!(found[0].1, found[1].1);
    assert_eq!(found[0], found[1]);
    stage.ends_clean();
}

#[test]
fn the_keyboard_reaches_everything_and_shows_where_it_is() {
    let Some(mut stage) = stage() else { return };
    let _tunnels = full(&mut stage);
    let all = "[...document.querySelectorAll('button, input, select, a')].filter((node) => node.checkVisibility() && !node.disabled && !node.closest('noscript')).length";
    let all = stage.browser.eval(all).as_u64().expect("a number");
    assert!(all > 10);
    stage.browser.eval("window.seen = new Set()");
    for _ in 0..all {
        stage.browser.press("Tab");
        let here = stage.browser.eval(
            "(seen.add(document.activeElement), getComputedStyle(document.activeElement).outlineStyle)",
        );
        assert_eq!(here, "solid");
    }
    assert_eq!(stage.browser.eval("seen.size"), all);
    // A row keeps the focus, whatever comes.
    stage
        .browser
        .eval("document.querySelector('#tunnels tbody button').focus()");
    let another = stage.tunnel("/one/");
    stage.shows("active", "4");
    let focus = "document.activeElement === document.querySelector('#tunnels tbody button')";
    assert_eq!(stage.browser.eval(focus), true);
    drop(another);
    stage.ends_clean();
}

#[test]
fn the_page_is_small() {
    let Some(stage) = stage() else { return };
    let answer = get(stage.nginx.port(), "/status");
    assert!(
        answer.body.len() <= 40 * 1024,
        "{} bytes",
        answer.body.len()
    );
    let policy = answer.head.header("Content-Security-Policy");
    assert!(policy.is_some_and(|policy| policy.starts_with("default-src 'none'; ")));
}
