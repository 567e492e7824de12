//! What clients do that speak HTTP/2, from their connection to its end.

use std::io;

use nginx_tests::Frame;
use nginx_tests::http2::session::{CONTINUATION, Session, WINDOW_UPDATE};
use nginx_tests::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, frame, initial_window,
};
use nginx_tests::wire::Wire;

use crate::stage::{MB, Stage};
use crate::visits::Outcome;

/// Two tunnels and a request, of which one's block comes in pieces and its first message before its answer.
pub fn tunnels(stage: &Stage) -> io::Result<Outcome> {
    talk(connect(stage)?)
}

pub fn tunnels_over_tls(stage: &Stage) -> io::Result<Outcome> {
    let port = stage.nginx.port_of("H2TLSPORT");
    talk(Wire::connect_http2(port, &stage.certificate)?)
}

/// A large message that comes back to a client which is late to read it, so that nginx can't send all of it at once.
pub fn late(stage: &Stage) -> io::Result<Outcome> {
    let (mut session, is_told) = begin(connect(stage)?)?;
    if !is_told {
        return Ok(Outcome::Answered(0));
    }
    session.try_send(&frame(SETTINGS, 0, 0, &initial_window(0x7f00_0000)))?;
    session.try_send(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]))?;
    let stream = ask(&mut session, "/", 0)?;
    if let Some(other) = answer(&mut session, stream, 200)? {
        return Ok(other);
    }
    let message = Frame::binary(vec![3; MB / 2]);
    session.try_data(stream, &message.clone().masked().bytes())?;
    assert_eq!(session.try_read(stream)?, message);
    end(&mut session, stream)
}

/// A tunnel where there are none, and one that breaks the rules.
pub fn refused(stage: &Stage) -> io::Result<Outcome> {
    let (mut session, is_told) = begin(connect(stage)?)?;
    if !is_told {
        return Ok(Outcome::Answered(0));
    }
    let off = ask(&mut session, "/off/", 0)?;
    session.try_data(off, b"too early")?;
    if let Some(other) = answer(&mut session, off, 501)? {
        return Ok(other);
    }
    let block = session.block(&[(":method", "CONNECT"), (":protocol", "websocket")]);
    let wrong = session.stream();
    session.try_send(&frame(HEADERS, END_HEADERS, wrong, &block))?;
    Ok(answer(&mut session, wrong, 400)?.unwrap_or(Outcome::Done))
}

fn talk(wire: Wire) -> io::Result<Outcome> {
    let (mut session, is_told) = begin(wire)?;
    if !is_told {
        return Ok(Outcome::Answered(0));
    }
    session.is_compressing = true;
    let one = ask(&mut session, "/one", 0)?;
    if let Some(other) = answer(&mut session, one, 200)? {
        return Ok(other);
    }
    let two = ask(&mut session, "/two", 9)?;
    session.try_data(two, &Frame::text("early").masked().bytes())?;
    if let Some(other) = answer(&mut session, two, 200)? {
        return Ok(other);
    }
    assert_eq!(session.try_read(two)?, Frame::text("early"));
    let plain = get(&mut session)?;
    for text in ["hello", &"long ".repeat(30_000)] {
        for stream in [one, two] {
            session.try_data(stream, &Frame::text(text).masked().bytes())?;
            assert_eq!(session.try_read(stream)?, Frame::text(text));
        }
    }
    if let Some(other) = answer(&mut session, plain, 204)? {
        return Ok(other);
    }
    // One is closed, and the other left with the connection.
    end(&mut session, two)
}

fn connect(stage: &Stage) -> io::Result<Wire> {
    Wire::connect(stage.nginx.port_of("H2PORT"))
}

/// Begins a connection. Whether nginx tells of tunnels, which it can't without memory for them.
fn begin(wire: Wire) -> io::Result<(Session, bool)> {
    let mut session = Session::silent(wire);
    session.try_send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
    // What nginx says first comes before it answers this.
    session.try_wait(|session| session.connects.is_some())?;
    session.try_send(&frame(PING, 0, 0, b"whatever"))?;
    session.try_wait(|session| session.pongs > 0)?;
    let is_told = session.connects == Some(true);
    Ok((session, is_told))
}

/// Asks for a tunnel, with a block in two pieces if `cut` is not 0.
fn ask(session: &mut Session, path: &str, cut: usize) -> io::Result<u32> {
    let block = session.block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ]);
    let stream = session.stream();
    let (front, behind) = block.split_at(cut.min(block.len() - 1));
    if cut == 0 {
        session.try_send(&frame(HEADERS, END_HEADERS, stream, &block))?;
    } else {
        session.try_send(&frame(HEADERS, 0, stream, front))?;
        session.try_send(&frame(CONTINUATION, END_HEADERS, stream, behind))?;
    }
    Ok(stream)
}

fn get(session: &mut Session) -> io::Result<u32> {
    let block = session.block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/empty/"),
        (":authority", "localhost"),
    ]);
    let stream = session.stream();
    session.try_send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))?;
    Ok(stream)
}

/// `None` with an answer of this status.
fn answer(session: &mut Session, stream: u32, status: u16) -> io::Result<Option<Outcome>> {
    session.try_wait(|session| {
        let known = session.of(stream);
        known.status.is_some() || known.reset.is_some()
    })?;
    Ok(match session.of(stream).status {
        Some(other) if other != status => Some(Outcome::Answered(other)),
        Some(_) => None,
        None => Some(Outcome::Cut),
    })
}

/// A Close with a text, from this side.
fn end(session: &mut Session, stream: u32) -> io::Result<Outcome> {
    let close = Frame::close(1001, "going away");
    session.try_data(stream, &close.clone().masked().bytes())?;
    assert_eq!(session.try_read(stream)?, close);
    session.try_wait(|session| {
        let known = session.of(stream);
        known.is_ended || known.reset.is_some()
    })?;
    if !session.of(stream).is_ended {
        return Ok(Outcome::Cut);
    }
    // And an end of its half, which comes behind that of the stream.
    session.try_send(&frame(DATA, END_STREAM, stream, &[]))?;
    Ok(Outcome::Done)
}
