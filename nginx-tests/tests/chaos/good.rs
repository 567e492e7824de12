//! Clients that do all as they should, and look closely at what they get.

use std::collections::VecDeque;
use std::io;

use nginx_tests::client::SAMPLE_ACCEPT;
use nginx_tests::http::Head;
use nginx_tests::{Frame, Handshake};

use crate::accounts;
use crate::behaviours::TOKEN;
use crate::places::{PLACES, Place, Right};
use crate::random::Random;
use crate::visits::Visit;
use crate::world::World;

/// Why an errand came to no good end.
enum Fault {
    /// The connection ended, or nothing came in time.
    Ended(io::Error),
    /// What came is wrong.
    Wrong(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Ended(error)
    }
}

type Outcome<T = ()> = Result<T, Fault>;

/// A handshake somewhere, and a tunnel where there is to be one.
pub fn tunnel(world: &World, random: &mut Random) {
    let place = random.pick(PLACES);
    let may_be_http2 = place.is_same_over_http2();
    errand(
        world,
        random,
        (place, may_be_http2),
        "tunnel",
        |visit, random| {
            if random.one_in(4) {
                // A request before it on the same connection.
                ask(visit, place, token(random))?;
            }
            let token = token(random);
            let mut sent = VecDeque::new();
            let early: Vec<u8> = if random.one_in(3) {
                message(random, &mut sent)
            } else {
                Vec::new()
            };
            let early_frames = sent.len();
            let target = accounts::target(place, &token);
            let bytes = Handshake::new(&target)
                .add(TOKEN, &token)
                .body(early)
                .bytes();
            let head = send_in_pieces(visit, random, &bytes).and_then(|()| visit.wire.read_head());
            let head = match head {
                // Behind an answer that makes no tunnel, frames are no request: nginx closes on them.
                Err(_)
                    if early_frames > 0
                        && !place.handshake.iter().any(|right| right.is_tunnel()) =>
                {
                    return Ok(());
                }
                head => head?,
            };
            let right = judge(visit, place.handshake, &head, &token)?;
            // nginx's own loop writes what the client sends over the request line that is to be logged,
            // where frames came with the head.
            if early_frames == 0 || !right.is_tunnel() || matches!(right, Right::Tunnel(_)) {
                visit.world.accounts.note(token, place, Some(right));
            }
            match right {
                _ if !right.is_tunnel() => Ok(()),
                _ => carry(visit, random, right, sent),
            }
        },
    );
}

/// Plain requests, one after the other on one connection.
pub fn plain(world: &World, random: &mut Random) {
    let place = random.pick(PLACES);
    errand(world, random, (place, false), "plain", |visit, random| {
        for _ in 0..1 + random.below(3) {
            ask(visit, place, token(random))?;
        }
        Ok(())
    });
}

fn errand(
    world: &World,
    random: &mut Random,
    (place, may_be_http2): (&Place, bool),
    what: &str,
    run: impl FnOnce(&mut Visit, &mut Random) -> Outcome,
) {
    let described = format!("{what} {}", place.path);
    let mut visit = match Visit::begin(world, random, described, may_be_http2) {
        Ok(visit) => visit,
        Err(_) if world.is_deadly() => return world.count("killed while connecting"),
        Err(error) => return world.wrong("connecting".into(), error.to_string()),
    };
    world.count(what);
    let (what, details) = match run(&mut visit, random) {
        Ok(()) => return,
        Err(Fault::Ended(_)) if visit.may_be_old() => return world.count("cut off by a reload"),
        Err(Fault::Ended(error)) => ("the connection ended".to_owned(), error.to_string()),
        Err(Fault::Wrong(what)) => what
            .split_once(": ")
            .map(|(what, details)| (what.to_owned(), details.to_owned()))
            .unwrap_or((what, String::new())),
    };
    let received = visit.wire.record();
    let received = received.lock().unwrap();
    let start = String::from_utf8_lossy(&received[..received.len().min(300)]).into_owned();
    world.wrong(
        format!("{} {what}", place.path),
        format!("{details} {start:?}"),
    );
}

fn token(random: &mut Random) -> String {
    format!("{:016x}", random.next())
}

fn ask(visit: &mut Visit, place: &'static Place, token: String) -> Outcome {
    let target = accounts::target(place, &token);
    visit
        .wire
        .send(Handshake::plain(&target).add(TOKEN, &token).bytes())?;
    let head = visit.wire.read_head()?;
    let right = judge(visit, place.plain, &head, &token)?;
    if matches!(right, Right::Status(_)) {
        visit.wire.read_body(&head)?;
    }
    visit.world.accounts.note(token, place, None);
    Ok(())
}

/// Finds the right answer that this is; the body of a plain one is read and looked at.
fn judge(visit: &mut Visit, rights: &[Right], head: &Head, token: &str) -> Outcome<Right> {
    let status = head.status();
    let is = |right: &&Right| match right {
        Right::Plain | Right::Elsewhere => status == 200,
        Right::Status(other) => status == *other,
        _ => status == 101,
    };
    let Some(right) = rights.iter().find(is) else {
        return Err(Fault::Wrong(format!(
            "answered {status}: instead of {rights:?}"
        )));
    };
    visit.world.count(&format!("answer {status}"));
    if status == 101 && head.header("Sec-WebSocket-Accept") != Some(SAMPLE_ACCEPT) {
        return Err(Fault::Wrong(
            "has a wrong accept: ".to_owned() + &head.text(),
        ));
    }
    if status == 200 && visit.wire.read_body(head)? != token.as_bytes() {
        return Err(Fault::Wrong("gave another's body: ".to_owned() + token));
    }
    Ok(*right)
}

/// Sends messages and takes each back, until enough is done or nginx ends it rightly.
fn carry(visit: &mut Visit, random: &mut Random, right: Right, sent: VecDeque<Frame>) -> Outcome {
    visit.world.count("established");
    match converse(visit, random, right, sent) {
        Err(Fault::Ended(error)) => match right {
            Right::Cut | Right::GivenUp(_) => Ok(()),
            Right::Loop | Right::Foreign => Err(Fault::Ended(error)),
            _ if visit.world.is_deadly() => Err(Fault::Ended(error)),
            _ => Err(Fault::Wrong(format!(
                "ended a tunnel without Close: {error}"
            ))),
        },
        outcome => outcome,
    }
}

fn converse(
    visit: &mut Visit,
    random: &mut Random,
    right: Right,
    mut sent: VecDeque<Frame>,
) -> Outcome {
    for _ in 0..random.below(5) {
        let bytes = message(random, &mut sent);
        // Where nginx has closed, what it said before is still there to be read.
        let written = send_in_pieces(visit, random, &bytes);
        if written.is_ok() && random.one_in(3) {
            continue;
        }
        if receive(visit, right, &mut sent, false)? {
            return Ok(());
        }
    }
    if receive(visit, right, &mut sent, false)? {
        return Ok(());
    }
    if random.one_in(2) {
        visit
            .wire
            .send(Frame::close(1000, "done").masked().bytes())?;
        receive(visit, right, &mut sent, true)?;
        visit.world.count("closed politely");
    }
    Ok(())
}

/// Takes frames until all that was sent is back, or until a Close and the end of the connection:
/// then it is true.
fn receive(
    visit: &mut Visit,
    right: Right,
    sent: &mut VecDeque<Frame>,
    closing: bool,
) -> Outcome<bool> {
    while closing || !sent.is_empty() {
        let frame = visit.wire.read_frame()?;
        match frame.opcode {
            8 => {
                check_close(visit, right, &frame, closing)?;
                if !closing {
                    let _ = visit.wire.send(frame.masked().bytes());
                }
                // A reset where it did not wait for the answer.
                let rest = visit.wire.read_to_close().unwrap_or_default();
                if !rest.is_empty() {
                    return Err(Fault::Wrong(format!("sent more after a Close: {rest:?}")));
                }
                return Ok(true);
            }
            9 => visit
                .wire
                .send(Frame::new(10, frame.payload).masked().bytes())?,
            10 => (),
            _ if sent.front() == Some(&frame) => drop(sent.pop_front()),
            opcode => {
                let (length, expected) = (
                    frame.payload.len(),
                    sent.front().map(|frame| frame.payload.len()),
                );
                return Err(Fault::Wrong(format!(
                    "gave other bytes back: opcode {opcode} of {length} bytes instead of {expected:?}"
                )));
            }
        }
    }
    Ok(false)
}

fn check_close(visit: &Visit, right: Right, close: &Frame, closing: bool) -> Outcome {
    let code = close.close_code();
    visit.world.count(&format!("Close {code:?}"));
    match (right, code) {
        (_, Some(1000)) if closing => Ok(()),
        (Right::GivenUp(also), Some(code)) if also == code => Ok(()),
        (Right::Tunnel(_) | Right::GivenUp(_), Some(1012)) if visit.may_be_old() => Ok(()),
        (Right::Tunnel(also), code) if also == code && code.is_some() => Ok(()),
        _ => Err(Fault::Wrong(format!(
            "sent a Close {code:?}: closing {closing}"
        ))),
    }
}

/// The bytes of a message in one frame or several; adds these to what is to come back.
fn message(random: &mut Random, sent: &mut VecDeque<Frame>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fragments = 1 + random.below(6).saturating_sub(3);
    for fragment in 0..fragments {
        let length = random.length(100_000 / fragments);
        let mut frame = Frame::new(if fragment == 0 { 2 } else { 0 }, random.bytes(length));
        frame.fin = fragment + 1 == fragments;
        bytes.extend(frame.clone().masked().bytes());
        sent.push_back(frame);
    }
    bytes
}

fn send_in_pieces(visit: &mut Visit, random: &mut Random, bytes: &[u8]) -> io::Result<()> {
    if random.one_in(2) {
        return visit.wire.send(bytes);
    }
    let (first, rest) = bytes.split_at(random.below(bytes.len() + 1));
    let (second, third) = rest.split_at(rest.len().min(random.below(40)));
    [first, second, third]
        .iter()
        .try_for_each(|piece| visit.wire.send(piece))
}
