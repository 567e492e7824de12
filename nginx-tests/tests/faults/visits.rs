//! What clients do, from their connection to its end.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use nginx_tests::http::Head;
use nginx_tests::wire::Wire;
use nginx_tests::{DEADLINE, Frame, Handshake, patient};

use crate::stage::{MB, Stage};

/// What came of a visit.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was to be done.
    Done,
    /// The same, but for what the module sends of its own.
    Bare,
    /// Another answer than wanted, and a whole one.
    Answered(u16),
    /// The connection was closed.
    Cut,
}

/// A visit of one client. An error is the end of its connection; one that is kept waiting panics.
pub type Visit = fn(&Stage) -> io::Result<Outcome>;

/// What came of it, where an error is an end of the connection.
#[track_caller]
pub fn outcome(visit: Visit, stage: &Stage) -> Outcome {
    match visit(stage) {
        Ok(outcome) => outcome,
        Err(error) => {
            assert!(!is_waiting(&error), "a client waits in vain");
            Outcome::Cut
        }
    }
}

fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

pub fn plain(stage: &Stage) -> io::Result<Outcome> {
    talk(connect(stage)?, "/")
}

/// A tunnel with all that it can have, both sides of which are sent Pings.
pub fn all(stage: &Stage) -> io::Result<Outcome> {
    let mut wire = connect(stage)?;
    if let Some(other) = shake_hands(&mut wire, &Handshake::new("/all/"), 101)? {
        return Ok(other);
    }
    // Without memory for the tunnel nginx carries it by itself, and no Ping comes.
    wire.set_read_timeout(Some(patient(2 * DELAY)));
    let is_asked = match wire.read_frame() {
        Ok(ping) => {
            assert_eq!(ping.opcode, 9);
            wire.send(Frame::new(10, ping.payload).masked().bytes())?;
            true
        }
        Err(error) if is_waiting(&error) => false,
        Err(error) => return Err(error),
    };
    wire.set_read_timeout(Some(*DEADLINE));
    match go_on_talking(wire)? {
        Outcome::Done if !is_asked => Ok(Outcome::Bare),
        outcome => Ok(outcome),
    }
}

/// Two large messages on their way to a client that takes them, one of which it has sent itself.
pub fn large(stage: &Stage) -> io::Result<Outcome> {
    flood(stage, "/large/flood")
}

/// The same without large buffers.
pub fn small(stage: &Stage) -> io::Result<Outcome> {
    flood(stage, "/small/flood")
}

pub fn tls(stage: &Stage) -> io::Result<Outcome> {
    talk(connect_tls(stage)?, "/")
}

pub fn tls_on_both_sides(stage: &Stage) -> io::Result<Outcome> {
    talk(connect_tls(stage)?, "/tls/")
}

/// nginx's own loop.
pub fn own_loop(stage: &Stage) -> io::Result<Outcome> {
    talk(connect(stage)?, "/loop/")
}

/// The second of two upstreams takes it.
pub fn second(stage: &Stage) -> io::Result<Outcome> {
    talk(connect(stage)?, "/second/")
}

/// A tunnel with a line of its own in a file of its own.
pub fn logged(stage: &Stage) -> io::Result<Outcome> {
    talk(connect(stage)?, "/logged/?name=own")
}

/// No upstream takes it.
pub fn down(stage: &Stage) -> io::Result<Outcome> {
    fail(stage, Handshake::new("/down/"), 502)
}

pub fn bad_origin(stage: &Stage) -> io::Result<Outcome> {
    let handshake = Handshake::new("/origin/").add("Origin", "https://evil.example");
    fail(stage, handshake, 403)
}

pub fn bad_version(stage: &Stage) -> io::Result<Outcome> {
    let handshake = Handshake::new("/strict/").set("Sec-WebSocket-Version", "8");
    fail(stage, handshake, 426)
}

/// The upstream refuses it, and says why.
pub fn refused(stage: &Stage) -> io::Result<Outcome> {
    fail(stage, Handshake::new("/hinted/refuse"), 404)
}

/// The same with a page of nginx's in place of the upstream's.
pub fn refused_with_a_page(stage: &Stage) -> io::Result<Outcome> {
    fail(stage, Handshake::new("/page/refuse"), 404)
}

/// The upstream answers another handshake.
pub fn wrong_accept(stage: &Stage) -> io::Result<Outcome> {
    fail(stage, Handshake::new("/wrong"), 502)
}

/// What there is to see, in every format.
pub fn status(stage: &Stage) -> io::Result<Outcome> {
    for target in [
        "/status/?format=json&sort=age",
        "/status/?format=prometheus",
        "/status/",
    ] {
        let request = Handshake::plain(target)
            .add("Accept", "text/html")
            .add("Connection", "close");
        let mut wire = connect(stage)?;
        if let Some(other) = ask(&mut wire, &request, 200)? {
            return Ok(other);
        }
    }
    Ok(Outcome::Done)
}

/// A tunnel that is closed on request.
pub fn closing(stage: &Stage) -> io::Result<Outcome> {
    let mut tunnel = connect(stage)?;
    if let Some(other) = shake_hands(&mut tunnel, &Handshake::new("/"), 101)? {
        return Ok(other);
    }
    let close = Handshake::plain("/status/close?older=0&reason=bye")
        .method("POST")
        .add("X-WebSocket-Control", "1")
        .add("Connection", "close");
    loop {
        let mut wire = connect(stage)?;
        match ask(&mut wire, &close, 200)? {
            // There were so many within a second.
            Some(Outcome::Answered(429)) => thread::sleep(Duration::from_millis(20)),
            Some(other) => return Ok(other),
            None => break,
        }
    }
    // Without memory for the Close the worker closes nothing.
    tunnel.set_read_timeout(Some(patient(2 * DELAY)));
    let outcome = match tunnel.read_frame() {
        Ok(frame) => {
            assert_eq!(frame, Frame::close(1012, "bye"));
            tunnel.send(frame.masked().bytes())?;
            Outcome::Done
        }
        Err(error) if is_waiting(&error) => {
            tunnel.send(Frame::close(1000, "").masked().bytes())?;
            Outcome::Bare
        }
        Err(error) => return Err(error),
    };
    tunnel.set_read_timeout(Some(*DEADLINE));
    tunnel.read_to_close()?;
    Ok(outcome)
}

/// How long it takes a worker to hear of it.
const DELAY: Duration = Duration::from_millis(500);

fn connect(stage: &Stage) -> io::Result<Wire> {
    Wire::connect(stage.nginx.port())
}

fn connect_tls(stage: &Stage) -> io::Result<Wire> {
    Wire::connect_tls(stage.nginx.port_of("TLSPORT"), &stage.certificate)
}

/// A handshake that gets this answer in place of a tunnel.
fn fail(stage: &Stage, handshake: Handshake, status: u16) -> io::Result<Outcome> {
    let mut wire = connect(stage)?;
    let handshake = handshake.set("Connection", "Upgrade, close");
    Ok(ask(&mut wire, &handshake, status)?.unwrap_or(Outcome::Done))
}

/// A tunnel that carries a message each way and a Close with a text.
fn talk(mut wire: Wire, target: &str) -> io::Result<Outcome> {
    if let Some(other) = shake_hands(&mut wire, &Handshake::new(target), 101)? {
        return Ok(other);
    }
    go_on_talking(wire)
}

fn go_on_talking(mut wire: Wire) -> io::Result<Outcome> {
    for text in ["hello", &"long ".repeat(30_000)] {
        wire.send(Frame::text(text).masked().bytes())?;
        assert_eq!(read_message(&mut wire)?, Frame::text(text));
    }
    end(wire)
}

fn flood(stage: &Stage, target: &str) -> io::Result<Outcome> {
    let mut wire = connect(stage)?;
    if let Some(other) = shake_hands(&mut wire, &Handshake::new(target), 101)? {
        return Ok(other);
    }
    assert_eq!(wire.read_frame()?, Frame::binary(vec![7; 2 * MB]));
    let message = Frame::binary(vec![3; MB]);
    wire.send(message.clone().masked().bytes())?;
    assert_eq!(wire.read_frame()?, message);
    end(wire)
}

/// A Close with a text, from this side.
fn end(mut wire: Wire) -> io::Result<Outcome> {
    let close = Frame::close(1001, "going away");
    wire.send(close.clone().masked().bytes())?;
    // Behind it nothing more is sent, so Pings stay without an answer.
    loop {
        let frame = wire.read_frame()?;
        if frame.opcode != 9 {
            assert_eq!(frame, close);
            break;
        }
    }
    wire.read_to_close()?;
    Ok(Outcome::Done)
}

/// The next frame that is no Ping.
fn read_message(wire: &mut Wire) -> io::Result<Frame> {
    loop {
        let frame = wire.read_frame()?;
        if frame.opcode != 9 {
            return Ok(frame);
        }
        wire.send(Frame::new(10, frame.payload).masked().bytes())?;
    }
}

/// `None` with a head of this status, which is all that is read.
fn shake_hands(wire: &mut Wire, handshake: &Handshake, status: u16) -> io::Result<Option<Outcome>> {
    let head = send(wire, handshake)?;
    if head.status() == status {
        return Ok(None);
    }
    answered(wire, &head).map(Some)
}

/// `None` with a whole answer of this status.
fn ask(wire: &mut Wire, request: &Handshake, status: u16) -> io::Result<Option<Outcome>> {
    let head = send(wire, request)?;
    let outcome = answered(wire, &head)?;
    Ok(Some(outcome).filter(|outcome| *outcome != Outcome::Answered(status)))
}

fn send(wire: &mut Wire, request: &Handshake) -> io::Result<Head> {
    wire.send(request.bytes())?;
    wire.read_head()
}

fn answered(wire: &mut Wire, head: &Head) -> io::Result<Outcome> {
    wire.read_body(head)?;
    Ok(Outcome::Answered(head.status()))
}
