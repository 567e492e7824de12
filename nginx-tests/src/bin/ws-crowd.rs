//! `ws-crowd COUNT URL…`: that many clients that come and go, each at one of the addresses: it connects,
//! says something now and then, hears the echo, leaves, and comes again. Until it is ended.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

use tungstenite::http::Uri;
use tungstenite::{Message, WebSocket};

/// The longest of what they say.
const LONGEST: u64 = 600;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let count = arguments.next().and_then(|count| count.parse().ok());
    let urls: Vec<Uri> = arguments.filter_map(|url| url.parse().ok()).collect();
    let (Some(count @ 1..=1000), false) = (count, urls.is_empty()) else {
        eprintln!("usage: ws-crowd COUNT ws://HOST:PORT/PATH..., with at most 1000");
        return ExitCode::from(2);
    };
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let url = urls[number % urls.len()].clone();
            thread::spawn(move || live(&url, Chance::new(number as u64 + 1)))
        })
        .collect();
    for client in clients {
        let _ = client.join();
    }
    ExitCode::SUCCESS
}

fn live(url: &Uri, mut chance: Chance) {
    loop {
        chance.pause(3000);
        if let Some(mut socket) = connect(url) {
            let _ = talk(&mut socket, &mut chance);
            let _ = socket.close(None);
            while socket.read().is_ok() {}
        }
    }
}

fn connect(url: &Uri) -> Option<WebSocket<TcpStream>> {
    let socket = TcpStream::connect((url.host()?, url.port_u16().unwrap_or(80))).ok()?;
    let (socket, _) = tungstenite::client(url.clone(), socket).ok()?;
    Some(socket)
}

/// A few messages, or many.
fn talk(
    socket: &mut WebSocket<TcpStream>,
    chance: &mut Chance,
) -> Result<(), Box<tungstenite::Error>> {
    for _ in 0..1 + chance.below(10) * chance.below(10) {
        let text = "so it goes ".repeat(1 + chance.below(LONGEST / 11) as usize);
        socket.send(Message::text(text))?;
        while !socket.read()?.is_text() {}
        chance.pause(4000);
    }
    Ok(())
}

/// Numbers that look random, the same each time: xorshift.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pause(&mut self, most: u64) {
        thread::sleep(Duration::from_millis(self.below(most)));
    }
}
