//! What the new configuration does not let through ends, with a Close at both ends and a reason in the log.

use std::sync::mpsc;

use nginx_tests::{Certificate, Client, Frame, Handshake, Nginx, ScriptedBackend};

use crate::case::{
    PROXIED, assert_closed, backend, echo, gone, head, http, join, only_line, value,
};

/// A backend that tells of the Closes that it gets.
fn telling() -> (ScriptedBackend, mpsc::Receiver<u16>) {
    let (closes, told) = mpsc::channel();
    let backend = backend(move |conn| {
        loop {
            let frame = conn.read_frame()?;
            if frame.opcode == 8 {
                let _ = closes.send(frame.close_code().unwrap_or_default());
                return Ok(());
            }
            conn.send(Frame::new(frame.opcode, frame.payload).bytes())?;
        }
    });
    (backend, told)
}

/// The tunnel of one configuration is not let through by another: both sides get a Close, and the log has a reason.
#[track_caller]
fn assert_refused(new: &str, why: &str) {
    assert_handshake_refused(Handshake::new("/"), new, why);
}

/// The same of one with this handshake.
#[track_caller]
fn assert_handshake_refused(handshake: Handshake, new: &str, why: &str) {
    let (backend, told) = telling();
    let other = echo();
    let certificate = Certificate::localhost();
    let mut nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .set("OTHER", other.address())
        .certificate(&certificate)
        .start();
    let mut client = Client::connect(nginx.port());
    assert_eq!(client.ask(&handshake).status(), 101);
    client.echo("before");
    nginx.reload_with(new);
    assert_closed(client, 1012);
    let code = told.recv_timeout(*nginx_tests::DEADLINE);
    assert_eq!(code, Ok(1012), "the backend got another Close");
    let refused = nginx.wait_for_log("websocket handover refused: ");
    assert!(
        refused.contains(why) && refused.contains("[notice]"),
        "{refused}"
    );
    gone(&nginx);
    // It asked nobody for anything.
    assert_eq!((backend.connections(), other.connections()), (1, 0));
    assert_eq!(nginx.log_lines("websocket established").len(), 1);
    assert!(nginx.log_lines("websocket handshake failed").is_empty());
}

/// An `http` block that answers by itself where tunnels were; where none were it has some, or nothing would be taken
/// over.
fn answering(line: &str) -> String {
    format!(
        "{} server {{ listen 127.0.0.1:%PORT%; access_log logs/tunnel.log tunnel;
            location / {{ {line} }} location /ws {{ {PROXIED} }} }}",
        head("on")
    )
}

#[test]
fn a_location_that_denies() {
    let denied = http(&format!("{PROXIED} deny all;"));
    assert_refused(&denied, "its request is answered 403 now");
}

#[test]
fn a_location_that_returns() {
    assert_refused(&answering("return 404;"), "its request is answered 404 now");
    let moved = answering("return 301 /elsewhere;");
    assert_refused(&moved, "its request is answered 301 now");
}

/// nginx closes its connection without another word.
#[test]
fn a_location_that_says_nothing() {
    let (backend, told) = telling();
    let mut nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    client.echo("before");
    nginx.reload_with(&answering("return 444;"));
    assert_eq!(client.frame(), Frame::close(1012, ""));
    assert_eq!(client.read_until_close(), b"");
    assert_eq!(told.recv_timeout(*nginx_tests::DEADLINE), Ok(1012));
    nginx.wait_for_log("websocket handover refused: nginx has ended its request");
    gone(&nginx);
}

#[test]
fn a_location_that_asks_for_a_password() {
    let private = http(&format!(
        "{PROXIED} auth_basic x; auth_basic_user_file nobody;"
    ));
    assert_refused(&private, "its request is answered 40");
}

#[test]
fn a_location_that_goes_elsewhere() {
    let elsewhere = http("proxy_pass http://%OTHER%; websocket on;");
    let why = "its upstream server is in the configuration no more";
    assert_refused(&elsewhere, why);
    let block = format!(
        "{} upstream other {{ server %OTHER%; }}
        server {{ listen 127.0.0.1:%PORT%; location / {{ proxy_pass http://other; websocket on; }} }}",
        head("on")
    );
    assert_refused(&block, why);
    let variable = http("set $to %OTHER%; proxy_pass http://$to; websocket on;");
    assert_refused(&variable, why);
    let by_tls = http("proxy_pass https://%BACKEND%; websocket on;");
    assert_refused(&by_tls, "its location speaks TLS to the server");
    let down = format!(
        "{} upstream one {{ server %BACKEND% down; server %OTHER%; }}
        server {{ listen 127.0.0.1:%PORT%; location / {{ proxy_pass http://one; websocket on; }} }}",
        head("on")
    );
    assert_refused(&down, why);
}

#[test]
fn a_location_without_websocket() {
    let off = answering("proxy_pass http://%BACKEND%;");
    assert_refused(&off, "its location has no \"websocket on\"");
}

#[test]
fn a_location_that_refuses_its_origin_or_its_handshake() {
    let origin = http(&format!(
        "{PROXIED} websocket_allow_origin https://example.com;"
    ));
    assert_refused(&origin, "its request is answered 403 now");
    let strict = http(&format!("{PROXIED} websocket_handshake strict;"));
    let odd = Handshake::new("/").set("Connection", "keep-alive");
    assert_handshake_refused(odd, &strict, "its request is answered 400 now");
}

#[test]
fn a_location_whose_tunnels_are_nginx_s_own() {
    let own = http(&format!("{PROXIED} websocket_tunnel off;"));
    assert_refused(&own, "its request is answered 101 now");
}

#[test]
fn an_address_that_is_gone_or_speaks_otherwise() {
    let gone = format!(
        "{} server {{ listen 127.0.0.1:%PORT2%; location / {{ {PROXIED} }} }}",
        head("on")
    );
    assert_refused(&gone, "nothing listens where its client is connected");
    let tls = format!(
        "{} server {{ listen 127.0.0.1:%PORT% ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;
            location / {{ {PROXIED} }} }}",
        head("on")
    );
    assert_refused(&tls, "TLS is spoken where its client is connected");
    let proxy = format!(
        "{} server {{ listen 127.0.0.1:%PORT% proxy_protocol; location / {{ {PROXIED} }} }}",
        head("on")
    );
    assert_refused(
        &proxy,
        "the PROXY protocol is spoken where its client is connected",
    );
}

/// What stood in the old worker's memory goes out before the Close; behind a frame by half there is none.
#[test]
fn what_waits_is_sent_before_the_close() {
    let backend = backend(|conn| {
        // A frame of five bytes, by half.
        conn.send(b"\x81\x05Hel")?;
        conn.pause()
    });
    let mut nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    assert_eq!(client.read_bytes(5).unwrap(), b"\x81\x05Hel");
    nginx.reload_with(&answering("return 404;"));
    assert_eq!(client.read_until_close(), b"");
    let line = only_line(&nginx);
    assert_eq!(value(&line, "websocket_close_reason"), "handover-refused");
    assert_eq!(value(&line, "status"), "101");
    assert_eq!(value(&line, "websocket_close_code"), "1012");
    let closed = nginx.wait_for_log("websocket closed after");
    assert!(
        closed.contains("by nginx: handover-refused 1012") && closed.contains("[info]"),
        "{closed}"
    );
    assert_eq!(nginx.log_lines("websocket closed after").len(), 1);
    gone(&nginx);
}

/// A configuration that hands over to another that does not let its tunnels through, and one that has nothing to do
/// with it.
#[test]
fn others_go_on() {
    let backend = echo();
    let locations = |more: &str| {
        format!(
            "{} server {{ listen 127.0.0.1:%PORT%; location / {{ {PROXIED} }} location /b {{ {PROXIED} {more} }} }}",
            head("on")
        )
    };
    let mut nginx = Nginx::http(locations(""))
        .set("BACKEND", backend.address())
        .start();
    let mut stays = join(&nginx);
    let mut leaves = nginx_tests::Client::connect(nginx.port());
    leaves.establish("/b");
    stays.echo("one");
    nginx.reload_with(&locations("deny all;"));
    assert_closed(leaves, 1012);
    stays.echo("two");
    gone(&nginx);
    nginx.wait_for_log("websocket handover: 1 tunnel taken over, 1 refused");
}
