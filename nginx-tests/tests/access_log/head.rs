//! What the access log tells of the 101.

use nginx_tests::backend::switching_protocols;
use nginx_tests::http2::translator::is_skipped_over_http2;
use nginx_tests::{Client, Nginx, ScriptedBackend};

/// nginx has variables tell of what lies in the head that it has sent, for as long as the request lives.
#[test]
fn what_variables_tell_of_the_101_is_there_at_its_end() {
    if is_skipped_over_http2("nginx keeps no head there") {
        return;
    }
    let backend = ScriptedBackend::start(|conn| {
        let request = conn.read_request()?.head;
        let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
        let more = format!(
            "Content-Type: text/html\r\nLocation: http://inside/there\r\nX-Long: {}\r\n\r\n",
            "x".repeat(1000)
        );
        conn.send(switching_protocols(key).replacen("\r\n\r\n", &format!("\r\n{more}"), 1))?;
        conn.echo_frames()
    });
    let nginx = Nginx::http(
        "log_format told '$sent_http_content_type $sent_http_location';
        server {
            listen 127.0.0.1:%PORT%; access_log logs/told.log told; charset utf-8;
            location / { proxy_pass http://%BACKEND%; proxy_redirect http://inside/ /; websocket on; }
        }",
    )
    .set("BACKEND", backend.address())
    // What is free is overwritten, but for small pieces.
    .environment("MALLOC_PERTURB_", 165)
    .start();
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client.echo("hello");
    client.close_politely();
    let lines = nginx.wait_for_access("told.log", 1);
    let location = format!("http://localhost:{}/there", nginx.port());
    assert_eq!(lines, [format!("text/html; charset=utf-8 {location}")]);
}
