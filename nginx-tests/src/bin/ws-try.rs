//! `ws-try URL [message]`: one WebSocket handshake and one echo, and what was seen.

use std::env;
use std::net::TcpStream;
use std::process::ExitCode;

use tungstenite::http::{Response, Uri};
use tungstenite::{Error, HandshakeError, Message};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: ws-try ws://HOST[:PORT]/PATH [message]");
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

fn print_head<B>(response: &Response<B>) {
    println!("{:?} {}", response.version(), response.status());
    for (name, value) in response.headers() {
        println!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
}
