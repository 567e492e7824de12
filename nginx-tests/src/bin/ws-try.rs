//! `ws-try URL [message]`: one WebSocket handshake and one echo, and what was seen. With `-` as the
//! message the connection stays open: each line of standard input is sent, what comes is printed.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;
use std::{env, thread};

use tungstenite::http::{Response, Uri};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: ws-try ws://HOST[:PORT]/PATH [message | -]");
        return ExitCode::from(2);
    };
    let message = arguments.next().unwrap_or_else(|| "hello".to_owned());
    match attempt(&url, &message) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match *error {
                Error::Http(response) => print_head(&response),
                error => println!("{error}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn attempt(url: &str, message: &str) -> Result<(), Box<Error>> {
    let uri: Uri = url.parse().map_err(|error| Box::new(Error::from(error)))?;
    let (Some("ws"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(Box::new(Error::Url(
            tungstenite::error::UrlError::UnsupportedUrlScheme,
        )));
    };
    let host = host.trim_matches(['[', ']']);
    let socket = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))
        .map_err(|error| Box::new(Error::Io(error)))?;
    let (mut socket, response) = tungstenite::client(uri, socket).map_err(|error| match error {
        HandshakeError::Failure(error) => Box::new(error),
        HandshakeError::Interrupted(_) => unreachable!("the socket blocks"),
    })?;
    print_head(&response);
    if message == "-" {
        return converse(socket);
    }
    println!("sent {message:?}");
    socket.send(Message::text(message))?;
    let answer = socket.read()?;
    println!("received {:?}", answer.to_text().unwrap_or("(not text)"));
    socket.close(None)?;
    while socket.read().is_ok() {}
    if answer == Message::text(message) {
        Ok(())
    } else {
        println!("which is not what was sent");
        Err(Box::new(Error::ConnectionClosed))
    }
}

/// Until the end of the input, or of the connection.
fn converse(mut socket: WebSocket<TcpStream>) -> Result<(), Box<Error>> {
    // Neither side waits for the other, so neither may be waited for.
    let short = Some(Duration::from_millis(50));
    let set = socket.get_mut().set_read_timeout(short);
    set.map_err(|error| Box::new(Error::Io(error)))?;
    let lines = lines_of_input();
    let mut closing = false;
    loop {
        match lines.try_recv() {
            Ok(line) => socket.send(Message::text(line))?,
            Err(TryRecvError::Disconnected) if !closing => {
                closing = true;
                socket.close(None)?;
            }
            Err(_) => {}
        }
        match socket.read() {
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                println!("closed {code}");
            }
            Ok(Message::Text(text)) => println!("received {:?}", text.as_str()),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(()),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(Box::new(error)),
        }
    }
}

fn lines_of_input() -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn print_head<B>(response: &Response<B>) {
    println!("{:?} {}", response.version(), response.status());
    for (name, value) in response.headers() {
        println!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
}
