use super::*;

#[test]
fn state_is_small() {
    assert!(size_of::<Scanner>() <= 48);
}

#[test]
fn examples_of_the_rfc() {
    let text = Frame {
        opcode: Opcode::Text,
        fin: true,
        length: 5,
        message_length: 5,
        close_code: None,
        mask: [0; 4],
    };
    assert_eq!(from_server(b"\x81\x05Hello"), Ok(vec![text]));
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    assert_eq!(from_client(masked), Ok(vec![Frame { mask, ..text }]));

    let first = Frame {
        fin: false,
        length: 3,
        message_length: 3,
        ..text
    };
    let last = Frame {
        opcode: Opcode::Continuation,
        length: 2,
        ..text
    };
    assert_eq!(from_server(b"\x01\x03Hel\x80\x02lo"), Ok(vec![first, last]));

    let ping = Frame {
        opcode: Opcode::Ping,
        message_length: 0,
        ..text
    };
    assert_eq!(from_server(b"\x89\x05Hello"), Ok(vec![ping]));

    let binary = Frame {
        opcode: Opcode::Binary,
        length: 256,
        message_length: 256,
        ..text
    };
    assert_eq!(from_server(b"\x82\x7e\x01\x00"), Ok(vec![binary]));
    let binary = Frame {
        length: 65536,
        message_length: 65536,
        ..binary
    };
    assert_eq!(from_server(b"\x82\x7f\0\0\0\0\0\x01\0\0"), Ok(vec![binary]));
}

#[test]
fn control_frames_between_fragments() {
    let mut scanner = Scanner::new(false);
    let mut sizes = vec![];
    let stream = b"\x01\x02ab\x89\x00\x00\x01c\x8a\x01d\x80\x03efg\x82\x01h";
    scanner
        .scan(stream, |frame| sizes.push(frame.message_length))
        .unwrap();
    assert_eq!(sizes, [2, 0, 3, 0, 6, 1]);
    assert_eq!((scanner.frames(), scanner.messages()), (6, 2));
}

#[test]
fn close_codes() {
    assert_eq!(close_code(b"\x88\x00"), [None]);
    assert_eq!(close_code(b"\x88\x02\x03\xe8"), [Some(1000)]);
    assert_eq!(close_code(b"\x88\x05\x03\xf4bye"), [Some(1012)]);
    assert_eq!(close_code(b"\x88\x02\x03"), []);
    let masked = crate::ControlFrame::close(1001, "going").masked([9, 8, 7, 6]);
    assert_eq!(
        from_client(masked.bytes()).unwrap()[0].close_code,
        Some(1001)
    );
}

#[test]
fn invalid_streams() {
    for (stream, why) in [
        (&b"\x83"[..], "reserved opcode"),
        (b"\x8b", "reserved control opcode"),
        (b"GET /", "not frames at all"),
        (b"\x09\x00", "fragmented control frame"),
        (b"\x89\x7e\x00\x7e", "control frame of 126 bytes"),
        (b"\x88\x01\x03", "close with half a code"),
        (b"\x80\x00", "continuation of nothing"),
        (b"\x01\x00\x81\x00", "message within a message"),
        (b"\x81\x80", "masked to the client"),
    ] {
        assert_eq!(from_server(stream), Err(Invalid), "{why}");
    }
    for stream in [b"\x81\x00", b"\x82\x00", b"\x89\x00"] {
        assert_eq!(from_client(stream), Err(Invalid), "unmasked: {stream:?}");
    }
}

#[test]
fn lengths_in_longer_forms() {
    let header: &[&[u8]] = &[
        b"\x01\x7e\x00\x03",
        b"\x00\x7f\0\0\0\0\0\0\0\x03",
        b"\x80\x7e\x00\x00",
    ];
    let stream = [header[0], b"abc", header[1], b"def", header[2], b"\x89\x00"].concat();
    let frames = from_server(&stream).unwrap();
    let lengths: Vec<_> = frames.iter().map(|frame| frame.length).collect();
    assert_eq!(lengths, [3, 3, 0, 0]);
    assert_eq!(frames[2].message_length, 6);
    assert_eq!(frames[3].opcode, Opcode::Ping);
    let stream = b"\x89\xfe\x00\x01\0\0\0\0p\x8a\xff\0\0\0\0\0\0\0\x01\0\0\0\0p\x88\xfe\x00\x02\0\0\0\0\x03\xe9";
    let frames = from_client(stream).unwrap();
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| (frame.opcode, frame.close_code))
        .collect();
    assert_eq!(
        seen,
        [
            (Opcode::Ping, None),
            (Opcode::Pong, None),
            (Opcode::Close, Some(1001))
        ]
    );
    assert_eq!(
        close_code(b"\x88\x7f\0\0\0\0\0\0\0\x02\x03\xe9\x8a\x00"),
        [None, None]
    );
    assert_eq!(from_server(b"\x88\x7e\x00\x01\x03"), Err(Invalid));
}

#[test]
fn answers_in_either_masking() {
    let unmasked = b"\x8a\x02ab\x88\x04\x03\xe8ok\x8a\x80\x01\x02\x03\x04\x8a";
    let masked = crate::ControlFrame::close(4711, "ok").masked([9, 8, 7, 6]);
    for from_client in [true, false] {
        let mut scanner = Scanner::new(from_client);
        let mut codes = vec![];
        for piece in [&unmasked[..], b"\x00", masked.bytes()] {
            for byte in piece {
                scanner
                    .scan(&[*byte], |frame| codes.push(frame.close_code))
                    .unwrap();
            }
        }
        assert_eq!(codes, [None, Some(1000), None, None, Some(4711)]);
        assert!(scanner.at_boundary());
    }
}

#[test]
fn what_has_come_behind_a_frame_s_beginning() {
    let mut seen = vec![];
    Scanner::new(false)
        .scan_with(b"\x81\x02ab\x88\x04\x03\xe8ok", |frame, behind| {
            seen.push((frame.opcode, behind.to_vec()));
        })
        .unwrap();
    let close = (Opcode::Close, b"ok".to_vec());
    assert_eq!(seen[1], close);
    assert_eq!(seen[0].1, b"ab\x88\x04\x03\xe8ok");
}

#[test]
fn finds_a_frame() {
    let find = |before: &[u8], stream: &[u8]| {
        let mut scanner = Scanner::new(false);
        scanner.scan(before, |_| ()).unwrap();
        scanner.find(stream, |bytes| bytes.starts_with(b"\x8a"))
    };
    assert_eq!(find(b"", b"\x8a"), Ok(Some(0)));
    assert_eq!(find(b"", b"\x82\x02\x8a\x8a\x8a\x00"), Ok(Some(4)));
    assert_eq!(find(b"\x82\x03", b"\x8a\x8a\x8a\x8a"), Ok(Some(3)));
    assert_eq!(find(b"\x82", b"\x00\x02\x00\x8a"), Ok(Some(3)));
    // Within frames there is none, and nothing is known of what has not come.
    assert_eq!(find(b"\x82\x03", b"\x8a\x8a"), Ok(None));
    assert_eq!(find(b"\x82\x03", b"\x8a\x8a\x8a"), Ok(None));
    assert_eq!(find(b"\x82", b"\x7e\x8a"), Ok(None));
    assert_eq!(find(b"", b""), Ok(None));
    // What is found comes before what is invalid.
    assert_eq!(find(b"", b"\x82\x00\x8a\x00\xff"), Ok(Some(2)));
    assert_eq!(find(b"", b"\x82\x00\xff\x8a\x00"), Err(Invalid));
}

#[test]
fn reserved_bits_are_allowed() {
    assert_eq!(from_server(b"\xf1\x00").map(|frames| frames.len()), Ok(1));
}

#[test]
fn huge_lengths_do_not_overflow() {
    let mut scanner = Scanner::new(false);
    let mut last = 0;
    for (first, most) in [(0x02, 0x7f), (0x00, 0x7f), (0x00, 0xff)] {
        let header = [first, 0x7f, most, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        scanner
            .scan(&header, |frame| last = frame.message_length)
            .unwrap();
        scanner.remaining = 0;
    }
    assert_eq!(last, u64::MAX);
}

#[test]
fn boundaries() {
    let mut scanner = Scanner::new(false);
    assert_eq!(scanner.next_boundary(b"\x81"), Ok(Some(0)));
    for (bytes, ahead, distance) in [
        (&b"\x82"[..], &b"\x03abc\x81"[..], Some(4)),
        (b"\x03", b"ab", None),
        (b"ab", b"c", Some(1)),
        (b"c", b"", Some(0)),
        (b"\x89\x00", b"", Some(0)),
        (b"\x82\x7e\x01", b"", None),
        (b"", b"\x00", None),
    ] {
        scanner.scan(bytes, |_| ()).unwrap();
        assert_eq!(scanner.next_boundary(ahead), Ok(distance), "{bytes:?}");
        assert_eq!(scanner.at_boundary(), distance == Some(0));
    }
    assert_eq!(scanner.next_boundary(&[0; 257]), Ok(Some(257)));
}

#[test]
fn admits_messages_up_to_the_limit() {
    let admit = |stream: &[u8], limit| {
        let admitted = Scanner::new(false).admit(stream, limit).unwrap();
        (admitted.bytes, admitted.exceeded)
    };
    assert_eq!(admit(b"", 0), (0, false));
    assert_eq!(admit(b"\x82\x03abc", 3), (5, false));
    assert_eq!(admit(b"\x82\x04abcd", 3), (0, true));
    assert_eq!(admit(b"\x82\x03abc\x82\x04", 3), (5, true));
    // Only the header tells: payload need not have come.
    assert_eq!(
        admit(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 3),
        (0, true)
    );
    assert_eq!(admit(b"\x82\x03a", 3), (3, false));
    // Fragments are added up, control frames are not, and a new message begins at 0.
    assert_eq!(admit(b"\x02\x02ab\x89\x7d", 2), (6, false));
    assert_eq!(admit(b"\x02\x02ab\x89\x00\x00\x01", 2), (6, true));
    assert_eq!(admit(b"\x02\x02ab\x80\x00\x82\x02", 2), (8, false));
    assert_eq!(admit(b"\x88\x02\x03\xe8", 0), (4, false));
}

#[test]
fn messages_begin_with_their_first_frame() {
    let before = |stream: &[u8], most| Scanner::new(false).before_message(stream, most);
    assert_eq!(before(b"", 0), Ok(None));
    assert_eq!(before(b"\x82", 0), Ok(Some(0)));
    assert_eq!(before(b"\x82\x01a\x81", 1), Ok(Some(3)));
    assert_eq!(before(b"\x82\x01a\x81", 2), Ok(None));
    let fragments = b"\x89\x00\x01\x01a\x00\x00\x89\x00\x80\x00\x88\x00";
    assert_eq!(before(fragments, 0), Ok(Some(2)));
    assert_eq!(before(fragments, 1), Ok(None));
    assert_eq!(before(b"\x83", 1), Err(Invalid));
}

#[test]
fn a_message_has_begun_with_its_first_byte() {
    let mut scanner = Scanner::new(false);
    let mut begun = |bytes: &[u8]| {
        scanner.scan(bytes, |_| ()).unwrap();
        scanner.begun()
    };
    assert_eq!(begun(b""), 0);
    for piece in [&b"\x01"[..], b"\x01", b"a", b"\x80", b"\x00", b"\x89"] {
        assert_eq!(begun(piece), 1, "{piece:?}");
    }
    for piece in [&b"\x00\x82"[..], b"\x7e\x00", b"\x80", b"b"] {
        assert_eq!(begun(piece), 2, "{piece:?}");
    }
}

#[test]
fn admits_no_incomplete_header() {
    let header = b"\x82\x7f\0\0\0\0\0\x01\0\0";
    for length in 0..header.len() {
        let mut stream = b"\x89\x00".to_vec();
        stream.extend(&header[..length]);
        let admitted = Scanner::new(false).admit(&stream, 9).unwrap();
        assert_eq!((admitted.bytes, admitted.exceeded), (2, false), "{length}");
    }
    assert_eq!(Scanner::new(false).admit(b"\x89\x00\x83", 9), Err(Invalid));
}

#[test]
fn admits_the_rest_of_a_frame_that_has_begun() {
    let mut scanner = Scanner::new(false);
    scanner.scan(b"\x82\x05ab", |_| ()).unwrap();
    let admitted = scanner.admit(b"cde\x82\x05", 4).unwrap();
    assert_eq!((admitted.bytes, admitted.exceeded), (3, true));
    // Nor is the rest of a header held back whose beginning is gone.
    let mut scanner = Scanner::new(false);
    scanner.scan(b"\x82\x7e\x01", |_| ()).unwrap();
    let admitted = scanner.admit(b"\x00abc", 1000).unwrap();
    assert_eq!((admitted.bytes, admitted.exceeded), (4, false));
}

fn from_server(stream: &[u8]) -> Result<Vec<Frame>, Invalid> {
    scan(Scanner::new(false), stream)
}

fn from_client(stream: &[u8]) -> Result<Vec<Frame>, Invalid> {
    scan(Scanner::new(true), stream)
}

fn scan(mut scanner: Scanner, stream: &[u8]) -> Result<Vec<Frame>, Invalid> {
    let mut frames = vec![];
    scanner.scan(stream, |frame| frames.push(frame))?;
    Ok(frames)
}

fn close_code(stream: &[u8]) -> Vec<Option<u16>> {
    from_server(stream)
        .unwrap()
        .iter()
        .map(|frame| frame.close_code)
        .collect()
}
