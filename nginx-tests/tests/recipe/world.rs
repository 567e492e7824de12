//! The same backend behind two nginxes: one with the lines written by hand and without the module, one
//! with `websocket on`.

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::http::Head;
use nginx_tests::wire::Wire;
use nginx_tests::{Frame, Nginx, ScriptedBackend};

pub struct World {
    _backend: ScriptedBackend,
    recipe: Nginx,
    module: Nginx,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A 101, and frames pass in both directions.
    Works,
    /// A 101, and they don't.
    IsDead,
    /// Another status.
    Refused(u16),
    /// No answer.
    Closed,
}

const RECIPE: &str = "
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            proxy_pass http://%BACKEND%;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }";

const MODULE: &str = "
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://%BACKEND%; websocket on; }
    }";

impl World {
    /// A backend that takes whatever has an Upgrade header.
    pub fn permissive() -> Self {
        Self::new(|conn, request| {
            if request.header("Upgrade").is_none() {
                return conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
            }
            let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
            conn.send(switching_protocols(key))?;
            conn.echo_frames()
        })
    }

    /// A backend that answers these bytes, with the key's Accept for `%ACCEPT%`.
    pub fn answering(answer: String) -> Self {
        Self::new(move |conn, request| {
            let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            conn.send(answer.replace("%ACCEPT%", &accept))?;
            conn.echo_frames()
        })
    }

    fn new(
        answer: impl Fn(&mut Conn, &Head) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let backend = ScriptedBackend::start(move |conn| {
            let request = conn.read_request()?.head;
            answer(conn, &request)
        });
        let (recipe, module) = (Nginx::http(RECIPE).without_module(), Nginx::http(MODULE));
        let start = |setup: nginx_tests::nginx::Setup| {
            setup
                .set("BACKEND", backend.address())
                .log_level("error")
                .start()
        };
        Self {
            recipe: start(recipe),
            module: start(module),
            _backend: backend,
        }
    }

    /// How a handshake of these bytes ends by the recipe and with the module.
    pub fn try_both(&self, handshake: &[u8]) -> (Ending, Ending) {
        (
            attempt(&self.recipe, handshake),
            attempt(&self.module, handshake),
        )
    }
}

fn attempt(nginx: &Nginx, handshake: &[u8]) -> Ending {
    let mut wire = Wire::connect(nginx.port()).expect("nginx accepts");
    let answered = wire.send(handshake).and_then(|()| wire.read_head());
    match answered {
        Err(_) => Ending::Closed,
        Ok(head) if head.status() != 101 => Ending::Refused(head.status()),
        Ok(_) => {
            let frame = Frame::text("hello");
            let echoed = wire.send(frame.clone().masked().bytes());
            match echoed.and_then(|()| wire.read_frame()) {
                Ok(got) if got.payload == frame.payload => Ending::Works,
                _ => Ending::IsDead,
            }
        }
    }
}
