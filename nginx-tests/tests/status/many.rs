//! Twenty thousand tunnels are listed, and no message waits for it.
//!
//! They are put into the table by a process that counts as a worker does; a few more are real. How long messages
//! take meanwhile is for `bench`: its scenario `many-listed`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nginx_tests::environment::slowness;
use nginx_tests::{Client, EchoBackend, Frame, Handshake, Nginx, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use websocket_protocol::tunnel::Traffic;
use websocket_zone::{Alone, LabelId, Noted, Owners, Place, Writer};

use crate::case::{join, status};
use crate::memory;

const TUNNELS: usize = 20_000;

/// How often a message goes through the worker before it is at the backend, each time by another tunnel and in
/// another turn of the worker's event loop.
const HOPS: usize = 50;

#[test]
fn all_are_listed_and_no_message_waits_for_it() {
    let backend = EchoBackend::start();
    let setup = Nginx::http(
        "websocket_zone many:16m;
        server {
            listen 127.0.0.1:%PORT%;
            listen unix:%SOCKET%;
            websocket on;
            location /hop/ { proxy_pass http://unix:%SOCKET%:/; }
            location = /last { proxy_pass http://%BACKEND%; }
            location /status/ { websocket_status; }
            location = /stuck { websocket_status json; send_timeout 300ms; }
        }",
    );
    let socket = setup.inside("socket").display().to_string();
    let nginx = setup
        .set("BACKEND", backend.address())
        .set("SOCKET", socket)
        .start();
    let zone = memory::zone(&nginx);
    let slot = Slot::hold(&nginx);
    let writer = Writer::claim(zone, &slot).expect("a slot");
    fill(&writer);
    let mut client = join(&nginx, &format!("/{}last", "hop/".repeat(HOPS)));
    const ALL: usize = TUNNELS + HOPS + 1;
    wait_until("all to be listed", || {
        status(&nginx, "tunnels=1")["tunnels"]["matched"] == ALL
    });
    let mut reader = Client::connect(nginx.port());
    reader.exchange(&Handshake::plain("/status/?format=json&tunnels=0"));

    // The worker finds both at once, first the list.
    let before = peak_memory(&nginx);
    let worker = Pid::from_raw(nginx.worker_pids()[0] as i32).expect("a worker");
    kill_process(worker, Signal::STOP).expect("a worker");
    let list = format!("/status/?format=json&sort=bytes&tunnels={ALL}");
    reader
        .send(Handshake::plain(&list).bytes())
        .expect("a request");
    let message = Frame::text("in time");
    client
        .send(message.clone().masked().bytes())
        .expect("a message");
    kill_process(worker, Signal::CONT).expect("a worker");
    let answer = reader.read_message().expect("the list");
    let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let list = value["tunnels"]["list"].as_array().expect("tunnels");
    assert_eq!(list.len(), ALL);
    let is_real = |tunnel: &&Value| tunnel["tls"] == false || tunnel["http"] == "2";
    let (real, made_up): (Vec<_>, Vec<_>) = list.iter().partition(is_real);
    let bytes = |tunnel: &&Value| {
        let of = |side: &str| tunnel[side]["bytes"].as_u64().expect("a number");
        of("from_client") + of("from_upstream")
    };
    assert!(made_up.iter().map(bytes).is_sorted_by(|a, b| a >= b));
    // They come late, as they have few bytes. When each was written down the message had gone by: so it had its
    // turns while the list was made.
    assert_eq!(real.len(), HOPS + 1);
    for tunnel in real {
        assert_eq!(tunnel["from_client"]["messages"], 1, "{tunnel}");
    }
    assert_eq!(client.frame(), message);

    // One that takes nothing is given up.
    let mut stuck = Client::connect(nginx.port_of("PORT"));
    let request = Handshake::plain(&format!("/stuck?tunnels={TUNNELS}"));
    stuck.send(request.bytes()).expect("nginx reads");
    nginx.wait_for_log("client timed out");

    // 24 bytes for each that is sorted, a piece of the answer, and what nginx takes for a connection.
    let more = peak_memory(&nginx) - before;
    if slowness() == 1 {
        assert!(more < 1500 << 10, "{more} bytes");
    }
}

fn fill(writer: &Writer<'_>) {
    for number in 0..TUNNELS as u64 {
        let client = format!("2001:db8::{number:x}");
        let place = Place {
            client: client.as_bytes(),
            server: b"many.example",
            uri: b"/a/path/of/some/length/as/applications/have/them",
            upstream: b"10.0.0.5:9000",
            subprotocol: b"graphql-transport-ws",
            is_tls: true,
            http: (1, 1),
        };
        let meter = writer.established(LabelId::OTHER, &place, 5, number, number);
        let mut after = Traffic::NONE;
        // In no order.
        after.from_client.bytes = number * 7919 % TUNNELS as u64;
        writer.moved(&meter, &Noted::default(), &after);
    }
}

/// The most memory that the worker ever had of its own, in bytes.
fn peak_memory(nginx: &Nginx) -> u64 {
    let pid = nginx.worker_pids()[0];
    // The table, which is shared, comes into the process as it is read.
    nginx_tests::memory(pid, "VmHWM") - nginx_tests::memory(pid, "RssShmem")
}

/// A slot that is no worker's, held by the lock that says that its process is alive.
struct Slot(Child);

const SLOT: usize = 100;

impl Slot {
    fn hold(nginx: &Nginx) -> Self {
        let hold = format!(
            "import fcntl, glob, os
path = next(p for p in glob.glob('/proc/{}/fd/*') if 'websocket_zone' in os.readlink(p))
file = open(path, 'r+b', buffering=0)
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, {SLOT})
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
}

impl Owners for Slot {
    fn take(&self, slot: usize) -> bool {
        slot == SLOT && Alone.take(slot)
    }

    fn give_back(&self, _slot: usize) {}
}

impl Drop for Slot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
