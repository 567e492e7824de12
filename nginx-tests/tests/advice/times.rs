//! Times that don't fit together.

use nginx_tests::Nginx;

use super::{PASS, check, is_silent, location, server, warns};

#[test]
fn a_drain_longer_than_the_shutdown() {
    let drain = |name: &str, main: &str, time: &str| {
        let check = Nginx::http(format!(
            "server {{ listen 127.0.0.1:%PORT%; websocket on;\n{name} {time};\n\
             location / {{ {PASS} }} location /b {{ {PASS} }} }}"
        ))
        .main(main)
        .log_level("error")
        .check();
        assert!(check.ok, "{}", check.output);
        check
    };
    let limit = "worker_shutdown_timeout 10s;";
    for name in ["websocket_drain", "websocket_upstream_drain"] {
        warns(
            &drain(name, limit, "1m"),
            &format!(
                "\"{name}\" is longer than \"worker_shutdown_timeout\", within which all tunnels are \
                 closed in"
            ),
            name,
        );
        is_silent(&drain(name, limit, "5s"));
        is_silent(&drain(name, "", "1m"));
    }
}

#[test]
fn a_timeout_that_comes_before_the_ping() {
    let said = "\"websocket_timeout\" is not longer than the interval of \"websocket_ping\": idle \
                tunnels end before the first Ping in location \"/ws\" in";
    for lines in [
        "websocket_timeout 10s;\nwebsocket_ping 30s;",
        "websocket_timeout 30s;\nwebsocket_ping 30s;",
        "websocket_ping 2h;",
    ] {
        warns(&location(lines), said, "websocket_ping");
    }
    is_silent(&location("websocket_timeout 1m; websocket_ping 30s;"));
    is_silent(&location("websocket_timeout off; websocket_ping 30s;"));
    let short = format!("location /ws {{ websocket_timeout 10s; {PASS} }}");
    let inherits = |more: &str| {
        server(&format!(
            "websocket on;\nwebsocket_ping 30s;\n{short}\n{more}"
        ))
    };
    warns(
        &inherits(&short.replace("/ws", "/b")),
        said,
        "websocket_ping",
    );
    is_silent(&inherits(&format!("location / {{ {PASS} }}")));
}

#[test]
fn a_read_timeout_longer_than_the_tunnel_s() {
    warns(
        &location("proxy_read_timeout 1d;"),
        "\"proxy_read_timeout 1d\" does not hold for tunnels: \"websocket_timeout\" ends idle ones \
         after 1h, the default, in location \"/ws\" in",
        "websocket on;",
    );
    for (read, timeout, shown) in [
        ("5m", "1m", ["5m", "1m"]),
        ("90s", "1500ms", ["90s", "1500ms"]),
        ("61s", "60s", ["61s", "1m"]),
    ] {
        let [shown_read, shown_timeout] = shown;
        let lines = format!("proxy_read_timeout {read};\nwebsocket_timeout {timeout};");
        for tunnel in ["", "websocket_tunnel off;"] {
            warns(
                &location(&format!("{lines}\n{tunnel}")),
                &format!(
                    "\"proxy_read_timeout {shown_read}\" does not hold for tunnels: \
                     \"websocket_timeout\" ends idle ones after {shown_timeout} in location \"/ws\" in"
                ),
                "websocket_timeout",
            );
        }
    }
    for name in ["uwsgi", "scgi"] {
        let lines = format!(
            "location /ws {{\nwebsocket on;\n{name}_pass 127.0.0.1:1;\n{name}_read_timeout 2h;\n\
             proxy_read_timeout 3h;\n}}"
        );
        let said = format!("\"{name}_read_timeout 2h\" does not hold for tunnels");
        warns(&server(&lines), &said, "websocket on;");
    }
    for silent in [
        "",
        "proxy_read_timeout 1h;",
        "proxy_read_timeout 1d; websocket_timeout off;",
        "proxy_read_timeout 1d; websocket_timeout 1d;",
        // nginx's own default, which nobody wrote.
        "websocket_timeout 30s;",
        "proxy_send_timeout 1d;",
    ] {
        is_silent(&location(silent));
    }
}

#[test]
fn a_read_timeout_that_is_inherited() {
    let ws = format!("location /ws {{\nwebsocket on;\n{PASS}\n}}");
    let more = format!("location /more {{ websocket on; {PASS} }}");
    let http = |before: &str, within: &str| {
        check(&format!(
            "{before}\nserver {{ listen 127.0.0.1:%PORT%;\n{within}\n{ws}\n{more} }}"
        ))
    };
    for (before, within) in [
        ("proxy_read_timeout 1d;", ""),
        ("", "proxy_read_timeout 1d;"),
    ] {
        warns(
            &http(before, within),
            "\"proxy_read_timeout 1d\" does not hold for tunnels",
            "websocket on;",
        );
    }
    // Who wrote the one within the other's reach knew of it.
    is_silent(&http("proxy_read_timeout 1d;", "websocket_timeout 30m;"));
    warns(
        &http("websocket_timeout 30m;", "proxy_read_timeout 1d;"),
        "ends idle ones after 30m in location \"/ws\" in",
        "websocket_timeout",
    );
    // It is for plain requests, and who wrote the other one knew of it.
    let plain = format!("websocket_timeout 30m;\nlocation /plain {{ {PASS} }}");
    is_silent(&http(
        "proxy_read_timeout 1d; websocket_timeout 30m;",
        "location / { PASS }".replace("PASS", PASS).as_str(),
    ));
    is_silent(&http("", &format!("proxy_read_timeout 1d; {plain}")));
    warns(
        &http(
            "proxy_read_timeout 1d;",
            &format!("location / {{ {PASS} }}"),
        ),
        "ends idle ones after 1h, the default, in location \"/ws\" in",
        "websocket on;",
    );
    // Where no WebSocket goes it does its work.
    is_silent(&server(&format!(
        "location / {{ proxy_read_timeout 1d; {PASS} }} {ws}"
    )));
}
