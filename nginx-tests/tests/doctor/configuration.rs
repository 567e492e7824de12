//! `--nginx-conf`: what is said of a configuration is what nginx then does.

use std::process::{Command, Stdio};

use nginx_tests::environment::environment;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};
use serde_json::Value;

use crate::program::{program, run, run_with};
use crate::schema;

const MAP: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";

/// Locations, and whether WebSocket passes them.
const LOCATIONS: &[(&str, &str, bool)] = &[
    ("/on", "websocket on;", true),
    ("/plain", "", false),
    (
        "/by-hand",
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection $connection_upgrade;",
        true,
    ),
    (
        "/constant",
        "proxy_http_version 1.1; proxy_set_header Upgrade websocket;
         proxy_set_header Connection upgrade;",
        true,
    ),
    (
        "/no-connection",
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection keep-alive;",
        false,
    ),
    (
        "/no-upgrade",
        "proxy_http_version 1.1; proxy_set_header Connection upgrade;",
        false,
    ),
    ("/method", "websocket on; proxy_method POST;", true),
    (
        "/no-headers",
        "websocket on; proxy_pass_request_headers off;",
        true,
    ),
    (
        "/no-key",
        "websocket on; proxy_set_header Sec-WebSocket-Key '';",
        true,
    ),
    (
        "/no-headers-by-hand",
        "proxy_pass_request_headers off; proxy_http_version 1.1;
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
        false,
    ),
    ("/no-time", "websocket on; proxy_read_timeout 0;", false),
    ("/returns", "websocket on; return 404;", false),
];

fn http() -> String {
    let location = |(path, text, _): &(&str, &str, bool)| {
        format!("location {path} {{ proxy_pass http://%BACKEND%; {text} }}\n")
    };
    let locations: String = LOCATIONS.iter().map(location).collect();
    format!(
        "{MAP}
         proxy_read_timeout 5s;
         server {{ listen 127.0.0.1:%PORT%; {locations} }}
         server {{
             listen 127.0.0.1:%PORT2%;
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection $connection_upgrade;
             location /inherited {{ proxy_pass http://%BACKEND%; }}
             location /lost {{ proxy_pass http://%BACKEND%; proxy_set_header Host $host; }}
         }}"
    )
}

/// A backend that upgrades what is a handshake, and tells anything else apart.
fn backend() -> ScriptedBackend {
    ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let right = head.start.starts_with("GET ")
            && head.start.ends_with("HTTP/1.1")
            && head.has_token("Upgrade", "websocket")
            && head.has_token("Connection", "upgrade")
            && head.header("Sec-WebSocket-Key").is_some();
        if right {
            // Long enough for `proxy_read_timeout 0` to be over.
            std::thread::sleep(std::time::Duration::from_millis(100));
            conn.accept(&head)?;
            return conn.echo_frames();
        }
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
}

#[track_caller]
pub fn judged(arguments: &[&str]) -> Value {
    let outcome = run(["--json"].iter().chain(arguments));
    let value = serde_json::from_str(&outcome.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", outcome.out, outcome.err));
    schema::check(&value);
    value
}

/// Location, whether it passes, and the file and line.
fn verdicts(value: &Value) -> Vec<(String, bool)> {
    let locations = value["locations"].as_array().expect("locations");
    let verdict = |location: &Value| {
        let name = location["location"].as_str().unwrap_or_default();
        (
            name.trim_start_matches("location ").to_owned(),
            location["websocket"] == true,
        )
    };
    locations.iter().map(verdict).collect()
}

#[test]
fn verdicts_are_what_nginx_does() {
    let backend = backend();
    let setup = Nginx::http(http()).set("BACKEND", backend.address());
    // An upstream that fails has failed for all locations: it would not be asked again.
    let nginx = setup.start();
    let file = nginx.path("nginx.conf");
    let value = judged(&["--nginx-conf", &file.display().to_string()]);
    let verdicts = verdicts(&value);
    assert_eq!(verdicts.len(), LOCATIONS.len() + 2);
    for (path, passes) in &verdicts {
        let port = match path.as_str() {
            "/inherited" | "/lost" => nginx.port_of("PORT2"),
            _ => nginx.port(),
        };
        let head = Client::connect(port).ask(&Handshake::new(path));
        assert_eq!(head.status() == 101, *passes, "{path}: {}", head.text());
    }
    for (path, _, passes) in LOCATIONS {
        assert!(
            verdicts.contains(&((*path).to_owned(), *passes)),
            "{path}: {verdicts:?}"
        );
    }
    assert!(verdicts.contains(&("/inherited".to_owned(), true)));
    assert!(verdicts.contains(&("/lost".to_owned(), false)));
}

/// What nginx prints of this configuration with `-T`.
fn dump(setup: Setup) -> String {
    let nginx = setup.start();
    let prefix = nginx.path("");
    let inside = environment().inside(&prefix);
    let output = environment()
        .command()
        .args(["-T", "-p"])
        .arg(&inside)
        .arg("-c")
        .arg(inside.join("nginx.conf"))
        .output()
        .expect("nginx -T runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

fn with_include() -> Setup {
    Nginx::http("include sites/*.conf; server { listen 127.0.0.1:%PORT%; }").file(
        "sites/chat.conf",
        "# a site\nserver {\n    listen 127.0.0.1:1;\n    location /chat {\n        \
         proxy_pass http://127.0.0.1:2;\n        websocket on;\n    }\n}\n",
    )
}

#[test]
fn a_dump_is_read_from_standard_input() {
    let setup = with_include();
    // Port 1 is nobody's, but nginx is started to have its dump.
    let dump = dump(setup);
    let outcome = feed(&dump);
    assert!(
        outcome.contains("sites/chat.conf:4 listen 127.0.0.1:1 location /chat"),
        "{outcome}"
    );
    assert!(outcome.contains(": passes (websocket on)"), "{outcome}");
}

#[track_caller]
fn feed(text: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(program())
        .args(["--nginx-conf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the doctor runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn without_a_file_nginx_is_asked() {
    if std::env::var_os("NGINX_TESTS_ROOT").is_some_and(|root| !root.is_empty()) {
        nginx_tests::skipped("the nginx under test is in another root");
        return;
    }
    // An nginx that is a script: what it prints is known, and so is that it was asked.
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("nginx");
    let script = "#!/bin/sh\ncase $1 in\n-T) printf '# configuration file /e/nginx.conf:\\n\
                  http { server { location / { proxy_pass http://a; proxy_set_header Upgrade $http_upgrade;\
                  proxy_set_header Connection upgrade; } } }\\n' ;;\n\
                  -v) echo 'nginx version: nginx/1.30.6' >&2 ;;\nesac\n";
    std::fs::write(&program, script).expect("a file");
    let chmod = Command::new("chmod").arg("+x").arg(&program).status();
    assert!(chmod.is_ok_and(|status| status.success()));
    let outcome = run_with(["--nginx-conf"], |command| {
        command.env("PATH", dir.path());
    });
    // 1.30.6 speaks HTTP/1.1 to upstreams by itself.
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(
        outcome.out.starts_with("/e/nginx.conf:1 "),
        "{}",
        outcome.out
    );
}

#[test]
fn folklore_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("nginx.conf");
    let text = "http { proxy_buffering off; client_max_body_size 0; keepalive_timeout 1d;
        server { server_name a; location / { proxy_pass http://b; proxy_http_version 1.1;
        proxy_read_timeout 0; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection \"upgrade\"; } } }";
    std::fs::write(&file, text).expect("a file");
    let outcome = run(["--nginx-conf", &file.display().to_string()]);
    assert_eq!(outcome.status, Some(1));
    for said in [
        ":2 a location / -> proxy_pass http://b: fails (by hand)",
        "it closes at once",
        "is sent with plain requests too",
        "h2c",
        "note: proxy_buffering ",
        "note: client_max_body_size ",
        "note: keepalive_timeout ",
        "has no effect on tunnels",
    ] {
        assert!(outcome.out.contains(said), "{said}: {}", outcome.out);
    }
    let quiet = run(["-q", "--nginx-conf", &file.display().to_string()]);
    assert_eq!(
        (quiet.status, quiet.out.matches('\n').count()),
        (Some(1), 1),
        "{}",
        quiet.out
    );
}

/// Lua is none of nginx's own syntax, and `stream` none of a browser's.
#[test]
fn lua_is_stepped_over_and_stream_is_not_judged() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("nginx.conf");
    let text = "stream { server { listen 1; proxy_pass a; } }
http {
    init_by_lua_block {
        -- it's { { one
        local text = \"}\" .. '}' .. [[ } ]]
    }
    server { location / { proxy_pass http://b; websocket on; } }
}";
    std::fs::write(&file, text).expect("a file");
    let value = judged(&["--nginx-conf", &file.display().to_string()]);
    assert_eq!(verdicts(&value), [("/".to_owned(), true)]);
    let notes = value["notes"].to_string();
    assert!(notes.contains(":1) is not judged"), "{notes}");
}

#[test]
fn what_cannot_be_read_has_status_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("nginx.conf");
    std::fs::write(&file, "http {\n  server {\n").expect("a file");
    let broken = run(["--nginx-conf", &file.display().to_string()]);
    assert_eq!(broken.status, Some(2));
    assert!(
        broken.err.contains("nginx.conf:3: unexpected end of file"),
        "{}",
        broken.err
    );
    let missing = run(["--nginx-conf", "no/such/file"]);
    assert_eq!(missing.status, Some(2));
}
