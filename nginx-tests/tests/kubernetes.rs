//! The snippets of `docs/kubernetes.md`, between the lines that the controllers write.

use std::fs;
use std::path::Path;

use nginx_tests::environment::environment;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Nginx, ScriptedBackend};

/// Where both controllers' nginx has its modules.
const MODULE: &str = "modules/ngx_http_websocket_module.so";

#[test]
fn the_ingress_controller_takes_the_snippets_of_an_ingress() {
    carries(&ingress_controller(&location(
        &annotation("Ingress", "nginx.org/location-snippets"),
        // With keepalive connections to the service, and no line for Upgrade.
        "proxy_http_version 1.1;
         proxy_set_header Connection \"\";
         SNIPPETS
         proxy_connect_timeout 60s;
         proxy_read_timeout 60s;
         proxy_send_timeout 60s;
         client_max_body_size 1m;",
    )));
}

#[test]
fn the_ingress_controller_takes_the_snippets_of_a_virtual_server() {
    carries(&ingress_controller(&location(
        &annotation("VirtualServer", "location-snippets"),
        "SNIPPETS
         set $default_connection_header close;
         proxy_connect_timeout 60s;
         proxy_read_timeout 60s;
         proxy_send_timeout 60s;
         client_max_body_size 1m;
         proxy_http_version 1.1;
         proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection $vs_connection_header;",
    )));
}

#[test]
fn gateway_fabric_takes_the_snippets() {
    let policy = block("SnippetsPolicy");
    let filter = block("SnippetsFilter");
    let location = location(
        &snippet(&filter, "http.server.location"),
        "SNIPPETS
         proxy_http_version 1.1;
         proxy_set_header Upgrade \"$http_upgrade\";
         proxy_set_header Connection \"$connection_upgrade\";",
    );
    carries(&Written {
        main: snippet(&policy, "main"),
        http: format!(
            "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n{}",
            snippet(&policy, "http")
        ),
        server: location,
    });
}

/// What a controller makes of its resources.
struct Written {
    main: String,
    http: String,
    server: String,
}

/// The ConfigMap's part, with the server that shows the status.
fn ingress_controller(location: &str) -> Written {
    let map = last_block("ConfigMap");
    let http = text(&map, "http-snippets");
    assert!(
        http.starts_with(&text(&block("ConfigMap"), "http-snippets")),
        "{http}"
    );
    Written {
        main: format!(
            "worker_shutdown_timeout {};\n{}",
            value(&map, "worker-shutdown-timeout"),
            text(&map, "main-snippets")
        ),
        http: format!(
            "{}
             map $http_upgrade $vs_connection_header {{
                 default upgrade;
                 '' $default_connection_header;
             }}",
            http.replace("listen 127.0.0.1:8090;", "listen 127.0.0.1:%STATUSPORT%;")
        ),
        server: format!("set $default_connection_header close;\n{location}"),
    }
}

/// A location as it is written, with the snippets in their place.
fn location(snippets: &str, lines: &str) -> String {
    let lines = lines.replace("SNIPPETS", snippets);
    format!(
        "location /chat {{
             {lines}
             proxy_set_header Host $host;
             proxy_set_header X-Real-IP $remote_addr;
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
             proxy_buffering on;
             proxy_pass http://chat;
         }}"
    )
}

/// nginx takes it without a word, and a tunnel goes through.
fn carries(written: &Written) {
    assert!(written.main.contains("load_module "), "{}", written.main);
    assert!(
        written.server.contains("websocket on;"),
        "{}",
        written.server
    );
    let backend = ScriptedBackend::standard();
    let setup = || -> Setup {
        let http = format!(
            "{}
             upstream chat {{ server {}; keepalive 32; }}
             server {{
                 listen 127.0.0.1:%PORT%;
                 {}
             }}",
            written.http,
            backend.address(),
            written.server
        );
        let setup = Nginx::http(http).without_module();
        match environment().module() {
            Some(module) => setup
                .file(MODULE, fs::read(module).expect("the module"))
                .main(&written.main),
            // It is there already, and nginx refuses to load another.
            None => setup.main(&written.main.replace(&format!("load_module {MODULE};"), "")),
        }
    };
    let check = setup().check();
    assert!(check.ok, "{}", check.output);
    assert_eq!(check.at_level("warn"), [""; 0], "{}", check.output);

    let nginx = setup().start();
    let mut client = Client::connect(nginx.port());
    client.establish("/chat");
    client.echo("through the controller");
    client.close_politely();
    nginx.stop();
}

// What the page says.

/// The first resource of this kind.
fn block(kind: &str) -> String {
    blocks(kind).next().unwrap_or_else(|| panic!("no {kind}"))
}

fn last_block(kind: &str) -> String {
    blocks(kind).last().unwrap_or_else(|| panic!("no {kind}"))
}

fn blocks(kind: &str) -> impl Iterator<Item = String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md");
    let page = fs::read_to_string(page).expect("the page");
    let kind = format!("\nkind: {kind}\n");
    let resources: Vec<String> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(|block| block.split("---\n"))
        .filter(|resource| resource.contains(&kind))
        .map(str::to_owned)
        .collect();
    resources.into_iter()
}

fn annotation(kind: &str, key: &str) -> String {
    text(&block(kind), key)
}

/// What stands behind a key, on its line.
fn value(resource: &str, key: &str) -> String {
    let key = format!("{key}: ");
    let mut lines = resource.lines().map(str::trim_start);
    let found = lines.find_map(|line| line.strip_prefix(&key));
    found.unwrap_or_else(|| panic!("no {key}")).to_owned()
}

/// The lines below `key: |`, as far as they are further in.
fn text(resource: &str, key: &str) -> String {
    let key = format!("{key}: |");
    let mut lines = resource.lines();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = lines
        .by_ref()
        .find(|line| line.trim_start() == key)
        .map(depth)
        .unwrap_or_else(|| panic!("no {key}"));
    let text: String = lines
        .take_while(|line| depth(line) > own)
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    assert!(!text.is_empty(), "{key} is empty");
    text
}

/// The value of the snippet for a context.
fn snippet(resource: &str, context: &str) -> String {
    let mark = format!("- context: {context}\n");
    let (_, rest) = resource
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {mark}"));
    text(rest, "value")
}
