//! The tunnel's directives.

use nginx_tests::Nginx;

#[test]
fn duplicates_are_refused() {
    for line in [
        "websocket_tunnel on;",
        "websocket_buffer_size 64k;",
        "websocket_buffers 64;",
        "websocket_send_lowat 64k;",
        "websocket_send_lowat off;",
        "websocket_large_buffers 4 256k;",
        "websocket_large_buffers off;",
        "websocket_ping 1s;",
        "websocket_ping off;",
        "websocket_max_lifetime 1h;",
        "websocket_max_lifetime off;",
        "websocket_max_lifetime $arg_life;",
        "websocket_max_message_size 1m;",
        "websocket_rate 1k;",
        "websocket_message_rate 1r/s;",
        "websocket_message_rate off;",
        "websocket_message_timeout 1h;",
        "websocket_drain off;",
        "websocket_upstream_drain off;",
    ] {
        let check = Nginx::server(format!("location / {{ {line} {line} }}")).check();
        let emerg = check.at_level("emerg");
        assert_eq!(emerg.len(), 1, "{check:?}");
        assert!(emerg[0].contains("is duplicate"), "{check:?}");
    }
}

#[test]
fn good_values_are_taken_at_every_level() {
    let lines = "websocket_tunnel on; websocket_buffer_size 1k; websocket_buffers 0;
        websocket_large_buffers 2 1m; websocket_ping 30s timeout=5s to=both; websocket_max_lifetime 1d;
        websocket_max_message_size 1g; websocket_rate 10m; websocket_drain 30s code=1001;
        websocket_message_rate 1000000r/s close burst=1000000; websocket_message_timeout 1d;
        websocket_upstream_drain 30s code=1012; websocket_send_lowat 128k;";
    let off = "websocket_tunnel off; websocket_large_buffers off; websocket_ping off; websocket_max_lifetime off;
        websocket_max_message_size 0; websocket_rate 0; websocket_drain off;
        websocket_message_rate off; websocket_message_timeout off; websocket_upstream_drain off;
        websocket_send_lowat off;";
    let http = format!(
        "{lines}
        server {{
            listen 127.0.0.1:%PORT%;
            {off}
            location / {{ {lines} websocket on; proxy_pass http://127.0.0.1:1; }}
            location /off/ {{ {off} websocket on; proxy_pass http://127.0.0.1:1; }}
        }}"
    );
    let check = Nginx::http(http)
        .main("worker_shutdown_timeout 1m;")
        .check();
    assert!(check.ok, "{check:?}");
}

#[test]
fn a_send_lowat_is_a_size_that_makes_sense() {
    for word in [
        "0",
        "1023",
        "-1",
        "on",
        "16q",
        "1k1",
        "1025m",
        "99999999999m",
    ] {
        let check = Nginx::server(format!("websocket_send_lowat {word};")).check();
        let emerg = check.at_level("emerg");
        assert_eq!(emerg.len(), 1, "{check:?}");
        let expected = format!(
            "invalid value \"{word}\" in \"websocket_send_lowat\" directive, it must be a size from \
             1k to 1024m, or \"off\" in "
        );
        assert!(emerg[0].contains(&expected), "{check:?}");
    }
}
