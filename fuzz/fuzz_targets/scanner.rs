//! The frame scanner against a parser that is slow and has all bytes at once: the same frames,
//! places between frames and limits, however the stream is cut.
//!
//! Without a nightly compiler it runs with `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none scanner`, as
//! all of them do.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket_protocol::{Frame, Invalid, Opcode, Scanner};

fuzz_target!(|data: &[u8]| {
    let [flags, limit, cut_count, rest @ ..] = data else {
        return;
    };
    let from_client = flags & 1 != 0;
    let limit = u64::from(*limit) << (flags >> 4);
    let (cuts, stream) = rest.split_at(rest.len().min(usize::from(*cut_count)));
    let expected = parse(stream, from_client);

    scans(stream, cuts, from_client, &expected);
    finds_boundaries(stream, cuts, from_client, &expected);
    admits(stream, cuts, from_client, limit, &expected);
    counts_messages(
        stream,
        cuts,
        from_client,
        u64::from(flags >> 1 & 7),
        &expected,
    );
});

/// What a stream is, with nothing of it still to come.
struct Parsed {
    frames: Vec<Frame>,
    /// Where frames begin and end, as far as the stream goes.
    boundaries: Vec<usize>,
    valid: bool,
}

/// Section 5.2 of RFC 6455, read aloud.
fn parse(stream: &[u8], from_client: bool) -> Parsed {
    let mut parsed = Parsed {
        frames: vec![],
        boundaries: vec![0],
        valid: true,
    };
    let mut message = None;
    let mut at: u64 = 0;
    while let Some(bytes) = stream.get(at as usize..).filter(|bytes| !bytes.is_empty()) {
        match parse_header(bytes, from_client, message) {
            Ok(Some((frame, size))) => {
                if !frame.opcode.is_control() {
                    message = (!frame.fin).then_some(frame.message_length);
                }
                at = at.saturating_add(size).saturating_add(frame.length);
                parsed.frames.push(frame);
                if at <= stream.len() as u64 {
                    parsed.boundaries.push(at as usize);
                } else {
                    break;
                }
            }
            Ok(None) => break,
            Err(()) => {
                parsed.valid = false;
                break;
            }
        }
    }
    parsed
}

/// A frame and the size of its header; `None` if the header, or a Close's code, is not all there.
fn parse_header(
    bytes: &[u8],
    from_client: bool,
    message: Option<u64>,
) -> Result<Option<(Frame, u64)>, ()> {
    let byte = |index: usize| bytes.get(index).copied();
    let Some(first) = byte(0) else {
        return Ok(None);
    };
    let fin = first >= 128;
    let opcode = match first % 16 {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(()),
    };
    let control = opcode.is_control();
    if (control && !fin) || (!control && message.is_some() != (opcode == Opcode::Continuation)) {
        return Err(());
    }
    let Some(second) = byte(1) else {
        return Ok(None);
    };
    let masked = second >= 128;
    let answers = matches!(opcode, Opcode::Close | Opcode::Pong);
    if masked != from_client && !answers {
        return Err(());
    }
    let width = match second % 128 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = if width > 0 {
        0
    } else {
        u64::from(second % 128)
    };
    for index in 2..2 + width {
        let Some(byte) = byte(index) else {
            return Ok(None);
        };
        length = length << 8 | u64::from(byte);
    }
    if control && length > 125 || (opcode == Opcode::Close && length == 1) {
        return Err(());
    }
    let mut size = 2 + width;
    let mut mask = [0; 4];
    if masked {
        for place in &mut mask {
            let Some(byte) = byte(size) else {
                return Ok(None);
            };
            *place = byte;
            size += 1;
        }
    }
    let close_code = if opcode == Opcode::Close && length > 0 && width < 8 {
        let (Some(high), Some(low)) = (byte(size), byte(size + 1)) else {
            return Ok(None);
        };
        Some(u16::from(high ^ mask[0]) << 8 | u16::from(low ^ mask[1]))
    } else {
        None
    };
    let message_length = if control {
        0
    } else {
        message.unwrap_or(0).saturating_add(length)
    };
    let frame = Frame {
        opcode,
        fin,
        length,
        message_length,
        close_code,
        mask,
    };
    Ok(Some((frame, size as u64)))
}

fn pieces<'a>(mut stream: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let sizes = cuts.iter().map(|&cut| usize::from(cut)).chain([usize::MAX]);
    sizes.map(move |size| {
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        piece
    })
}

fn scans(stream: &[u8], cuts: &[u8], from_client: bool, expected: &Parsed) {
    let mut scanner = Scanner::new(from_client);
    let mut frames = vec![];
    let valid =
        pieces(stream, cuts).all(|piece| scanner.scan(piece, |frame| frames.push(frame)).is_ok());
    assert_eq!((&frames, valid), (&expected.frames, expected.valid));
    let data = frames
        .iter()
        .filter(|frame| frame.fin && !frame.opcode.is_control());
    assert_eq!(scanner.frames(), frames.len() as u64);
    assert_eq!(scanner.messages(), data.count() as u64);
}

fn finds_boundaries(stream: &[u8], cuts: &[u8], from_client: bool, expected: &Parsed) {
    let mut scanner = Scanner::new(from_client);
    let mut offset = 0;
    for piece in pieces(stream, cuts) {
        if scanner.scan(piece, |_| ()).is_err() {
            return;
        }
        offset += piece.len();
        let next = expected.boundaries.iter().find(|&&end| end >= offset);
        assert_eq!(scanner.at_boundary(), next == Some(&offset));
        match scanner.next_boundary(&stream[offset..]) {
            Ok(distance) => assert_eq!(distance, next.map(|end| end - offset)),
            Err(Invalid) => assert!(!expected.valid && next.is_none()),
        }
    }
}

fn admits(stream: &[u8], cuts: &[u8], from_client: bool, limit: u64, expected: &Parsed) {
    let too_big = expected
        .frames
        .iter()
        .position(|frame| frame.message_length > limit);
    // A Close's code counts as its header, so a boundary may be less than all of what is admitted.
    let end = too_big.and_then(|index| expected.boundaries.get(index));
    let mut scanner = Scanner::new(from_client);
    let (mut passed, mut available) = (0, 0);
    for piece in pieces(stream, cuts) {
        available += piece.len();
        let ahead = &stream[passed..available];
        let Ok(admitted) = scanner.admit(ahead, limit) else {
            assert!(!expected.valid);
            return;
        };
        scanner
            .scan(&ahead[..admitted.bytes], |frame| {
                assert!(frame.message_length <= limit)
            })
            .expect("what is admitted is valid");
        passed += admitted.bytes;
        if admitted.exceeded {
            assert_eq!(Some(&passed), end);
            return;
        }
        assert!(available - passed < 14);
    }
    assert!(too_big.is_none() || !expected.valid);
}

/// A message begins with the first byte of its first frame, and no more than so many may begin at a time.
fn counts_messages(stream: &[u8], cuts: &[u8], from_client: bool, most: u64, expected: &Parsed) {
    let is_first = |frame: &Frame| matches!(frame.opcode, Opcode::Text | Opcode::Binary);
    // Where messages begin, as far as all before them is valid.
    let starts: Vec<usize> = (expected.boundaries.iter().zip(&expected.frames))
        .filter(|(_, frame)| is_first(frame))
        .map(|(start, _)| *start)
        .collect();
    let mut scanner = Scanner::new(from_client);
    let mut offset = 0;
    for piece in pieces(stream, cuts) {
        if scanner.scan(piece, |_| ()).is_err() {
            return;
        }
        offset += piece.len();
        let begun = starts.iter().filter(|start| **start < offset).count();
        // Of one whose header is not all there it is known by its first byte.
        let known = expected.boundaries.last().filter(|start| **start < offset);
        let is_partial = known.is_some_and(|start| {
            expected.boundaries.len() > expected.frames.len()
                && matches!(stream[*start] & 15, 1 | 2)
        });
        assert_eq!(scanner.begun(), begun as u64 + u64::from(is_partial));
        let beyond = starts
            .iter()
            .filter(|start| **start >= offset)
            .nth(most as usize);
        if let Some(beyond) = beyond {
            let before = scanner.before_message(&stream[offset..], most);
            assert_eq!(before, Ok(Some(beyond - offset)));
        }
    }
}
