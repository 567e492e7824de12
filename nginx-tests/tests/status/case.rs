//! What the tests of status and control share.

use nginx_tests::client::get;
use nginx_tests::http::Message;
use nginx_tests::nginx::Setup;
use nginx_tests::schema;
use nginx_tests::{Client, EchoBackend, Handshake, Nginx};
use serde_json::Value;

/// `/` goes to `%BACKEND%`, `/status/` shows it, and `/status/close` closes.
pub const SERVER: &str = "
    server {
        listen 127.0.0.1:%PORT%;
        server_name chat.example;
        location / { proxy_pass http://%BACKEND%; websocket on; websocket_handshake strict; }
        location /status/ { websocket_status; websocket_control on; }
        location = /json { websocket_status json; }
        location = /html { websocket_status html; }
        location = /metrics { websocket_status prometheus; }
    }";

pub fn server(backend: &EchoBackend) -> Setup {
    Nginx::http(SERVER).set("BACKEND", backend.address())
}

/// The JSON, which keeps to its schema.
#[track_caller]
pub fn status(nginx: &Nginx, query: &str) -> Value {
    let answer = get(nginx.port(), &format!("/status/?format=json&{query}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let value = serde_json::from_slice(&answer.body).expect("JSON");
    schema::check(include_str!("../../../docs/status.schema.json"), &value);
    value
}

/// A request with these headers.
#[track_caller]
pub fn ask(nginx: &Nginx, method: &str, target: &str, headers: &[(&str, &str)]) -> Message {
    let request = Handshake::plain(target)
        .method(method)
        .add("Connection", "close");
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.set(name, value));
    Client::connect(nginx.port()).exchange(&request)
}

/// An action, as the page asks for it.
#[track_caller]
pub fn close(nginx: &Nginx, query: &str) -> Value {
    let target = format!("/status/close?{query}");
    let answer = ask(nginx, "POST", &target, &[("X-WebSocket-Control", "1")]);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// How far an action is.
#[track_caller]
pub fn progress(nginx: &Nginx, action: &Value) -> Value {
    let answer = get(nginx.port(), &format!("/status/close?action={action}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// What is wrong with a request, as it is told.
#[track_caller]
pub fn error(answer: &Message) -> String {
    let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
    value["error"].as_str().expect("an error").to_owned()
}

/// A client in a tunnel of its own.
#[track_caller]
pub fn join(nginx: &Nginx, target: &str) -> Client {
    let mut client = Client::connect(nginx.port());
    client.establish(target);
    client
}
