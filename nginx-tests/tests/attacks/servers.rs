//! A handshake that costs others their servers: nginx takes one out of use, for ten seconds, that has failed.

use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend};

/// Some servers answer wrongly what a client has made so. That is between the two.
#[test]
fn a_refused_101_takes_no_server_out_of_use() {
    let wrong = || {
        ScriptedBackend::start(|conn| {
            let head = conn.read_request()?.head;
            conn.send(if head.has_token("Upgrade", "websocket") {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                 Sec-WebSocket-Accept: wrong\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"
            })
        })
    };
    let servers = [wrong(), wrong()];
    let [one, other] = &servers;
    for next in ["error timeout", "error timeout invalid_header"] {
        let nginx = Nginx::http(
            "upstream both { server %ONE%; server %OTHER%; }
            server {
                listen 127.0.0.1:%PORT%;
                websocket on;
                proxy_next_upstream %NEXT%;
                location / { proxy_pass http://both; }
            }",
        )
        .set("ONE", one.address())
        .set("OTHER", other.address())
        .set("NEXT", next)
        .start();
        let ask = |request: &Handshake| Client::connect(nginx.port()).ask(request).status();
        for _ in 0..3 {
            assert_eq!(ask(&Handshake::new("/")), 502);
        }
        for _ in 0..4 {
            assert_eq!(ask(&Handshake::plain("/")), 200, "{next}");
        }
        let log = nginx.stop();
        assert!(!log.contains("no live upstreams"), "{log}");
    }
}
