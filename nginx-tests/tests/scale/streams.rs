//! Clients of HTTP/2, a hundred tunnels on a connection.

use std::net::TcpStream;

use nginx_tests::Frame;
use nginx_tests::http2::session::Session;
use nginx_tests::wire::{Socket, Wire};

use crate::crowd::{Crowd, ONE_IN};

/// How many tunnels a connection has.
pub const EACH: usize = 100;

/// Connections, and their streams.
pub struct Streams(Vec<(Session, Vec<u32>)>);

impl Streams {
    pub fn connect(port: u16, count: usize) -> Self {
        let connections = (0..count.div_ceil(EACH)).map(|number| {
            let socket = TcpStream::connect(("127.0.0.1", port)).expect("nginx accepts");
            let wire = Wire::plain(Socket::Tcp(socket)).expect("nginx answers");
            let mut session = Session::over(wire);
            session.wait(|session| session.connects == Some(true));
            let some = EACH.min(count - number * EACH);
            let streams: Vec<u32> = (0..some).map(|_| session.open("/")).collect();
            for stream in &streams {
                assert_eq!(session.status(*stream), 200);
            }
            (session, streams)
        });
        Self(connections.collect())
    }

    pub fn connections(&self) -> usize {
        self.0.len()
    }
}

impl Crowd for Streams {
    fn round(&mut self, who: usize) -> usize {
        let message = Frame::binary(vec![b'x'; 125]);
        let mut count = 0;
        for (session, streams) in &mut self.0 {
            let speaking = streams.iter().copied().skip(who).step_by(ONE_IN);
            for stream in speaking.clone() {
                session.message(stream, message.clone());
            }
            for stream in speaking {
                read_echo(session, stream, &message);
                count += 1;
            }
        }
        count
    }

    fn leave(self) {
        for (number, (mut session, streams)) in self.0.into_iter().enumerate() {
            match number % 3 {
                0 => {
                    for stream in &streams {
                        session.message(*stream, Frame::close(1000, ""));
                    }
                    for stream in streams {
                        session.wait(|session| session.of(stream).is_ended);
                    }
                }
                1 => streams.into_iter().for_each(|stream| session.reset(stream)),
                _ => session.break_off(),
            }
        }
    }
}

/// Reads the echo of a message, and answers the Pings before it.
fn read_echo(session: &mut Session, stream: u32, message: &Frame) {
    loop {
        let frame = session.read(stream);
        if frame.opcode != 9 {
            assert_eq!(frame, *message, "stream {stream}");
            return;
        }
        session.message(stream, Frame::new(10, frame.payload));
    }
}
