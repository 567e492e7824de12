//! A disk without room for logs: tunnels don't need any.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nginx_tests::client::get;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};
use serde_json::Value;

const SERVER: &str = "
    websocket_zone disk:1m;
    error_log %LOGS%/error.log info;
    access_log %LOGS%/access.log;
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://%BACKEND%; websocket on; websocket_log_open on; }
        location /down { proxy_pass http://127.0.0.1:%PORT2%; websocket on; }
        location /status { websocket_status json; }
    }";

#[test]
fn that_never_has_room() {
    let backend = ScriptedBackend::standard();
    let full = |name: &str| SERVER.replace(&format!("%LOGS%/{name}.log"), "/dev/full");
    let both = full("error").replace("%LOGS%/access.log", "/dev/full");
    for http in [
        full("error").replace("%LOGS%", "logs"),
        full("access").replace("%LOGS%", "logs"),
        both,
    ] {
        let nginx = Nginx::http(http)
            .set("BACKEND", backend.address())
            .allow_log("(28: No space left on device)")
            .start();
        goes_on(&nginx);
    }
}

/// When there is room again, lines are written again.
#[test]
fn that_gets_full_and_has_room_again() {
    /// What of a page that is begun may still be written to.
    const PAGE: usize = 4096;
    let backend = ScriptedBackend::standard();
    let setup = Nginx::http(SERVER)
        .set("BACKEND", backend.address())
        .set("LOGS", "small");
    let Some(small) = Mount::small(setup.path("small")) else {
        nginx_tests::skipped("only root may mount a file system");
        return;
    };
    let nginx = setup.allow_log("(28: No space left on device)").start();
    // The file system goes before the directory that it is in.
    let (small, nginx) = &(small, nginx);
    goes_on(nginx);
    let filler = small.0.join("filler");
    fill(&filler);
    let before = log(&small.0).len();
    goes_on(nginx);
    assert!(
        log(&small.0).len() < before + PAGE,
        "a full disk has taken lines"
    );

    fs::remove_file(&filler).expect("a file that is ours");
    // nginx tries again after a second.
    wait_until("lines in the log", || {
        goes_on(nginx);
        log(&small.0).len() > before + PAGE
    });
}

/// Tunnels begin, carry and end, handshakes fail, and all of it is counted.
#[track_caller]
fn goes_on(nginx: &Nginx) {
    const EACH: u64 = 20;
    let worker = nginx.worker_pids();
    let before = totals(nginx);
    for _ in 0..EACH {
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        client.echo("hello");
        client.close_politely();
        let refusal = Client::connect(nginx.port()).ask(&Handshake::new("/down"));
        assert_eq!(refusal.status(), 502);
    }
    wait_until("all to be counted", || {
        let now = totals(nginx);
        let more = |value: fn(&Value) -> &Value| {
            value(&now)
                .as_u64()
                .zip(value(&before).as_u64())
                .map(|(now, before)| now - before)
        };
        more(|totals| &totals["established"]) == Some(EACH)
            && more(|totals| &totals["failed"]["total"]) == Some(EACH)
            && now["active"] == 0
    });
    assert_eq!(nginx.worker_pids(), worker);
}

fn totals(nginx: &Nginx) -> Value {
    let mut status: Value =
        serde_json::from_slice(&get(nginx.port(), "/status").body).expect("JSON");
    status["totals"].take()
}

fn log(directory: &Path) -> String {
    let bytes = fs::read(directory.join("error.log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes all the room that a file system has.
fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// A file system of its own, as long as this is.
struct Mount(PathBuf);

impl Mount {
    fn small(directory: PathBuf) -> Option<Self> {
        fs::create_dir_all(&directory).expect("a directory in nginx's own");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "none"])
            .arg(&directory);
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then_some(Self(directory))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
