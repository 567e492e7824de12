//! Bytes on their way: in order, untouched, and no more of them held than there is room for.
//!
//! A long file of short tests: what they share is at the top, and each is read by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nginx_tests::backend::{standard, switching_protocols};
use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::environment::{is_emulated, is_over_http2};
use nginx_tests::{Client, Frame, Handshake, Nginx, ScriptedBackend, wait_until};

use crate::case::{
    assert_ended, backend, descriptors, ended, frames, http, join, memory, raw_tunnel, server,
    tunnelled, wait_for_frames,
};
use crate::duplex::{Duplex, Load};

const MB: usize = 1 << 20;

// Order.

#[test]
fn frames_pipelined_behind_the_handshake_come_first() {
    let backend = ScriptedBackend::standard();
    let nginx = server("", &backend).start();
    let mut client = Client::connect(nginx.port());
    let early: Vec<Frame> = (0..5).map(|n| Frame::text(&n.to_string())).collect();
    let mut bytes = Handshake::new("/").bytes();
    for frame in &early {
        bytes.extend(frame.clone().masked().bytes());
    }
    // And half a frame.
    let late = Frame::binary(vec![9; 500]).masked().bytes();
    bytes.extend(&late[..100]);
    client.send(bytes).unwrap();
    assert_eq!(client.read_head().unwrap().status(), 101);
    for frame in early {
        assert_eq!(client.frame(), frame);
    }
    client.send(&late[100..]).unwrap();
    assert_eq!(client.frame(), Frame::binary(vec![9; 500]));
    client.close_politely();
    let ended = ended(&nginx);
    let sent = tunnelled(&backend, 0).len() as u64;
    assert_eq!(ended.number("websocket_bytes_in"), sent);
    assert_eq!(ended.number("websocket_frames_in"), 7);
}

#[test]
fn more_pipelined_bytes_than_nginx_and_a_buffer_hold() {
    for lines in [
        "",
        "websocket_buffer_size 1k;",
        "proxy_buffer_size 16k; proxy_buffers 4 16k;",
    ] {
        let backend = ScriptedBackend::standard();
        let nginx = server(lines, &backend).start();
        let mut client = Client::connect(nginx.port());
        let message = Frame::binary(vec![3; 100_000]);
        let bytes = [
            Handshake::new("/").bytes(),
            message.clone().masked().bytes(),
        ]
        .concat();
        client.send(bytes).unwrap();
        assert_eq!(client.read_head().unwrap().status(), 101);
        assert_eq!(client.frame(), message);
        client.close_politely();
    }
}

#[test]
fn frames_in_the_segment_of_the_101_come_first() {
    // 3 KB fit into nginx's header buffer, 15 KB into a larger one only, 100 KB into none.
    for (size, lines) in [
        (3_000, ""),
        (
            15_000,
            "proxy_buffer_size 32k; proxy_buffers 4 32k; websocket_buffer_size 1k;",
        ),
        (100_000, ""),
        (100_000, "proxy_buffer_size 32k; proxy_buffers 4 32k;"),
    ] {
        let first = Frame::binary(vec![5; size]);
        let bytes = first.bytes();
        let backend = ScriptedBackend::start(move |conn| {
            let handshake = conn.read_request()?.head;
            let key = handshake.header("Sec-WebSocket-Key").unwrap().to_owned();
            let answer = switching_protocols(&key).into_bytes();
            conn.send([answer.as_slice(), &bytes, &Frame::text("then").bytes()].concat())?;
            conn.echo_frames()
        });
        let nginx = server(lines, &backend).start();
        let mut client = join(&nginx);
        assert!(client.frame() == first, "{size} {lines}");
        assert_eq!(client.frame(), Frame::text("then"));
        client.echo("hello");
        let received = client.record();
        client.close_politely();
        let ended = ended(&nginx);
        let received = received.lock().unwrap();
        let head = received
            .windows(4)
            .position(|at| at == b"\r\n\r\n")
            .unwrap()
            + 4;
        let out = (received.len() - head) as u64;
        assert_eq!(ended.number("websocket_bytes_out"), out, "{lines}");
        assert_eq!(ended.number("websocket_frames_out"), 4);
        // The head of the answer is another over HTTP/2.
        if !is_over_http2() {
            assert_eq!(ended.number("bytes_sent"), received.len() as u64);
        }
        let answer = switching_protocols(SAMPLE_KEY).len() as u64;
        assert_eq!(ended.number("upstream_bytes_received"), answer + out);
    }
}

/// nginx has none of the frames then, and no event is to come that would tell of them.
#[test]
fn frames_behind_a_101_that_fills_nginx_s_buffer_are_read() {
    const BUFFER: usize = 4096;
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        let mut answer = switching_protocols(handshake.header("Sec-WebSocket-Key").unwrap());
        let head = answer.trim_end().len();
        let padding = BUFFER - answer.len() - "\r\nX: ".len();
        answer.insert_str(head, &format!("\r\nX: {}", "x".repeat(padding)));
        assert_eq!(answer.len(), BUFFER);
        conn.send([answer.into_bytes(), Frame::text("behind").bytes()].concat())?;
        conn.echo_frames()
    });
    let nginx = server("proxy_buffer_size 4k;", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::text("behind"));
    client.close_politely();
}

#[test]
fn a_backend_that_speaks_and_leaves_with_the_101_is_heard() {
    let backend = ScriptedBackend::start(|conn| {
        let handshake = conn.read_request()?.head;
        let key = handshake.header("Sec-WebSocket-Key").unwrap().to_owned();
        let answer = switching_protocols(&key).into_bytes();
        let frames = [Frame::text("bye").bytes(), Frame::close(1000, "").bytes()].concat();
        conn.send([answer, frames].concat())
    });
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::text("bye"));
    assert_eq!(client.frame(), Frame::close(1000, ""));
    assert_eq!(client.read_until_close(), b"");
    assert_ended(&nginx, ("upstream", "normal", "1000"), "info");
}

#[test]
fn every_opcode_and_length_goes_by_untouched() {
    let backend = backend(|conn| {
        let bytes = [
            Frame::new(9, "are you there").bytes(),
            Frame::text("frag").unfinished().bytes(),
            Frame::new(10, vec![0; 125]).bytes(),
            Frame::new(0, vec![1; 70_000]).unfinished().bytes(),
            Frame::new(0, "").bytes(),
            // Reserved bits, as extensions use them.
            [0xC2, 0x03, 1, 2, 3].to_vec(),
        ];
        for piece in bytes.concat().chunks(7_777) {
            conn.send(piece)?;
        }
        conn.hang()
    });
    let nginx = server("", &backend).start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::new(9, "are you there"));
    assert_eq!(client.frame(), Frame::text("frag").unfinished());
    assert_eq!(client.frame(), Frame::new(10, vec![0; 125]));
    assert_eq!(client.frame(), Frame::new(0, vec![1; 70_000]).unfinished());
    assert_eq!(client.frame(), Frame::new(0, ""));
    assert_eq!(client.read_bytes(5).unwrap(), [0xC2, 3, 1, 2, 3]);
    drop(client);
    let ended = ended(&nginx);
    assert_eq!(ended.number("websocket_frames_out"), 6);
    assert_eq!(ended.number("websocket_messages_out"), 2);
}

// What is not frames.

#[test]
fn what_is_no_frames_goes_by_untouched_and_is_said_once() {
    let backend = backend(|conn| {
        let mut bytes = vec![0; 65_536];
        loop {
            let count = conn.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            conn.send(&bytes[..count])?;
        }
    });
    let nginx = server("websocket_max_message_size 10;", &backend).start();
    let mut client = join(&nginx);
    client
        .send(Frame::text("a frame").masked().bytes())
        .unwrap();
    let echoed = client.read_bytes(13).unwrap();
    assert_eq!(echoed, Frame::text("a frame").masked().bytes());
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "\x01\x02\x03 no frame",
        "\u{7f}\u{7f}\u{7f}",
    ] {
        client.send(text).unwrap();
        assert_eq!(client.read_bytes(text.len()).unwrap(), text.as_bytes());
    }
    let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8 | 0x70).collect();
    client.send(&large).unwrap();
    assert!(client.read_bytes(large.len()).unwrap() == large);
    drop(client);
    let ended = ended(&nginx);
    assert_eq!(ended.number("websocket_frames_in"), 1);
    assert!(ended.number("websocket_bytes_in") > 300_000);
    // nginx writes the access log first.
    nginx.wait_for_log("websocket closed after");
    let lines = nginx.log_lines("not WebSocket frames");
    // The echo of masked frames is no server's, either.
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for side in ["client", "upstream"] {
        let of_side = |line: &&String| line.contains(&format!("websocket {side} sends bytes"));
        assert_eq!(lines.iter().filter(of_side).count(), 1, "{lines:#?}");
    }
    assert!(
        lines.iter().all(|line| line.contains("[info]")),
        "{lines:#?}"
    );
}

#[test]
fn a_side_that_still_gets_frames_gets_a_close() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_timeout 1s;", &backend).start();
    let mut client = join(&nginx);
    client.send("no frame").unwrap();
    assert_eq!(client.frame(), Frame::close(1001, ""));
    drop(client);
    assert_ended(&nginx, ("nginx", "idle-timeout", "1001"), "warn");
    // Where nothing can be told apart, nothing is put in.
    assert_eq!(tunnelled(&backend, 0), b"no frame");
}

// Backpressure.

/// Reads from a socket what comes until nothing has come for a while.
fn read_until_stuck(socket: &mut TcpStream) -> usize {
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut bytes = vec![0; 1 << 16];
    let mut total = 0;
    while let Ok(count @ 1..) = socket.read(&mut bytes) {
        total += count;
    }
    total
}

/// Writes until nothing has been taken for a while.
fn write_until_stuck(socket: &mut TcpStream) -> usize {
    write_until_stuck_for(socket, Duration::from_millis(300))
}

fn write_until_stuck_for(socket: &mut TcpStream, time: Duration) -> usize {
    socket.set_write_timeout(Some(time)).unwrap();
    let bytes = vec![0x42; 1 << 16];
    let mut total = 0;
    loop {
        match socket.write(&bytes) {
            Ok(count) => total += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return total;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(total < 200 * MB, "there is no end to what is taken");
    }
}

#[test]
fn a_side_that_does_not_read_stops_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("websocket_timeout 1h;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let worker = nginx.worker_pids()[0];
    let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
    let before = memory(worker);
    for from_backend in [true, false] {
        let (writer, reader) = if from_backend {
            (&mut backend, &mut client)
        } else {
            (&mut client, &mut backend)
        };
        // A frame of a gigabyte has begun.
        let mut header = vec![0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0];
        if !from_backend {
            header[1] |= 0x80;
            header.extend([0; 4]);
        }
        writer.write_all(&header).unwrap();
        let sent = write_until_stuck(writer) + header.len();
        let grown = memory(worker).saturating_sub(before);
        assert!(grown < MB as u64, "the worker has grown by {grown} bytes");
        // What was taken is there, all of it, when the other side reads again.
        assert_eq!(read_until_stuck(reader), sent);
    }
    // And the tunnel goes on.
    writer_goes_on(&mut backend, &mut client);
}

fn writer_goes_on(writer: &mut TcpStream, reader: &mut TcpStream) {
    writer.write_all(&[0x42; 1000]).unwrap();
    reader
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
}

#[test]
fn a_write_that_blocks_outlasts_proxy_read_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("proxy_read_timeout 200ms;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
    backend
        .write_all(&[0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0])
        .unwrap();
    let sent = 10 + write_until_stuck(&mut backend);
    let since = Instant::now();
    wait_until("longer than the timeout", || {
        since.elapsed() > Duration::from_secs(1)
    });
    assert_eq!(read_until_stuck(&mut client), sent);
    writer_goes_on(&mut backend, &mut client);
}

#[test]
fn a_blocked_write_does_not_outlast_websocket_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("websocket_timeout 1s;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (client, mut backend) = raw_tunnel(&nginx, &listener);
    backend
        .write_all(&[0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0])
        .unwrap();
    write_until_stuck(&mut backend);
    assert_eq!(ended(&nginx).why(), ("nginx", "idle-timeout", "1001"));
    drop((client, backend));
}

#[test]
fn a_reader_that_is_slow_is_not_idle() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = "websocket_timeout 2s; send_timeout 2s; websocket_buffer_size 4m;";
    let nginx = Nginx::http(http(lines))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let (mut client, mut backend) = raw_tunnel(&nginx, &listener);
    backend
        .write_all(&[0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0])
        .unwrap();
    let sent = write_until_stuck(&mut backend);
    // What nginx holds lasts for longer than the timeout at this pace, with nothing read behind it.
    let mut piece = vec![0; sent / 24];
    for _ in 0..20 {
        let since = Instant::now();
        wait_until("a pause", || since.elapsed() > Duration::from_millis(150));
        client.read_exact(&mut piece).unwrap();
    }
    let log = nginx.error_log();
    assert!(!log.contains("websocket closed"), "{log}");
}

// nginx's own loop.

#[test]
fn tunnel_off_leaves_it_to_nginx() {
    let backend = ScriptedBackend::start(standard);
    let lines = "websocket_tunnel off; websocket_ping 50ms; websocket_max_lifetime 100ms;
        websocket_max_message_size 1; websocket_rate 1;";
    let nginx = server(lines, &backend).start();
    let mut client = join(&nginx);
    assert!(client.silent_for(Duration::from_millis(400)));
    client.echo("not checked, not counted, not ended");
    client.close_politely();
    let ended = ended(&nginx);
    assert_eq!(&ended["websocket_state"], "established");
    for name in [
        "close_by",
        "close_reason",
        "frames_in",
        "bytes_out",
        "ping_rtt",
    ] {
        assert_eq!(&ended[&format!("websocket_{name}")], "-", "{name}");
    }
    nginx.wait_for_log("bytes to upstream");
}

// Memory.

#[test]
fn an_idle_tunnel_holds_no_buffer() {
    const TUNNELS: usize = 200;
    let backend = backend(|conn| conn.echo_frames());
    let nginx = server("websocket_buffer_size 256k; websocket_buffers 2;", &backend).start();
    let worker = nginx.worker_pids()[0];
    let mut clients: Vec<Client> = (0..TUNNELS).map(|_| join(&nginx)).collect();
    let before = memory(worker);
    for client in &mut clients {
        client
            .send(Frame::binary(vec![1; 200_000]).masked().bytes())
            .unwrap();
        assert_eq!(client.frame().payload.len(), 200_000);
    }
    let grown = memory(worker).saturating_sub(before);
    assert!(
        grown < 8 * MB as u64,
        "{TUNNELS} tunnels hold {grown} bytes"
    );
}

#[test]
fn what_a_tunnel_held_is_given_back() {
    const TUNNELS: u64 = 16;
    const SIZE: u64 = 100 << 10;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("websocket_buffer_size 100k; websocket_buffers 1;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .start();
    let worker = nginx.worker_pids()[0];
    let mut before = memory(worker);
    for round in 0..8 {
        let mut tunnels: Vec<_> = (0..TUNNELS)
            .map(|_| raw_tunnel(&nginx, &listener))
            .collect();
        // A worker that serves has all of its own open.
        let open = descriptors(worker) - 2 * tunnels.len();
        for (client, _) in &mut tunnels {
            let header = [0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0];
            client.write_all(&header).unwrap();
            write_until_stuck_for(client, Duration::from_millis(30));
        }
        // Each leaves with a buffer full, in another way.
        for (index, (client, backend)) in tunnels.into_iter().enumerate() {
            let first = if index % 2 == 0 { client } else { backend };
            if index % 4 < 2 {
                let at_once = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&first, at_once).unwrap();
            }
            drop(first);
        }
        wait_until("the connections to be closed", || {
            descriptors(worker) == open
        });
        // The allocator may keep as much as was in use at once, but not more with each round.
        let kept = memory(worker).saturating_sub(before);
        let limit = 2 * TUNNELS * SIZE;
        if round == 0 && (is_over_http2() || is_emulated()) {
            // There was TLS for the first time, or the code for it all.
            before += kept;
            continue;
        }
        assert!(kept < limit, "{kept} bytes after round {round}");
    }
}

#[test]
fn subrequests_and_plain_requests_are_left_alone() {
    let backend = ScriptedBackend::start(standard);
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT%;
            websocket on;
            location / { proxy_pass http://%BACKEND%; auth_request /auth; mirror /mirror; }
            location /auth { internal; proxy_pass http://%BACKEND%; }
            location /mirror { internal; proxy_pass http://%BACKEND%; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let plain = Client::connect(nginx.port()).exchange(&Handshake::plain("/"));
    assert_eq!(plain.text(), "plain");
    let mut client = join(&nginx);
    client.echo("hello");
    client.close_politely();
}

#[test]
fn many_frames_at_once_are_counted_one_by_one() {
    let backend = backend(|conn| conn.hang());
    let nginx = server("websocket_buffer_size 1k;", &backend).start();
    let mut client = join(&nginx);
    let frames_sent: Vec<Frame> = (0..2000)
        .map(|n| Frame::text(&"x".repeat(n % 130)).masked())
        .collect();
    let bytes: Vec<u8> = frames_sent.iter().flat_map(Frame::bytes).collect();
    client.send(&bytes).unwrap();
    wait_for_frames(&backend, 0, 2000);
    assert!(frames(&backend, 0) == (frames_sent, vec![]));
    drop(client);
    let ended = ended(&nginx);
    assert_eq!(ended.number("websocket_frames_in"), 2000);
    assert_eq!(ended.number("websocket_bytes_in"), bytes.len() as u64);
}

#[test]
fn without_a_master_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::http(http("websocket_drain 1s; websocket_ping 10s;"))
        .set("BACKEND", listener.local_addr().unwrap())
        .single_process()
        .start();
    let port = nginx.port();
    let load = std::sync::Arc::new(Load::new(5 * MB, true, 1));
    let back = std::sync::Arc::new(Load::new(5 * MB, false, 2));
    let backend = {
        let (load, back) = (load.clone(), back.clone());
        std::thread::spawn(move || Duplex::answer(&listener, None).exchange(&back, &load, 3))
    };
    Duplex::open(port, None).exchange(&load, &back, 4);
    backend.join().unwrap();
    assert_eq!(ended(&nginx).why().1, "normal");
}
