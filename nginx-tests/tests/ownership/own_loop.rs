//! `websocket_tunnel off`: nginx's own loop has the tunnel, and its buffers with it.

use std::fs;

use nginx_tests::{Client, Frame, Handshake, ScriptedBackend};

use crate::case::{said, to};

const LOCATIONS: &str = "
    websocket_tunnel off; access_log off;
    location / { proxy_pass http://%BACKEND%; }
    location /variable { set $backend %BACKEND%; proxy_pass http://$backend; }
    location /if { proxy_pass http://%BACKEND%; if ($arg_x) { set $y 1; } }
    location /page { error_page 502 = @page; proxy_pass http://%NOBODY%; }
    location @page { proxy_pass http://%BACKEND%; }";

#[test]
fn thousands_of_tunnels_leave_nothing_in_the_worker() {
    const TUNNELS: usize = 2000;
    // Less than 200 bytes for each.
    const MAY_GROW: u64 = 400;

    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)
    });
    let nginx = to(&backend, LOCATIONS)
        .log_level("warn")
        .allow_log("Connection refused")
        .start();
    let begin_and_end = |count: usize| {
        for target in ["/", "/variable", "/if?x=1", "/page"]
            .iter()
            .cycle()
            .take(count)
        {
            let mut client = Client::connect(nginx.port());
            client.establish(target);
            assert_eq!(client.read_until_close(), b"");
        }
    };
    // The first ones bring a worker's memory to its size.
    begin_and_end(TUNNELS / 4);
    let worker = nginx.worker_pids()[0];
    let before = data(worker);
    begin_and_end(TUNNELS);
    let after = data(worker);
    assert!(after <= before + MAY_GROW, "{before} kB became {after} kB");
}

#[test]
fn the_log_has_the_request_and_not_what_came_after_it() {
    for tunnel in ["on", "off"] {
        let backend = ScriptedBackend::standard();
        let nginx = to(
            &backend,
            format!("websocket_tunnel {tunnel}; location / {{ proxy_pass http://%BACKEND%; }}"),
        )
        .start();
        let target = format!("/?{}", "a".repeat(150));
        // Lines that would be the client's own, more than nginx's buffer for a request's head.
        let forged = "\n2026/11/25 00:00:00 [warn] 1#1: a line of the client's\n".repeat(40);
        let frame = Frame::binary(forged.clone());
        let unmasked = Frame {
            mask: Some([0; 4]),
            ..frame.clone()
        };
        let request = Handshake::new(&target)
            .set("Host", "a.host.test")
            .add("Referer", "/from");
        let mut client = Client::connect(nginx.port());
        client
            .send([request.bytes(), unmasked.bytes()].concat())
            .unwrap();
        assert_eq!(client.read_head().unwrap().status(), 101);
        assert_eq!(client.frame(), frame);
        client.send(unmasked.bytes()).unwrap();
        assert_eq!(client.frame(), frame);
        client.close_politely();
        let log = nginx.stop();
        assert!(
            !log.contains("a line of the client's"),
            "websocket_tunnel {tunnel}: {log}"
        );
        let said = said(&log);
        assert_eq!(said.len(), 2, "websocket_tunnel {tunnel}: {said:#?}");
        for line in log.lines().filter(|line| line.contains("websocket ")) {
            for part in [
                &*format!("GET {target} HTTP/1.1"),
                "\"a.host.test\"",
                "\"/from\"",
            ] {
                assert!(line.contains(part), "websocket_tunnel {tunnel}: {line}");
            }
        }
    }
}

/// A process's private memory that can be written, in kB.
fn data(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    number.expect("VmData in kB")
}
