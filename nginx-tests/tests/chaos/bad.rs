//! Clients that break rules, or break off. What they get back does not matter.

use std::io;
use std::thread;
use std::time::Duration;

use nginx_tests::client::SAMPLE_KEY;
use nginx_tests::wire::Wire;
use nginx_tests::{Frame, Handshake, http2, patient};

use crate::backends::CHAOS;
use crate::behaviours::{self, TOKEN};
use crate::places::PLACES;
use crate::random::Random;
use crate::streams;
use crate::visits::Visit;
use crate::world::World;

type Act = fn(&mut Visit, &mut Random) -> io::Result<()>;

/// Sends a handshake, good or broken, to some place and some backend; what follows is at random.
pub fn client(world: &World, random: &mut Random) {
    let (name, act) = *random.pick(ACTS);
    world.count(name);
    if let Ok(mut visit) = Visit::begin(world, random, name.to_owned(), true) {
        visit
            .wire
            .set_read_timeout(Some(patient(Duration::from_millis(300))));
        // It ends as it ends.
        let _ = act(&mut visit, random);
    }
}

/// What a bad client may do.
const ACTS: &[(&str, Act)] = &[
    // Within the handshake.
    ("part of a head, then reset", |v, r| {
        let head = handshake(r).bytes();
        v.wire.send(&head[..r.below(head.len())])?;
        pause(r);
        reset(v)
    }),
    ("part of a head, then close", |v, r| {
        let head = handshake(r).bytes();
        v.wire.send(&head[..r.below(head.len())])
    }),
    ("head, then reset", |v, r| {
        v.wire.send(handshake(r).bytes())?;
        pause(r);
        reset(v)
    }),
    ("head, then close", |v, r| {
        v.wire.send(handshake(r).bytes())?;
        pause(r);
        Ok(())
    }),
    ("head, then half-close", |v, r| {
        v.wire.send(handshake(r).bytes())?;
        v.wire.finish()?;
        v.wire.read_to_close().map(drop)
    }),
    ("head byte by byte", |v, r| {
        handshake(r)
            .bytes()
            .chunks(1)
            .try_for_each(|byte| v.wire.send(byte))?;
        v.wire.read_to_close().map(drop)
    }),
    ("broken handshake", |v, r| {
        let broken = r.pick(BROKEN).2(handshake(r));
        v.wire.send(broken.bytes())?;
        v.wire.read_to_close().map(drop)
    }),
    ("broken handshake, then a good one", |v, r| {
        let broken = r.pick(BROKEN).2(handshake(r));
        v.wire
            .send([broken.bytes(), handshake(r).bytes()].concat())?;
        v.wire.read_to_close().map(drop)
    }),
    ("requests behind a handshake", |v, r| {
        let more = [handshake(r).bytes(), Handshake::plain("/off").bytes()].concat();
        v.wire.send([handshake(r).bytes(), more].concat())?;
        v.wire.read_to_close().map(drop)
    }),
    ("much behind a handshake", |v, r| {
        let more = Frame::binary(r.bytes(150_000)).masked().bytes();
        v.wire.send(handshake(r).body(more).bytes())?;
        v.wire.read_to_close().map(drop)
    }),
    ("plain request to a bad backend", |v, r| {
        let request = Handshake::plain(r.pick(PLACES).path).add(CHAOS, &chaos(r));
        v.wire.send(request.add(TOKEN, "none").bytes())?;
        v.wire.read_to_close().map(drop)
    }),
    ("noise", |v, r| {
        let length = 1 + r.below(10_000);
        v.wire.send(r.bytes(length))?;
        v.wire.read_to_close().map(drop)
    }),
    ("noise on the TLS port", |v, r| {
        let mut wire = Wire::connect(v.world.nginx.port_of("TLSPORT"))?;
        let noise = if r.one_in(2) {
            handshake(r).bytes()
        } else {
            r.bytes(300)
        };
        wire.send(noise)?;
        wire.set_read_timeout(Some(patient(Duration::from_millis(300))));
        wire.read_to_close().map(drop)
    }),
    ("handshake over HTTP/2", |v, r| {
        let mut wire = Wire::connect(v.world.nginx.port_of("H2PORT"))?;
        wire.set_read_timeout(Some(patient(Duration::from_millis(300))));
        let key = ("sec-websocket-key", SAMPLE_KEY);
        let headers = [
            key,
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
        ];
        let count = r.below(headers.len() + 1);
        // An nginx without the module would try to make a tunnel of it, with an alert.
        let on: Vec<_> = PLACES.iter().filter(|place| place.is_on()).collect();
        http2::get(&mut wire, r.pick(&on).path, &headers[..count]).map(drop)
    }),
    ("many on a connection of HTTP/2", |v, r| {
        let mut wire = Wire::connect(v.world.nginx.port_of("H2PORT"))?;
        wire.set_read_timeout(Some(patient(Duration::from_millis(300))));
        streams::many(&mut wire, r)
    }),
    // Within the tunnel.
    ("reset", |v, r| {
        open(v, r)?;
        reset(v)
    }),
    ("message, then reset", |v, r| {
        open(v, r)?;
        v.wire
            .send(Frame::binary(r.bytes(200_000)).masked().bytes())?;
        reset(v)
    }),
    ("message, then close", |v, r| {
        open(v, r)?;
        v.wire.send(Frame::binary(r.bytes(70_000)).masked().bytes())
    }),
    ("message, then half-close", |v, r| {
        open(v, r)?;
        v.wire.send(Frame::text("last words").masked().bytes())?;
        v.wire.finish()?;
        v.wire.read_to_close().map(drop)
    }),
    ("flood", |v, r| {
        open(v, r)?;
        v.wire.set_write_timeout(Some(Duration::from_millis(500)));
        let frame = Frame::binary(r.bytes(50_000)).masked().bytes();
        (0..1 + r.below(60)).try_for_each(|_| v.wire.send(&frame))
    }),
    ("slow reader", |v, r| {
        open(v, r)?;
        let frame = Frame::binary(r.bytes(20_000)).masked().bytes();
        v.wire.send(frame.repeat(5))?;
        for _ in 0..20 {
            v.wire.read_bytes(1 + r.below(3_000))?;
            pause(r);
        }
        if r.one_in(2) { reset(v) } else { Ok(()) }
    }),
    ("never reads", |v, r| {
        open(v, r)?;
        (0..8).for_each(|_| pause(r));
        Ok(())
    }),
    ("reads all, says nothing", |v, r| {
        open(v, r)?;
        v.wire.read_to_close().map(drop)
    }),
    // Longer than a worker that is to exit may stay.
    ("stays until the end", |v, r| {
        open(v, r)?;
        v.wire
            .set_read_timeout(Some(patient(Duration::from_secs(6))));
        v.wire.read_to_close().map(drop)
    }),
    ("cut frame", |v, r| {
        open(v, r)?;
        let frame = Frame::binary(r.bytes(3_000)).masked().bytes();
        v.wire.send(&frame[..r.below(frame.len())])?;
        pause(r);
        Ok(())
    }),
    ("broken frames", |v, r| {
        open(v, r)?;
        let frames: Vec<_> = (0..1 + r.below(4)).flat_map(|_| broken_frame(r)).collect();
        v.wire.send(frames)?;
        v.wire.read_to_close().map(drop)
    }),
    ("noise in a tunnel", |v, r| {
        open(v, r)?;
        let length = 1 + r.below(30_000);
        v.wire.send(r.bytes(length))?;
        v.wire.read_to_close().map(drop)
    }),
    ("pings", |v, r| {
        open(v, r)?;
        v.wire
            .send(Frame::new(9, "ping").masked().bytes().repeat(300))?;
        v.wire.read_bytes(100).map(drop)
    }),
    ("bytes one by one", |v, r| {
        open(v, r)?;
        let frames = [
            Frame::text("one by one"),
            Frame::new(9, ""),
            Frame::close(1000, ""),
        ];
        let bytes = frames.map(|frame| frame.masked().bytes()).concat();
        bytes.chunks(1).try_for_each(|byte| v.wire.send(byte))?;
        v.wire.read_to_close().map(drop)
    }),
    ("Close, then close", |v, r| {
        open(v, r)?;
        v.wire.send(Frame::close(1001, "").masked().bytes())
    }),
    ("Close, then more", |v, r| {
        open(v, r)?;
        let frames = [
            Frame::close(1000, ""),
            Frame::text("more"),
            Frame::close(1000, ""),
        ];
        v.wire
            .send(frames.map(|frame| frame.masked().bytes()).concat())?;
        v.wire.read_to_close().map(drop)
    }),
    // What nginx knows of all this.
    ("status, then reset", |v, r| {
        let format = r.pick(&["html", "json", "prometheus"]);
        let request = Handshake::plain(&format!("/zone/?format={format}"));
        v.wire.send(request.bytes())?;
        v.wire.read_bytes(1 + r.below(3_000))?;
        reset(v)
    }),
    ("close tunnels by a request", |v, r| {
        let over = r.below(300);
        let target = format!("/zone/close?label=doomed&code=1001&over={over}ms");
        let request = Handshake::plain(&target).method("POST");
        v.wire
            .send(request.add("X-WebSocket-Control", "1").bytes())?;
        v.wire.read_message().map(drop)
    }),
];

type Edit = fn(Handshake) -> Handshake;

/// Every way to break a handshake, and what a strict place answers.
const BROKEN: &[(&str, u16, Edit)] = &[
    ("POST", 405, |h| h.method("POST").add("Content-Length", "0")),
    ("HEAD", 405, |h| h.method("HEAD")),
    ("HTTP/1.0", 400, |h| h.version("HTTP/1.0")),
    ("no upgrade", 200, |h| h.without("Upgrade")),
    ("another upgrade", 400, |h| h.set("Upgrade", "h2c")),
    ("no connection", 400, |h| h.without("Connection")),
    ("another connection", 400, |h| h.set("Connection", "close")),
    ("no key", 400, |h| h.without("Sec-WebSocket-Key")),
    ("short key", 400, |h| h.set("Sec-WebSocket-Key", "short")),
    ("two keys", 400, |h| h.add("Sec-WebSocket-Key", SAMPLE_KEY)),
    ("no version", 400, |h| h.without("Sec-WebSocket-Version")),
    ("another version", 426, |h| {
        h.set("Sec-WebSocket-Version", "8")
    }),
    ("bad protocol", 400, |h| {
        h.add("Sec-WebSocket-Protocol", "a,,(b)")
    }),
    ("bad extension", 400, |h| {
        h.add("Sec-WebSocket-Extensions", "a;;=")
    }),
    ("a body", 400, |h| {
        h.add("Content-Length", "5").body("hello")
    }),
    ("chunks", 400, |h| {
        h.add("Transfer-Encoding", "chunked").body("0\r\n\r\n")
    }),
];

/// Broken handshakes at a strict place, where the answer does matter.
pub fn broken(world: &World, random: &mut Random) {
    let (name, status, edit) = *random.pick(BROKEN);
    let errand = format!("a handshake with {name}");
    let Ok(mut visit) = Visit::begin(world, random, errand, true) else {
        return;
    };
    let sent = visit.wire.send(edit(Handshake::new("/strict")).bytes());
    match sent.and_then(|()| visit.wire.read_head()) {
        Ok(head) if head.status() == status => world.count("refused"),
        Ok(head) => world.wrong(
            format!("a handshake with {name} got {}", head.status()),
            head.text(),
        ),
        Err(_) if visit.may_be_old() => world.count("cut off by a reload"),
        Err(error) => world.wrong(
            format!("a handshake with {name} got nothing"),
            error.to_string(),
        ),
    }
}

fn handshake(random: &mut Random) -> Handshake {
    let handshake = Handshake::new(random.pick(PLACES).path).add(CHAOS, &chaos(random));
    match random.below(8) {
        0 => handshake.add("Sec-WebSocket-Protocol", "chat, superchat"),
        1 => handshake.add(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        2 => handshake.add("Origin", "https://elsewhere.example"),
        3 => handshake.add("Expect", "100-continue"),
        4 => handshake.add("Cookie", &"c".repeat(random.below(9_000))),
        _ => handshake,
    }
}

/// Sends a handshake and waits for the head of an answer, whatever it is.
fn open(visit: &mut Visit, random: &mut Random) -> io::Result<()> {
    visit.wire.send(handshake(random).bytes())?;
    visit.wire.read_head().map(drop)
}

pub fn chaos(random: &mut Random) -> String {
    format!("{} {}", random.pick(&behaviours::names()), random.next())
}

pub fn broken_frame(random: &mut Random) -> Vec<u8> {
    let text = Frame::text("text").masked();
    match random.below(10) {
        0 => Frame::text("unmasked").bytes(),
        1 => Frame::new(3, "reserved").masked().bytes(),
        2 => Frame::new(9, vec![0; 200]).masked().bytes(),
        3 => Frame::new(9, "fragment").unfinished().masked().bytes(),
        4 => Frame::new(0, "begins nothing").masked().bytes(),
        5 => [text.clone().unfinished().bytes(), text.bytes()].concat(),
        6 => Frame::new(8, "x").masked().bytes(),
        7 => b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff1234".to_vec(),
        8 => b"\x82\xfe\x00\x051234hello".to_vec(),
        _ => {
            let mut bytes = text.bytes();
            bytes[0] |= 0x70;
            bytes
        }
    }
}

/// The only wait for a time: what a slow client does.
pub fn pause(random: &mut Random) {
    thread::sleep(Duration::from_millis(random.below(60) as u64));
}

fn reset(visit: &mut Visit) -> io::Result<()> {
    visit.wire.reset();
    Ok(())
}
