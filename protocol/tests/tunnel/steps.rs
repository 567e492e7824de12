//! What happens around a tunnel, one thing after the other.

use websocket_protocol::tunnel::Side;

use crate::world::World;

#[derive(Clone, Debug)]
pub enum Step {
    Arrives(Side, usize),
    Takes(Side, usize),
    /// Its socket takes nothing more, and admits that or not.
    Blocks(Side, bool),
    Piece(Side, usize),
    /// Its socket holds what it takes, or not.
    Reads(Side, bool),
    Acknowledges(Side, usize),
    Turn(Side),
    Wait(usize),
    Drain(usize),
    /// It takes what comes when it has sent all.
    IsHalf(Side),
    Finishes(Side),
}

pub fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Arrives(side, count) => world.arrives(side, count),
        Step::Takes(side, count) => world.takes(side, count),
        Step::Blocks(side, admits) => {
            world.peer(side).room = 0;
            world.peer(side).is_asked = !admits;
        }
        Step::Piece(side, piece) => world.peer(side).piece = piece,
        Step::Reads(side, reads) => world.peer(side).reads = reads,
        Step::Acknowledges(side, count) => world.acknowledges(side, count),
        Step::Turn(side) => world.turn(side),
        Step::Wait(time) => world.wait(time),
        Step::Drain(within) => {
            let now = world.now;
            world.tunnel.drain(within, None, now, within / 2);
            world.turn(Side::Client);
        }
        Step::IsHalf(side) => world.peer(side).is_half = true,
        Step::Finishes(side) => world.finishes(side),
    }
}

/// All arrives, all is taken, and a rate has the time it needs.
pub fn unblock(world: &mut World) {
    for side in Side::BOTH {
        let peer = world.peer(side);
        (peer.room, peer.piece) = (usize::MAX, usize::MAX);
    }
    for side in Side::BOTH {
        world.arrives(side, usize::MAX);
        world.turn(side.other());
    }
    for _ in 0..400 {
        let is_held = world.tunnel.is_stuck(Side::Client);
        let is_through = world.client.is_through() && world.upstream.is_through();
        if world.is_over || (is_through && !is_held) {
            return;
        }
        world.wait(1000);
    }
    panic!("something is held for ever");
}
