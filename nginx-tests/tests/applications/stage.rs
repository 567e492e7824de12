//! An application behind an nginx that has the location of the page, and a client in front.

use std::net::TcpListener;

use nginx_tests::Nginx;
use nginx_tests::wait::wait_within;

use crate::program::{Client, PATIENCE, Program};
use crate::table::Application;

/// The name by which clients know the server: none that an application trusts by itself, as many
/// trust `localhost`. Clients have it mean this machine.
const NAME: &str = "app.example";

const HTTP: &str = "
    log_format attempts '$status $websocket_cause $websocket_close_reason $websocket_close_code';
    server {
        listen 127.0.0.1:%PORT%;
        access_log logs/attempts attempts if=$websocket;
        websocket_drain 500ms code=%CODE%;
        %LOCATION%
    }";

pub struct Stage<'a> {
    application: &'a Application,
    nginx: Nginx,
    server: Program,
    port: u16,
}

impl<'a> Stage<'a> {
    /// With a location that is to be set yet.
    pub fn new(application: &'a Application) -> Self {
        let port = free_port();
        let nginx = Nginx::http(configuration("", 1012)).start();
        let server = Program::server(&words(application.server, &nginx, port), port);
        Self {
            application,
            nginx,
            server,
            port,
        }
    }

    /// Has nginx take this location, and this code for the tunnels that it will drain, and waits until
    /// what the old one has open is over.
    pub fn configure(&mut self, location: &str, code: u16) {
        let address = location
            .split_once("proxy_pass http://127.0.0.1:")
            .and_then(|(_, rest)| rest.split([';', '/']).next())
            .expect("a location that proxies to this machine");
        let to = format!("127.0.0.1:{}", self.port);
        let location = location.replace(&format!("127.0.0.1:{address}"), &to);
        self.nginx.reload_with(&configuration(&location, code));
        let left = wait_within(PATIENCE, || {
            self.nginx.exiting_worker_pids().is_empty().then_some(())
        });
        assert!(left.is_some(), "the old worker never left");
    }

    pub fn client(&self) -> Client {
        Client::start(&words(self.application.client, &self.nginx, self.port))
    }

    /// What comes of a question: `works`, the cause of a handshake that failed, or `fails`.
    pub fn outcome(&self, client: &mut Client, question: &str) -> String {
        let before = self.attempts().len();
        client.ask(question);
        let expected = (self.application.answer)(question);
        let found = wait_within(PATIENCE, || match client.answer() {
            Some(answer) if answer == expected => Some("works".to_owned()),
            Some(answer) if answer.starts_with("error: ") => {
                eprintln!("{question}: {answer}");
                Some(self.cause(before).unwrap_or_else(|| "fails".to_owned()))
            }
            Some(answer) => panic!("{question} was answered {answer}"),
            None => self.cause(before),
        });
        found.unwrap_or_else(|| {
            panic!(
                "{question}: no answer\nclient: {}\nserver: {}\nnginx: {}",
                client.errors(),
                self.server.errors(),
                self.nginx.error_log(),
            )
        })
    }

    /// Reloads, and sees that tunnels were asked to leave with this code.
    pub fn drain(&mut self, location: &str, code: u16, next: u16) {
        let before = self.attempts().len();
        self.configure(location, next);
        let attempts = self.attempts().split_off(before);
        let drained = format!("drain {code}");
        assert!(
            attempts
                .iter()
                .any(|line| line.starts_with("101 ") && line.ends_with(&drained)),
            "{attempts:?}"
        );
    }

    /// Waits until the attempts so far include a WebSocket that was open and is over.
    pub fn saw_a_tunnel(&self, since: usize) {
        let seen = wait_within(PATIENCE, || {
            let attempts = self.attempts();
            attempts[since..]
                .iter()
                .any(|line| line.starts_with("101 "))
                .then_some(())
        });
        assert!(seen.is_some(), "no WebSocket: {:?}", self.attempts());
    }

    /// A line for each handshake that failed or whose tunnel is over.
    pub fn attempts(&self) -> Vec<String> {
        let log = self.nginx.access_log("attempts");
        log.lines().map(str::to_owned).collect()
    }

    /// The first cause since then.
    fn cause(&self, before: usize) -> Option<String> {
        self.attempts()[before..].iter().find_map(|line| {
            let mut words = line.split(' ');
            let failed = words.next() != Some("101");
            words
                .next()
                .filter(|cause| failed && *cause != "-")
                .map(str::to_owned)
        })
    }
}

fn configuration(location: &str, code: u16) -> String {
    HTTP.replace("%LOCATION%", location)
        .replace("%CODE%", &code.to_string())
}

/// A command with the address of the application and that of nginx in it.
fn words(command: &str, nginx: &Nginx, port: u16) -> Vec<String> {
    let authority = format!("{NAME}:{}", nginx.port());
    let word = |word: &str| {
        word.replace("%PORT%", &port.to_string())
            .replace("%NAME%", NAME)
            .replace("%AUTHORITY%", &authority)
    };
    command.split_whitespace().map(word).collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
