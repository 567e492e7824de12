//! Two thousand tunnels, used, left idle and ended in every way; then nothing is left of them.

use std::io::Read;

use nginx_tests::backend::Conn;
use nginx_tests::{Client, Frame, Nginx, ScriptedBackend, wait_until};

use crate::case::{self, active, descriptors, memory};
use crate::duplex::Random;

/// Within so many the worker's memory must have stopped growing.
const ROUNDS: usize = 10;
const TUNNELS: usize = 2000;
const MB: u64 = 1 << 20;

/// Echoes, and does what it is told to.
fn obey(conn: &mut Conn) -> std::io::Result<()> {
    loop {
        let frame = Frame {
            mask: None,
            ..conn.read_frame()?
        };
        match &*frame.payload {
            b"leave" => return Ok(()),
            b"reset" => {
                conn.reset();
                return Ok(());
            }
            b"close" => {
                conn.send(Frame::close(1000, "").bytes())?;
                conn.read_frame()?;
                return Ok(());
            }
            b"half a frame" => {
                conn.send(b"\x82\x7e\x10")?;
                return Ok(());
            }
            _ if frame.opcode == 8 => return conn.send(frame.bytes()),
            _ => conn.send(frame.bytes())?,
        }
    }
}

fn tell(client: &mut Client, what: &str) {
    // It may have been reset already.
    let _ = client.send(Frame::text(what).masked().bytes());
}

/// Ends a tunnel in one of many ways.
fn end(mut client: Client, random: &mut Random) {
    match random.below(12) {
        0..3 => {
            let _ = client.send(Frame::close(1000, "").masked().bytes());
            let _ = client.read_to_close();
        }
        3 => drop(client),
        4 => client.into_wire().reset(),
        5 => {
            let _ = client.send(Frame::close(1000, "").masked().bytes());
        }
        6 => {
            let _ = client.send(&Frame::binary(vec![1; 500]).masked().bytes()[..200]);
        }
        7 => {
            tell(&mut client, "leave");
            let _ = client.read_to_close();
        }
        8 => {
            tell(&mut client, "reset");
            client.into_wire().reset();
        }
        9 => {
            tell(&mut client, "close");
            let _ = client.send(Frame::close(1000, "").masked().bytes());
        }
        10 => {
            tell(&mut client, "half a frame");
            let _ = client.read_to_close();
        }
        _ => {
            // Much on its way that nobody waits for.
            let _ = client.send(Frame::binary(vec![1; 300_000]).masked().bytes());
            client.into_wire().reset();
        }
    }
}

/// Whether the last two rounds together have taken less than 1 MB more. What malloc() has
/// free after the first few depends on what lies above it.
fn has_settled(after_rounds: &[u64]) -> bool {
    match after_rounds {
        [.., before, _, last] => *last < before + MB,
        _ => false,
    }
}

#[test]
fn nothing_is_left_of_two_thousand_tunnels() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        obey(conn)
    });
    // None is due while the others connect, which nobody would answer.
    let lines = "websocket_ping 10m to=both; websocket_max_message_size 1m; websocket_drain 10s;";
    let nginx = Nginx::http(case::http(lines))
        .set("BACKEND", backend.address())
        .main("worker_rlimit_nofile 10000;")
        .events("worker_connections 5000;")
        .start();
    let worker = nginx.worker_pids()[0];
    let mut random = Random(0xBAD5EED);
    let mut after_rounds = Vec::new();
    while !has_settled(&after_rounds) {
        let round = after_rounds.len() + 1;
        assert!(
            round <= ROUNDS,
            "memory grows with each round: {after_rounds:?}"
        );
        let mut clients: Vec<Client> = (0..TUNNELS).map(|_| case::join(&nginx)).collect();
        // A worker that serves has all of its own open.
        let open = descriptors(worker) - 2 * TUNNELS;
        let established = memory(worker);
        for client in &mut clients {
            let size = [0, 10, 10, 200, 200, 1_000, 5_000, 70_000][random.below(8)];
            client
                .send(Frame::binary(vec![1; size]).masked().bytes())
                .unwrap();
            let frame = client.frame();
            assert_eq!(
                (frame.opcode, frame.payload.len()),
                (2, size),
                "{:?}",
                frame.close_code()
            );
        }
        // Idle: 2,000 buffers of 64 KB would be 125 MB.
        let idle = memory(worker).saturating_sub(established);
        assert!(
            idle < 10 * MB,
            "{TUNNELS} tunnels that have been used hold {idle} bytes"
        );
        while !clients.is_empty() {
            end(
                clients.swap_remove(random.below(clients.len())),
                &mut random,
            );
        }
        wait_until("all connections to be closed", || active(&nginx) == 0);
        wait_until("all descriptors to be closed", || {
            descriptors(worker) == open
        });
        assert_eq!(
            nginx.access_log("tunnel.log").lines().count(),
            round * TUNNELS
        );
        after_rounds.push(memory(worker));
    }
    // stop() fails on an open socket, or if something holds the worker.
    let log = nginx.stop();
    assert!(!log.contains("request count is zero"));
    assert_eq!(
        log.matches("websocket closed after").count(),
        after_rounds.len() * TUNNELS
    );
}

#[test]
fn tunnels_that_end_while_others_are_busy() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        let mut bytes = vec![0; 1 << 16];
        while conn.read(&mut bytes)? > 0 {}
        Ok(())
    });
    let nginx = case::server("websocket_max_lifetime 300ms; websocket_rate 1m;", &backend).start();
    let mut random = Random(7);
    for _ in 0..10 {
        let mut clients: Vec<Client> = (0..20).map(|_| case::join(&nginx)).collect();
        for client in &mut clients {
            let size = random.below(400_000);
            let _ = client.send(Frame::binary(vec![1; size]).masked().bytes());
        }
        for mut client in clients {
            match random.below(3) {
                0 => drop(client),
                1 => client.into_wire().reset(),
                _ => {
                    let _ = client.send(Frame::close(1000, "").masked().bytes());
                }
            }
        }
    }
    wait_until("all connections to be closed", || active(&nginx) == 0);
}
