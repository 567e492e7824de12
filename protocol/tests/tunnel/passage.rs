//! What has to be true of a tunnel, whatever happens around it.

use websocket_protocol::tunnel::{CLOSE_TIMEOUT, MessageRate, Reason, Side, Time};

use crate::wire::{answers, close_of_ours, frames, is_closed, ours, without_answers, without_ours};
use crate::world::World;

/// What has come to each side so far is what the other has sent, with whole frames of the tunnel's
/// between its frames.
pub fn is_passed_on(world: &World) -> Result<(), String> {
    for (sender, receiver, masked) in [
        (&world.client, &world.upstream, true),
        (&world.upstream, &world.client, false),
    ] {
        let (theirs, rest) = without_ours(&receiver.got, masked);
        let (sent, unfinished) = without_answers(&sender.stream);
        let sent = [sent, unfinished].concat();
        let is_prefix = sent.starts_with(&[&theirs[..], &rest].concat());
        // A frame of the tunnel's may be under way, or a Pong that answers nothing.
        let own = [ours(masked), answers()].concat();
        let is_begun = !rest.is_empty() && own.iter().any(|frame| frame.starts_with(&rest));
        let is_ours = is_begun && sent.starts_with(&theirs);
        if !is_prefix && !is_ours {
            return Err(format!("{:?} is not what was sent", receiver.got));
        }
        if close_of_ours(&receiver.got, masked).is_some_and(|end| end != receiver.got.len()) {
            return Err("something follows a Close".into());
        }
    }
    Ok(())
}

/// Nothing is in the way any more: all that was sent has arrived, or the tunnel ends; and it does when
/// the client leaves.
pub fn comes_to_an_end(world: &mut World) -> Result<(), String> {
    is_passed_on(world)?;
    let reason = world.tunnel.summary(b"").end.reason;
    let goes_on = matches!(
        reason,
        Reason::Normal | Reason::NoCloseFrame | Reason::Error
    );
    if !goes_on {
        // It is closing, and the peers need not answer.
        world.wait(CLOSE_TIMEOUT.get() as Time);
        if !world.is_over {
            return Err("it goes on behind its Close".into());
        }
    }
    if !world.is_over {
        has_arrived(world)?;
        world.finishes(Side::Client);
    }
    if !world.is_over && world.client.is_half {
        world.wait(CLOSE_TIMEOUT.get() as Time);
    }
    if !world.is_over {
        return Err("it goes on without its client".into());
    }
    match world.tunnel.summary(b"").end.reason {
        Reason::Error => Err("nothing is known of its end".into()),
        _ => Ok(()),
    }
}

/// Nothing has ended it: so all is there.
fn has_arrived(world: &World) -> Result<(), String> {
    for (sender, receiver, masked) in [
        (&world.client, &world.upstream, true),
        (&world.upstream, &world.client, false),
    ] {
        if is_closed(&receiver.got, masked) {
            return Err("it goes on behind a Close".into());
        }
        let (theirs, rest) = without_ours(&receiver.got, masked);
        let (sent, unfinished) = without_answers(&sender.stream[..sender.arrived]);
        // What may yet be an answer waits.
        let may_wait = answers()
            .iter()
            .any(|answer| answer.starts_with(&unfinished));
        let has_all = rest == unfinished || (rest.is_empty() && may_wait);
        if theirs != sent || !has_all {
            return Err(format!("{:?} is not all that was sent", receiver.got));
        }
    }
    Ok(())
}

/// No more messages have come than the rate allows, since the tunnel began at `start`.
pub fn keeps_to(rate: MessageRate, world: &World, start: Time) -> Result<(), String> {
    let per_minute = rate.per_minute.get() as Time;
    // What comes within 20 ms comes at once, with the part of a message that is earned beside.
    let at_once = ((rate.burst as Time + 1) * 60_000).max(per_minute * 20);
    // The clock may say a millisecond too little.
    let elapsed = world.now.wrapping_sub(start) + 1;
    let most = (at_once + per_minute * elapsed - 1) / 60_000;
    let begins = |opcode| matches!(opcode, 1 | 2);
    let all = frames(&world.upstream.got);
    let begun = all.iter().filter(|frame| begins(frame.opcode)).count();
    if begun > most {
        return Err(format!("{begun} messages, where {most} may be"));
    }
    Ok(())
}
