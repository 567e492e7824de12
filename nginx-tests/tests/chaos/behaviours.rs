//! What a backend may do with one request.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use nginx_tests::Frame;
use nginx_tests::backend::switching_protocols;
use nginx_tests::http::Head;
use nginx_tests::wire::Wire;

use crate::random::Random;

/// The header whose value is the body of a plain answer.
pub const TOKEN: &str = "X-Token";

/// A connection whose request has been read.
pub struct Talk<'a> {
    pub wire: &'a mut Wire,
    pub head: Head,
    /// Whether the answer begins as one of scgi.
    pub scgi: bool,
    pub random: Random,
}

/// Whether a connection can take another request.
#[derive(PartialEq, Eq)]
pub enum After {
    Kept,
    Closed,
}

type Act = fn(&mut Talk) -> io::Result<()>;

/// Instead of what a good backend answers, to a handshake and to a plain request. The connection
/// is closed after it.
const ANSWERS: &[(&str, Act)] = &[
    ("moved", |t| t.answer("301 Moved\r\nLocation: /on", "")),
    ("unauthorized", |t| t.answer("401 No", "who are you")),
    ("not-found", |t| t.answer("404 Not Found", "no such thing")),
    ("error", |t| t.answer("500 Error", &"oh\n".repeat(20_000))),
    ("empty", |t| {
        t.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    }),
    ("accel", |t| t.answer("200 OK\r\nX-Accel-Redirect: /on", "")),
    ("accel-off", |t| {
        t.answer("200 OK\r\nX-Accel-Redirect: /off", "")
    }),
    ("endless", |t| t.say("HTTP/1.1 200 OK\r\n\r\nuntil the end")),
    ("chunks", |t| {
        t.say("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    }),
    ("short-body", |t| {
        t.say("HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\nabc")
    }),
    ("no-accept", |t| t.say(SWITCH)),
    ("wrong-accept", |t| {
        t.say(&with("Sec-WebSocket-Accept: bm8gdGhhdCBpcyBub3QgaXQ="))
    }),
    ("wrong-upgrade", |t| {
        t.say(&SWITCH.replace("websocket", "h2c"))
    }),
    ("no-connection", |t| {
        t.say(&SWITCH.replace("Connection: Upgrade\r\n", ""))
    }),
    ("unasked-protocol", |t| {
        t.accept_with("Sec-WebSocket-Protocol: chat")
    }),
    ("unasked-extension", |t| {
        t.accept_with("Sec-WebSocket-Extensions: deflate")
    }),
    ("counted-101", |t| t.accept_with("Content-Length: 5")),
    ("chunked-101", |t| {
        t.accept_with("Transfer-Encoding: chunked")
    }),
    ("continue-first", |t| t.interim("100 Continue")),
    ("hints-first", |t| t.interim("103 Early Hints")),
    ("long-head", |t| {
        t.say(&with(&format!("X-Long: {}", "x".repeat(20_000))))
    }),
    ("half-head", |t| t.say(&SWITCH[..20])),
    ("hidden-half", |t| {
        t.say(&SWITCH[..20]).and_then(|()| t.hang())
    }),
    ("not-http", |t| t.say("220 mail.example ready\r\n\r\n")),
    ("noise", |t| t.noise(500)),
    ("refuse", |_| Ok(())),
    ("break", |t| t.reset()),
    ("hang", |t| t.hang()),
];

/// After a right 101; a plain request gets a plain answer.
const TUNNELS: &[(&str, Act)] = &[
    ("echo", echo),
    ("slow-head", |t| {
        for piece in t.switch().as_bytes().chunks(16) {
            t.wire.send(piece)?;
            t.pause();
        }
        t.wire.echo_frames()
    }),
    ("early-frames", |t| {
        t.accept(&Frame::text("hello").bytes().repeat(20))
            .and_then(|()| t.wire.echo_frames())
    }),
    ("early-flood", |t| {
        t.accept(&Frame::binary(vec![7; 200_000]).bytes())
            .and_then(|()| t.wire.echo_frames())
    }),
    ("early-close", |t| {
        t.accept(&Frame::close(1000, "bye").bytes())
    }),
    ("flood", |t| {
        t.accept(b"")?;
        (0..30).try_for_each(|_| t.frame(100_000))
    }),
    ("deaf", |t| {
        t.accept(b"")?;
        t.pause();
        t.pause();
        t.reset()
    }),
    ("cut-frame", |t| {
        let frame = Frame::binary(vec![1; 3_000]).bytes();
        let length = t.random.below(frame.len());
        t.accept(&frame[..length])
    }),
    ("tunnel-noise", |t| {
        t.accept(b"").and_then(|()| t.noise(3_000))
    }),
    ("masked-frames", |t| {
        t.accept(&Frame::text("masked").masked().bytes())
            .and_then(|()| t.wire.echo_frames())
    }),
    ("pieces", |t| {
        t.accept(b"")?;
        let frames = [
            Frame::text(&"p".repeat(300)).bytes(),
            Frame::new(9, "ping").bytes(),
        ]
        .concat();
        frames.chunks(7).try_for_each(|piece| t.wire.send(piece))?;
        t.wire.echo_frames()
    }),
    ("fragments", |t| {
        let parts = [
            Frame::text("a").unfinished(),
            Frame::new(0, "b").unfinished(),
            Frame::new(0, "c"),
        ];
        t.accept(&parts.map(|part| part.bytes()).concat())?;
        t.wire.echo_frames()
    }),
    ("huge-length", |t| {
        t.accept(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffabc")
            .and_then(|()| t.hang())
    }),
    ("bad-length", |t| {
        t.accept(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffabc")
            .and_then(|()| t.hang())
    }),
    ("bad-opcode", |t| {
        t.accept(b"\xff\x03abc").and_then(|()| t.hang())
    }),
    ("pings", |t| {
        t.accept(&Frame::new(9, "are you there").bytes().repeat(200))
            .and_then(|()| t.wire.echo_frames())
    }),
    ("close-first", |t| {
        t.accept(b"")?;
        t.frame(10)?;
        t.wire.send(Frame::close(1000, "").bytes())?;
        t.wire.read_frame().map(drop)
    }),
    ("close-and-talk", |t| {
        t.accept(&Frame::close(4000, "enough").bytes())?;
        (0..5).try_for_each(|_| t.frame(2_000))
    }),
    ("half-closed", |t| {
        t.accept(b"")?;
        t.frame(500)?;
        t.wire.finish()?;
        t.wire.read_to_close().map(drop)
    }),
    ("leave", |t| t.accept(b"")),
    ("leave-in-midst", |t| {
        t.accept(b"").and_then(|()| t.frame(50_000))
    }),
    ("tunnel-break", |t| {
        t.accept(b"")?;
        t.frame(200_000)?;
        t.reset()
    }),
];

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// The names of all that a backend may do.
pub fn names() -> Vec<&'static str> {
    ANSWERS
        .iter()
        .chain(TUNNELS)
        .map(|&(name, _)| name)
        .collect()
}

fn with(line: &str) -> String {
    SWITCH.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

fn echo(talk: &mut Talk) -> io::Result<()> {
    talk.accept(b"")?;
    talk.wire.echo_frames()
}

impl Talk<'_> {
    /// Does what is named, or what is good.
    pub fn serve(&mut self, name: &str) -> io::Result<After> {
        let find = |acts: &[(&str, Act)]| acts.iter().find(|act| act.0 == name).map(|act| act.1);
        if let Some(act) = find(ANSWERS) {
            act(self)?;
            return Ok(After::Closed);
        }
        if self.head.has_token("Upgrade", "websocket") {
            find(TUNNELS).unwrap_or(echo)(self)?;
            return Ok(After::Closed);
        }
        let token = self.head.header(TOKEN).unwrap_or_default();
        self.say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{token}",
            token.len()
        ))?;
        let kept =
            self.head.start.ends_with("HTTP/1.1") && !self.head.has_token("Connection", "close");
        Ok(if kept { After::Kept } else { After::Closed })
    }

    /// The right 101.
    fn switch(&self) -> String {
        self.in_form(&switching_protocols(
            self.head.header("Sec-WebSocket-Key").unwrap_or_default(),
        ))
    }

    /// The right 101, with these bytes behind it.
    fn accept(&mut self, behind: &[u8]) -> io::Result<()> {
        self.wire.send([self.switch().as_bytes(), behind].concat())
    }

    /// The right 101 with one more line.
    fn accept_with(&mut self, line: &str) -> io::Result<()> {
        let switch = self
            .switch()
            .replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
        self.wire.send(switch)?;
        self.wire.echo_frames()
    }

    fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        self.say(&format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.wire.send(self.in_form(text))
    }

    /// Says this and then switches. To HEAD it is the answer for nginx, which may give the connection
    /// to a good client: then it is closed here.
    fn interim(&mut self, status: &str) -> io::Result<()> {
        self.say(&format!("HTTP/1.1 {status}\r\n\r\n"))?;
        if self.head.start.starts_with("HEAD ") {
            return Ok(());
        }
        echo(self)
    }

    fn in_form(&self, text: &str) -> String {
        if self.scgi {
            text.replacen("HTTP/1.1 ", "Status: ", 1)
        } else {
            text.to_owned()
        }
    }

    fn frame(&mut self, length: usize) -> io::Result<()> {
        self.wire
            .send(Frame::binary(self.random.bytes(length)).bytes())
    }

    fn noise(&mut self, most: usize) -> io::Result<()> {
        let length = 1 + self.random.below(most);
        let noise = self.random.bytes(length);
        self.wire.send(noise)
    }

    /// Says nothing for half a second, or until nginx closes.
    fn hang(&mut self) -> io::Result<()> {
        self.wire.set_read_timeout(Some(Duration::from_millis(500)));
        while self.wire.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }

    /// The only wait for a time: what a slow backend does.
    fn pause(&mut self) {
        thread::sleep(Duration::from_millis(self.random.below(100) as u64));
    }

    fn reset(&mut self) -> io::Result<()> {
        self.wire.reset();
        Ok(())
    }
}
