//! `docs/causes.md` is generated from the causes: `UPDATE_DOCS=1 cargo test -p nginx-tests --test
//! causes docs` writes it, and the test fails where it is out of date.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use websocket_protocol::{Cause, Finding, Status, Strictness};

const INTRODUCTION: &str = "\
# Why a handshake failed

<!-- Written by nginx-tests/tests/causes/docs.rs from protocol/src/cause.rs: change it there, then
     run `UPDATE_DOCS=1 cargo test -p nginx-tests --test causes docs`. -->

A WebSocket handshake that fails in a location with `websocket on` leaves one line in the error log:

    websocket handshake failed: <cause>: <what was seen>; <advice>, client: …

and the cause in `$websocket_cause`. The names below are stable: match on them in logs, in `map` and
in alerts. With several servers tried, the cause is the last one's, and the line says how each
failed.

*At fault* is the side that most often has to change something. *The fix* is the advice that the line ends
with, unless what was seen says more: then it is that of a *Where*.

## What is seen of it

**In the log**, the line above, at the level of `websocket_log_level`. At `info` there is another one, if the
upstream's answer was text or JSON: `websocket upstream says \"…\"`.

**In a browser**, little, whatever the cause: the script gets `error` and then `close` with code 1006. The
console has the status for which the list below says *The client gets*; Chromium writes
`Error during WebSocket handshake: Unexpected response code: 404`, or nothing but `failed`.

**With curl**, the answer itself. `websocket_cause_header on` adds the cause to it:

```text
$ curl -i --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \\
    -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://127.0.0.1/chat/
HTTP/1.1 404 Not Found
X-WebSocket-Cause: upstream-not-found
```

`check-websocket URL` does the same and names the cause by itself.
";

/// The groups of the page: the heading, what they have in common, and the first cause of each.
const GROUPS: [(&str, &str, Cause); 6] = [
    (
        "The request",
        "The request breaks a rule of RFC 6455, or one of yours. Where passing it on would be \
         dangerous, or with `websocket_handshake strict`, nginx answers it and asks no upstream; \
         `$websocket_state` is `rejected`. Else it goes on, and the rule is the cause where the \
         upstream refuses it as such: with 400, 405, 426, 501 or 505, or by closing the connection. \
         `$websocket_state` is `failed` then.",
        Cause::OverHttp2,
    ),
    (
        "nginx answered by itself",
        "nginx, or the location's own directives, answered before any upstream was asked; \
         `$websocket_state` is `rejected`. What nginx refuses before it looks for a location, such as a \
         header that is too large, is told where `websocket on` holds for the whole server. Where access is \
         refused, by `auth_request` for one, that is the cause, whatever `error_page` makes of it: a redirect \
         to a login, or a page. The level of the line and the header are those of the location that the \
         request was for. What a `return` answers has no line if its page is in a location with \
         `websocket off`.",
        Cause::LocalRedirect,
    ),
    (
        "On the way to the upstream",
        "The upstream was not reached; `$websocket_state` is `failed`. nginx's own line right \
         above says the same without the advice. The status is nginx's: a TLS handshake that takes \
         longer than `proxy_connect_timeout` is answered with 504, and an address or a port in \
         `proxy_bind` that this machine does not have with 500. The first four are about the machine \
         that nginx runs on, and say nothing of the upstream. A client that nginx can't even accept \
         for lack of connections or files has no line here, but one of nginx's own: `accept4() failed`.",
        Cause::WorkerConnectionsExhausted,
    ),
    (
        "The upstream's answer",
        "The upstream was reached, but its answer is not the one that opens a WebSocket, or none \
         came; `$websocket_state` is `failed`.",
        Cause::UpstreamClosed,
    ),
    (
        "A 101 that is not WebSocket's",
        "The upstream agreed to switch protocols, but browsers would refuse its answer. By default \
         nginx refuses it first where it is dangerous, `accept-mismatch` and `extension-not-offered`, \
         and names the others in a line at `info`; with `websocket_handshake strict` it refuses them, \
         too. `websocket_verify log` lets all but the last two pass and only reports them, `off` does \
         not check for them. The last two depend on neither.",
        Cause::ResponseUpgrade,
    ),
    (
        "The client left",
        "No one is left to be answered.",
        Cause::ClientGone,
    ),
];

#[test]
fn the_page_of_causes_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/causes.md");
    let page = page();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("docs/causes.md is writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differing = written.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        written == page,
        "docs/causes.md is out of date from line {}: run this test with UPDATE_DOCS=1",
        1 + differing.unwrap_or_else(|| written.lines().count().min(page.lines().count()))
    );
}

#[test]
fn every_group_begins_after_the_one_before() {
    let places = GROUPS.map(|(_, _, first)| Cause::ALL.iter().position(|&cause| cause == first));
    assert_eq!(places[0], Some(0));
    assert!(places.is_sorted(), "{places:?}");
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for &cause in Cause::ALL {
        if let Some((heading, text, _)) = GROUPS.iter().find(|(_, _, first)| *first == cause) {
            add(&mut page, format_args!("\n## {heading}\n\n{text}\n"));
        }
        add(
            &mut page,
            format_args!(
                "\n### {cause}\n\nWhy: {}\n\n- At fault: {}\n- The client gets: {}\n- In the log: \
                 `websocket handshake failed: {cause}: …`\n- The fix: {}\n",
                cause.meaning(),
                cause.fault(),
                answer(cause),
                literal(cause.advice()),
            ),
        );
        let findings = Finding::ALL.iter();
        for finding in findings.filter(|finding| finding.causes().contains(&cause)) {
            add(
                &mut page,
                format_args!(
                    "- Where {}: {}\n",
                    literal(finding.meaning()),
                    literal(finding.advice())
                ),
            );
        }
    }
    page
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes all");
}

fn answer(cause: Cause) -> String {
    let position = |cause: Cause| Cause::ALL.iter().position(|&other| other == cause);
    let is_of_request = position(cause) < position(Cause::LocalRedirect);
    match cause.status() {
        Status::Code(code) if is_of_request && !Strictness::Safe.refuses(cause) => {
            format!("{code} with `websocket_handshake strict`, otherwise the upstream's answer")
        }
        Status::Code(499) => "nothing (499 in the access log)".to_owned(),
        Status::Code(code) => code.to_string(),
        Status::AsUpstream => "the upstream's answer".to_owned(),
        Status::AsNginx => "the status that nginx had decided on".to_owned(),
    }
}

/// An advice as it stands in the log; words that Markdown would take for its own are in code.
fn literal(advice: &str) -> String {
    let word = |word: &str| {
        let (body, end) = match word.trim_end_matches([',', ';', ':', ')']) {
            body if body.len() < word.len() => (body, &word[body.len()..]),
            body => (body, ""),
        };
        let (start, body) = match body.strip_prefix('(') {
            Some(body) => ("(", body),
            None => ("", body),
        };
        if body.contains(['_', '$', '<', '*']) || body.contains("://") {
            format!("{start}`{body}`{end}")
        } else {
            format!("{start}{body}{end}")
        }
    };
    advice.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
