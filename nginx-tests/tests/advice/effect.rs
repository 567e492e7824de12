//! Directives that do nothing.

use nginx_tests::Nginx;

use super::{PASS, check, is_silent, location, server, warns};

#[test]
fn on_where_nothing_proxies() {
    for http in [
        "server { listen 127.0.0.1:%PORT%;\nlocation / {\nwebsocket on;\nreturn 204; } }",
        "server { listen 127.0.0.1:%PORT%;\nwebsocket on;\nlocation / { return 204; } }",
        "websocket on;\nserver { listen 127.0.0.1:%PORT%; }",
        "websocket on;\nserver { listen 127.0.0.1:%PORT%; }\n\
         server { listen 127.0.0.1:%PORT%; server_name a; }",
    ] {
        warns(
            &check(http),
            "\"websocket on\" carries nothing: no location that it applies to has \"proxy_pass\", \
             \"uwsgi_pass\" or \"scgi_pass\" in",
            "websocket on;",
        );
    }
    is_silent(&location(""));
    for proxied in [
        "websocket on; location / { return 204; } location /ws { PASS }",
        "location / { websocket on; location /inner { PASS } }",
        "location / { websocket on; uwsgi_pass 127.0.0.1:1; }",
        "location / { websocket on; scgi_pass 127.0.0.1:1; }",
        "location / { websocket on; if ($arg_a) { PASS } }",
        "location / { websocket on; limit_except GET { PASS } }",
        // What else answers may have its own way.
        "location / { websocket on; stub_status; }",
    ] {
        is_silent(&server(&proxied.replace("PASS", PASS)));
    }
    // Whose advice is off proxies all the same.
    is_silent(&check(&format!(
        "websocket on; server {{ listen 127.0.0.1:%PORT%; }}
         server {{ listen 127.0.0.1:%PORT%; server_name a; websocket_advice off; location / {{ {PASS} }} }}"
    )));
}

#[test]
fn on_where_the_protocol_knows_no_websocket() {
    for (directive, address) in [
        ("fastcgi_pass", "127.0.0.1:1"),
        ("fastcgi_pass", "$host:1"),
        ("grpc_pass", "grpc://127.0.0.1:1"),
        ("memcached_pass", "127.0.0.1:1"),
    ] {
        let said = format!(
            "\"{directive}\" cannot carry a WebSocket, so \"websocket on\" is of no use in location \
             \"/other\" in"
        );
        let pass = format!("set $memcached_key a; {directive} {address};");
        for lines in [
            format!("location /other {{\nwebsocket on;\n{pass}\n}}"),
            format!("websocket on;\nlocation /other {{ {pass} }}\nlocation /more {{ {pass} }}"),
            format!("location /other {{\nwebsocket on;\n{pass}\n}}\nlocation / {{ {PASS} }}"),
        ] {
            warns(&server(&lines), &said, "websocket on;");
        }
        // It is of use beside.
        is_silent(&server(&format!(
            "websocket on; location /other {{ {pass} }} location / {{ {PASS} }}"
        )));
        is_silent(&server(&format!(
            "location /other {{ websocket off; {pass} }} location / {{ websocket on; {PASS} }}"
        )));
    }
}

/// What has been tried out on no location is not in the way of what is there.
#[test]
fn nothing_is_left_of_what_was_tried() {
    let nginx = Nginx::http(
        "upstream a { zone a 64k; server 127.0.0.1:1; }
         server {
             listen 127.0.0.1:%PORT%;
             location / { websocket on; proxy_pass http://a; }
             location /words { return 200 x; }
         }",
    )
    .start();
    assert_eq!(nginx_tests::client::get(nginx.port(), "/words").text(), "x");
    nginx.stop();
}

/// A line of each directive that is nothing without `websocket on`.
const LINES: [&str; 21] = [
    "websocket_handshake lenient;",
    "websocket_other_upgrades reject;",
    "websocket_allow_origin same;",
    "websocket_verify log;",
    "websocket_log_level warn;",
    "websocket_log_open on;",
    "websocket_cause_header on;",
    "websocket_tunnel off;",
    "websocket_buffer_size 16k;",
    "websocket_buffers 8;",
    "websocket_large_buffers 8 1m;",
    "websocket_timeout 1m;",
    "websocket_ping 30s;",
    "websocket_max_lifetime 1h;",
    "websocket_max_message_size 1m;",
    "websocket_rate 1m;",
    "websocket_send_lowat 64k;",
    "websocket_message_rate 10r/s;",
    "websocket_message_timeout 1h;",
    "websocket_drain 1m;",
    "websocket_upstream_drain 1m;",
];

#[test]
fn directives_without_websocket_on() {
    for line in LINES {
        let name = line.split(' ').next().expect("a name");
        let said = format!("\"{name}\" has no effect without \"websocket on\" in");
        for http in [
            format!("{line}\nserver {{ listen 127.0.0.1:%PORT%;\nlocation / {{ {PASS} }} }}"),
            format!("server {{\n{line}\nlisten 127.0.0.1:%PORT%;\nlocation / {{ {PASS} }} }}"),
            format!(
                "server {{ listen 127.0.0.1:%PORT%;\nlocation / {{\n{line}\n{PASS} }}
                 location /ws {{ websocket on; {PASS} }} }}"
            ),
            format!(
                "websocket on;\nserver {{ listen 127.0.0.1:%PORT%;\nlocation / {{\nwebsocket off;\n\
                 {line}\n{PASS} }}\nlocation /ws {{ {PASS} }} }}"
            ),
            format!(
                "server {{\nlisten 127.0.0.1:%PORT%;\n{line}\nlocation / {{ {PASS} }} }}
                 server {{ listen 127.0.0.1:%PORT%; server_name a; websocket on; location / {{ {PASS} }} }}"
            ),
        ] {
            warns(&check(&http), &said, line);
        }
        is_silent(&location(line));
        is_silent(&check(&format!(
            "{line} server {{ listen 127.0.0.1:%PORT%; location / {{ {PASS} }} }}
             server {{ listen 127.0.0.1:%PORT%; server_name a; location / {{ websocket on; {PASS} }} }}"
        )));
    }
    is_silent(&server("websocket off; websocket_advice on;"));
}

#[test]
fn tunnel_directives_where_nginx_carries_the_tunnel() {
    let of_tunnels = LINES
        .iter()
        .skip_while(|line| !line.starts_with("websocket_tunnel "));
    for line in of_tunnels.skip(1) {
        if line.starts_with("websocket_timeout ") {
            is_silent(&location(&format!("websocket_tunnel off; {line}")));
            continue;
        }
        let name = line.split(' ').next().expect("a name");
        let said = format!(
            "\"{name}\" has no effect with \"websocket_tunnel off\" in location \"/ws\" in"
        );
        warns(
            &location(&format!("websocket_tunnel off;\n{line}")),
            &said,
            line,
        );
        // At other levels, inherited by several locations.
        let ws = format!("location /ws {{ {PASS} }}\nlocation /more {{ {PASS} }}");
        warns(
            &server(&format!(
                "websocket on;\nwebsocket_tunnel off;\n{line}\n{ws}"
            )),
            &said,
            line,
        );
        // Of use in another location.
        is_silent(&server(&format!(
            "websocket on; {line} location /ws {{ websocket_tunnel off; {PASS} }} location / {{ {PASS} }}"
        )));
        // Of use here, whatever holds elsewhere.
        is_silent(&server(&format!(
            "websocket on; websocket_tunnel off; location /ws {{ websocket_tunnel on; {line} {PASS} }}
             location / {{ {PASS} }}"
        )));
    }
    // What asks for nothing only says what holds.
    is_silent(&location(
        "websocket_tunnel off; websocket_ping off; websocket_drain off; websocket_upstream_drain off; websocket_rate 0;
         websocket_max_message_size 0; websocket_max_lifetime off;
         websocket_send_lowat off; websocket_message_rate off; websocket_message_timeout off;",
    ));
}

#[test]
fn a_line_at_the_beginning_of_what_is_not_logged() {
    let said =
        "\"websocket_log_open\" has no effect with \"access_log off\" in location \"/ws\" in";
    let line = "websocket_log_open on;";
    warns(&location(&format!("access_log off;\n{line}")), said, line);
    // At other levels, inherited by several locations.
    let ws = format!("location /ws {{ {PASS} }}\nlocation /more {{ {PASS} }}");
    warns(
        &server(&format!("websocket on;\naccess_log off;\n{line}\n{ws}")),
        said,
        line,
    );
    // Of use in another location, or here.
    is_silent(&server(&format!(
        "websocket on; {line} location /ws {{ access_log off; {PASS} }} location / {{ {PASS} }}"
    )));
    is_silent(&server(&format!(
        "websocket on; access_log off; location /ws {{ access_log logs/a; {line} {PASS} }}
         location / {{ {PASS} }}"
    )));
    is_silent(&location("access_log off; websocket_log_open off;"));
    is_silent(&location(line));
}

#[test]
fn other_upgrades_that_no_line_passes_on() {
    let upgrade = "proxy_set_header Upgrade $http_upgrade;";
    let connection = "proxy_set_header Connection $connection_upgrade;";
    let version = "proxy_http_version 1.1;";
    let old = "proxy_http_version 1.0;";
    let map = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
    let pass = |lines: String| {
        check(&format!(
            "{map}\nserver {{ listen 127.0.0.1:%PORT%;\nlocation /ws {{\nwebsocket on;\n{PASS}\n\
             websocket_other_upgrades pass;\n{lines}\n}} }}"
        ))
    };
    for (lines, missing) in [
        (
            format!("{version} {connection}"),
            "proxy_set_header Upgrade $http_upgrade",
        ),
        (
            format!("{version} {upgrade}"),
            "proxy_set_header Connection upgrade",
        ),
        (
            format!("{old} {upgrade} {connection}"),
            "proxy_http_version 1.1",
        ),
    ] {
        warns(
            &pass(lines),
            &format!(
                "\"websocket_other_upgrades pass\" needs \"{missing}\" in location \"/ws\" in"
            ),
            "websocket_other_upgrades",
        );
    }
    is_silent(&pass(format!("{version} {upgrade} {connection}")));
    is_silent(&pass(format!(
        "{version} proxy_set_header Upgrade tcp; proxy_set_header Connection Upgrade;"
    )));
    // uwsgi and scgi pass the header on by themselves.
    is_silent(&server(
        "location / { websocket on; websocket_other_upgrades pass; uwsgi_pass 127.0.0.1:1; }",
    ));
    // Of use in another location.
    is_silent(&server(&format!(
        "websocket on; websocket_other_upgrades pass; location / {{ {PASS} }}
         location /docker {{ {version} {upgrade} proxy_set_header Connection upgrade; {PASS} }}"
    )));
}
