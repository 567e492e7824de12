//! All forms in one nginx, and requests through it.

use std::io;

use nginx_tests::client::Client;
use nginx_tests::environment::nginx_version;
use nginx_tests::nginx::Setup;
use nginx_tests::{Frame, Handshake, Nginx};

use crate::exchange::{Exchange, without_date};
use crate::forms::{FORMS, Form, HTTP};
use crate::kinds::Kind;
use crate::upstreams::Upstreams;

/// A server, and the lines of its own.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    port: &'static str,
    lines: &'static str,
}

pub const SERVERS: &[Server] = &[
    Server {
        name: "bare",
        port: "PORT",
        lines: "",
    },
    Server {
        name: "lines",
        port: "PORT2",
        lines: "proxy_set_header X-Server $server_name; proxy_set_header Host own.test;",
    },
];

/// Which nginx a run goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nginxes {
    WithoutTheModule,
    /// With `websocket on` for all of it and nothing else of the module.
    On,
}

/// What the forms say of version, Upgrade and Connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    Own,
    /// What one writes for WebSocket where there is no module.
    ByHand,
}

const BY_HAND: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;";

/// What an upstream needs of a handshake.
const HANDSHAKE: &str = "
    proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key;
    proxy_set_header Sec-WebSocket-Version $http_sec_websocket_version;
    proxy_set_header Sec-WebSocket-Protocol $http_sec_websocket_protocol;
    proxy_set_header Sec-WebSocket-Extensions $http_sec_websocket_extensions;";

/// What outlives the runs that are compared.
pub struct World {
    upstreams: Upstreams,
}

impl World {
    pub fn new() -> Self {
        Self {
            upstreams: Upstreams::start(),
        }
    }

    /// Starts an nginx with every form, sends it requests, and gives the exchanges.
    pub fn run(&self, nginx: Nginxes, lines: Lines, send: impl Fn(&mut Run)) -> Vec<Exchange> {
        self.upstreams.begin();
        let nginx = self.upstreams.introduce(setup(nginx, lines)).start();
        let mut run = Run {
            upstreams: &self.upstreams,
            nginx,
            exchanges: Vec::new(),
        };
        send(&mut run);
        run.end()
    }
}

fn setup(nginx: Nginxes, lines: Lines) -> Setup {
    let on = nginx == Nginxes::On;
    let servers: String = SERVERS.iter().map(|server| server.block(lines)).collect();
    let setup = Nginx::http(format!("port_in_redirect off; %ON%\n{HTTP}\n{servers}"))
        .set(
            "BODILESS",
            "proxy_pass_request_body off; proxy_set_header Content-Length '';",
        )
        .set("ON", if on { "websocket on;" } else { "" })
        .set("OFF", if on { "websocket off;" } else { "" });
    if on { setup } else { setup.without_module() }
}

impl Server {
    fn block(&self, lines: Lines) -> String {
        let Self {
            name,
            port,
            lines: own,
        } = self;
        let forms: String = FORMS
            .iter()
            .map(|form| self.locations(form, lines))
            .collect();
        format!(
            "server {{
                listen 127.0.0.1:%{port}%; server_name {name}; {own}
                location = /end {{ return 204; }}
                {forms}
            }}\n"
        )
    }

    fn locations(&self, form: &Form, lines: Lines) -> String {
        let own = match lines {
            Lines::Own => form.own.to_owned(),
            Lines::ByHand if form.hides_lines_above() => BY_HAND.to_owned(),
            // A line in a location hides those above it.
            Lines::ByHand => format!("{} {BY_HAND}", self.lines),
        };
        let handshake = if lines == Lines::ByHand {
            HANDSHAKE
        } else {
            ""
        };
        let flags = if nginx_version() < (1, 19, 3) {
            ""
        } else {
            "proxy_cookie_flags id secure;"
        };
        let text = form
            .text
            .replace("%OWN%", &own)
            .replace("%FLAGS%", flags)
            .replace("%HANDSHAKE%", handshake);
        text + "\n"
    }
}

/// Requests through one nginx.
pub struct Run<'a> {
    upstreams: &'a Upstreams,
    nginx: Nginx,
    exchanges: Vec<Exchange>,
}

impl Run<'_> {
    /// A plain request, and a last one where the connection goes on: nginx takes that up when
    /// all that belongs to the first is done.
    pub fn plain(&mut self, server: &Server, form: &Form, kind: &Kind) {
        let request = kind.request(form);
        self.exchange(server, format!("{}, {}", form.name, kind.name), |client| {
            client.send(request.bytes())?;
            let mut head = client.read_head()?;
            while head.status() == 100 {
                head = client.read_head()?;
            }
            if kind.name != "HEAD" {
                client.read_body(&head)?;
            }
            if !head.has_token("Connection", "close") {
                client.send(Handshake::plain("/end").add("Connection", "close").bytes())?;
            }
            client.read_to_close()?;
            Ok(false)
        });
    }

    /// A handshake, a message back and forth, and a Close likewise; or whatever answer comes.
    pub fn handshake(&mut self, server: &Server, form: &Form) {
        let request = Handshake::new(&format!("/{}/a%20page?x=1", form.name))
            .add("Origin", "http://localhost")
            .add("Cookie", "a=b")
            .add("Sec-WebSocket-Protocol", "chat, other");
        self.exchange(server, format!("{}, handshake", form.name), |client| {
            client.send(request.bytes())?;
            let head = client.read_head()?;
            if head.status() != 101 {
                client.read_body(&head)?;
                client.send(Handshake::plain("/end").add("Connection", "close").bytes())?;
                client.read_to_close()?;
                return Ok(false);
            }
            client.send(Frame::text("hello").masked().bytes())?;
            let echoed = client.read_frame()? == Frame::text("hello");
            client.send(Frame::close(1000, "").masked().bytes())?;
            let closed = client.read_frame()? == Frame::close(1000, "");
            client.read_to_close()?;
            Ok(echoed && closed)
        });
    }

    fn exchange(
        &mut self,
        server: &Server,
        name: String,
        talk: impl FnOnce(&mut Client) -> io::Result<bool>,
    ) {
        let mut client = Client::connect(self.nginx.port_of(server.port));
        let name = format!("server {}, {name}", server.name);
        let echoed = talk(&mut client);
        let record = client.record();
        let received = record.lock().unwrap();
        let echoed = echoed
            .unwrap_or_else(|error| panic!("{name}: {error} after {}", received.escape_ascii()));
        self.exchanges.push(Exchange {
            name,
            client: without_date(&received),
            echoed,
            upstream: self.upstreams.take(),
        });
    }

    /// Stops nginx. Nothing may have been left to do.
    fn end(self) -> Vec<Exchange> {
        self.nginx.stop();
        let late = self.upstreams.take();
        assert!(late.is_empty(), "after the last request: {late:#?}");
        self.exchanges
    }
}
