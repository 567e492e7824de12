//! What comes from outside, and all that the program says of it: for tests that make it up.
//!
//! Each function gives the texts that would be printed, in all their forms.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use websocket_protocol::accept_key;

use crate::answer::parse;
use crate::mask::Mask;
use crate::options::{self, Task, Walk as Options};
use crate::page::{Page, is_unsafe};
use crate::paint::Paint;
use crate::report::{self, Report};
use crate::{conf, json, print, print_conf, walk};

/// Of a server on this host that sends these bytes for whatever it is asked.
pub fn answer(bytes: &[u8]) -> Vec<String> {
    served(|_| bytes.to_vec())
}

/// Of a server that takes the handshake, and sends these bytes then.
pub fn frames(bytes: &[u8]) -> Vec<String> {
    served(|request| {
        let mut lines = request.lines();
        let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_key(key.unwrap_or_default().as_bytes());
        let accept = String::from_utf8_lossy(&accept);
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        [head.as_bytes(), bytes].concat()
    })
}

/// Of a server with this certificate, in DER form.
pub fn certificate(der: &[u8]) -> Vec<String> {
    let options = options("wss://localhost/", &[]);
    pages(&report::only(walk::of_certificate(der, &options)))
}

/// The head of an answer as far as it has come: its lines and how many bytes follow them, what is wrong with
/// it, or nothing as long as it is not all there.
pub fn head(bytes: &[u8]) -> Result<Option<(Vec<String>, usize)>, String> {
    let head = parse(bytes)?;
    Ok(head.map(|answer| (answer.shown(&Mask::default()), answer.rest.len())))
}

/// Of a configuration, with an address in it and without.
pub fn configuration(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let options = options("ws://localhost/a/b.c?d=e", &[]);
    let mut said = Vec::new();
    for address in [None, Some(&*options)] {
        match conf::judged(text.clone(), None, address, None) {
            Ok(reading) => {
                let pages = [
                    print_conf::all(&reading, Paint::none()),
                    print_conf::lines(&reading),
                    json::configuration(&reading),
                ];
                said.extend(pages.map(Page::into_text));
                said.extend(reading.unread.iter().map(|text| complaint(text)));
            }
            Err(error) => said.push(complaint(&error)),
        }
    }
    said
}

/// The first character that no text of the program may hold, and the text.
pub fn raw(texts: &[String]) -> Option<(char, &str)> {
    texts.iter().find_map(|text| {
        let found = text.chars().find(|c| *c != '\n' && is_unsafe(*c))?;
        Some((found, text.as_str()))
    })
}

fn complaint(text: &str) -> String {
    Page::complaint(text).into_text()
}

fn options(url: &str, more: &[&str]) -> Box<Options> {
    let program = ["check-websocket", url];
    match options::parse(program.iter().chain(more).map(OsString::from)) {
        Ok(Task::Walk(options)) => options,
        other => unreachable!("this is a right command line: {other:?}"),
    }
}

fn served(answer: impl Fn(&str) -> Vec<u8> + Sync) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("this host has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            for stream in listener.incoming().flatten() {
                if !serve(stream, &answer) {
                    return;
                }
            }
        });
        let url = format!("ws://{address}/");
        let limits = [
            "--timeout=100ms",
            "--deadline=2s",
            "--hold=10ms",
            "--message=a",
        ];
        let said = pages(&report::make(&options(&url, &limits)));
        let _ = TcpStream::connect(address).and_then(|mut end| end.write_all(END));
        // A scope waits for what a thread does, not for its end: what it has is not to be taken for lost.
        server.join().expect("it serves until it is told to end");
        said
    })
}

const END: &[u8] = b"end\r\n\r\n";

/// Whether another connection is to be served. What can't be sent was not wanted.
fn serve(mut stream: TcpStream, answer: &impl Fn(&str) -> Vec<u8>) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return true,
        }
    }
    if request == END {
        return false;
    }
    let _ = stream.write_all(&answer(&String::from_utf8_lossy(&request)));
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut buffer);
    true
}

fn pages(report: &Report) -> Vec<String> {
    let pages = [
        print::report(report, Paint::none()),
        print::line(report),
        json::report(report),
    ];
    pages.map(Page::into_text).into()
}
