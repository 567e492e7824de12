//! `uwsgi_pass` and `scgi_pass`: everything but injection, which they don't need.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nginx_tests::backend::{Conn, switching_protocols};
use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::environment::is_over_http2;
use nginx_tests::nginx::{Setup, lines_with};
use nginx_tests::{Client, Frame, Handshake, Nginx, ScriptedBackend};

type Variables = BTreeMap<String, String>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uwsgi,
    Scgi,
}

const BOTH: [Kind; 2] = [Kind::Uwsgi, Kind::Scgi];

impl Kind {
    fn read(self, conn: &mut Conn) -> io::Result<Variables> {
        match self {
            Self::Uwsgi => conn.read_uwsgi(),
            Self::Scgi => conn.read_scgi(),
        }
    }

    /// A 101 in the form its server would give: uwsgi with a status line, scgi without.
    fn answer(self, key: &str) -> String {
        let http = switching_protocols(key);
        match self {
            Self::Uwsgi => http,
            Self::Scgi => http.replacen("HTTP/1.1 ", "Status: ", 1),
        }
    }

    /// A server whose variables are one of the user's and nginx's own `HTTP_…`.
    fn server(self, lines: &str) -> Setup {
        let name = match self {
            Self::Uwsgi => "uwsgi",
            Self::Scgi => "scgi",
        };
        let lines = lines.replace("KIND", name);
        Nginx::server(format!(
            "location / {{ {name}_pass %BACKEND%; {name}_param REQUEST_URI $request_uri; {lines} }}"
        ))
    }
}

/// A server of this kind that opens a tunnel for whoever has a key, and what it was asked.
fn backend(kind: Kind) -> (ScriptedBackend, Arc<Mutex<Vec<Variables>>>) {
    let asked: Arc<Mutex<Vec<Variables>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let backend = ScriptedBackend::start(move |conn| {
        let variables = kind.read(conn)?;
        noted.lock().unwrap().push(variables.clone());
        match variables.get("HTTP_SEC_WEBSOCKET_KEY") {
            Some(key) => {
                conn.send(kind.answer(key))?;
                conn.echo_frames()
            }
            None => conn.send("Status: 200 OK\r\nContent-Length: 5\r\n\r\nplain"),
        }
    });
    (backend, asked)
}

#[test]
fn tunnels_pass() {
    for kind in BOTH {
        let (backend, asked) = backend(kind);
        let nginx = kind
            .server("websocket on;")
            .set("BACKEND", backend.address())
            .start();
        let mut client = Client::connect(nginx.port());
        client.establish("/chat");
        client.echo("hello");
        client.close_politely();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["HTTP_UPGRADE"], "websocket");
        assert_eq!(asked[0]["HTTP_CONNECTION"], "Upgrade");
        if !is_over_http2() {
            assert_eq!(asked[0]["HTTP_SEC_WEBSOCKET_KEY"], SAMPLE_KEY);
        }
        assert_eq!(asked[0]["REQUEST_URI"], "/chat");
    }
}

#[test]
fn nothing_is_injected() {
    for kind in BOTH {
        let (backend, asked) = backend(kind);
        let requests = [
            Handshake::new("/a"),
            Handshake::new("/b").set("Connection", "keep-alive, Upgrade"),
            Handshake::plain("/c"),
            Handshake::plain("/d")
                .method("POST")
                .add("Content-Length", "0"),
        ];
        for setup in [
            kind.server("websocket on;"),
            kind.server("").without_module(),
        ] {
            let nginx = setup.set("BACKEND", backend.address()).start();
            for request in &requests {
                let status = Client::connect(nginx.port()).ask(request).status();
                assert!(matches!(status, 101 | 200), "{status}");
            }
        }
        let mut asked = asked.lock().unwrap().clone();
        for asked in &mut asked {
            if is_over_http2() && asked.contains_key("HTTP_SEC_WEBSOCKET_KEY") {
                asked.insert("HTTP_SEC_WEBSOCKET_KEY".to_owned(), SAMPLE_KEY.to_owned());
            }
        }
        let stock = asked.split_off(requests.len());
        assert_eq!(asked, stock);
    }
}

#[test]
fn broken_handshakes_are_refused() {
    for kind in BOTH {
        let (backend, _) = backend(kind);
        let nginx = kind
            .server("websocket on; websocket_handshake strict;")
            .set("BACKEND", backend.address())
            .start();
        let mut client = Client::connect(nginx.port());
        let head = client.ask(&Handshake::new("/").without("Sec-WebSocket-Key"));
        assert_eq!(head.status(), 400);
        drop(client);
        let lines = lines_with(&nginx.stop(), "websocket handshake failed: key-missing");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("[error]"), "{lines:#?}");
        assert_eq!(backend.connections(), 0);
    }
}

#[test]
fn a_101_with_another_accept_is_refused_with_its_cause() {
    for kind in BOTH {
        let backend = ScriptedBackend::start(move |conn| {
            kind.read(conn)?;
            conn.send(kind.answer("another key"))
        });
        let nginx = kind
            .server("websocket on;")
            .set("BACKEND", backend.address())
            .start();
        let head = Client::connect(nginx.port()).ask(&Handshake::new("/"));
        assert_eq!(head.status(), 502);
        let lines = lines_with(&nginx.stop(), "websocket handshake failed:");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("failed: accept-mismatch:"), "{lines:#?}");
    }
}

#[test]
fn plain_requests_pass() {
    for kind in BOTH {
        let (backend, _) = backend(kind);
        let nginx = kind
            .server("websocket on;")
            .set("BACKEND", backend.address())
            .start();
        let answer = Client::connect(nginx.port()).exchange(&Handshake::plain("/"));
        assert_eq!((answer.status(), &*answer.text()), (200, "plain"));
        assert_eq!(lines_with(&nginx.stop(), "websocket"), [""; 0]);
    }
}

#[test]
fn websocket_timeout_holds_and_the_read_timeout_does_not() {
    for kind in BOTH {
        let (backend, _) = backend(kind);
        let lines = "websocket on; KIND_read_timeout 200ms; websocket_timeout 1s;";
        let nginx = kind.server(lines).set("BACKEND", backend.address()).start();
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        assert!(client.silent_for(Duration::from_millis(600)));
        client.echo("hello");
        assert_eq!(client.frame().close_code(), Some(1001));
        client
            .send(Frame::close(1001, "").masked().bytes())
            .unwrap();
        assert_eq!(client.read_until_close(), b"");
    }
}

#[test]
fn another_upgrade_makes_no_tunnel() {
    for kind in BOTH {
        let backend = ScriptedBackend::start(move |conn| {
            kind.read(conn)?;
            conn.send(kind.answer(SAMPLE_KEY).replace("websocket", "h2c"))?;
            conn.hang()
        });
        let lines = "websocket on; KIND_read_timeout 300ms;";
        let nginx = kind.server(lines).set("BACKEND", backend.address()).start();
        let mut client = Client::connect(nginx.port());
        let request = Handshake::plain("/")
            .add("Upgrade", "h2c")
            .add("Connection", "Upgrade");
        client.send(request.bytes()).unwrap();
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let _ = client.read_to_close();
        let got = String::from_utf8_lossy(&backend.received(0)).into_owned();
        assert!(
            !got.contains("PRI * HTTP/2.0"),
            "the client spoke to the backend: {got}"
        );
    }
}

#[test]
fn another_upgrade_is_stripped() {
    let written =
        "KIND_param HTTP_UPGRADE $http_upgrade; KIND_param HTTP_CONNECTION $http_connection;";
    for kind in BOTH {
        for lines in ["", written, "KIND_param HTTP_CONNECTION kept;"] {
            let (backend, asked) = backend(kind);
            let nginx = kind
                .server(&format!("websocket on; {lines}"))
                .set("BACKEND", backend.address())
                .start();
            let request = Handshake::plain("/")
                .add("Upgrade", "h2c")
                .add("Connection", "Upgrade")
                .add("X-Other", "stays");
            Client::connect(nginx.port()).ask(&request);
            nginx.wait_for_log("passed on without \"Upgrade: h2c\"");
            let asked = asked.lock().unwrap();
            let got = |name| asked[0].get(name).map(String::as_str);
            assert_eq!(got("HTTP_UPGRADE"), None, "{lines}");
            let kept = lines.contains("kept").then_some("kept");
            assert_eq!(got("HTTP_CONNECTION"), kept, "{lines}");
            assert_eq!(got("HTTP_X_OTHER"), Some("stays"));
            assert_eq!(got("REQUEST_URI"), Some("/"));
        }
    }
}

/// Nor has a subrequest one.
#[test]
fn a_subrequest_asks_for_no_upgrade() {
    for kind in BOTH {
        let (backend, asked) = backend(kind);
        let name = match kind {
            Kind::Uwsgi => "uwsgi",
            Kind::Scgi => "scgi",
        };
        let nginx = Nginx::server(format!(
            "websocket on;
            location / {{ auth_request /ask; {name}_pass %BACKEND%; {name}_param REQUEST_URI $request_uri; }}
            location = /ask {{ {name}_pass %BACKEND%; {name}_param ASKS 1; {name}_pass_request_body off; }}"
        ))
        .set("BACKEND", backend.address())
        .start();
        let mut client = Client::connect(nginx.port());
        // Without a key, by which this backend tells a handshake.
        let request = Handshake::new("/").without("Sec-WebSocket-Key");
        client.ask(&request);
        let asked = asked.lock().unwrap();
        let [ask, ..] = asked.as_slice() else {
            panic!("nobody was asked")
        };
        assert_eq!(ask.get("ASKS").map(String::as_str), Some("1"));
        assert!(!ask.contains_key("HTTP_UPGRADE"), "{ask:?}");
    }
}
