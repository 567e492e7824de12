//! Who asks for no tunnel gets the same bytes, odd as what it sends may be, whether `websocket_http2` is on or off.

use std::net::TcpStream;

use nginx_tests::http2::PREFACE;
use nginx_tests::wire::{Socket, Wire};
use nginx_tests::{Certificate, Nginx, ScriptedBackend, client};

use crate::case::http;

/// What tells of tunnels.
const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01";
/// What is made up of each kind of connection.
const INPUTS: u64 = 600;

#[test]
fn odd_inputs_get_the_same_answers() {
    let (backend, certificate) = (ScriptedBackend::standard(), Certificate::localhost());
    // The date of an answer is the same within a second, so it is left out where it can be.
    let server = |listen: &str, is_on: &str| {
        format!(
            "server {{
                {listen}
                server_name localhost;
                websocket_http2 {is_on};
                location / {{ return 204; }}
                location /text {{ return 200 text; }}
                absolute_redirect off;
                location /moved {{ return 301 /text; }}
            }}"
        )
    };
    let nginx = http(
        &certificate,
        &backend,
        format!(
            "websocket on; server {{ listen 127.0.0.1:%HTTP1PORT%; return 204; }} {} {}",
            server(
                "listen 127.0.0.1:%PORT% ssl http2; listen 127.0.0.1:%PLAINPORT% http2;",
                "on"
            ),
            server(
                "listen 127.0.0.1:%OFFPORT% ssl http2; listen 127.0.0.1:%PLAINOFFPORT% http2;",
                "off"
            ),
        ),
    )
    .start();
    for seed in 0..INPUTS {
        let is_tls = seed % 2 == 0;
        let (on, off) = if is_tls {
            ("PORT", "OFFPORT")
        } else {
            ("PLAINPORT", "PLAINOFFPORT")
        };
        let input = Random::new(seed).connection();
        let mut answers = (vec![], vec![]);
        // The date changes between two.
        for _ in 0..3 {
            let ask = |port| answer(&nginx, port, &certificate, is_tls, &input);
            answers = (without_settings(ask(on)), ask(off));
            if answers.0 == answers.1 {
                break;
            }
        }
        assert_eq!(answers.0, answers.1, "input {seed}: {input:02x?}");
    }
    nginx.stop();
}

/// All that nginx says to a client that says all it has and then no more.
fn answer(
    nginx: &Nginx,
    port: &str,
    certificate: &Certificate,
    is_tls: bool,
    input: &[u8],
) -> Vec<u8> {
    let port = nginx.port_of(port);
    let mut wire = if is_tls {
        Wire::connect_http2(port, certificate).expect("nginx speaks HTTP/2")
    } else {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("nginx accepts");
        Wire::plain(Socket::Tcp(socket)).expect("a socket")
    };
    wire.send(input).expect("nginx reads");
    // nginx has one worker: when it has answered this it has read what came before, and said what it has to say.
    assert_eq!(client::get(nginx.port_of("HTTP1PORT"), "/").status(), 204);
    let record = wire.record();
    // It may have closed the connection.
    let _ = wire.finish();
    // A connection with more to read may be reset behind what has come.
    let _ = wire.read_to_close();
    record.lock().unwrap().clone()
}

fn without_settings(mut answer: Vec<u8>) -> Vec<u8> {
    if let Some(at) = answer
        .windows(SETTINGS.len())
        .position(|bytes| bytes == SETTINGS)
    {
        answer.drain(at..at + SETTINGS.len());
    }
    answer
}

/// The same in each run.
struct Random {
    state: u64,
    /// A block may be that of an extended CONNECT, so that the answer to a piece of it waits for the rest.
    is_held: bool,
}

impl Random {
    const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            is_held: false,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn connection(&mut self) -> Vec<u8> {
        self.below(7);
        let mut bytes = match self.below(20) {
            0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r".to_vec(),
            1 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            _ => PREFACE.to_vec(),
        };
        if self.below(10) > 0 {
            bytes.extend(b"\0\0\0\x04\0\0\0\0\0");
        }
        let mut next = 1;
        for _ in 0..self.below(9) {
            self.frame(&mut bytes, &mut next);
        }
        if self.is_held {
            put(&mut bytes, 6, 0, 0, b"whatever");
        } else if self.below(6) == 0 {
            bytes.truncate(bytes.len() - self.below(bytes.len().min(20)));
        }
        bytes
    }

    fn frame(&mut self, bytes: &mut Vec<u8>, next: &mut u8) {
        let (mut kind, mut flags, mut stream, mut payload) = match self.below(10) {
            0..=4 => {
                let stream = *next;
                *next += 2;
                (1, 4 | self.of(&[0, 1, 1, 1]), stream, self.block())
            }
            5 => {
                // A block in two frames.
                let block = self.block();
                let (front, behind) = block.split_at(self.below(block.len() + 1));
                put(bytes, 1, self.of(&[0, 1]), *next, front);
                let stream = *next;
                *next += 2;
                (9, 4, stream, behind.to_vec())
            }
            6 => (
                0,
                self.of(&[0, 1, 8]),
                next.saturating_sub(2),
                vec![1; self.below(20)],
            ),
            7 => (
                self.of(&[2, 3, 8]),
                0,
                next.saturating_sub(2),
                vec![0, 0, 1, 0, 9],
            ),
            8 => (
                4,
                0,
                0,
                vec![0, self.of(&[1, 3, 4, 8]), 0, 0, 0, self.of(&[0, 1, 200])],
            ),
            _ => (6, self.of(&[0, 1]), 0, vec![7; 8]),
        };
        // And now and then something is wrong with it.
        let wrong = self.below(25);
        self.is_held |= wrong < 5;
        match wrong {
            0 => kind = self.of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]),
            1 => flags = self.of(&[0, 1, 4, 8, 9, 12, 0x20, 0x2c, 0x2d, 255]),
            2 => stream = self.of(&[0, 1, 2, 3, 99]),
            3 => payload.truncate(self.below(payload.len() + 1)),
            4 => payload.insert(0, self.of(&[0, 1, 5, 200, 255])),
            _ => {}
        }
        if kind == 3 || kind == 8 {
            payload.truncate(4);
        }
        put(bytes, kind, flags, stream, &payload);
    }

    /// A block of a request, which may be wrong. It is no extended CONNECT.
    fn block(&mut self) -> Vec<u8> {
        let mut block = vec![];
        if self.below(10) == 0 {
            block.extend(self.of(&[
                &b"\x20"[..],
                b"\x3f\xe1\x1f",
                b"\x3f\xe2\x1f",
                b"\x20\x3f\x45",
            ]));
        }
        // None has all that an extended CONNECT has: `:protocol` or `:scheme` is missing, or something comes twice.
        let request = self.of(&[
            &b"\x82\x87\x84\x41\x09localhost"[..],
            b"\x82\x87\x84\x01\x09localhost",
            b"\x83\x87\x84\x41\x09localhost",
            b"\x82\x87\x04\x05/text\x41\x09localhost",
            b"\x04\x06/moved\x87\x41\x09localhost\x82",
            b"\x02\x07CONNECT\x41\x09localhost",
            b"\x42\x07CONNECT\x87\x84\x41\x09localhost",
            b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x84\x41\x09localhost",
            b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x82\x87\x84\x41\x09localhost",
            b"\x02\x07CONNECT\x00\x09:protocol\x0bconnect-udp\x87\x84\x41\x09localhost",
            b"\x02\x03PUT\x00\x09:protocol\x09websocket\x87\x84\x41\x09localhost",
            b"\x82\x00\x09:protocol\x09websocket\x87\x84\x41\x09localhost",
            b"\x02\x04HEAD\x87\x84\x41\x09localhost",
            b"\x02\x87\xbd\xab\x4e\x9c\x17\xb7\xff\x87\x84",
            b"\xbe\xbf\xc0\xc1",
            b"\xc1\x87\x84\xbe",
            b"\xc0\x82\xbf\xbe",
        ]);
        self.is_held |= request.windows(7).any(|bytes| bytes == b"CONNECT")
            || request.starts_with(b"\x02\x87")
            || request[0] >= 0xbe;
        block.extend(request);
        for _ in 0..self.below(4) {
            block.extend(self.of(&[
                &b"\x40\x05x-own\x05value"[..],
                b"\x00\x05x-own\x05value",
                b"\x10\x05x-own\x00",
                b"\x40\x0acustom-key\x0dcustom-header",
                b"\x0f\x0d\x010",
                b"\x0f\x0d\x015",
                b"\x00\x07upgrade\x09websocket",
                b"\x00\x0aConnection\x05close",
                b"\x00\x11sec-websocket-key\x18AAAAAAAAAAAAAAAAAAAAAA==",
                b"\xbe",
                b"\xff\x00",
                b"\x80",
                b"\x00\x7f\xff\xff\xff\x7f",
                b"\x00\x85\xff\xff\xff\xff\xff\x00",
            ]));
        }
        if self.below(15) == 0 {
            let length = self.below(block.len());
            block.truncate(length);
        }
        block
    }
}

fn put(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
    bytes.extend([0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream]);
    bytes.extend(payload);
}
