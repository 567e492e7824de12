//! Lines of `proxy_set_header`.

use nginx_tests::nginx::Check;

use super::{PASS, check, is_silent, location, server, warns};

const UPGRADE: &str = "proxy_set_header Upgrade $http_upgrade;";

#[test]
fn what_handshakes_are_exempt_from() {
    for line in [
        "proxy_method POST;",
        "proxy_set_body x;",
        "proxy_pass_request_headers off;",
        "proxy_http_version 1.0;",
        "proxy_set_header Sec-WebSocket-Key \"\";",
        "proxy_set_header Sec-WebSocket-Version \"\";",
    ] {
        is_silent(&location(line));
    }
}

#[test]
fn handshake_headers_that_are_blanked() {
    for name in ["Sec-WebSocket-Protocol", "sec-websocket-extensions"] {
        let said = format!(
            "\"proxy_set_header {name}\" with an empty value removes the header from handshakes in \
             location \"/ws\" in"
        );
        let line = format!("proxy_set_header {name} \"\";");
        warns(&location(&line), &said, "websocket on;");
    }
    is_silent(&location("proxy_set_header Sec-WebSocket-Protocol chat;"));
    is_silent(&location("proxy_set_header X-Other \"\";"));
}

#[test]
fn lines_that_are_no_longer_needed() {
    for (line, said) in [
        (
            UPGRADE,
            "\"proxy_set_header Upgrade $http_upgrade\" is no longer needed",
        ),
        (
            "proxy_set_header Connection \"upgrade\";",
            "\"proxy_set_header Connection upgrade\" is no longer needed",
        ),
        (
            "proxy_set_header connection Upgrade;",
            "\"proxy_set_header connection Upgrade\" is no longer needed",
        ),
        (
            "proxy_set_header Upgrade websocket; proxy_set_header Connection Upgrade;",
            "\"proxy_set_header Upgrade websocket\" and \"proxy_set_header Connection Upgrade\" are \
             no longer needed",
        ),
    ] {
        let said = format!("{said} in location \"/ws\" in");
        warns(&location(line), &said, "websocket on;");
    }
    is_silent(&location("proxy_set_header Connection \"\";"));
    is_silent(&location("proxy_set_header Host $host;"));
}

/// It may also be what keeps connections to the upstream open.
#[test]
fn a_connection_from_a_map_may_be_needed() {
    is_silent(&check(&format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
         server {{ listen 127.0.0.1:%PORT%; location /ws {{ websocket on; {PASS}
             proxy_http_version 1.1; proxy_set_header Connection $connection_upgrade; }} }}"
    )));
}

#[test]
fn lines_that_are_inherited_are_warned_of_once() {
    let two =
        format!("location /a {{ {PASS} }}\nlocation /b {{ if ($arg_a) {{ {PASS} }} {PASS} }}");
    warns(
        &server(&format!("websocket on;\n{UPGRADE}\n{two}")),
        "is no longer needed in location \"/a\" in",
        "websocket on;",
    );
    // One warning for each place where they are written.
    let own = |name: &str| format!("location /{name} {{ {UPGRADE} {PASS} }}");
    let check = server(&format!("websocket on;\n{}\n{}", own("a"), own("b")));
    assert_eq!(check.at_level("warn").len(), 2, "{}", check.output);
}

/// What `websocket_other_upgrades pass` goes by is not redundant, and neither is what another location
/// needs.
#[test]
fn lines_that_are_needed_all_the_same() {
    let lines = format!("proxy_http_version 1.1; {UPGRADE} proxy_set_header Connection upgrade;");
    is_silent(&location(&format!(
        "websocket_other_upgrades pass; {lines}"
    )));
    is_silent(&server(&format!(
        "websocket on; {lines}
         location /ws {{ {PASS} }}
         location /docker {{ websocket_other_upgrades pass; {PASS} }}"
    )));
    is_silent(&server(&format!(
        "proxy_http_version 1.1; proxy_set_header Upgrade websocket;
         location /ws {{ websocket on; {PASS} }}
         location /by-hand {{ {PASS} }}"
    )));
}

#[test]
fn a_hand_written_location_that_forwards_any_upgrade() {
    let hand_written = |upgrade: &str, other: &str| {
        server(&format!(
            "location /ws {{ {other} {PASS} }}\n\
             location /old {{ proxy_set_header Upgrade {upgrade}; {PASS} }}"
        ))
    };
    let said = "use \"websocket on\" instead of \"proxy_set_header Upgrade $http_upgrade\", which \
                forwards any upgrade, even to h2c, in location \"/old\" of the server in";
    warns(
        &hand_written("$http_upgrade", "websocket on;"),
        said,
        "server {",
    );
    is_silent(&hand_written("websocket", "websocket on;"));
    let off = format!("location /docker {{ websocket off; {UPGRADE} {PASS} }}");
    is_silent(&server(&format!(
        "location /ws {{ websocket on; {PASS} }} {off}"
    )));
    // Who does not use the module is not advised by it.
    is_silent(&hand_written("$http_upgrade", ""));
    warns(
        &inherited_by_hand(),
        "in location \"/a\" of the server in",
        "server {",
    );
}

/// Whichever of them comes first.
#[test]
fn lines_that_a_location_shares_with_one_that_is_on_are_told_of_that_one() {
    let by_hand = format!("location /b {{ {PASS} }}");
    let on = format!("location /ws {{ websocket on; {PASS} }}");
    for locations in [format!("{by_hand}\n{on}"), format!("{on}\n{by_hand}")] {
        warns(
            &server(&format!("{UPGRADE}\n{locations}")),
            "even to h2c, in location \"/b\" of the server in",
            "server {",
        );
    }
}

/// What else changes where they are taken away.
#[test]
fn lines_that_plain_requests_need() {
    let lines = format!("{UPGRADE} proxy_set_header Connection upgrade;");
    let of = |upstream: &str, above: &str, own: &str| {
        check(&format!(
            "upstream u {{ server 127.0.0.1:1; keepalive 2; }}
             server {{ listen 127.0.0.1:%PORT%; {above}
                 location /ws {{ proxy_pass http://{upstream};
                     {own}
                     websocket on;
                 }}
             }}"
        ))
    };
    let kept = "are no longer needed in location \"/ws\"; if the upstream has \"keepalive\", write \
                \"proxy_set_header Connection ''\" for plain requests in";
    warns(&of("u", "", &lines), kept, "websocket on;");
    let hidden = "is no longer needed in location \"/ws\"; without them the \"proxy_set_header\" lines of the \
                  level above apply in";
    let above = "proxy_set_header Host inner;";
    warns(&of("u", above, UPGRADE), hidden, "websocket on;");
    let plain = "no longer needed in location \"/ws\" in";
    warns(&of("127.0.0.1:1", "", &lines), plain, "websocket on;");
    let others = format!("{UPGRADE} {above}");
    warns(&of("u", above, &others), plain, "websocket on;");
}

fn inherited_by_hand() -> Check {
    server(&format!(
        "{UPGRADE}\nlocation /a {{ {PASS} }}\nlocation /b {{ {PASS} }}\n\
         location /ws {{ websocket on; proxy_set_header Host $host; {PASS} }}"
    ))
}

/// Names are shown as they are written.
#[test]
fn a_location_with_an_expression_is_named() {
    warns(
        &server(
            &format!("location ~ ^/é\\.d \"{{\nwebsocket on;\n{UPGRADE}\n{PASS}\n}}")
                .replace(" \"{", " {"),
        ),
        "in location \"^/é\\.d\" in",
        "websocket on;",
    );
}
