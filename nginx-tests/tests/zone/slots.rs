//! A zone whose slots are all in use.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nginx_tests::{EchoBackend, Nginx, wait_until};

use crate::lives::{adds_up, established, http};
use crate::memory::zone;

#[test]
fn a_worker_without_a_slot_counts_when_there_is_one() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(http("websocket_zone one:1m;"))
        .set("BACKEND", backend.address())
        .start();
    let zone = zone(&nginx);
    // It keeps its worker, and that its slot, over the reload.
    let old = established(nginx.port());
    let mut others = AllSlots::hold(&nginx);
    nginx.reload();
    nginx.wait_for_log("has no room for another worker: this one counts nothing until there is");
    let mut uncounted = established(nginx.port());
    uncounted.echo("uncounted");
    assert_eq!(zone.totals().established(), 1);

    others.give_back();
    nginx.wait_for_log("has room for this worker: it counts from now on");
    let mut client = established(nginx.port());
    client.echo("counted");
    wait_until("it to be counted", || zone.totals().established() == 2);
    uncounted.close_politely();
    client.close_politely();
    old.close_politely();
    wait_until("them to be over", || zone.ends() == (0..2));
    wait_until("the old worker to be gone", || zone.workers() == 1);
    assert!(adds_up(zone));
}

/// The locks of all slots that no worker has, held by another process.
struct AllSlots(Child);

impl AllSlots {
    fn hold(nginx: &Nginx) -> Self {
        let hold = format!(
            "import fcntl, glob, os
path = next(p for p in glob.glob('/proc/{}/fd/*') if 'websocket_zone' in os.readlink(p))
file = open(path, 'r+b', buffering=0)
for slot in range(512):
    try: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
    except OSError: pass
print('held', flush=True)
input()",
            nginx.pid()
        );
        let mut child = Command::new("python3")
            .args(["-c", &hold])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn give_back(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for AllSlots {
    fn drop(&mut self) {
        self.give_back();
    }
}
