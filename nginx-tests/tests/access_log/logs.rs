//! Which logs it is written to, and when.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nginx_tests::{EchoBackend, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::{join, server};

/// What nginx keeps of a value once it has been evaluated must not be what it was at the beginning.
#[test]
fn maps_choose_the_log_of_each_event() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line '$websocket_event $in_a_word $captured $request_id';
         map $websocket_event $opens { open 1; }
         map $websocket_event $does_not_open { open 0; default 1; }
         map $websocket_event $in_a_word { ~^(?<captured>o)pen$ began; default ended; }",
        "location ~ ^/(room-[0-9]+)$ {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%;
             access_log logs/open line if=$opens;
             access_log logs/rest line if=$does_not_open;
             access_log logs/all line;
             access_log logs/of-$1 line;
             root %PREFIX%;
         }",
    )
    .start();
    join(&nginx, "/room-7").close_politely();
    let all = nginx.wait_for_access("all", 2);
    let id = all[0].rsplit(' ').next().unwrap();
    assert_eq!(id.len(), 32, "{all:?}");
    let (open, close) = (format!("open began o {id}"), format!("close ended - {id}"));
    assert_eq!(all, [open.clone(), close.clone()]);
    assert_eq!(nginx.access_log("open"), open + "\n");
    assert_eq!(nginx.access_log("rest"), format!("{close}\n"));
    // The expression of a map has matched at the beginning, and none at the end.
    assert_eq!(nginx.wait_for_access("of-room-7", 1), [close]);
    nginx.stop();
}

#[test]
fn a_buffer_is_flushed_in_time() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line $websocket_event;",
        "location / {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%;
             access_log logs/line line buffer=8k flush=400ms;
             access_log logs/packed line gzip=1 flush=400ms;
             access_log logs/at-once line;
         }",
    )
    .start();
    let begun = Instant::now();
    let client = join(&nginx, "/");
    nginx.wait_for_access("at-once", 1);
    assert_eq!(nginx.access_log("line"), "");
    assert_eq!(nginx.wait_for_access("line", 1), ["open"]);
    assert!(begun.elapsed() >= Duration::from_millis(350));
    wait_until("the packed log", || {
        fs::read(nginx.path("logs/packed")).is_ok_and(|bytes| bytes.starts_with(b"\x1f\x8b"))
    });
    client.close_politely();
    assert_eq!(nginx.wait_for_access("line", 2), ["open", "close"]);
    nginx.stop();
}

#[test]
fn a_worker_that_is_killed_has_said_what_it_began() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "log_format line $websocket_event;",
        "location / {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%; access_log logs/line line;
         }",
    )
    .allow_log("exited on signal")
    .start();
    let mut client = join(&nginx, "/");
    nginx.wait_for_access("line", 1);
    let killed = nginx.worker_pids()[0];
    let pid = i32::try_from(killed).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::KILL).unwrap();
    client.read_until_close();
    wait_until("another worker", || {
        let now = nginx.worker_pids();
        now.len() == 1 && now[0] != killed
    });
    assert_eq!(nginx.access_log("line"), "open\n");
}

#[test]
fn where_nothing_is_logged_no_beginning_is() {
    let backend = EchoBackend::start();
    let nginx = server(
        &backend,
        "",
        "access_log off;
         location / { websocket on; websocket_log_open on; proxy_pass http://%BACKEND%; }
         location /logged { access_log logs/line; websocket on; proxy_pass http://%BACKEND%; }",
    )
    .start();
    join(&nginx, "/").close_politely();
    join(&nginx, "/logged").close_politely();
    assert_eq!(nginx.wait_for_access("line", 1).len(), 1);
    assert_eq!(nginx.access_log("access.log"), "");
}

#[test]
fn logs_elsewhere() {
    let backend = EchoBackend::start();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector
        .set_read_timeout(Some(*nginx_tests::DEADLINE))
        .unwrap();
    let nginx = server(
        &backend,
        "log_format line $websocket_event; open_log_file_cache max=10 valid=1m;",
        "location / {
             websocket on; websocket_log_open on; proxy_pass http://%BACKEND%;
             access_log syslog:server=%COLLECTOR%,tag=tunnels,nohostname line;
             access_log logs/of-$arg_user line;
         }
         root %PREFIX%;",
    )
    .set("COLLECTOR", collector.local_addr().unwrap())
    .start();
    let client = join(&nginx, "/?user=ada");
    let receive = || {
        let mut bytes = [0; 200];
        let length = collector.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let said = receive();
    assert!(said.ends_with("tunnels: open"), "{said}");
    assert_eq!(nginx.wait_for_access("of-ada", 1), ["open"]);
    client.close_politely();
    let said = receive();
    assert!(said.ends_with("tunnels: close"), "{said}");
    assert_eq!(nginx.wait_for_access("of-ada", 2), ["open", "close"]);
    nginx.stop();
}
