//! An nginx with two upstreams that work and one that doesn't, and its page in a browser.

use std::io;

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::browser::Browser;
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};
use serde_json::{Value, json};

pub const SERVERS: &str = "
    websocket_zone page:%SIZE%;
    upstream dead { server 127.0.0.1:%DEADPORT%; }
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        location /one/ { proxy_pass http://%ONE%; websocket on; websocket_label one; }
        location /two/ { proxy_pass http://%TWO%; websocket on; websocket_label two; }
        location /dead/ { proxy_pass http://dead; websocket on; }
        location /choosy/ { proxy_pass http://%ONE%; websocket on; websocket_allow_origin https://example.com; }
        location = /status { websocket_status; }
        %CONTROL%
    }";

/// Where tunnels can be closed.
pub const CONTROL: &str = "location /control/ { websocket_control on; }";

pub struct Stage {
    pub browser: Browser,
    pub nginx: Nginx,
    pub one: ScriptedBackend,
    pub two: ScriptedBackend,
}

/// Without a Chromium there is nothing to test: the test says so and ends.
pub fn stage() -> Option<Stage> {
    stage_of(setup().set("CONTROL", CONTROL))
}

pub fn setup() -> Setup {
    Nginx::http(SERVERS).set("SIZE", "1m")
}

pub fn stage_of(setup: Setup) -> Option<Stage> {
    let Some(mut browser) = Browser::start() else {
        nginx_tests::skipped("Chromium is not installed");
        return None;
    };
    browser.emulate(1400, 1000, "light");
    let [one, two] = [
        ScriptedBackend::start(oblige),
        ScriptedBackend::start(oblige),
    ];
    let nginx = setup
        .set("ONE", one.address())
        .set("TWO", two.address())
        .start();
    let mut stage = Stage {
        browser,
        nginx,
        one,
        two,
    };
    let page = stage.page();
    stage.browser.open(&page);
    stage
        .browser
        .wait("document.querySelector('#health').className");
    Some(stage)
}

/// Accepts whatever address and subprotocol it is asked for, and echoes.
fn oblige(conn: &mut Conn) -> io::Result<()> {
    let request = conn.read_request()?.head;
    let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
    let chosen = match request.header("Sec-WebSocket-Protocol") {
        Some(asked) => format!("\r\nSec-WebSocket-Protocol: {asked}\r\n\r\n"),
        None => "\r\n\r\n".to_owned(),
    };
    conn.send(switching_protocols(key).replace("\r\n\r\n", &chosen))?;
    conn.echo_frames()
}

impl Stage {
    pub fn page(&self) -> String {
        format!("http://127.0.0.1:{}/status", self.nginx.port())
    }

    /// A tunnel.
    #[track_caller]
    pub fn tunnel(&self, target: &str) -> Client {
        let mut client = Client::connect(self.nginx.port());
        client.accepted(&Handshake::new(target));
        client
    }

    /// A handshake that fails.
    #[track_caller]
    pub fn failure(&self, handshake: &Handshake) {
        let head = Client::connect(self.nginx.port()).ask(handshake);
        assert_ne!(head.status(), 101);
    }

    /// Waits until the element with this id has this text.
    #[track_caller]
    pub fn shows(&mut self, id: &str, text: &str) {
        let (id, text) = (json!(id), json!(text));
        self.browser.wait(&format!(
            "document.getElementById({id}).innerText.trim() === {text}"
        ));
    }

    /// Waits until an element's text contains this.
    #[track_caller]
    pub fn says(&mut self, id: &str, text: &str) {
        let (id, text) = (json!(id), json!(text));
        self.browser.wait(&format!(
            "document.getElementById({id}).innerText.includes({text})"
        ));
    }

    /// Waits until two more answers are shown: what a first one has made, they change.
    #[track_caller]
    pub fn shows_more(&mut self) {
        let seen = self.browser.eval("samples.length");
        self.browser.wait(&format!("samples.length > {seen} + 1"));
    }

    /// What stands in a column of the table in a section, from top to bottom.
    pub fn column(&mut self, section: &str, title: &str) -> Vec<String> {
        let cells = self.browser.eval(&column(section, title));
        let texts = cells.as_array().expect("a list").iter();
        texts
            .map(|text| text.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Waits until that is this.
    #[track_caller]
    pub fn column_is(&mut self, section: &str, title: &str, texts: &[&str]) {
        let (column, texts) = (column(section, title), json!(texts));
        self.browser.wait(&format!(
            "JSON.stringify({column}) === JSON.stringify({texts})"
        ));
    }

    /// Nothing was logged, and nothing asked for outside.
    #[track_caller]
    pub fn ends_clean(&mut self) {
        // What is on its way is waited for.
        self.browser.eval("1");
        assert_eq!(self.browser.console, [""; 0]);
        let own = format!("http://127.0.0.1:{}/", self.nginx.port());
        let outside = |url: &&String| {
            !url.starts_with(&own) && !url.starts_with("data:image/svg+xml,") && *url != "data:,"
        };
        let outside: Vec<_> = self.browser.requests.iter().filter(outside).collect();
        assert!(outside.is_empty(), "{outside:?}");
    }
}

fn column(section: &str, title: &str) -> String {
    let cells = json!(format!("#{section} tbody [data-title={}]", json!(title)));
    format!("[...document.querySelectorAll({cells})].map((cell) => cell.innerText.trim())")
}

/// A list of texts from the page.
pub fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect()
}
