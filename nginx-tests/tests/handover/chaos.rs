//! Everything at once: reloads, other binaries, killed workers, configurations that refuse, and traffic all the time.
//! No tunnel comes to harm but those of a worker that was killed.
//!
//! `NGINX_TESTS_CHAOS_SECONDS` says how long it goes on: 15 if nothing is said.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::daemon::{DAEMON, Daemon};
use nginx_tests::{Frame, Handshake, Nginx, patient, wait_until};
use rustix::process::Signal;

use crate::case::{PROXIED, echo, head};

/// So many clients, each with a thread.
const CLIENTS: usize = 24;

/// So many of the clients that want to are let in at a time.
const MOST: usize = 4;

/// A handshake that was under way when a worker was killed is found broken within this time.
const AFTERMATH: Duration = Duration::from_secs(8);

#[derive(Default)]
struct World {
    is_over: AtomicBool,
    port: u16,
    established: AtomicU64,
    messages: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    killed: Mutex<Option<Instant>>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// A worker is gone by then.
    fn is_killed_by(&self, time: Instant) {
        *self.killed.lock().unwrap() = Some(time);
    }

    fn was_killed(&self) -> bool {
        let killed = *self.killed.lock().unwrap();
        killed.is_some_and(|killed| killed.elapsed() < patient(AFTERMATH))
    }

    /// Whether a worker has been killed since, so that a tunnel may have been its own.
    fn was_killed_since(&self, time: Instant) -> bool {
        self.killed
            .lock()
            .unwrap()
            .is_some_and(|killed| killed >= time)
    }
}

/// What becomes of a message.
enum Fate {
    Came,
    Refused,
    Broken(String),
}

struct Tunnel {
    socket: TcpStream,
    sent: u64,
}

impl Tunnel {
    fn join(port: u16, path: &str) -> io::Result<Option<Self>> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(patient(Duration::from_secs(20))))?;
        socket.write_all(&Handshake::new(path).bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let is_tunnel = head.starts_with(b"HTTP/1.1 101 ");
        Ok(is_tunnel.then_some(Self { socket, sent: 0 }))
    }

    /// A row of messages at once, of any size: more than fits anywhere, now and then.
    fn exchange(&mut self, random: &mut Random) -> Fate {
        let (size, delay) = match random.below(80) {
            // Nobody reads for a while: all buffers on the way are full.
            0 => (4_000_000, random.below(300)),
            1..3 => (200_000, 0),
            3..8 => (70_000, 0),
            _ => (10 + random.below(300) as usize, 0),
        };
        let texts: Vec<Vec<u8>> = (0..1 + random.below(3))
            .map(|_| {
                self.sent += 1;
                let mut text = self.sent.to_string().into_bytes();
                text.resize(size, b'.');
                text
            })
            .collect();
        let frames: Vec<u8> = texts
            .iter()
            .flat_map(|text| Frame::binary(text.clone()).masked().bytes())
            .collect();
        let mut writer = self.socket.try_clone().unwrap();
        let writing = thread::spawn(move || {
            let _ = writer.write_all(&frames);
        });
        thread::sleep(Duration::from_millis(delay));
        let fate = texts
            .iter()
            .map(|text| self.expect(text))
            .find(|fate| !matches!(fate, Fate::Came));
        if fate.is_some() {
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
        writing.join().unwrap();
        fate.unwrap_or(Fate::Came)
    }

    fn expect(&mut self, text: &[u8]) -> Fate {
        match Frame::read(&mut self.socket) {
            Ok(frame) if frame.opcode == 2 && frame.payload == text => Fate::Came,
            // nginx asks for a sign of life, and the messages are one.
            Ok(frame) if frame.opcode == 9 => self.expect(text),
            Ok(frame) if frame.close_code() == Some(1012) => Fate::Refused,
            Ok(frame) => {
                let payload = frame.payload.get(..20).unwrap_or(&frame.payload);
                Fate::Broken(format!(
                    "opcode {}, {}",
                    frame.opcode,
                    payload.escape_ascii()
                ))
            }
            Err(error) => Fate::Broken(error.to_string()),
        }
    }
}

/// Numbers that nobody can foretell, and that are the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

/// One path is let in by each configuration, one is not, and of one there are only so many.
fn client(world: &World, path: &str, seed: u64) {
    let mut random = Random(seed);
    while !world.is_over.load(Ordering::Relaxed) {
        let mut alive = Instant::now();
        let mut tunnel = match Tunnel::join(world.port, path) {
            Ok(Some(tunnel)) => tunnel,
            Ok(None) if path != "/stay" => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            // A worker may be killed with a handshake under way.
            Err(_) if world.was_killed() => continue,
            Ok(None) => return world.wrong(format!("{path} is refused")),
            Err(error) => return world.wrong(format!("no handshake with {path}: {error}")),
        };
        world.established.fetch_add(1, Ordering::Relaxed);
        for _ in 0..20 + random.below(200) {
            let begins = Instant::now();
            match tunnel.exchange(&mut random) {
                Fate::Came => {
                    // It was so then; how long this client takes to notice is its own business.
                    alive = begins;
                    world.messages.fetch_add(1, Ordering::Relaxed);
                }
                Fate::Refused if path == "/go" => {
                    world.refused.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // In the middle of a frame there is no room for a Close.
                Fate::Broken(_) if path == "/go" || world.was_killed_since(alive) => {
                    world.lost.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Fate::Refused => return world.wrong(format!("{path} was ended")),
                Fate::Broken(how) => return world.wrong(format!("{path} is broken: {how}")),
            }
            if world.is_over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(random.below(30)));
        }
    }
}

fn http(deny: bool, more: &str) -> String {
    let deny = if deny { "deny all;" } else { "" };
    format!(
        "{} websocket_zone one:1m; {more}
        limit_conn_zone $server_port zone=all:64k;
        limit_req_zone $server_port zone=rate:64k rate=1000r/s;
        upstream one {{ zone one 64k; least_conn; keepalive 4; server %BACKEND% max_conns={MOST}; }}
        server {{
            listen 127.0.0.1:%PORT%; access_log logs/tunnel.log tunnel;
            location /stay {{ {PROXIED} websocket_ping 300ms timeout=60s; websocket_rate 50m; }}
            location /go {{ {PROXIED} {deny} }}
            location /limited {{ proxy_pass http://one; websocket on; limit_conn all {MOST}; limit_req zone=rate burst=1000 nodelay; }}
            location = /stub {{ access_log off; stub_status; }}
            location = /status {{ access_log off; websocket_status json; }}
        }}",
        head("on")
    )
}

#[test]
fn no_tunnel_comes_to_harm() {
    let seconds = env::var("NGINX_TESTS_CHAOS_SECONDS").ok();
    let seconds: u64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(15);
    let backend = echo();
    let mut nginx = Nginx::http(http(false, ""))
        .set("BACKEND", backend.address())
        .workers(2)
        .main(DAEMON)
        .start();
    let mut daemon = Daemon::start(&nginx);
    let world = Arc::new(World {
        port: nginx.port_of("DAEMONPORT"),
        ..World::default()
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let world = Arc::clone(&world);
            let path = ["/stay", "/limited", "/stay", "/go"][number % 4];
            thread::spawn(move || client(&world, path, 0x9E37_79B9 * (number as u64 + 1)))
        })
        .collect();

    let (begun, mut random) = (Instant::now(), Random(seconds ^ 0xC0FFEE));
    let mut done = [0; 5];
    while begun.elapsed() < Duration::from_secs(seconds) && !world.is_over.load(Ordering::Relaxed) {
        let what = random.below(20);
        match what {
            0..10 => {
                done[0] += 1;
                daemon.signal(Signal::HUP);
            }
            10..14 => {
                done[1] += 1;
                nginx.configure(&http(random.below(2) == 0, ""));
                daemon.configure(&nginx, nginx.config());
                daemon.signal(Signal::HUP);
            }
            14..16 => {
                done[2] += 1;
                let new = daemon.upgrade();
                daemon.signal(Signal::QUIT);
                wait_until("the old master to be gone", || daemon.is_gone());
                daemon = new;
            }
            16 => {
                done[3] += 1;
                // Whoever loses a tunnel until it is gone may have lost it by that.
                world.is_killed_by(Instant::now() + Duration::from_secs(3600));
                daemon.kill_a_worker();
                world.is_killed_by(Instant::now());
            }
            _ => {
                done[4] += 1;
                thread::sleep(Duration::from_millis(random.below(1000)));
            }
        }
        thread::sleep(Duration::from_millis(random.below(400)));
    }
    world.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    eprintln!(
        "{done:?} reloads, other configurations, binaries, kills, pauses; {} tunnels, {} rows of messages, {} refused, {} lost",
        count(&world.established),
        count(&world.messages),
        count(&world.refused),
        count(&world.lost)
    );
    let wrong = world.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", daemon.log());
    wait_until("the last old worker to be gone", || daemon.workers() == 2);
    assert_counted(&daemon, world.port);
    let log = daemon.log();
    for word in ["[alert]", "[emerg]", "[crit]", "open socket", "panicked"] {
        let found: Vec<_> = log
            .lines()
            .filter(|line| line.contains(word) && !line.contains("exited on signal 9"))
            .collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// All tunnels are over, and counted so. What nginx counts itself it goes on counting where a worker was killed, until
/// there is another binary.
#[track_caller]
fn assert_counted(daemon: &Daemon, port: u16) {
    let new = daemon.upgrade();
    daemon.signal(Signal::QUIT);
    wait_until("the old master to be gone", || daemon.is_gone());
    let ask = |path: &str| nginx_tests::client::get(port, path).text();
    wait_until("the zone to have no tunnels", || {
        ask("/status").contains("\"active\":0,")
    });
    let mut tunnels: Vec<_> = (0..MOST).filter_map(|_| limited(port)).collect();
    for _ in 0..3 {
        assert_eq!(tunnels.len(), MOST, "{}", new.log());
        assert!(limited(port).is_none());
        new.reload();
        let active = format!("Active connections: {} ", MOST + 1);
        wait_until("nginx to count them", || ask("/stub").starts_with(&active));
    }
    tunnels.pop();
    wait_until("a place to be free", || limited(port).is_some());
}

/// A tunnel, if there is a place for it.
fn limited(port: u16) -> Option<Tunnel> {
    Tunnel::join(port, "/limited").expect("nginx answers")
}
