//! How a tunnel ends.

use websocket_protocol::tunnel::{
    CLOSE_TIMEOUT, End, Limits, Next, PingTo, Reason, Side, Time, Tunnel, Write,
};

use crate::case::*;
use crate::world::MASK;

#[test]
fn a_side_that_ends_is_heard_to_the_end() {
    for with_close in [true, false] {
        let mut world = world(Limits::default());
        world.client.room = 0;
        world.sends(Side::Upstream, if with_close { GOING_AWAY } else { HELLO });
        world.finishes(Side::Upstream);
        assert!(!world.is_over);
        world.takes(Side::Client, 100);
        let (reason, code) = if with_close {
            (Reason::Normal, Some(1001))
        } else {
            (Reason::NoCloseFrame, None)
        };
        assert_ended(&world, Some(Side::Upstream), reason, code);
    }
}

#[test]
fn what_a_side_left_unfinished_holds_nothing_up() {
    let limits = messages_of(100, pings(PingTo::Both));
    for (side, bytes) in [
        (Side::Upstream, &b"\x82\x05ab"[..]),
        (Side::Client, b"\x82\xfe"),
    ] {
        let mut world = world(limits);
        world.sends(side, bytes);
        // A Ping waits behind it.
        world.wait(100);
        world.finishes(side);
        assert_ended(&world, Some(side), Reason::NoCloseFrame, None);
    }
}

#[test]
fn the_first_close_is_the_one_that_counts() {
    let mut world = world(Limits::default());
    world.sends(Side::Client, masked_close(4000));
    world.sends(Side::Upstream, GOING_AWAY);
    world.finishes(Side::Upstream);
    assert_ended(&world, Some(Side::Client), Reason::Normal, Some(4000));
}

#[test]
fn a_side_that_still_takes_what_comes_gets_the_answer_to_its_close() {
    for has_close in [true, false] {
        let mut world = world(pings(PingTo::Both));
        world.client.is_half = true;
        if has_close {
            world.sends(Side::Client, masked_close(1000));
        }
        world.finishes(Side::Client);
        // Without a Close there is no answer to be had.
        assert_eq!(world.is_over, !has_close);
        if !has_close {
            continue;
        }
        world.client.room = 1;
        world.sends(Side::Upstream, [HELLO, GOING_AWAY].concat());
        assert!(!world.is_over);
        world.takes(Side::Client, HELLO.len() + GOING_AWAY.len() - 1);
        assert_eq!(world.client.got, [HELLO, GOING_AWAY].concat());
        assert_ended(&world, Some(Side::Client), Reason::Normal, Some(1000));
    }
}

#[test]
fn that_answer_is_not_waited_for_for_ever() {
    let close_timeout = CLOSE_TIMEOUT.get() as Time;
    for ends in [false, true] {
        // Its silence is no answer that lacks.
        let mut world = world(pings(PingTo::Client));
        world.client.is_half = true;
        world.sends(Side::Client, masked_close(1000));
        world.finishes(Side::Client);
        world.turn(Side::Client);
        world.wait(close_timeout - 1);
        assert!(!world.is_over);
        match ends {
            true => world.finishes(Side::Upstream),
            false => world.wait(1),
        }
        assert_ended(&world, Some(Side::Client), Reason::Normal, Some(1000));
    }
}

#[test]
fn a_side_that_breaks_behind_its_close_is_not_waited_for() {
    let mut world = world(Limits::default());
    world.client.is_half = true;
    world.sends(Side::Client, masked_close(1000));
    world.finishes(Side::Client);
    world.tunnel.reset(Side::Client);
    world.turn(Side::Upstream);
    assert_ended(&world, Some(Side::Client), Reason::Normal, Some(1000));
}

#[test]
fn connections_that_break() {
    let tunnel = || Tunnel::new(Limits::default(), 0, 0, MASK);
    let end = |by, reason| End {
        by,
        reason,
        code: None,
    };

    let mut reset = tunnel();
    reset.reset(Side::Client);
    assert_eq!(reset.next(0), Next::End);
    reset.finish(false);
    assert_eq!(
        reset.summary(b"").end,
        end(Some(Side::Client), Reason::Reset)
    );

    // Whatever waits for the other side.
    let mut lost = tunnel();
    lost.received(Side::Client, 11, 0);
    lost.refused(Side::Client, Write::Theirs(11), 0);
    lost.lost(Side::Client);
    assert_eq!(lost.next(0), Next::End);
    assert_eq!(
        lost.summary(b"").end,
        end(Some(Side::Client), Reason::Reset)
    );

    let mut given_up = tunnel();
    given_up.give_up();
    assert_eq!(given_up.next(0), Next::End);
    assert_eq!(given_up.summary(b"").end, end(None, Reason::Error));
}

#[test]
fn a_reset_while_bytes_wait_is_an_end_like_any_other() {
    let mut tunnel = Tunnel::new(Limits::default(), 0, 0, MASK);
    tunnel.received(Side::Client, 11, 0);
    tunnel.refused(Side::Client, Write::Theirs(11), 0);
    tunnel.reset(Side::Client);
    assert_eq!(tunnel.next(0), Next::Wait);
    tunnel.sent(Side::Client, MASKED, 0);
    assert_eq!(tunnel.next(0), Next::End);
}

#[test]
fn a_side_that_can_t_be_reached_has_what_it_sent_passed_on() {
    let mut tunnel = Tunnel::new(Limits::default(), 0, 0, MASK);
    tunnel.received(Side::Upstream, HELLO.len(), 0);
    tunnel.refused(Side::Upstream, Write::Theirs(HELLO.len()), 0);
    tunnel.received(Side::Client, MASKED.len(), 0);
    tunnel.unreachable(Side::Upstream);
    assert_eq!(tunnel.next(0), Next::Turn(Side::Upstream));
    assert_eq!(tunnel.next(0), Next::Turn(Side::Client));
    // What goes to it is dropped, and more is read: its sender may have a Close to send.
    let write = tunnel.next_write(Side::Client, MASKED, || 0);
    assert_eq!(write, Write::Drop(MASKED.len()));
    tunnel.dropped(Side::Client, MASKED, 0);
    assert!(tunnel.next_read(Side::Client, 0) > 0);
    assert_eq!(tunnel.next(0), Next::Wait);
    tunnel.sent(Side::Upstream, HELLO, 0);
    tunnel.reset(Side::Upstream);
    assert_eq!(tunnel.next(0), Next::End);
    assert_eq!(
        tunnel.end(),
        End {
            by: Some(Side::Upstream),
            reason: Reason::Reset,
            code: None
        }
    );
}

#[test]
fn an_end_is_noted_once() {
    let mut tunnel = Tunnel::new(Limits::default(), 0, 0, MASK);
    tunnel.finish(true);
    let end = End {
        by: None,
        reason: Reason::WorkerShutdown,
        code: None,
    };
    assert!(tunnel.is_finished());
    assert_eq!(tunnel.summary(b"").end, end);
    tunnel.lost(Side::Client);
    tunnel.finish(false);
    assert_eq!(tunnel.summary(b"").end, end);
}

#[test]
fn a_closing_tunnel_ends_when_time_is_up() {
    let mut world = world(Limits {
        idle: time(10),
        ..Limits::default()
    });
    world.wait(10);
    // One that has ended need not answer.
    world.finishes(Side::Client);
    world.wait(CLOSE_TIMEOUT.get() as Time - 1);
    assert!(!world.is_over);
    world.wait(1);
    assert_ended(&world, None, Reason::IdleTimeout, Some(1001));
}

#[test]
fn a_tunnel_is_no_larger_than_it_has_to_be() {
    let size = size_of::<Tunnel>();
    assert!(size <= 480, "{size}");
}
