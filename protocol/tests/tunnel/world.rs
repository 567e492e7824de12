//! Two peers with sockets that are made up, and a proxy between them that does what the tunnel says.

use websocket_protocol::tunnel::{
    Bounds, Farewell, Guard, Lifetime, Limits, Next, Queue, Saved, Side, Time, Tunnel, Write,
};

/// Room in a buffer of the proxy's. Less than a frame may have, more than a header.
const BUFFER: usize = 100;

/// Makes the payload of the tunnel's Pings, and takes nothing off a round lifetime.
const RANDOM: usize = 0x26_73_C0;

/// The mask of frames that the tunnel sends to the upstream.
pub const MASK: [u8; 4] = [0x5A, 1, 0xFF, 0x80];

/// What a tunnel is made with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    pub limits: Limits,
    /// After so many milliseconds it is closed with 1001.
    pub lifetime: Option<usize>,
    pub bounds: Bounds,
}

impl From<Limits> for Terms {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

pub struct World<'a> {
    pub tunnel: Tunnel<'a>,
    pub now: Time,
    pub client: Peer,
    pub upstream: Peer,
    /// What the timer is set to.
    pub timer: Option<Time>,
    pub is_over: bool,
    pub not_frames: Vec<Side>,
    /// How often a socket was looked at.
    pub looks: usize,
    /// What the tunnel departs with.
    pub farewell: Option<Farewell>,
}

/// A peer, its socket, and the proxy's buffer for what comes from it.
#[derive(Default)]
pub struct Peer {
    /// What it sends, and how much of that has come to the proxy's socket.
    pub stream: Vec<u8>,
    pub arrived: usize,
    read: usize,
    /// It sends nothing more than has arrived.
    pub finished: bool,
    /// It still takes what comes when it has sent all.
    pub is_half: bool,
    /// It has been read to its end.
    has_ended: bool,
    unsent: Vec<u8>,
    /// How many bytes its socket takes at all.
    pub room: usize,
    /// How many it takes at once.
    pub piece: usize,
    /// Whether its socket looks as if it took some when it takes none.
    pub is_asked: bool,
    pub got: Vec<u8>,
    /// It acknowledges all that its socket takes; else its socket holds that.
    pub reads: bool,
    /// How many bytes its socket holds.
    held: usize,
    /// All of these are on their way.
    pub is_far: bool,
    /// What was offered in vain: TLS has made a record of it.
    owed: Option<Vec<u8>>,
}

impl Peer {
    fn new() -> Self {
        Self {
            room: usize::MAX,
            piece: usize::MAX,
            is_asked: true,
            reads: true,
            ..Self::default()
        }
    }

    /// Whether all that has arrived from it is read.
    pub fn is_through(&self) -> bool {
        self.read == self.arrived
    }

    /// Whether its end stands behind what is to be read.
    fn has_left(&self) -> bool {
        self.finished && !self.has_ended
    }

    /// How many bytes its socket holds.
    pub fn holds(&self) -> usize {
        self.held
    }

    /// What its socket says of what it was given.
    fn queue(&self) -> Queue {
        Queue {
            accepted: self.got.len(),
            held: self.held,
            waiting: if self.is_far { 0 } else { self.held },
        }
    }

    /// Offers bytes to its socket; how many it took.
    fn offer(&mut self, bytes: &[u8]) -> usize {
        assert!(!bytes.is_empty(), "an empty write");
        if let Some(owed) = &self.owed {
            assert!(bytes.starts_with(owed), "not the same bytes again");
        }
        let count = bytes.len().min(self.room).min(self.piece);
        self.owed = (count == 0).then(|| bytes.to_vec());
        self.room -= count;
        self.got.extend(&bytes[..count]);
        self.held += if self.reads { 0 } else { count };
        count
    }
}

impl World<'static> {
    /// A test makes few of them.
    pub fn new(terms: impl Into<Terms>, start: Time) -> Self {
        let terms = terms.into();
        let guard = Guard::new(terms.bounds, start).map(|guard| Box::leak(Box::new(guard)));
        Self::with(terms, guard, start)
    }

    /// Another process goes on with the tunnel, with these terms, if it can be handed over. Whether it was.
    pub fn hand_over_to(&mut self, terms: impl Into<Terms>) -> bool {
        let terms = terms.into();
        let mut room = [0; 512];
        let length = self.tunnel.save(&mut room, self.now);
        let Some(length) = length.filter(|_| !self.is_over) else {
            return false;
        };
        let saved = Saved::read(&room[..length]).expect("what is written is read");
        let guard = Guard::new(terms.bounds, self.now).map(|guard| Box::leak(Box::new(guard)));
        // No Ping of its own would be like those of the one before.
        let mut tunnel = made(&terms, guard, self.now, !RANDOM);
        let unsent = (self.client.unsent.len(), self.upstream.unsent.len());
        assert!(tunnel.resume(saved, unsent, self.now));
        self.tunnel = tunnel;
        self.timer = None;
        true
    }

    /// A new process has a look at everything.
    pub fn looks_at_all(&mut self) {
        for side in Side::BOTH {
            self.peer(side).owed = None;
        }
        for side in Side::BOTH {
            self.turn(side);
        }
    }
}

impl<'a> World<'a> {
    /// The guard is made of the bounds in the terms.
    pub fn with(terms: Terms, guard: Option<&'a mut Guard>, start: Time) -> Self {
        Self::of(made(&terms, guard, start, RANDOM), start)
    }

    /// Around a tunnel that has just begun.
    pub fn of(tunnel: Tunnel<'a>, start: Time) -> Self {
        let mut world = Self {
            tunnel,
            now: start,
            client: Peer::new(),
            upstream: Peer::new(),
            timer: None,
            is_over: false,
            not_frames: vec![],
            looks: 0,
            farewell: None,
        };
        world.settle();
        world
    }

    pub fn peer(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// More of what a side sends has come.
    pub fn arrives(&mut self, from: Side, count: usize) {
        let peer = self.peer(from);
        if !peer.finished {
            peer.arrived = peer.stream.len().min(peer.arrived.saturating_add(count));
        }
        self.turn(from);
    }

    /// A side sends these bytes, and they are there.
    pub fn sends(&mut self, from: Side, bytes: impl AsRef<[u8]>) {
        self.peer(from).stream.extend(bytes.as_ref());
        self.arrives(from, usize::MAX);
    }

    /// A side has sent all, and says so.
    pub fn finishes(&mut self, side: Side) {
        self.peer(side).finished = true;
        self.turn(side);
    }

    /// A side's socket takes so many bytes more.
    pub fn takes(&mut self, side: Side, count: usize) {
        self.peer(side).room = self.peer(side).room.saturating_add(count);
        self.turn(side.other());
    }

    /// A side acknowledges so many bytes of what its socket holds.
    pub fn acknowledges(&mut self, side: Side, count: usize) {
        let held = &mut self.peer(side).held;
        *held = held.saturating_sub(count);
    }

    /// Time goes by; the timer fires when it is due.
    pub fn wait(&mut self, time: Time) {
        let end = self.now.wrapping_add(time);
        let mut ticks = 0;
        loop {
            let due = self
                .timer
                .map(|timer| timer.wrapping_sub(self.now))
                .filter(|due| *due <= end.wrapping_sub(self.now));
            let Some(due) = due.filter(|_| !self.is_over) else {
                self.now = end;
                return;
            };
            self.now = self.now.wrapping_add(due);
            self.timer = None;
            ticks += 1;
            assert!(ticks <= time + 1, "the timer fires for nothing");
            for side in Side::BOTH {
                if self.tunnel.has_doubts(side, self.now) {
                    self.looks += 1;
                    let queue = self.peer(side).queue();
                    self.tunnel.holds(side, Some(queue), self.now);
                }
            }
            self.tunnel.tick(self.now, MASK);
            self.settle();
            assert!(self.is_over || self.timer.is_some(), "no timer is set");
        }
    }

    pub fn turn(&mut self, from: Side) {
        if !self.is_over {
            self.pump(from);
            self.settle();
        }
    }

    /// Does what follows from a turn or a tick.
    fn settle(&mut self) {
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 20, "no end of turns");
            match self.tunnel.next(self.now) {
                Next::Wait => break,
                Next::Turn(side) => self.pump(side),
                Next::NotFrames(side) => self.not_frames.push(side),
                Next::End => {
                    self.is_over = true;
                    self.tunnel.finish(false);
                    break;
                }
            }
        }
        if let Some(delay) = self.tunnel.timeout(self.now) {
            self.timer = Some(self.now.wrapping_add(delay));
        }
    }

    fn pump(&mut self, from: Side) {
        self.moves(from);
        if self.peer(from).has_left() && self.tunnel.is_held_back(from) {
            self.tunnel.leaves(from, self.now);
        }
    }

    fn moves(&mut self, from: Side) {
        let (tunnel, now) = (&mut self.tunnel, self.now);
        let (source, sink) = match from {
            Side::Client => (&mut self.client, &mut self.upstream),
            Side::Upstream => (&mut self.upstream, &mut self.client),
        };
        loop {
            loop {
                let write = tunnel.next_write(from, &source.unsent, || now);
                let bytes = match write {
                    Write::Nothing => break,
                    Write::Drop(count) => {
                        let dropped: Vec<u8> = source.unsent.drain(..count).collect();
                        tunnel.dropped(from, &dropped, now);
                        continue;
                    }
                    Write::Theirs(count) => source.unsent[..count].to_vec(),
                    Write::Ours => tunnel.ours(from, self.farewell.as_ref()).to_vec(),
                };
                if sink.room == 0 && !sink.is_asked {
                    return tunnel.blocked(from, now);
                }
                match (sink.offer(&bytes), write) {
                    (0, _) => return tunnel.refused(from, write, now),
                    (count, Write::Ours) => tunnel.sent_ours(from, count, now),
                    (count, _) => {
                        tunnel.sent(from, &bytes[..count], now);
                        source.unsent.drain(..count);
                    }
                }
            }
            if source.read == source.arrived {
                if source.finished {
                    source.has_ended = true;
                    match source.is_half {
                        true => tunnel.half_ended(from),
                        false => tunnel.ended(from),
                    }
                }
                return;
            }
            let count = tunnel
                .next_read(from, now)
                .min(source.arrived - source.read)
                .min(BUFFER.saturating_sub(source.unsent.len()));
            if count == 0 {
                return;
            }
            let end = source.read + count;
            source.unsent.extend(&source.stream[source.read..end]);
            source.read = end;
            tunnel.received(from, count, now);
        }
    }
}

fn made<'a>(terms: &Terms, guard: Option<&'a mut Guard>, now: Time, random: usize) -> Tunnel<'a> {
    let mut tunnel = Tunnel::new(terms.limits, now, random, MASK);
    if let Some(guard) = guard {
        tunnel.hold_to(guard);
    }
    if let Some(age) = terms.lifetime {
        let lifetime = Lifetime {
            age,
            code: 1001,
            is_spread: true,
        };
        tunnel.live(lifetime, now, RANDOM);
    }
    tunnel
}
