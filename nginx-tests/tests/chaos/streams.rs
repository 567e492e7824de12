//! A client of HTTP/2 with several tunnels and requests on one connection, that does as it likes.

use std::io;

use nginx_tests::Frame;
use nginx_tests::http2::session::PADDED;
use nginx_tests::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    block, frame, initial_window,
};
use nginx_tests::wire::Wire;

use crate::backends::CHAOS;
use crate::bad::{broken_frame, chaos, pause};
use crate::places::PLACES;
use crate::random::Random;

/// The largest that a server takes if it says nothing of it.
const LARGEST: usize = 16_384;

/// Opens streams, and does this and that on them. Knows nothing of what comes back.
pub fn many(wire: &mut Wire, random: &mut Random) -> io::Result<()> {
    let window = *random.pick(&[0, 1, 1_000, 65_535, 1_000_000]);
    wire.send(PREFACE)?;
    wire.send(frame(SETTINGS, 0, 0, &initial_window(window)))?;
    let streams: Vec<u32> = (0..1 + random.below(8)).map(|n| 2 * n as u32 + 1).collect();
    for &stream in &streams {
        wire.send(opening(stream, random))?;
        let acts: Vec<u8> = (0..random.below(4))
            .flat_map(|_| act(stream, random))
            .collect();
        wire.send(acts)?;
    }
    for _ in 0..random.below(20) {
        let stream = *random.pick(&streams);
        wire.send(act(stream, random))?;
        match random.below(4) {
            0 => pause(random),
            1 => drop(wire.read_bytes(random.below(3_000))?),
            _ => (),
        }
    }
    match random.below(4) {
        0 => wire.reset(),
        1 => (),
        _ => drop(wire.read_to_close()?),
    }
    Ok(())
}

/// A WebSocket or a request, to some place and some backend.
fn opening(stream: u32, random: &mut Random) -> Vec<u8> {
    // An nginx without the module would try to make a tunnel of a 101 to a request, with an alert.
    let on: Vec<_> = PLACES.iter().filter(|place| place.is_on()).collect();
    let (path, chaos) = (random.pick(&on).path, chaos(random));
    let name = CHAOS.to_ascii_lowercase();
    let rest = [
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        (&name, &chaos),
    ];
    if random.one_in(4) {
        let fields = block(&[&[(":method", "GET")], &rest[..]].concat());
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields);
    }
    let first = [(":method", "CONNECT"), (":protocol", "websocket")];
    let version = *random.pick(&["13", "13", "13", "8"]);
    let version = [("sec-websocket-version", version)];
    let fields = block(&[&first[..], &rest, &version].concat());
    let end = if random.one_in(8) { END_STREAM } else { 0 };
    frame(HEADERS, END_HEADERS | end, stream, &fields)
}

/// Something on a stream, or on all of the connection.
fn act(stream: u32, random: &mut Random) -> Vec<u8> {
    let length = random.length(30_000);
    let message = Frame::binary(random.bytes(length)).masked().bytes();
    match random.below(12) {
        0 => frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        1 => data(stream, &Frame::close(1000, "").masked().bytes(), END_STREAM),
        2 => data(stream, &Frame::close(1000, "").masked().bytes(), 0),
        3 => data(stream, &broken_frame(random), 0),
        4 => data(stream, &message[..random.below(message.len())], 0),
        5 => frame(DATA, END_STREAM, stream, &[]),
        6 => frame(
            DATA,
            PADDED,
            stream,
            &[&[3], &b"\x81\x80key!"[..], &[0; 3]].concat(),
        ),
        7 => frame(PING, 0, 0, &[7; 8]).repeat(1 + random.below(30)),
        8 => frame(
            SETTINGS,
            0,
            0,
            &initial_window(random.below(100_000) as u32),
        ),
        9 => frame(
            WINDOW_UPDATE,
            0,
            stream * random.below(2) as u32,
            &70_000_u32.to_be_bytes(),
        ),
        _ => data(stream, &message, 0),
    }
}

/// Bytes in frames of HTTP/2, the last with these flags.
fn data(stream: u32, bytes: &[u8], flags: u8) -> Vec<u8> {
    let last = bytes.len().div_ceil(LARGEST).max(1) - 1;
    let pieces = bytes.chunks(LARGEST).enumerate();
    let framed =
        pieces.map(|(n, piece)| frame(DATA, if n == last { flags } else { 0 }, stream, piece));
    framed.collect::<Vec<_>>().concat()
}
