//! `websocket_log_open`: the line of the access log when a tunnel begins.

mod head;
mod lines;
mod logs;

use nginx_tests::nginx::Setup;
use nginx_tests::{Client, EchoBackend, Nginx};

/// An nginx with one server and these lines before it and in it.
fn server(backend: &EchoBackend, before: &str, lines: &str) -> Setup {
    Nginx::http(format!(
        "{before} server {{ listen 127.0.0.1:%PORT%; {lines} }}"
    ))
    .set("BACKEND", backend.address())
}

#[track_caller]
fn join(nginx: &Nginx, target: &str) -> Client {
    let mut client = Client::connect(nginx.port());
    client.establish(target);
    client
}
