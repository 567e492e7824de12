//! The places of the nginx under test, what is right there, and its configuration.

use nginx_tests::nginx::Setup;
use nginx_tests::{Certificate, Nginx, patient};
use std::time::Duration;

use crate::backends::{Backend, Form};

/// An answer that is right, if the client and the backend are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// A tunnel of the module's: all comes back until the client closes, or until a Close frame
    /// of nginx's that a reload or this code stands for.
    Tunnel(Option<u16>),
    /// A tunnel that a reload cuts off: in nginx's own loop, or without a drain.
    Loop,
    /// The same where the module is off, and says nothing of it.
    Foreign,
    /// A tunnel that a timeout cuts off at any time.
    Cut,
    /// A tunnel whose client is found dead if it is slow. It gets a Close with this code, but is not
    /// waited for: what it still sends resets the connection, and the Close may be lost with it.
    GivenUp(u16),
    /// The backend's plain answer, 200.
    Plain,
    /// The same from a location that is off, before any upstream was asked: it is none of the
    /// module's business, which says nothing of it.
    Elsewhere,
    /// This status.
    Status(u16),
}

impl Right {
    /// Whether it is a 101.
    pub fn is_tunnel(self) -> bool {
        !matches!(self, Plain | Elsewhere | Status(_))
    }
}

use Right::{Cut, Elsewhere, Foreign, GivenUp, Loop, Plain, Status, Tunnel};

const TUNNEL: &[Right] = &[Tunnel(None)];
const PLAIN: &[Right] = &[Plain];

/// A location: its path, what is in it, and what is right for a handshake and a plain request.
pub struct Place {
    pub path: &'static str,
    lines: &'static str,
    pub handshake: &'static [Right],
    pub plain: &'static [Right],
}

impl Place {
    /// Whether the module looks after the handshakes that come here.
    pub fn is_on(&self) -> bool {
        self.lines.contains("websocket on;")
    }

    /// Whether a handshake gets the same answer over HTTP/2: there a location that is off refuses it, and
    /// what is no tunnel is no success.
    pub fn is_same_over_http2(&self) -> bool {
        let is_same = |right: &Right| match right {
            Tunnel(_) | Loop | Cut | GivenUp(_) => true,
            Foreign | Plain | Elsewhere => false,
            Status(status) => *status >= 300,
        };
        self.is_on() && self.handshake.iter().all(is_same)
    }
}

const fn place(
    path: &'static str,
    handshake: &'static [Right],
    plain: &'static [Right],
    lines: &'static str,
) -> Place {
    Place {
        path,
        lines,
        handshake,
        plain,
    }
}

/// Where clients go.
pub const PLACES: &[Place] = &[
    // Carried or not.
    place("/on", TUNNEL, PLAIN, "websocket on; proxy_pass http://echo;"),
    place("/off", PLAIN, PLAIN, "proxy_pass http://echo;"),
    place("/by-hand", &[Foreign], PLAIN, "proxy_pass http://echo; proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        websocket_advice off;"),
    place("/own-loop", &[Loop], PLAIN, "websocket on; websocket_tunnel off; proxy_pass http://echo;"),
    place("/strict", TUNNEL, PLAIN, "websocket on; websocket_handshake strict; proxy_pass http://echo;"),
    place("/lenient", TUNNEL, PLAIN, "websocket on; websocket_handshake lenient; proxy_pass http://echo;"),
    place("/unverified", TUNNEL, PLAIN, "websocket on; websocket_verify off; proxy_pass http://echo;"),
    place("/noted", TUNNEL, PLAIN, "websocket on; websocket_verify log; proxy_pass http://echo;"),
    place("/anything", TUNNEL, PLAIN, "websocket on; websocket_handshake lenient; websocket_verify off;
        websocket_other_upgrades pass; proxy_pass http://echo;"),
    place("/others-refused", TUNNEL, PLAIN, "websocket on; websocket_other_upgrades reject; proxy_pass http://echo;"),
    place("/origin", TUNNEL, PLAIN, "websocket on; websocket_allow_origin none same; websocket_cause_header on;
        proxy_pass http://echo;"),
    // By other ways to the upstream.
    place("/kept", TUNNEL, PLAIN, "websocket on; proxy_set_header Connection ''; proxy_pass http://echo;"),
    place("/tls", TUNNEL, PLAIN, "websocket on; proxy_pass https://secure;"),
    place("/uwsgi", TUNNEL, PLAIN, "websocket on; uwsgi_pass %UWSGI%;"),
    place("/scgi", TUNNEL, PLAIN, "websocket on; scgi_pass %SCGI%;"),
    place("/variable", TUNNEL, PLAIN, "websocket on; set $where %BACKEND%; proxy_pass http://$where;"),
    place("/several", TUNNEL, PLAIN, "websocket on; proxy_pass http://several;
        proxy_next_upstream error timeout invalid_header http_404 non_idempotent;"),
    place("/wrong-kind", &[Status(502), Status(504)], &[Status(502), Status(504)],
        "websocket on; fastcgi_pass %BACKEND%;"),
    place("/dead", &[Status(502)], &[Status(502)], "websocket on; proxy_pass http://dead;"),
    // To other places.
    place("/page-on", TUNNEL, PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = /on;"),
    place("/page-off", PLAIN, PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = /off;"),
    place("/off-page-on", TUNNEL, PLAIN, "proxy_pass http://dead; error_page 502 = /on;"),
    place("/off-page-off", PLAIN, PLAIN, "proxy_pass http://dead; error_page 502 = /off;"),
    place("/named-on", TUNNEL, PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = @on;"),
    place("/named-off", PLAIN, PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = @off;"),
    place("/own-loop-page-on", TUNNEL, PLAIN, "websocket on; websocket_tunnel off; proxy_pass http://dead;
        error_page 502 = @on;"),
    place("/named-by-hand", &[Foreign], PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = @by-hand;"),
    place("/page-own-loop", &[Loop], PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = /own-loop;"),
    place("/chain", TUNNEL, PLAIN, "websocket on; proxy_pass http://dead; error_page 502 = @chain;
        recursive_error_pages on;"),
    place("/caught", TUNNEL, PLAIN, "websocket on; proxy_pass http://echo; proxy_intercept_errors on;
        error_page 301 401 404 500 502 503 504 = @off;"),
    place("/accel", TUNNEL, PLAIN, "websocket on; proxy_pass http://echo/accel;"),
    place("/off-accel", TUNNEL, PLAIN, "proxy_pass http://echo/accel;"),
    place("/try", TUNNEL, PLAIN, "try_files /nothing @on;"),
    place("/rewrite-off", &[Elsewhere], PLAIN, "websocket on; rewrite ^ /off last;"),
    place("/rewrite", TUNNEL, PLAIN, "websocket on; rewrite ^ /on last;"),
    place("/returned", &[Status(302)], &[Status(302)], "websocket on; return 302 /on;"),
    place("/file", &[Status(404)], &[Status(404)], "websocket on; root files;"),
    // With requests beside it.
    place("/mirror", TUNNEL, PLAIN, "websocket on; mirror /copy; proxy_pass http://echo;"),
    place("/mirror-dead", TUNNEL, PLAIN, "websocket on; mirror /copy-dead; mirror /copy; proxy_pass http://echo;"),
    place("/mirror-on", TUNNEL, PLAIN, "websocket on; mirror /on; proxy_pass http://echo;"),
    place("/allowed", TUNNEL, PLAIN, "websocket on; auth_request /yes; proxy_pass http://echo;"),
    place("/asked", TUNNEL, PLAIN, "websocket on; auth_request /copy; auth_request_set $asked $upstream_status;
        proxy_pass http://echo;"),
    place("/denied", &[Status(403)], &[Status(403)], "websocket on; auth_request /no; proxy_pass http://echo;"),
    place("/denied-page", &[Status(200)], PLAIN, "websocket on; auth_request /no; error_page 403 = @off; proxy_pass http://echo;"),
    place("/forbidden", &[Status(403)], &[Status(403)], "websocket on; deny all; proxy_pass http://echo;"),
    place("/posted", TUNNEL, PLAIN, "websocket on; post_action /copy; proxy_pass http://echo;"),
    place("/posted-dead", TUNNEL, PLAIN, "websocket on; post_action /copy-dead; proxy_pass http://echo;"),
    place("/posted-on", TUNNEL, PLAIN, "websocket on; post_action /on; proxy_pass http://echo;"),
    place("/off-posted", PLAIN, PLAIN, "post_action /on; proxy_pass http://echo;"),
    // With limits.
    place("/few", &[Tunnel(None), Status(503)], &[Plain, Status(503)], "websocket on; limit_conn few 2;
        proxy_pass http://echo;"),
    place("/seldom", &[Tunnel(None), Status(503)], &[Plain, Status(503)], "websocket on; limit_req zone=seldom burst=2;
        proxy_pass http://echo;"),
    place("/slow", TUNNEL, PLAIN, "websocket on; limit_rate 100k; proxy_pass http://echo;"),
    place("/slow-loop", &[Loop], PLAIN, "websocket on; websocket_tunnel off; limit_rate 100k; proxy_pass http://echo;"),
    place("/slow-upstream", TUNNEL, PLAIN, "websocket on; proxy_limit_rate 100k; proxy_pass http://echo;"),
    place("/rate", TUNNEL, PLAIN, "websocket on; websocket_rate 200k; proxy_pass http://echo;"),
    place("/paced", TUNNEL, PLAIN, "websocket on; websocket_message_rate 400r/s burst=5; websocket_rate 1m;
        proxy_pass http://echo;"),
    place("/hurried", &[Tunnel(Some(1008))], PLAIN, "websocket on; websocket_message_rate 20r/s close; proxy_pass http://echo;"),
    place("/size", &[Tunnel(Some(1009))], PLAIN, "websocket on; websocket_max_message_size 3k; proxy_pass http://echo;"),
    place("/pinged", TUNNEL, PLAIN, "websocket on; websocket_ping 20ms timeout=%PATIENCE% to=both; proxy_pass http://echo;"),
    place("/pinged-soon", &[GivenUp(1001)], PLAIN, "websocket on; websocket_ping 20ms timeout=30ms; proxy_pass http://echo;"),
    place("/short-life", &[Tunnel(Some(1001))], PLAIN, "websocket on; websocket_max_lifetime 100ms; proxy_pass http://echo;"),
    place("/token", &[Tunnel(Some(1008))], PLAIN, "websocket on; websocket_max_lifetime 100ms$arg_none; proxy_pass http://echo;"),
    place("/expired", &[Tunnel(Some(1008))], PLAIN, "websocket on; websocket_max_lifetime -1$arg_none; proxy_pass http://echo;"),
    place("/unused", &[Tunnel(Some(1001))], PLAIN, "websocket on; websocket_message_timeout 50ms;
        websocket_ping 10ms timeout=%PATIENCE%; proxy_pass http://echo;"),
    place("/idle", &[Tunnel(Some(1001))], PLAIN, "websocket on; websocket_timeout 50ms; proxy_pass http://echo;"),
    place("/idle-loop", &[Cut], PLAIN, "websocket on; websocket_tunnel off; websocket_timeout 100ms; proxy_pass http://echo;"),
    place("/no-drain", &[Loop], PLAIN, "websocket on; websocket_drain off; proxy_pass http://echo;"),
    place("/moving", &[Tunnel(Some(1001))], PLAIN, "websocket on; websocket_upstream_drain 100ms code=1001;
        proxy_pass http://moving;"),
    place("/doomed", &[Tunnel(Some(1001))], PLAIN, "websocket on; websocket_label doomed; proxy_pass http://echo;"),
    place("/lowat", TUNNEL, PLAIN, "websocket on; websocket_send_lowat 4k; websocket_large_buffers 2 32k;
        proxy_pass https://secure;"),
    place("/small", TUNNEL, PLAIN, "websocket on; websocket_buffer_size 1k; websocket_buffers 0; proxy_pass http://echo;"),
    // With much else that proxying has.
    place("/cached", TUNNEL, PLAIN, "websocket on; proxy_cache stored; proxy_cache_valid any 1s; proxy_cache_lock on;
        proxy_cache_key $uri$http_x_token; proxy_pass http://echo;"),
    place("/stored", TUNNEL, PLAIN, "websocket on; proxy_store %PREFIX%/temp/stored$http_x_token; proxy_pass http://echo;"),
    place("/unbuffered", TUNNEL, PLAIN, "websocket on; proxy_buffering off; proxy_request_buffering off; proxy_pass http://echo;"),
    place("/patient", TUNNEL, PLAIN, "websocket on; proxy_ignore_client_abort on; proxy_pass http://echo;"),
    place("/impatient", &[Tunnel(None), Status(504)], &[Plain, Status(504)], "websocket on; proxy_read_timeout 50ms;
        proxy_pass http://echo;"),
    place("/two", TUNNEL, PLAIN, "websocket on; satisfy any; allow all; auth_request /no; mirror /copy;
        post_action /copy; error_page 502 503 504 = @off; proxy_pass http://several;"),
    place("/all", &[Tunnel(Some(1001)), Status(503)], &[Plain, Status(503)], "websocket on; mirror /copy-dead;
        auth_request /yes; limit_conn few 20; limit_rate 200k; websocket_max_message_size 1m; websocket_rate 1m;
        websocket_ping 100ms timeout=%PATIENCE% to=both; websocket_max_lifetime 1s; proxy_pass https://secure;"),
];

/// What the places refer to.
const BESIDE: &str = "
    location = /status { access_log off; stub_status; }
    location /zone/ { access_log off; websocket_status; websocket_control on; }
    location @on { websocket on; proxy_pass http://echo; }
    location @off { proxy_pass http://echo; }
    location @by-hand {
        proxy_pass http://echo; proxy_http_version 1.1; websocket_advice off;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }
    location @chain { websocket on; proxy_pass http://dead; error_page 502 = @on; }
    location /copy { internal; websocket on; proxy_pass http://echo; }
    location /copy-dead { internal; websocket on; proxy_pass http://dead; }
    location /yes { internal; return 204; }
    location /no { internal; return 403; }";

const HTTP: &str = "
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    log_format all '$remote_addr $status $request_time $upstream_addr $upstream_status \"$request\" '
        '$websocket_state $websocket_cause $websocket_close_by $websocket_close_reason '
        '$websocket_close_code $websocket_bytes_in $websocket_frames_out $websocket_ping_rtt';
    limit_conn_zone $server_port zone=few:1m;
    limit_req_zone $server_port zone=seldom:1m rate=20r/s;
    proxy_cache_path temp/cache keys_zone=stored:1m;
    upstream echo { server %BACKEND%; keepalive 4; keepalive_timeout 1s; }
    upstream secure { server %SECURE%; keepalive 2; keepalive_timeout 1s; }
    upstream several {
        zone several 256k;
        server 127.0.0.1:%CLOSED_PORT% max_fails=0;
        server %BACKEND% max_fails=0;
        server 127.0.0.1:%CLOSED_PORT% max_fails=1 fail_timeout=1s;
        server %BACKEND% max_fails=0 backup;
        keepalive 2;
        keepalive_timeout 1s;
    }
    upstream dead { server 127.0.0.1:%CLOSED_PORT% max_fails=0; }
    websocket_handover on;
    websocket_http2 on;
    upstream moving { server %BACKEND% max_fails=0 weight=1; server %OTHER% max_fails=0 weight=2; }
    websocket_zone websocket:16m;
    websocket_drain %DRAIN%;
    websocket_timeout %PATIENCE%;
    websocket_buffer_size 16k; websocket_buffers 64;
    proxy_connect_timeout %PATIENCE%; proxy_read_timeout %PATIENCE%; proxy_send_timeout %PATIENCE%;
    uwsgi_read_timeout %PATIENCE%; scgi_read_timeout %PATIENCE%; fastcgi_read_timeout 500ms;
    client_header_timeout %PATIENCE%; client_body_timeout 1s; send_timeout 1s;
    keepalive_timeout %PATIENCE%; lingering_timeout 200ms; lingering_time 1s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%TLSPORT% ssl;
        listen 127.0.0.1:%H2PORT% http2;
        listen 127.0.0.1:%TLSH2PORT% ssl http2;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        access_log logs/access.log all;
        # Asked for before anything is known of a request.
        set $asked_early $websocket_state$websocket_cause;";

/// The servers behind nginx.
pub struct Backends {
    http: Backend,
    other: Backend,
    https: Backend,
    uwsgi: Backend,
    scgi: Backend,
}

impl Backends {
    pub fn start(certificate: &Certificate) -> Self {
        let start = |form| Backend::start(form, certificate);
        Self {
            http: start(Form::Http),
            other: start(Form::Http),
            https: start(Form::Https),
            uwsgi: start(Form::Uwsgi),
            scgi: start(Form::Scgi),
        }
    }
}

/// The nginx under test.
pub fn nginx(backends: &Backends, certificate: &Certificate) -> Setup {
    let seconds = |count| format!("{}s", patient(Duration::from_secs(count)).as_secs());
    let locations = PLACES
        .iter()
        .map(|place| format!("    location {} {{ {} }}\n", place.path, place.lines));
    Nginx::http(format!(
        "{HTTP}{BESIDE}\n{}}}",
        locations.collect::<String>()
    ))
    .certificate(certificate)
    .set("BACKEND", backends.http.address())
    .set("OTHER", backends.other.address())
    .set("SECURE", backends.https.address())
    .set("UWSGI", backends.uwsgi.address())
    .set("SCGI", backends.scgi.address())
    .set("PATIENCE", seconds(10))
    .set("DRAIN", seconds(1))
    .workers(3)
    // What OpenSSL calls noise is no alarm of this module's.
    .allow_log("SSL_do_handshake() failed")
    .main(&format!("worker_shutdown_timeout {};\n", seconds(4)))
}
