//! WebSocket over HTTP/2, where there is none, or where nobody answers it.

use nginx_tests::environment::nginx_version;
use nginx_tests::nginx::{Check, Nginx};

use super::{PASS, is_silent, warns};

/// Of servers with these lines, each at its own port.
#[track_caller]
fn servers(http: &str, servers: &[&str]) -> Check {
    let servers: Vec<String> = servers
        .iter()
        .enumerate()
        .map(|(number, lines)| {
            let lines = lines.replace("LISTEN", &format!("listen 127.0.0.1:%PORT{number}%"));
            format!("server {{\n{lines} location / {{ websocket on; {PASS} }} }}")
        })
        .collect();
    checked(&format!("{http}\n{}", servers.join("\n")))
}

#[track_caller]
fn checked(http: &str) -> Check {
    let check = Nginx::http(http).check();
    assert!(check.ok, "{}", check.output);
    // nginx 1.25.1 and later have a directive for it.
    let output = check.output.lines();
    let output = output.filter(|line| !line.contains("directive is deprecated"));
    Check {
        output: output.map(|line| format!("{line}\n")).collect(),
        ..check
    }
}

fn has_directive() -> bool {
    nginx_version() >= (1, 25, 1)
}

#[test]
fn on_where_no_server_has_http2() {
    let missing = if has_directive() {
        "http2 on"
    } else {
        "listen ... http2"
    };
    let said = format!(
        "\"websocket_http2 on\" has no effect: no server that it applies to has \"{missing}\" in"
    );
    let on = "websocket_http2 on;";
    for check in [
        servers("", &["LISTEN;\nwebsocket_http2 on;\n"]),
        servers("websocket_http2 on;", &["LISTEN;", "LISTEN;"]),
        servers("", &["LISTEN;\nwebsocket_http2 on;\n", "LISTEN http2;"]),
        servers(
            "",
            &[
                "LISTEN http2; websocket_http2 off;",
                "LISTEN;\nwebsocket_http2 on;\n",
            ],
        ),
    ] {
        warns(&check, &said, on);
    }
    is_silent(&servers("", &["LISTEN http2; websocket_http2 on;"]));
    is_silent(&servers(on, &["LISTEN;", "LISTEN http2;"]));
    is_silent(&servers(on, &["listen 127.0.0.1:%PORT%; LISTEN http2;"]));
    is_silent(&servers("websocket_http2 off;", &["LISTEN;"]));
    // What one server says of an address holds for all of them.
    is_silent(&servers(
        "websocket_advice off;",
        &[
            "listen 127.0.0.1:%PORT% http2;",
            "listen 127.0.0.1:%PORT%; server_name a; websocket_advice on; websocket_http2 on;",
        ],
    ));
    if has_directive() {
        is_silent(&servers("http2 on;", &["LISTEN; websocket_http2 on;"]));
        is_silent(&servers("", &["LISTEN; http2 on; websocket_http2 on;"]));
        is_silent(&servers(
            "websocket_advice off;",
            &[
                "listen 127.0.0.1:%PORT%; http2 on;",
                "listen 127.0.0.1:%PORT%; server_name a; websocket_advice on; websocket_http2 on;",
            ],
        ));
    }
}

#[test]
fn a_location_that_browsers_would_reach_and_that_is_off() {
    let said = "\"websocket_http2 on\" makes browsers come over HTTP/2, where location \"/old\" of the server \
                answers 501: use \"websocket on\" there instead of \"proxy_set_header Upgrade\" in";
    let old = |upgrade: &str, more: &str| {
        format!(
            "LISTEN http2; location /old {{ proxy_set_header Upgrade {upgrade}; {more} {PASS} }}"
        )
    };
    for upgrade in ["$http_upgrade", "websocket"] {
        let lines = old(upgrade, "");
        warns(&servers("websocket_http2 on;", &[&lines]), said, "server {");
        is_silent(&servers(
            "websocket_http2 on;",
            &[&old("''", ""), &format!("{lines} websocket_advice off;")],
        ));
    }
    is_silent(&servers("", &[&old("websocket", "")]));
}

#[test]
fn no_location_to_carry_any() {
    let used =
        format!("server {{ listen 127.0.0.1:%PORT2%; location / {{ websocket on; {PASS} }} }}");
    let said = "\"websocket_http2 on\" without \"websocket on\" has all WebSockets over HTTP/2 answered 501 in";
    let off =
        format!("listen 127.0.0.1:%PORT% http2;\nwebsocket_http2 on;\nlocation / {{ {PASS} }}");
    warns(
        &checked(&format!("{used} server {{ {off} }}")),
        said,
        "websocket_http2 on;",
    );
    is_silent(&checked(&format!(
        "{used} server {{ {off} websocket_advice off; }}"
    )));
    // Where the module is not used at all, clients are not told.
    let unused = "\"websocket_http2\" has no effect without \"websocket on\" in";
    warns(
        &checked(&format!("server {{ {off} }}")),
        unused,
        "websocket_http2 on;",
    );
}

#[test]
fn a_server_that_is_off_beside_one_that_is_on() {
    let said = "\"websocket_http2\" is off in this server, and on in another one of its address: browsers come over \
                HTTP/2 to both, and here they are answered 501 in";
    let on = "server { listen 127.0.0.1:%PORT% http2; server_name a; websocket_http2 on;
              location / { websocket on; PASS } }\n"
        .replace("PASS", PASS);
    let off = |location: &str| {
        format!("server {{ # off\nlisten 127.0.0.1:%PORT% http2; server_name b; {location} }}")
    };
    for carries in ["websocket on;", "proxy_set_header Upgrade websocket;"] {
        let off = off(&format!("location / {{ {carries} {PASS} }}"));
        warns(&checked(&format!("{on}{off}")), said, "server { # off");
        is_silent(&checked(&format!(
            "{on}{}",
            off.replace("%PORT%", "%PORT2%")
        )));
        is_silent(&checked(&format!(
            "{on}{}",
            off.replace("# off", "websocket_advice off;")
        )));
    }
    is_silent(&checked(&format!(
        "{on}{}",
        off(&format!("location / {{ {PASS} }}"))
    )));
}
