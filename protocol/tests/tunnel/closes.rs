//! What a peer's Close says.

use websocket_protocol::ControlFrame;
use websocket_protocol::tunnel::{CloseText, Limits, Reason, Side, Tunnel};

use crate::case::*;
use crate::world::MASK;

/// The account of a tunnel through which these bytes have gone, a piece at a time.
fn summary(pieces: &[(Side, &[u8])]) -> String {
    let mut tunnel = Tunnel::new(Limits::default(), 0, 0, MASK);
    let mut text = CloseText::new();
    for (from, bytes) in pieces {
        tunnel.received(*from, bytes.len(), 0);
        if let Some(piece) = tunnel.sent(*from, bytes, 0) {
            text.add(piece);
        }
    }
    tunnel.finish(false);
    tunnel.summary(text.bytes()).to_string()
}

#[test]
fn a_code_that_says_that_something_is_wrong_is_the_reason() {
    for (code, reason) in [
        (1002, "protocol-error"),
        (1003, "unsupported-data"),
        (1007, "invalid-payload"),
        (1008, "policy-violation"),
        (1009, "message-too-big"),
        (1010, "mandatory-extension"),
        (1011, "internal-error"),
        (1014, "bad-gateway"),
        (1000, "normal"),
        (1012, "normal"),
        (3000, "normal"),
        (4999, "normal"),
    ] {
        let close = ControlFrame::close(code, "it is so");
        let (masked, answer) = (close.masked(MASK), ControlFrame::close(1000, "ok"));
        for (by, first, second) in [
            (
                "client",
                (Side::Client, masked.bytes()),
                (Side::Upstream, answer.bytes()),
            ),
            (
                "upstream",
                (Side::Upstream, close.bytes()),
                (Side::Client, masked.bytes()),
            ),
        ] {
            let said = summary(&[first, second]);
            let expected = format!("by {by}: {reason} {code} \"it is so\", ");
            assert!(said.starts_with(&expected), "{said}");
        }
    }
}

#[test]
fn a_text_may_come_in_pieces_with_others_between() {
    let close = ControlFrame::close(1011, "the database is gone").masked([0xFF, 1, 2, 3]);
    for size in 1..close.bytes().len() {
        let mut pieces = vec![(Side::Client, MASKED)];
        for piece in close.bytes().chunks(size) {
            pieces.extend([(Side::Client, piece), (Side::Upstream, HELLO)]);
        }
        // Nobody may send anything behind a Close; some do.
        pieces.extend([(Side::Client, MASKED), (Side::Client, close.bytes())]);
        let said = summary(&pieces);
        let expected = "by client: internal-error 1011 \"the database is gone\", ";
        assert!(said.starts_with(expected), "{size}: {said}");
    }
}

#[test]
fn a_text_with_bytes_before_and_behind_it_in_one_piece() {
    let text = "é".repeat(61);
    let close = ControlFrame::close(4000, &text);
    let all = [HELLO, close.bytes(), HELLO, close.bytes()].concat();
    let said = summary(&[(Side::Upstream, &all)]);
    let expected = format!("by upstream: normal 4000 \"{}\", ", "\\xC3\\xA9".repeat(61));
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_text_that_ends_too_early_is_shown_as_far_as_it_came() {
    let close = ControlFrame::close(1008, "no entrance");
    let said = summary(&[(Side::Upstream, &close.bytes()[..8])]);
    assert!(
        said.starts_with("by upstream: policy-violation 1008 \"no e\", "),
        "{said}"
    );
    for no_text in [&b"\x88\x02\x03\xf0"[..], &close.bytes()[..4]] {
        let said = summary(&[(Side::Upstream, no_text)]);
        assert!(
            said.starts_with("by upstream: policy-violation 1008, "),
            "{said}"
        );
    }
}

#[test]
fn an_answer_to_a_close_of_ours_says_nothing() {
    let mut world = world(lasting(50, Limits::default()));
    world.wait(50);
    world.sends(Side::Upstream, ControlFrame::close(1011, "oops").bytes());
    world.sends(Side::Client, GOING_AWAY);
    assert_ended(&world, None, Reason::Lifetime, Some(1001));
    assert_eq!(world.tunnel.summary(b"oops").text, b"");
}
