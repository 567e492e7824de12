//! The exchange: a request is sent, and its answer read.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::answer::{Answer, parse};
use crate::options::Walk as Options;
use crate::request::Request;
use crate::stream::{Line, Stream};
use crate::target::Target;
use crate::tls::Tls;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection ended: after so many bytes, and how.
    Closed(usize, io::Error),
    TimedOut(Duration),
    /// The header is longer than this program reads.
    TooLong,
    /// What came is not HTTP.
    Invalid(String),
}

/// Opens another connection to an address that has accepted one: for the handshakes that are only
/// for comparison. The certificate was judged before.
pub fn open(target: &Target, address: SocketAddr, options: &Options, tls: &Tls) -> Option<Stream> {
    let line = Line::connect(address, options.connect_timeout()).ok()?;
    if !target.secure {
        return Some(Stream::Plain(line));
    }
    let connected = tls.connect(line, &target.host, &["http/1.1"], options.connect_timeout());
    connected.ok().map(|(stream, _)| stream)
}

/// Sends the request and reads the answer.
pub fn exchange(
    stream: &mut Stream,
    request: &Request,
    limit: Duration,
) -> Result<Answer, Unanswered> {
    stream.finish_within(limit);
    let sent = stream
        .write_all(&request.bytes())
        .and_then(|()| stream.flush());
    // A server that has closed already may have answered before.
    let mut answer = match (read_head(stream, limit), sent) {
        (Err(Unanswered::Closed(0, _)), Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
            return Err(Unanswered::Closed(0, error));
        }
        (read, _) => read?,
    };
    if answer.status != 101 {
        read_body(stream, &mut answer);
    }
    Ok(answer)
}

/// More than nginx takes from an upstream, which is 4 or 8 KB unless raised.
pub const MAX_HEAD: usize = 32 * 1024;

fn read_head(stream: &mut Stream, limit: Duration) -> Result<Answer, Unanswered> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(answer) = parse(&bytes).map_err(Unanswered::Invalid)? {
            return Ok(answer);
        }
        if bytes.len() > MAX_HEAD {
            return Err(Unanswered::TooLong);
        }
        match stream.read(&mut buffer) {
            Ok(0) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Err(Unanswered::Closed(bytes.len(), error));
            }
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unanswered::TimedOut(limit));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unanswered::Closed(bytes.len(), error)),
        }
    }
}

/// A server's own error page is short. What doesn't come at once isn't waited for.
fn read_body(stream: &mut Stream, answer: &mut Answer) {
    const ENOUGH: usize = 4096;
    let announced = answer
        .header("Content-Length")
        .and_then(|value| value.parse().ok());
    let wanted = announced.unwrap_or(ENOUGH).min(ENOUGH);
    stream.finish_within(Duration::from_millis(500));
    let mut buffer = [0; 1024];
    while answer.rest.len() < wanted {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => answer.rest.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}
