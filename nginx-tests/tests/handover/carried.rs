//! What is under way when a tunnel is handed over goes along.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{Client, Frame, Nginx, tunnels, wait_until};

use crate::case::{
    PROXIED, assert_closed, echo, gone, hand_over, hand_over_with, http, join, nginx, number,
    only_line, value,
};

/// Both sides are in the middle of a frame.
#[test]
fn frames_by_half() {
    let (nginx, client, mut backend) = raw_tunnel();
    let mut client = Client::over(Wire::plain(Socket::Tcp(client)).unwrap());
    let from_client = Frame::text("from the client").masked().bytes();
    let from_backend = Frame::text("from the backend").bytes();
    for at in 1..from_client.len() {
        client.send(&from_client[..at]).unwrap();
        backend.write_all(&from_backend[..at.min(10)]).unwrap();
        assert_eq!(
            client.read_bytes(at.min(10)).unwrap(),
            &from_backend[..at.min(10)]
        );
        let mut got = vec![0; at];
        backend.read_exact(&mut got).unwrap();
        if at % 5 == 1 {
            hand_over(&nginx);
        }
        client.send(&from_client[at..]).unwrap();
        backend.write_all(&from_backend[at.min(10)..]).unwrap();
        let rest = &from_backend[at.min(10)..];
        assert_eq!(client.read_bytes(rest.len()).unwrap(), rest);
        let mut rest = vec![0; from_client.len() - at];
        backend.read_exact(&mut rest).unwrap();
        got.extend(rest);
        assert_eq!(got, from_client);
    }
    drop(backend);
    client.read_until_close();
    let line = only_line(&nginx);
    let count = from_client.len() as u64 - 1;
    assert_eq!(number(&line, "websocket_messages_in"), count);
    assert_eq!(number(&line, "websocket_messages_out"), count);
}

/// A tunnel as the two sockets at its ends.
fn raw_tunnel() -> (Nginx, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http(PROXIED))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (client, backend) = tunnels::raw_tunnel(&nginx, &listener);
    (nginx, client, backend)
}

/// Neither side reads what the other sends: sockets are full, and so are buffers of nginx's.
#[test]
fn what_neither_side_takes() {
    const SIZE: usize = 12 << 20;
    let (nginx, client, backend) = raw_tunnel();
    let ways = [(client, 3, true), (backend, 5, false)];
    let writers = ways.each_ref().map(|(socket, step, masked)| {
        let (mut socket, frame) = (socket.try_clone().unwrap(), big_frame(SIZE, *step, *masked));
        thread::spawn(move || socket.write_all(&frame).unwrap())
    });
    // Both writers wait: nothing more goes in.
    wait_until("all to be full", || {
        let before = ways.each_ref().map(|(socket, ..)| queued(socket));
        thread::sleep(Duration::from_millis(100));
        before == ways.each_ref().map(|(socket, ..)| queued(socket))
    });
    for _ in 0..3 {
        hand_over(&nginx);
    }
    let [(mut client, ..), (mut backend, ..)] = ways;
    let readers = [
        thread::spawn(move || read_all(&mut client, &big_frame(SIZE, 5, false))),
        thread::spawn(move || read_all(&mut backend, &big_frame(SIZE, 3, true))),
    ];
    for thread in writers.into_iter().chain(readers) {
        thread.join().unwrap();
    }
    let line = only_line(&nginx);
    assert_eq!(number(&line, "websocket_handovers"), 3);
    assert_eq!(number(&line, "websocket_messages_in"), 1);
    assert_eq!(number(&line, "websocket_messages_out"), 1);
}

/// How much of what was written the peer has not acknowledged.
fn queued(socket: &TcpStream) -> u64 {
    let own = socket.local_addr().unwrap().port();
    let peer = socket.peer_addr().unwrap().port();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = |line: &&str| {
        let ports: Vec<_> = line.split_whitespace().skip(1).take(2).collect();
        ports.len() == 2
            && ports[0].ends_with(&format!(":{own:04X}"))
            && ports[1].ends_with(&format!(":{peer:04X}"))
    };
    let line = table.lines().find(ends).expect("a connection");
    let queues = line.split_whitespace().nth(4).unwrap();
    u64::from_str_radix(queues.split_once(':').unwrap().0, 16).unwrap()
}

fn read_all(socket: &mut TcpStream, expected: &[u8]) {
    let mut room = vec![0; 1 << 16];
    for piece in expected.chunks(room.len()) {
        let room = &mut room[..piece.len()];
        socket.read_exact(room).unwrap();
        assert!(room == piece, "something was lost, doubled or out of order");
    }
}

fn big_frame(size: usize, step: usize, masked: bool) -> Vec<u8> {
    let mask: &[u8] = if masked { &[0; 4] } else { &[] };
    let second = if masked { 0xFF } else { 0x7F };
    let length = (size as u64).to_be_bytes();
    [&[0x82, second][..], &length, mask, &pattern(size, step)].concat()
}

fn pattern(size: usize, step: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 7 * step) as u8).collect()
}

/// A Ping is out when the tunnel goes, and its answer comes to the new worker, which keeps it.
#[test]
fn a_ping_that_is_under_way() {
    let backend = echo();
    let lines = format!("{PROXIED} websocket_ping 200ms timeout=10s;");
    let nginx = Nginx::http(http(&lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    for _ in 0..3 {
        let ping = client.frame();
        assert_eq!((ping.opcode, ping.payload.len()), (9, 4));
        hand_over(&nginx);
        client
            .send(Frame::new(10, ping.payload).masked().bytes())
            .unwrap();
    }
    // Had one been passed on, the backend would have sent it back.
    client.send(Frame::text("x").masked().bytes()).unwrap();
    let frame = loop {
        let frame = client.frame();
        if frame.opcode != 9 {
            break frame;
        }
    };
    assert_eq!(frame, Frame::text("x"));
    drop(client);
    let line = only_line(&nginx);
    assert_eq!(number(&line, "websocket_messages_in"), 1);
}

#[test]
fn the_size_of_a_message_that_has_begun() {
    let backend = echo();
    let lines = format!("{PROXIED} websocket_max_message_size 10;");
    let nginx = Nginx::http(http(&lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    client
        .send(Frame::text("123456").unfinished().masked().bytes())
        .unwrap();
    hand_over(&nginx);
    client
        .send(Frame::new(0, "78901").masked().bytes())
        .unwrap();
    loop {
        let frame = client.frame();
        if frame.opcode == 8 {
            assert_eq!(frame.close_code(), Some(1009));
            break;
        }
    }
}

#[test]
fn the_rate_of_messages() {
    let backend = echo();
    let lines = format!("{PROXIED} websocket_message_rate 6r/m burst=2 close;");
    let nginx = Nginx::http(http(&lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    for text in ["one", "two", "three"] {
        client.echo(text);
        hand_over(&nginx);
    }
    client.send(Frame::text("four").masked().bytes()).unwrap();
    assert_closed(client, 1008);
}

#[test]
fn a_lifetime_goes_on() {
    let backend = echo();
    let lines = format!("{PROXIED} websocket_max_lifetime 3s code=1001;");
    let mut nginx = Nginx::http(http(&lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    client.echo("young");
    // No longer, whatever the new one says.
    hand_over_with(
        &mut nginx,
        &http(&format!("{PROXIED} websocket_max_lifetime 1h;")),
    );
    assert_closed(client, 1001);
    let line = only_line(&nginx);
    assert_eq!(value(&line, "websocket_close_reason"), "lifetime");
    let time: f64 = value(&line, "request_time").parse().unwrap();
    assert!((2.6..3.5).contains(&time), "{line}");
}

/// One side has said goodbye and the other has not answered: that is for the worker that heard it.
#[test]
fn a_tunnel_that_is_closing_ends_where_it_is() {
    let backend = crate::case::backend(|conn| {
        let _ = conn.read_frame()?;
        conn.pause()?;
        conn.send(Frame::close(1000, "").bytes())
    });
    let nginx = nginx(&backend).start();
    let mut client = join(&nginx);
    client
        .send(Frame::close(1000, "").masked().bytes())
        .unwrap();
    wait_until("the backend to get it", || {
        backend
            .received(0)
            .windows(2)
            .any(|pair| pair == [0x88, 0x82])
    });
    let old = nginx.worker_pids();
    nginx.reload();
    nginx.wait_for_log("websocket handover: 0 tunnels handed over");
    assert_eq!(nginx.exiting_worker_pids(), old);
    backend.resume();
    assert_eq!(client.frame(), Frame::close(1000, ""));
    drop(client);
    gone(&nginx);
    assert_eq!(number(&only_line(&nginx), "websocket_handovers"), 0);
}

/// The client's last words, and its end, come while the tunnel is on its way.
#[test]
fn last_words_are_heard() {
    for round in 0..5 {
        let backend = echo();
        let nginx = nginx(&backend).start();
        let mut client = join(&nginx);
        client.echo("before");
        nginx.signal(rustix::process::Signal::HUP);
        std::thread::sleep(Duration::from_millis(90 + round * 10));
        client.send(Frame::text("last").masked().bytes()).unwrap();
        client
            .send(Frame::close(4000, "words").masked().bytes())
            .unwrap();
        client.finish().unwrap();
        let line = only_line(&nginx);
        assert_eq!(value(&line, "websocket_close_code"), "4000", "{line}");
        assert_eq!(number(&line, "websocket_messages_in"), 2);
    }
}
