//! Peers that read slowly: alive as long as they take some, and given up when they don't.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::environment::{is_over_http2, nginx_version};
use nginx_tests::{Certificate, DEADLINE, Nginx, patient};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::case::{ended, location};
use crate::duplex::Duplex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Upstream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
    Unix,
}

/// Who is slow, and how it is reached.
const SLOW: [(Side, Over); 5] = [
    (Side::Client, Over::Plain),
    (Side::Client, Over::Tls),
    (Side::Upstream, Over::Plain),
    (Side::Upstream, Over::Tls),
    (Side::Upstream, Over::Unix),
];

/// A tunnel whose one end sends all it can.
struct Tunnel {
    nginx: Nginx,
    slow: Duplex,
    fast: Fast,
}

struct Fast {
    end: Duplex,
    /// A frame that it sends again and again, and how much of it has been sent.
    frame: Vec<u8>,
    sent: usize,
    close: &'static [u8],
}

impl Tunnel {
    fn open(side: Side, over: Over, lines: &str) -> Self {
        let certificate = Certificate::localhost();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pass = match (side, over) {
            (Side::Upstream, Over::Tls) => format!("https://{address}"),
            (_, Over::Unix) => "http://unix:%UNIX%".to_owned(),
            _ => format!("http://{address}"),
        };
        let http = location(&format!("proxy_pass {pass}; {lines}")).replacen(
            "listen 127.0.0.1:%PORT%;",
            "listen 127.0.0.1:%PORT%; listen 127.0.0.1:%TLSPORT% ssl;
             ssl_certificate cert.pem; ssl_certificate_key key.pem;",
            1,
        );
        let setup = Nginx::http(http).certificate(&certificate);
        let path = setup.inside("backend").display().to_string();
        let setup = setup.set("UNIX", path);
        let unix = (over == Over::Unix)
            .then(|| UnixListener::bind(setup.path("backend")).expect("a unix socket"));
        let nginx = setup.start();
        let backend = thread::spawn({
            let own = (side == Side::Upstream && over == Over::Tls).then(|| certificate.clone());
            move || {
                let socket = match unix {
                    Some(unix) => TcpStream::from(OwnedFd::from(unix.accept().unwrap().0)),
                    None => listener.accept().unwrap().0,
                };
                if side == Side::Upstream {
                    narrow(&socket);
                }
                Duplex::answer_over(socket, own.as_ref())
            }
        });
        let own = (side == Side::Client && over == Over::Tls).then_some(&certificate);
        let port = own.map_or(nginx.port(), |_| nginx.port_of("TLSPORT"));
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        if side == Side::Client {
            narrow(&socket);
        }
        let client = Duplex::open_over(socket, own);
        let backend = backend.join().unwrap();
        let (slow, fast, header, close): (_, _, &[u8], &[u8]) = match side {
            Side::Client => (client, backend, b"\x82\x7e\x40\x00", b"\x88\x02\x03\xe9"),
            Side::Upstream => (
                backend,
                client,
                b"\x82\xfe\x40\x00\0\0\0\0",
                b"\x88\x82\0\0\0\0\x03\xe9",
            ),
        };
        let fast = Fast {
            end: fast,
            frame: [header, &[7; 0x4000]].concat(),
            sent: 0,
            close,
        };
        Self { nginx, slow, fast }
    }

    /// The slow end reads 80 kB/s for so long, while the other sends all it can. Neither may be told
    /// anything.
    fn goes_on(&mut self, time: Duration) {
        let since = Instant::now();
        let mut read = 0;
        while since.elapsed() < time {
            self.fast.send();
            let due = since.elapsed().as_millis() as usize * 80;
            if read < due {
                let mut room = [0; 4096];
                if let Some(count) = self.slow.read(&mut room).expect("the tunnel goes on") {
                    assert!(count > 0, "the tunnel ended after {:?}", since.elapsed());
                    read += count;
                }
            }
            let told = self.fast.read();
            assert_eq!(told, None, "after {:?}", since.elapsed());
            thread::sleep(Duration::from_millis(5));
        }
        // As fast as it could.
        assert!(read * 2 > time.as_millis() as usize * 80, "{read} bytes");
    }

    /// Nothing is read any more. How long it takes until the other end is sent a Close.
    fn stops(&mut self) -> Duration {
        let since = Instant::now();
        let close = loop {
            if let Some(first) = self.fast.read() {
                break first;
            }
            assert!(since.elapsed() < *DEADLINE, "no end of it");
            self.fast.send();
            thread::sleep(Duration::from_millis(2));
        };
        let waited = since.elapsed();
        assert_eq!(close, 0x88);
        waited
    }
}

/// A receiver that takes only little in advance.
fn narrow(socket: &TcpStream) {
    set_socket_recv_buffer_size(socket, 8 << 10).expect("SO_RCVBUF");
}

impl Fast {
    /// Sends what is taken at once.
    fn send(&mut self) {
        loop {
            let rest = &self.frame[self.sent..];
            match self.end.write(rest).expect("nginx reads") {
                0 => return,
                count => self.sent = (self.sent + count) % self.frame.len(),
            }
        }
    }

    /// The first byte that has come.
    fn read(&mut self) -> Option<u8> {
        let mut room = [0; 100];
        let count = self.end.read(&mut room).expect("the tunnel goes on")?;
        assert!(count > 0, "the tunnel ended without a Close");
        Some(room[0])
    }

    /// Sends a Close behind the frame that it has begun.
    fn answer(&mut self) {
        let begun = if self.sent > 0 {
            &self.frame[self.sent..]
        } else {
            &[]
        };
        let rest = [begun, self.close].concat();
        let (mut sent, since) = (0, Instant::now());
        while sent < rest.len() {
            sent += self.end.write(&rest[sent..]).expect("nginx reads");
            assert!(since.elapsed() < *DEADLINE, "nginx reads no more");
        }
    }
}

/// Whoever is slow, and however it is reached.
fn everywhere(test: impl Fn(Side, Over) + Sync) {
    thread::scope(|scope| {
        for (side, over) in SLOW {
            // What stands in front of nginx then takes more than the client: tests/http2 has such a client.
            if is_over_http2() && (side, over) == (Side::Client, Over::Plain) {
                continue;
            }
            let test = &test;
            thread::Builder::new()
                .name(format!("{side:?} over {over:?}"))
                .spawn_scoped(scope, move || test(side, over))
                .expect("a thread");
        }
    });
}

/// The tunnel lives for three times what its slow side has, and ends in time when that takes no more.
fn holds_and_ends(lines: impl Fn(Side) -> String + Sync, reason: &str) {
    everywhere(|side, over| {
        let mut tunnel = Tunnel::open(side, over, &lines(side));
        tunnel.goes_on(Duration::from_secs(3));
        assert_eq!(tunnel.nginx.access_log("tunnel.log"), "");
        let waited = tunnel.stops().as_millis();
        let most = patient(Duration::from_millis(2500)).as_millis();
        // A unix socket has got rid of nothing for as long as its peer has needed for all of a piece.
        assert!((300..most).contains(&waited), "{waited}");
        if ["idle-timeout", "message-timeout"].contains(&reason) {
            // No side was found dead, so both would be waited for.
            drop((tunnel.slow, tunnel.fast));
        } else {
            tunnel.fast.answer();
        }
        let since = Instant::now();
        assert_eq!(&ended(&tunnel.nginx)["websocket_close_reason"], reason);
        assert!(since.elapsed() < patient(Duration::from_secs(3)));
    });
}

#[test]
fn send_timeouts_are_for_those_who_take_nothing() {
    let lines = |_| "send_timeout 1s; proxy_send_timeout 1s;".to_owned();
    holds_and_ends(lines, "send-timeout");
}

#[test]
fn a_ping_behind_much_that_is_taken_slowly_is_no_sign_of_death() {
    let lines = |side| {
        let to = match side {
            Side::Client => "client",
            Side::Upstream => "upstream",
        };
        format!("websocket_ping 300ms timeout=1s to={to}; send_timeout 1h; proxy_send_timeout 1h;")
    };
    holds_and_ends(lines, "ping-timeout");
}

#[test]
fn a_tunnel_is_not_idle_while_a_slow_side_takes_some() {
    let lines = |_| "websocket_timeout 1s; send_timeout 1h; proxy_send_timeout 1h;".to_owned();
    holds_and_ends(lines, "idle-timeout");
}

#[test]
fn nor_without_a_message() {
    let lines =
        |_| "websocket_message_timeout 1s; send_timeout 1h; proxy_send_timeout 1h;".to_owned();
    holds_and_ends(lines, "message-timeout");
}

/// All of it has been sent to nginx at once, and behind it comes a Ping, to be answered when it is read.
#[test]
fn a_message_may_take_longer_than_the_answer_to_a_ping() {
    everywhere(|side, over| {
        let to = format!("{side:?}").to_lowercase();
        let lines = format!("websocket_ping 200ms timeout=1s to={to};");
        let mut tunnel = Tunnel::open(side, over, &lines);
        // One frame, so that the Ping can only come behind it.
        let length = 320_u64 << 10;
        let header = match side {
            Side::Client => [&b"\x82\x7f"[..], &length.to_be_bytes()].concat(),
            Side::Upstream => [b"\x82\xff", &length.to_be_bytes()[..], &[0; 4]].concat(),
        };
        let message = [&header[..], &vec![7; length as usize]].concat();
        let (mut sent, mut got, since) = (0, Vec::<u8>::new(), Instant::now());
        // Two seconds for the message.
        while got.len() < message.len() + 6 {
            sent += tunnel
                .fast
                .end
                .write(&message[sent..])
                .expect("nginx reads");
            if got.len() < since.elapsed().as_millis() as usize * 160 {
                let mut room = [0; 4096];
                if let Some(count) = tunnel.slow.read(&mut room).expect("the tunnel goes on") {
                    assert!(count > 0, "the tunnel ended after {:?}", since.elapsed());
                    got.extend(&room[..count]);
                }
            }
            assert!(since.elapsed() < *DEADLINE, "{} bytes", got.len());
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(got[message.len()], 0x89);
        drop((tunnel.slow, tunnel.fast));
        // Before 1.21.2 nginx takes a close without TLS's own goodbye for an error, with OpenSSL 3.
        let reason = if over == Over::Tls && nginx_version() < (1, 21, 2) {
            "reset"
        } else {
            "no-close-frame"
        };
        assert_eq!(&ended(&tunnel.nginx)["websocket_close_reason"], reason);
    });
}
