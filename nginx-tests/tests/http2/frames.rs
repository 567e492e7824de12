//! Frames that are wrong, or come when they should not, on a connection with a tunnel: each is answered as HTTP/2 has it
//! and as nginx answers it elsewhere (RFC 9113), and the worker goes on.

use nginx_tests::environment::nginx_version;
use nginx_tests::http2::session::{CONTINUATION, PADDED, Session, WINDOW_UPDATE};
use nginx_tests::http2::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS};
use nginx_tests::{Frame, Nginx, ScriptedBackend};

use crate::case::{PROXIES, connected};

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const WITH_PRIORITY: u8 = 0x20;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;

const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
const LARGEST: u32 = (1 << 31) - 1;

/// What a frame leads to.
#[derive(Clone, Copy, Debug)]
enum End {
    /// That of the connection, with this error.
    Connection(u32),
    /// That of the tunnel's stream, with this error.
    Stream(u32),
    /// None: the tunnel goes on.
    None,
}

/// Sends something on a connection that has this tunnel.
type Sends = fn(&mut Session, u32);

#[track_caller]
fn leads_to(sends: Sends, end: End) {
    let backend = ScriptedBackend::standard();
    let (nginx, mut session) = connected(&backend, PROXIES);
    let tunnel = session.establish("/chat");
    session.echo(tunnel, Frame::text("hello"));
    sends(&mut session, tunnel);
    match end {
        End::Connection(error) => {
            session.wait(|session| session.error.is_some());
            assert_eq!(session.error, Some(error));
            session.wait(|session| session.is_closed);
        }
        End::Stream(error) => {
            session.wait(|session| session.of(tunnel).reset.is_some());
            assert_eq!(session.of(tunnel).reset, Some(error));
            goes_on(&mut session);
        }
        End::None => {
            session.echo(tunnel, Frame::text("hello again"));
            session.close(tunnel);
            assert!(!session.goes_away);
        }
    }
    drop(session);
    ends_once(nginx);
}

#[track_caller]
fn goes_on(session: &mut Session) {
    let other = session.establish("/other");
    session.echo(other, Frame::text("hello"));
    session.close(other);
}

/// Each tunnel has its line.
#[track_caller]
fn ends_once(nginx: Nginx) {
    let log = nginx.stop();
    let count = |text| log.matches(text).count();
    assert_eq!(
        count("websocket established in"),
        count("websocket closed after"),
        "{log}"
    );
}

fn connect(session: &mut Session) -> Vec<u8> {
    session.block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ])
}

fn setting(identifier: [u8; 2], value: u32) -> Vec<u8> {
    [&identifier[..], &value.to_be_bytes()].concat()
}

#[test]
fn data_belongs_to_a_stream() {
    // Before 1.20 nginx passes over it.
    let end = match nginx_version() {
        (1, ..20, _) => End::None,
        _ => End::Connection(PROTOCOL_ERROR),
    };
    leads_to(|session, _| session.frame(DATA, 0, 0, b"x"), end);
    // nginx takes it for that of a stream which has been.
    leads_to(
        |session, tunnel| session.frame(DATA, 0, tunnel + 100, b"x"),
        End::None,
    );
}

#[test]
fn padding_is_less_than_its_frame() {
    leads_to(
        |session, tunnel| session.frame(DATA, PADDED, tunnel, b"\x04abc"),
        End::Connection(PROTOCOL_ERROR),
    );
    leads_to(
        |session, tunnel| session.frame(DATA, PADDED, tunnel, b""),
        End::Connection(FRAME_SIZE_ERROR),
    );
    leads_to(
        |session, tunnel| session.frame(DATA, PADDED, tunnel, &[&[3][..], &[0; 3]].concat()),
        End::None,
    );
    leads_to(
        |session, _| {
            let block = connect(session);
            let stream = session.stream();
            let padded = [&[block.len() as u8 + 1][..], &block].concat();
            session.frame(HEADERS, END_HEADERS | PADDED, stream, &padded);
        },
        End::Connection(PROTOCOL_ERROR),
    );
}

#[test]
fn streams_have_odd_numbers_that_grow() {
    for number in [0_u32, 2, 1] {
        let sends: Sends = match number {
            0 => |session, _| {
                let block = connect(session);
                session.frame(HEADERS, END_HEADERS, 0, &block);
            },
            2 => |session, tunnel| {
                let block = connect(session);
                session.frame(HEADERS, END_HEADERS, tunnel + 1, &block);
            },
            // The tunnel's own: nginx knows no trailers of requests.
            _ => |session, tunnel| {
                let block = connect(session);
                session.frame(HEADERS, END_HEADERS | END_STREAM, tunnel, &block);
            },
        };
        leads_to(sends, End::Connection(PROTOCOL_ERROR));
    }
    leads_to(
        |session, tunnel| {
            session.frame(HEADERS, END_HEADERS | END_STREAM, tunnel, b"\x00\x01a\x01b")
        },
        End::Connection(PROTOCOL_ERROR),
    );
}

#[test]
fn nothing_comes_between_the_frames_of_a_block() {
    fn begin(session: &mut Session) -> u32 {
        let block = connect(session);
        let stream = session.stream();
        session.frame(HEADERS, 0, stream, &block);
        stream
    }
    let between: [Sends; 5] = [
        |session, _| {
            begin(session);
            session.frame(PING, 0, 0, b"whatever");
        },
        |session, tunnel| {
            begin(session);
            session.frame(CONTINUATION, END_HEADERS, tunnel, b"");
        },
        |session, _| {
            begin(session);
            let other = connect(session);
            let stream = session.stream();
            session.frame(HEADERS, END_HEADERS, stream, &other);
        },
        |session, tunnel| {
            begin(session);
            session.frame(DATA, 0, tunnel, b"x");
        },
        // Nor where it is a plain one.
        |session, tunnel| {
            let block = session.block(&[(":method", "GET"), (":scheme", "https"), (":path", "/")]);
            let stream = session.stream();
            session.frame(HEADERS, 0, stream, &block);
            session.frame(DATA, 0, tunnel, b"x");
        },
    ];
    for sends in between {
        leads_to(sends, End::Connection(PROTOCOL_ERROR));
    }
    leads_to(
        |session, tunnel| session.frame(CONTINUATION, END_HEADERS, tunnel, b""),
        End::Connection(PROTOCOL_ERROR),
    );
}

#[test]
fn a_priority_changes_nothing() {
    leads_to(
        |session, _| {
            let block = connect(session);
            let stream = session.stream();
            // On itself, which RFC 9113 has no error for any more.
            let payload = [&stream.to_be_bytes()[..], &[255], &block].concat();
            session.frame(HEADERS, END_HEADERS | WITH_PRIORITY, stream, &payload);
            assert_eq!(session.status(stream), 200);
            session.echo(stream, Frame::text("hello"));
        },
        End::None,
    );
    leads_to(
        |session, tunnel| session.frame(PRIORITY, 0, tunnel, &[0, 0, 0, 99, 7]),
        End::None,
    );
    leads_to(
        |session, tunnel| {
            let itself = [&tunnel.to_be_bytes()[..], &[7]].concat();
            session.frame(PRIORITY, 0, tunnel, &itself);
        },
        End::Connection(PROTOCOL_ERROR),
    );
}

#[test]
fn windows_grow_by_what_there_is_room_for() {
    fn update(session: &mut Session, stream: u32, increment: u32) {
        session.frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }
    // nginx takes it for an error of the connection, which RFC 9113 section 5.4 lets a server do.
    leads_to(
        |session, tunnel| update(session, tunnel, 0),
        End::Connection(PROTOCOL_ERROR),
    );
    leads_to(
        |session, tunnel| update(session, tunnel, LARGEST),
        End::Stream(FLOW_CONTROL_ERROR),
    );
    leads_to(
        |session, _| update(session, 0, 0),
        End::Connection(PROTOCOL_ERROR),
    );
    leads_to(
        |session, _| update(session, 0, LARGEST),
        End::Connection(FLOW_CONTROL_ERROR),
    );
    leads_to(
        |session, tunnel| session.frame(WINDOW_UPDATE, 0, tunnel, b"\0\0\x01"),
        End::Connection(FRAME_SIZE_ERROR),
    );
}

#[test]
fn settings_are_what_they_may_be() {
    let wrong: [(Sends, End); 5] = [
        (
            |session, _| {
                let window = setting(INITIAL_WINDOW_SIZE, LARGEST + 1);
                session.frame(SETTINGS, 0, 0, &window);
            },
            End::Connection(FLOW_CONTROL_ERROR),
        ),
        // It makes the tunnel's larger than a window can be.
        (
            |session, tunnel| {
                session.credit(tunnel, LARGEST - 65_535);
                session.frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 70_000));
            },
            End::Stream(FLOW_CONTROL_ERROR),
        ),
        (
            |session, _| session.frame(SETTINGS, 0, 0, b"\0\0\0\0\0"),
            End::Connection(FRAME_SIZE_ERROR),
        ),
        (
            |session, _| session.frame(SETTINGS, ACK, 0, &setting(INITIAL_WINDOW_SIZE, 1)),
            End::Connection(FRAME_SIZE_ERROR),
        ),
        // What a client says of RFC 8441 is nothing to a server.
        (
            |session, _| {
                session.frame(SETTINGS, 0, 0, &setting([0, 8], 1));
                session.frame(SETTINGS, 0, 0, &setting([0, 8], 0));
            },
            End::None,
        ),
    ];
    for (sends, end) in wrong {
        leads_to(sends, end);
    }
}

#[test]
fn other_frames_are_as_they_are_elsewhere() {
    let frames: [(Sends, End); 8] = [
        (
            |session, _| session.frame(PING, 0, 0, b"seven.."),
            End::Connection(FRAME_SIZE_ERROR),
        ),
        (
            |session, _| session.frame(PUSH_PROMISE, END_HEADERS, 2, b"\0\0\0\x04\x82"),
            End::Connection(PROTOCOL_ERROR),
        ),
        (
            |session, tunnel| session.frame(RST_STREAM, 0, tunnel, b"\0\0\x08"),
            End::Connection(FRAME_SIZE_ERROR),
        ),
        (
            |session, _| session.frame(RST_STREAM, 0, 0, b"\0\0\0\x08"),
            End::Connection(PROTOCOL_ERROR),
        ),
        (
            |session, tunnel| session.frame(RST_STREAM, 0, tunnel + 100, b"\0\0\0\x08"),
            End::None,
        ),
        // Of no kind that there is.
        (
            |session, tunnel| session.frame(0xf0, 0xff, tunnel, &[7; 1000]),
            End::None,
        ),
        // The reserved bit.
        (
            |session, tunnel| {
                let message = Frame::text("reserved").masked().bytes();
                session.frame(DATA, 0, tunnel | 1 << 31, &message);
                assert_eq!(session.read(tunnel), Frame::text("reserved"));
            },
            End::None,
        ),
        // It will open no more, which ends none of those that are there.
        (|session, _| session.frame(GOAWAY, 0, 0, &[0; 8]), End::None),
    ];
    for (sends, end) in frames {
        leads_to(sends, end);
    }
}

#[test]
fn who_has_ended_a_stream_sends_nothing_more_on_it() {
    leads_to(
        |session, tunnel| {
            let empty = [0, 0, 0, DATA, END_STREAM, 0, 0, 0, tunnel as u8];
            let more = [0, 0, 1, DATA, 0, 0, 0, 0, tunnel as u8, b'x'];
            session.send(&[&empty[..], &more].concat());
        },
        End::Stream(STREAM_CLOSED),
    );
}
