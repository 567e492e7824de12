//! The tunnel's directives.

use nginx_tests::Nginx;
use nginx_tests::nginx::assert_refused;

#[test]
fn bad_values_are_refused_with_their_line() {
    for (line, words) in [
        ("websocket_tunnel maybe;", "\"maybe\""),
        ("websocket_tunnel;", "number of arguments"),
        ("websocket_buffer_size 0;", "websocket_buffer_size"),
        ("websocket_buffer_size 1023;", "at least 1k"),
        ("websocket_buffer_size much;", "websocket_buffer_size"),
        ("websocket_buffers -1;", "invalid number"),
        ("websocket_buffers many;", "invalid number"),
        ("websocket_ping 0;", "websocket_ping"),
        ("websocket_ping often;", "websocket_ping"),
        ("websocket_ping 1s timeout=0;", "\"timeout=0\""),
        ("websocket_ping 1s timeout=;", "\"timeout=\""),
        ("websocket_ping 1s to=me;", "\"to=me\""),
        ("websocket_ping 1s later;", "\"later\""),
        (
            "websocket_ping 1s to=both timeout=1s to=both;",
            "number of arguments",
        ),
        ("websocket_max_lifetime 0;", "websocket_max_lifetime"),
        ("websocket_max_lifetime -1h;", "websocket_max_lifetime"),
        (
            "websocket_max_message_size -1;",
            "websocket_max_message_size",
        ),
        (
            "websocket_max_message_size big;",
            "websocket_max_message_size",
        ),
        ("websocket_rate fast;", "websocket_rate"),
        ("websocket_drain 0;", "websocket_drain"),
        ("websocket_drain soon;", "websocket_drain"),
        ("websocket_drain 1s code=1000;", "\"code=1000\""),
        ("websocket_drain 1s 1001;", "\"1001\""),
    ] {
        assert_refused(line, words);
    }
}

#[test]
fn duplicates_are_refused() {
    for line in [
        "websocket_tunnel on;",
        "websocket_buffer_size 64k;",
        "websocket_buffers 64;",
        "websocket_ping 1s;",
        "websocket_ping off;",
        "websocket_max_lifetime 1h;",
        "websocket_max_message_size 1m;",
        "websocket_rate 1k;",
        "websocket_drain off;",
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
        websocket_ping 30s timeout=5s to=both; websocket_max_lifetime 1d;
        websocket_max_message_size 1g; websocket_rate 10m; websocket_drain 30s code=1001;";
    let off = "websocket_tunnel off; websocket_ping off; websocket_max_lifetime off;
        websocket_max_message_size 0; websocket_rate 0; websocket_drain off;";
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
