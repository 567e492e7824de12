//! An nginx with faults, and what has to be as before when one is over.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use nginx_tests::backend::{Conn, Listen};
use nginx_tests::client::get;
use nginx_tests::faults::{Kind, Spell};
use nginx_tests::nginx::Setup;
use nginx_tests::wait::wait_within;
use nginx_tests::{
    Certificate, DEADLINE, EchoBackend, Faults, Frame, Nginx, ScriptedBackend, wait_for, wait_until,
};
use serde_json::Value;

pub const MB: usize = 1 << 20;

/// All that a tunnel can have; `%PORT3%` is nobody's.
const HTTP: &str = "
    websocket_zone faults:1m;
    websocket_log_open on;
    map $uri $seen { default yes; }
    log_format seen '$websocket_state $websocket_close_reason $websocket_cause $seen';
    proxy_ssl_session_reuse off;
    upstream second { server 127.0.0.1:%PORT3%; server %BACKEND%; }
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%TLSPORT% ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_session_tickets off;
        access_log logs/seen.log seen;
        websocket on;
        websocket_buffers 0;
        location / { proxy_pass http://%BACKEND%; }
        location /all/ {
            proxy_pass http://%BACKEND%;
            websocket_ping 20ms timeout=10s to=both;
            websocket_max_message_size 4m;
            websocket_rate 100m;
            websocket_message_rate 10000r/s burst=1000;
            websocket_message_timeout 10s;
            websocket_max_lifetime 1h;
            websocket_send_lowat 64k;
            websocket_label all;
        }
        location /large/ {
            proxy_pass http://%BACKEND%;
            websocket_buffer_size 4k;
            websocket_large_buffers 4 64k;
        }
        location /small/ { proxy_pass http://%BACKEND%; websocket_buffer_size 4k; }
        location /tls/ { proxy_pass https://%TLSBACKEND%; }
        location /loop/ { proxy_pass http://%BACKEND%; websocket_tunnel off; }
        location /second/ { proxy_pass http://second; }
        location /down/ { proxy_pass http://127.0.0.1:%PORT3%; }
        location /origin/ { proxy_pass http://%BACKEND%; websocket_allow_origin https://example.com; }
        location /strict/ { proxy_pass http://%BACKEND%; websocket_handshake strict; }
        location /page/ { proxy_pass http://%BACKEND%; error_page 404 /sorry/; proxy_intercept_errors on; }
        location /sorry/ { return 404; }
        location /hinted/ { proxy_pass http://%BACKEND%; websocket_cause_header on; }
        # nginx writes no such log where there is no root.
        location /logged/ { proxy_pass http://%BACKEND%; access_log logs/$arg_name.log; root logs; }
        location /off/ { websocket off; return 204; }
        location /status/ { access_log off; websocket_status; websocket_control on; }
        location = /active { access_log off; websocket off; stub_status; }
    }
    server {
        listen 127.0.0.1:%H2PORT% http2 sndbuf=16k;
        listen 127.0.0.1:%H2TLSPORT% ssl http2;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_session_tickets off;
        access_log logs/seen.log seen;
        websocket on;
        websocket_http2 on;
        websocket_buffers 0;
        location / { proxy_pass http://%BACKEND%; }
        location /off/ { websocket off; proxy_pass http://%BACKEND%; }
        location /empty/ { return 204; }
    }";

/// nginx with one worker, its backends, and what was seen of it when nothing went wrong.
pub struct Stage {
    pub nginx: Nginx,
    pub faults: Faults,
    pub certificate: Certificate,
    worker: Cell<u32>,
    /// Those that a worker has without any client.
    own_sockets: Cell<usize>,
    /// How much of the error log has been read.
    read: Cell<u64>,
    _backends: (ScriptedBackend, EchoBackend),
}

/// What a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub descriptors: usize,
    pub timers: i64,
    pub pieces: i64,
}

impl Stage {
    /// `None` under a tool that rules faults out.
    pub fn start(prepare: impl FnOnce(Setup) -> Setup) -> Option<Self> {
        let certificate = Certificate::localhost();
        let backend = ScriptedBackend::start(serve);
        let tls_backend = EchoBackend::on(Listen::Tls(certificate.clone()), &[]);
        let setup = Nginx::http(HTTP)
            .set("BACKEND", backend.address())
            .set("TLSBACKEND", tls_backend.address())
            .certificate(&certificate)
            // nginx 1.25.1 and later have a directive for it.
            .allow_log("the \"listen ... http2\" directive is deprecated")
            // What is said of what goes wrong on purpose.
            .allow_log("(12: Cannot allocate memory)")
            .allow_log("failed: there is no memory ")
            // OpenSSL's functions fail with their reason, without one, or are found to have failed later.
            .allow_log(" SSL_")
            .allow_log("failed (SSL: ")
            .allow_log("ignoring stale global SSL error (SSL: ");
        let (setup, faults) = Faults::prepare(prepare(setup));
        let stage = Self {
            nginx: setup.start(),
            faults: faults?,
            certificate,
            worker: Cell::new(0),
            own_sockets: Cell::new(0),
            read: Cell::new(0),
            _backends: (backend, tls_backend),
        };
        let first = stage.nginx.worker_pids()[0];
        stage.own_sockets.set(descriptors(first).sockets);
        stage.watch();
        Some(stage)
    }

    fn watch(&self) {
        // A process is a worker's when it has got that far.
        let worker = wait_for("a worker", || self.nginx.worker_pids().first().copied());
        self.worker.set(worker);
        self.faults.watch(worker);
        self.faults.count_timers(true);
    }

    /// A worker that has served nobody yet takes the place of the one that there is.
    pub fn renew(&self) {
        self.nginx.reload();
        wait_until("the old worker to end", || {
            self.nginx.exiting_worker_pids().is_empty()
        });
        self.watch();
        // What it has of the old worker's it closes when the master says so.
        self.wait_for_quiet();
    }

    /// Has calls fail, from the one of this number on, while a visit is under way. How many failed, and what
    /// came of it.
    #[track_caller]
    pub fn during<T>(
        &self,
        kind: Kind,
        number: i64,
        spell: Spell,
        visit: impl FnOnce(&Self) -> T,
    ) -> (i64, T) {
        self.faults.fail(kind, number, spell);
        let outcome = visit(self);
        // What a client sees of an end comes before nginx is through with it.
        self.wait_for_quiet();
        (self.faults.stop().failed, outcome)
    }

    /// Waits until no client's connection is left, nor one to a backend.
    #[track_caller]
    pub fn wait_for_quiet(&self) {
        let is_quiet = || descriptors(self.worker.get()).sockets == self.own_sockets.get();
        let has_come = wait_within(*DEADLINE, || is_quiet().then_some(())).is_some();
        let now = self.nginx.worker_pids();
        assert_eq!(now, [self.worker.get()], "the worker has ended");
        assert!(has_come, "a connection is left");
    }

    /// What the worker has, when all connections are gone and it waits for others.
    #[track_caller]
    pub fn holdings(&self) -> Holdings {
        self.wait_for_quiet();
        self.faults.wait_for_timers();
        self.holdings_now()
    }

    /// Waits until the worker has what is wanted. Whether that comes.
    #[track_caller]
    pub fn comes_to_hold(&self, is_right: impl Fn(Holdings) -> bool) -> bool {
        self.wait_for_quiet();
        let is_right = || is_right(self.holdings_now()).then_some(());
        wait_within(Duration::from_secs(2), is_right).is_some()
    }

    fn holdings_now(&self) -> Holdings {
        Holdings {
            descriptors: descriptors(self.worker.get()).all,
            timers: self.faults.timers(),
            pieces: self.faults.pieces(),
        }
    }

    /// What nginx itself and the zone count.
    #[track_caller]
    pub fn assert_nothing_is_counted_as_open(&self) {
        let active = get(self.nginx.port(), "/active").text();
        assert!(active.starts_with("Active connections: 1 "), "{active}");
        let open = wait_for("the zone to have no buffer lent", || {
            let answer = get(self.nginx.port(), "/status/?format=json").body;
            let status: Value = serde_json::from_slice(&answer).expect("JSON");
            (status["zone"]["buffers_lent"] == 0).then_some(status)
        });
        assert_eq!(open["totals"]["active"], 0, "{open}");
        assert_eq!(open["tunnels"]["matched"], 0, "{open}");
    }

    /// How many lines there are in the log of who has one of their own.
    pub fn lines_of_their_own(&self) -> usize {
        self.nginx.access_log("own.log").lines().count()
    }

    /// What was written to the error log since this was asked last.
    pub fn news(&self) -> String {
        let mut log = fs::File::open(self.nginx.path("logs/error.log")).expect("an error log");
        log.seek(SeekFrom::Start(self.read.get())).expect("a file");
        let mut bytes = Vec::new();
        let count = log.read_to_end(&mut bytes).expect("a log");
        self.read.set(self.read.get() + count as u64);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

struct Descriptors {
    all: usize,
    sockets: usize,
}

fn descriptors(process: u32) -> Descriptors {
    let listed = fs::read_dir(format!("/proc/{process}/fd"));
    let (mut all, mut sockets) = (0, 0);
    for file in listed.into_iter().flatten().flatten() {
        let target = fs::read_link(file.path()).unwrap_or_default();
        all += 1;
        sockets += usize::from(target.to_string_lossy().starts_with("socket:"));
    }
    Descriptors { all, sockets }
}

/// A backend that does what the path asks for.
fn serve(conn: &mut Conn) -> io::Result<()> {
    let head = conn.read_request()?.head;
    let path = head.target().to_owned();
    if path.contains("refuse") {
        let body = r#"{"error": "no such room"}"#;
        let length = body.len();
        return conn.send(format!(
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ));
    }
    if path.contains("wrong") {
        return conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: wrong\r\n\r\n",
        );
    }
    conn.accept(&head)?;
    if path.contains("flood") {
        conn.send(Frame::binary(vec![7; 2 * MB]).bytes())?;
    }
    conn.echo_frames()
}
