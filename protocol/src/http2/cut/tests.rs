use super::*;

const LIMIT: u32 = 1000;

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let header = FrameHeader {
        length,
        kind,
        flags,
        stream,
    };
    [&header.bytes(), payload].concat()
}

fn at_boundary() -> Cutter {
    Cutter::at_boundary(LIMIT)
}

/// Whether it all is the server's at once.
fn is_theirs(bytes: &[u8]) -> bool {
    let mut cutter = at_boundary();
    cutter.next(bytes, |stream| stream == 1) == Cut::Theirs(bytes)
        && cutter.state == State::Boundary
}

const END: u8 = FrameHeader::END_HEADERS;
const CONNECT: &[u8] = b"\x42\x07CONNECT\x41\x01a";

#[test]
fn the_preface_is_the_servers() {
    let mut cutter = Cutter::new(LIMIT);
    assert_eq!(
        cutter.next(&PREFACE[..20], |_| true),
        Cut::Theirs(&PREFACE[..20])
    );
    let rest = [&PREFACE[20..], &frame(Kind::SETTINGS, 0, 0, b"")].concat();
    assert_eq!(cutter.next(&rest, |_| true), Cut::Theirs(&rest));
    assert_eq!(cutter.state, State::Boundary);
}

#[test]
fn behind_another_preface_nothing_is_ours() {
    let mut cutter = Cutter::new(LIMIT);
    let bytes = [&b"PRI * HTTP/1.1\r\n"[..], &frame(Kind::DATA, 0, 1, b"x")].concat();
    assert_eq!(cutter.next(&bytes, |_| true), Cut::Theirs(&bytes));
    assert_eq!(cutter.next(&bytes, |_| true), Cut::Theirs(&bytes));
}

#[test]
fn frames_of_others_are_the_servers_at_once() {
    let frames = [
        frame(Kind::HEADERS, END, 3, b"\x82\x84\x87"),
        frame(Kind::DATA, 0, 3, b"body"),
        frame(Kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(Kind::RST_STREAM, 0, 1, &[0; 4]),
        frame(Kind(0xfa), 0xff, 1, b"whatever"),
    ]
    .concat();
    assert!(is_theirs(&frames));
}

#[test]
fn a_block_is_decided_upon_as_early_as_can_be() {
    let whole = frame(Kind::HEADERS, END, 3, b"\x82\x84\x87");
    let mut cutter = at_boundary();
    assert_eq!(cutter.next(&whole[..9], |_| true), Cut::More);
    assert_eq!(
        cutter.next(&whole[..10], |_| true),
        Cut::Theirs(&whole[..10])
    );
    assert_eq!(
        cutter.next(&whole[10..], |_| true),
        Cut::Theirs(&whole[10..])
    );
}

#[test]
fn a_block_that_may_ask_for_a_tunnel_is_given_as_a_whole() {
    let whole = frame(Kind::HEADERS, END | FrameHeader::END_STREAM, 3, CONNECT);
    let bytes = [&whole[..], b"more"].concat();
    let block = Cut::Block(Block {
        stream: 3,
        is_last: true,
        frames: &whole,
    });
    let mut cutter = at_boundary();
    for end in 0..whole.len() {
        assert_eq!(cutter.next(&bytes[..end], |_| true), Cut::More);
    }
    assert_eq!(cutter.next(&bytes, |_| true), block);
    assert_eq!(block.size(), whole.len());
    assert_eq!(cutter.state, State::Boundary);
}

#[test]
fn what_comes_before_a_block_is_the_servers_first() {
    let ping = frame(Kind(6), 0, 0, &[0; 8]);
    let connect = frame(Kind::HEADERS, END, 3, CONNECT);
    let bytes = [&ping[..], &connect].concat();
    let mut cutter = at_boundary();
    assert_eq!(cutter.next(&bytes, |_| true), Cut::Theirs(&ping));
    assert!(matches!(cutter.next(&connect, |_| true), Cut::Block(_)));
}

#[test]
fn a_block_goes_on_in_continuation_frames() {
    let bytes = [
        frame(Kind::HEADERS, 0, 3, &CONNECT[..4]),
        frame(Kind::CONTINUATION, 0, 3, &CONNECT[4..]),
        frame(Kind::CONTINUATION, END, 3, b""),
    ]
    .concat();
    let mut cutter = at_boundary();
    for end in 0..bytes.len() {
        assert_eq!(cutter.next(&bytes[..end], |_| true), Cut::More);
    }
    let Cut::Block(block) = cutter.next(&bytes, |_| true) else {
        panic!("no block");
    };
    assert_eq!(block.pieces().collect::<Vec<_>>().concat(), CONNECT);
}

#[test]
fn what_is_no_block_is_the_servers() {
    for second in [
        frame(Kind::CONTINUATION, END, 5, b""),
        frame(Kind(6), 0, 0, &[0; 8]),
    ] {
        let first = frame(Kind::HEADERS, 0, 3, CONNECT);
        assert!(is_theirs(&[first, second].concat()));
    }
    // More padding than there is, and no room for a priority.
    assert!(is_theirs(&frame(
        Kind::HEADERS,
        END | FrameHeader::PADDED,
        3,
        b"\x09abc"
    )));
    assert!(is_theirs(&frame(
        Kind::HEADERS,
        END | FrameHeader::PRIORITY,
        3,
        b"abc"
    )));
    assert!(is_theirs(&frame(
        Kind::HEADERS,
        END | FrameHeader::PADDED,
        3,
        b""
    )));
    assert!(is_theirs(&frame(Kind::HEADERS, END, 3, b"")));
}

#[test]
fn a_block_that_is_too_long_is_the_servers() {
    let size = LIMIT as usize - FrameHeader::SIZE;
    let mut payload = CONNECT.to_vec();
    payload.resize(size, 0);
    let mut cutter = at_boundary();
    let bytes = frame(Kind::HEADERS, END, 3, &payload);
    assert!(matches!(cutter.next(&bytes, |_| true), Cut::Block(_)));
    payload.push(0);
    let bytes = frame(Kind::HEADERS, END, 3, &payload);
    assert!(matches!(cutter.next(&bytes[..40], |_| true), Cut::Theirs(front) if front.len() == 40));
    let empty = frame(Kind::CONTINUATION, 0, 3, b"").repeat(200);
    let bytes = [frame(Kind::HEADERS, 0, 3, CONNECT), empty].concat();
    assert!(is_theirs(&bytes));
}

#[test]
fn a_block_that_does_not_come_to_its_end_can_be_given_up() {
    let whole = frame(Kind::HEADERS, 0, 3, CONNECT);
    let more = frame(Kind::CONTINUATION, END, 3, b"\x82");
    let next = frame(Kind::HEADERS, END, 5, CONNECT);
    for end in FrameHeader::SIZE..=whole.len() {
        let mut cutter = at_boundary();
        let (come, rest) = whole.split_at(end);
        assert_eq!(cutter.next(come, |_| true), Cut::More);
        assert_eq!(cutter.give_up(come), Cut::Theirs(come));
        let rest = [rest, &more].concat();
        let bytes = [&rest[..], &next].concat();
        assert_eq!(cutter.next(&bytes, |_| true), Cut::Theirs(&rest));
        assert!(matches!(cutter.next(&next, |_| true), Cut::Block(_)));
    }
}

#[test]
fn nothing_but_a_block_is_given_up() {
    let mut cutter = at_boundary();
    let data = frame(Kind::DATA, FrameHeader::PADDED, 3, b"\x01ab");
    for bytes in [&data[..FrameHeader::SIZE], &data[..3], b""] {
        assert_eq!(cutter.give_up(bytes), Cut::More);
    }
    assert_eq!(cutter.state, State::Boundary);
}

#[test]
fn data_of_a_tunnel_is_cut_out() {
    let bytes = [
        frame(Kind::DATA, 0, 1, b"hello"),
        frame(Kind::DATA, FrameHeader::END_STREAM, 1, b""),
    ]
    .concat();
    let mut cutter = at_boundary();
    let expected = Data {
        stream: 1,
        payload: b"hello",
        padding: 0,
        is_last: false,
        size: 14,
    };
    assert_eq!(
        cutter.next(&bytes, |stream| stream == 1),
        Cut::Data(expected)
    );
    let expected = Data {
        payload: b"",
        is_last: true,
        size: 9,
        ..expected
    };
    assert_eq!(
        cutter.next(&bytes[14..], |stream| stream == 1),
        Cut::Data(expected)
    );
}

#[test]
fn data_comes_in_pieces_of_any_size() {
    let flags = FrameHeader::PADDED | FrameHeader::END_STREAM;
    let whole = [
        frame(Kind::DATA, flags, 1, b"\x03hello\0\0\0"),
        frame(Kind(6), 0, 0, &[0; 8]),
    ]
    .concat();
    for size in 1..whole.len() {
        let (mut cutter, mut payload, mut padding, mut theirs) = (at_boundary(), vec![], 0, 0);
        let (mut ends, mut start) = (0, 0);
        for end in (size..).step_by(size).map(|end| end.min(whole.len())) {
            loop {
                let cut = cutter.next(&whole[start..end], |stream| stream == 1);
                start += cut.size();
                match cut {
                    Cut::Data(data) => {
                        assert_eq!(ends, 0, "nothing comes behind the last piece");
                        payload.extend(data.payload);
                        padding += data.padding;
                        ends += usize::from(data.is_last);
                    }
                    Cut::Theirs(bytes) => theirs += bytes.len(),
                    Cut::Block(_) => panic!("there is no block"),
                    Cut::More => break,
                }
            }
            if end == whole.len() {
                break;
            }
        }
        assert_eq!(
            (&payload[..], padding, ends, theirs),
            (&b"hello"[..], 4, 1, 17)
        );
    }
}

#[test]
fn data_that_is_wrong_is_the_servers() {
    assert!(is_theirs(&frame(Kind::DATA, FrameHeader::PADDED, 1, b"")));
    assert!(is_theirs(&frame(
        Kind::DATA,
        FrameHeader::PADDED,
        1,
        b"\x03ab"
    )));
    let mut cutter = at_boundary();
    let all_padding = frame(Kind::DATA, FrameHeader::PADDED, 1, b"\x02ab");
    assert!(matches!(
        cutter.next(&all_padding, |_| true),
        Cut::Data(Data {
            payload: b"",
            padding: 3,
            size: 12,
            ..
        })
    ));
}

#[test]
fn what_comes_between_the_frames_of_a_block_is_the_servers() {
    for first in [&b"\x82\x84"[..], CONNECT] {
        let bytes = [
            frame(Kind::HEADERS, 0, 3, first),
            frame(Kind::CONTINUATION, 0, 3, b""),
            frame(Kind::DATA, 0, 1, b"x"),
        ]
        .concat();
        assert!(is_theirs(&bytes));
    }
    let mut cutter = at_boundary();
    let bytes = [
        frame(Kind::HEADERS, 0, 3, b"\x82\x84"),
        frame(Kind::CONTINUATION, END, 3, b""),
    ]
    .concat();
    assert_eq!(cutter.next(&bytes, |_| true), Cut::Theirs(&bytes));
    let behind = frame(Kind::DATA, 0, 1, b"x");
    assert!(matches!(cutter.next(&behind, |_| true), Cut::Data(_)));
}

#[test]
fn where_nobody_looks_all_is_the_servers() {
    let mut cutter = at_boundary();
    assert_eq!(cutter.next(b"\0\0\x01\0", |_| true), Cut::More);
    cutter.stop();
    let bytes = frame(Kind::DATA, 0, 1, b"x");
    for piece in [&bytes[..4], &bytes[4..]] {
        assert_eq!(cutter.next(piece, |_| true), Cut::Theirs(piece));
    }
}
