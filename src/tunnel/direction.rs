//! One direction of a tunnel: bytes from one side's socket to the other's.

use nginx_sys::{NGX_AGAIN, NGX_ERROR, ngx_connection_t, ngx_log_t, ngx_msec_t};
use websocket_protocol::{ControlFrame, Frame, Opcode, Scanner};

use super::buffers::Buffer;
use crate::conf::LocationConf;
use crate::nginx::clock::now;

/// Reads at once at most this often, so that one busy tunnel doesn't keep the worker from others.
const MAX_ROUNDS: u32 = 16;

pub struct Direction {
    from_client: bool,
    buffer: Option<Buffer>,
    /// How much of the buffer the last write was asked for, when it could not go on: TLS wants the
    /// same bytes again.
    blocked: usize,
    /// Follows the bytes the receiver's socket has accepted, as long as they are frames.
    scanner: Scanner,
    are_frames: bool,
    ours: Option<Ours>,
    /// Set when a Close of ours is queued: what comes after it is dropped.
    closing: bool,
    /// The receiver takes nothing for now, so nothing is read either.
    stuck: bool,
    /// All that can be written before the sender sends more is written.
    starved: bool,
    pub bytes: u64,
    /// The sender's Close, passed on or dropped.
    pub close: Option<Close>,
    pub pongs: u32,
    /// When the sender was last heard of.
    pub heard: ngx_msec_t,
    /// When the receiver last took some of it.
    pub taken: ngx_msec_t,
    pub failed: Option<Side>,
    /// The message that is too big has been seen.
    pub too_big: bool,
    pub not_frames: bool,
    credit: Credit,
}

/// Frames of ours, to be sent at the next boundary: a Ping, a Close, or the one behind the other.
struct Ours {
    bytes: [u8; Self::MAX],
    len: u8,
    /// How much of it is gone.
    sent: u8,
    /// Set when it has been given to the socket, even if that took nothing: TLS may hold a part.
    begun: bool,
}

impl Ours {
    /// A masked Ping and a masked Close, neither with more than it needs.
    const MAX: usize = 14;

    fn new(frame: &ControlFrame) -> Self {
        let mut ours = Self {
            bytes: [0; Self::MAX],
            len: 0,
            sent: 0,
            begun: false,
        };
        ours.add(frame);
        ours
    }

    /// Puts a frame behind what there is.
    fn add(&mut self, frame: &ControlFrame) {
        let places = self.bytes.iter_mut().skip(self.len.into());
        for (place, byte) in places.zip(frame.bytes()) {
            *place = *byte;
            self.len += 1;
        }
    }

    fn left(&self) -> &[u8] {
        self.bytes
            .get(self.sent.into()..self.len.into())
            .unwrap_or_default()
    }
}

/// A Close frame as its sender wrote it.
#[derive(Clone, Copy)]
pub struct Close {
    pub code: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// Why a pump stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// There is nothing more to read, or to write to, for now.
    Waiting,
    /// There is more, but others come first.
    Busy,
    /// The rate is used up until this time.
    Paused(ngx_msec_t),
    /// No memory, or a socket that is no more.
    Broken,
}

impl Direction {
    pub fn new(from_client: bool) -> Self {
        Self {
            from_client,
            buffer: None,
            blocked: 0,
            scanner: Scanner::new(from_client),
            are_frames: true,
            ours: None,
            closing: false,
            stuck: false,
            starved: false,
            bytes: 0,
            close: None,
            pongs: 0,
            heard: now(),
            taken: now(),
            failed: None,
            too_big: false,
            not_frames: false,
            credit: Credit::new(),
        }
    }

    pub fn sender(&self) -> Side {
        if self.from_client {
            Side::Client
        } else {
            Side::Upstream
        }
    }

    fn receiver(&self) -> Side {
        if self.from_client {
            Side::Upstream
        } else {
            Side::Client
        }
    }

    /// How long the sender has not been heard of, milliseconds.
    pub fn silence(&self) -> ngx_msec_t {
        now().wrapping_sub(self.heard)
    }

    /// Frames and messages that have gone by.
    pub fn counts(&self) -> (u64, u64) {
        (self.scanner.frames(), self.scanner.messages())
    }

    /// Whether everything that was read has been passed on, or all that ever can be when the sender
    /// has `ended`: what it left unfinished then holds nothing up.
    pub fn is_drained(&self, ended: bool) -> bool {
        self.is_empty() || (ended && self.starved)
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_none() && self.ours.is_none()
    }

    /// Whether the receiver has to be waited for.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether a frame of ours is not gone yet.
    pub fn has_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether frames of ours can be put in.
    pub fn takes_frames(&self) -> bool {
        self.are_frames
    }

    /// Whether a Ping can be put in: nothing may follow a Close.
    pub fn takes_pings(&self) -> bool {
        self.takes_frames() && !self.is_closed()
    }

    /// Whether the receiver has been sent a Close, by the sender or by us.
    fn is_closed(&self) -> bool {
        self.closing || self.close.is_some()
    }

    /// Takes in bytes that nginx had read before the tunnel began.
    pub fn preload(
        &mut self,
        bytes: &[u8],
        settings: &LocationConf,
        log: *mut ngx_log_t,
    ) -> Option<()> {
        if !bytes.is_empty() {
            let mut buffer = Buffer::borrow(bytes.len().max(settings.buffer_size()), log)?;
            buffer.append(bytes);
            self.buffer = Some(buffer);
            self.bytes = bytes.len() as u64;
        }
        Some(())
    }

    /// Queues a Ping for the next boundary, unless one is waiting for it already.
    pub fn send_ping(&mut self, frame: ControlFrame) {
        if self.takes_pings() && self.ours.is_none() {
            self.ours = Some(Ours::new(&frame));
            self.starved = false;
        }
    }

    /// Queues a Close, in place of a Ping that has not begun. What comes after it is dropped.
    pub fn send_close(&mut self, frame: ControlFrame) {
        if self.is_closed() || !self.are_frames {
            return;
        }
        self.closing = true;
        self.starved = false;
        match &mut self.ours {
            // A Ping that has begun goes out whole; the Close follows it as part of it.
            Some(ping) if ping.begun => ping.add(&frame),
            ours => *ours = Some(Ours::new(&frame)),
        }
    }

    /// Gives the buffer back, whatever is in it.
    pub fn release(&mut self, settings: &LocationConf) {
        if let Some(buffer) = self.buffer.take() {
            // One made for more than the usual, for what came before the tunnel, is not kept.
            let keep = if buffer.capacity() == settings.buffer_size() {
                settings.buffers()
            } else {
                0
            };
            buffer.give_back(keep);
        }
    }

    /// Moves bytes until one side has to be waited for.
    ///
    /// # Safety
    /// Both connections must be open.
    pub unsafe fn pump(
        &mut self,
        source: *mut ngx_connection_t,
        sink: *mut ngx_connection_t,
        settings: &LocationConf,
    ) -> Stop {
        let mut rounds = 0;
        let stop = loop {
            // SAFETY: the caller vouches for the connections.
            let written = unsafe { self.write(sink, settings) };
            self.stuck = matches!(written, Write::Blocked);
            self.starved = matches!(written, Write::Done);
            match written {
                Write::Done => {}
                Write::Blocked => break Stop::Waiting,
                Write::Broken => {
                    self.failed = Some(self.receiver());
                    break Stop::Broken;
                }
            }
            if rounds == MAX_ROUNDS {
                break Stop::Busy;
            }
            rounds += 1;
            // SAFETY: as above.
            match unsafe { self.read(source, settings) } {
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        if self.buffer.as_ref().is_some_and(Buffer::is_empty) {
            self.release(settings);
        }
        stop
    }

    /// Reads once into the buffer. `Err`: there is nothing to read.
    ///
    /// # Safety
    /// The connection must be open.
    unsafe fn read(
        &mut self,
        source: *mut ngx_connection_t,
        settings: &LocationConf,
    ) -> Result<(), Stop> {
        // SAFETY: the caller vouches for the connection.
        let (ready, recv, log) = unsafe {
            (
                (*(*source).read).ready() != 0,
                (*source).recv,
                (*source).log,
            )
        };
        let Some(recv) = recv.filter(|_| ready) else {
            return Err(Stop::Waiting);
        };

        let rate = settings.rate().filter(|_| self.from_client);
        let allowed = match rate {
            Some(rate) => self.credit.available(rate).map_err(Stop::Paused)?,
            None => usize::MAX,
        };
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            none => none.insert(Buffer::borrow(settings.buffer_size(), log).ok_or(Stop::Broken)?),
        };
        if buffer.room().1 == 0 {
            buffer.compact();
        }
        let (room, size) = buffer.room();
        if size == 0 || (self.too_big && !self.closing) {
            return Err(Stop::Waiting);
        }
        // SAFETY: the buffer has room for that many bytes.
        let count = unsafe { recv(source, room, size.min(allowed)) };
        let Ok(count @ 1..) = usize::try_from(count) else {
            if count == NGX_ERROR as isize {
                self.failed = Some(self.sender());
                // SAFETY: as above. nginx's own loop takes an error for the end, too.
                unsafe { (*(*source).read).set_eof(1) };
            }
            return Err(Stop::Waiting);
        };
        buffer.fill(count);
        self.bytes = self.bytes.wrapping_add(count as u64);
        self.heard = now();
        if rate.is_some() {
            self.credit.spend(count);
        }
        Ok(())
    }

    /// Writes what there is, our own frames at their place.
    ///
    /// # Safety
    /// The connection must be open.
    unsafe fn write(&mut self, sink: *mut ngx_connection_t, settings: &LocationConf) -> Write {
        loop {
            let turn = self.next(settings);
            // SAFETY: the caller vouches for the connection.
            let (ready, send) = unsafe { ((*(*sink).write).ready() != 0, (*sink).send) };
            let bytes = match turn {
                Turn::Nothing => return Write::Done,
                Turn::Drop(count) => {
                    self.pass(count);
                    continue;
                }
                Turn::Ours => match &mut self.ours {
                    Some(ours) => {
                        ours.begun |= ready;
                        ours.left()
                    }
                    None => return Write::Done,
                },
                Turn::Theirs(count) => match &self.buffer {
                    Some(buffer) => buffer.bytes().get(..count).unwrap_or_default(),
                    None => return Write::Done,
                },
            };
            let Some(send) = send.filter(|_| ready) else {
                return Write::Blocked;
            };
            // SAFETY: nginx only reads the bytes.
            let count = unsafe { send(sink, bytes.as_ptr().cast_mut(), bytes.len()) };
            let wanted = bytes.len();
            match usize::try_from(count) {
                Ok(count) if count > 0 => {
                    self.blocked = 0;
                    match turn {
                        Turn::Ours => self.sent_of_ours(count),
                        _ => {
                            self.taken = now();
                            self.pass(count);
                        }
                    }
                }
                Err(_) if count != NGX_AGAIN as isize => return Write::Broken,
                _ => {
                    if matches!(turn, Turn::Theirs(_)) {
                        self.blocked = wanted;
                    }
                    return Write::Blocked;
                }
            }
        }
    }

    /// Whose bytes are to be written next, and how many.
    fn next(&mut self, settings: &LocationConf) -> Turn {
        let bytes = self.buffer.as_ref().map_or(&[] as &[u8], Buffer::bytes);
        let limit = settings.max_message_size().filter(|_| self.from_client);
        if self.ours.is_none() && !self.closing && self.blocked == 0 && limit.is_none() {
            // So it is nearly always.
            return Turn::all_of(bytes);
        }
        if self.blocked > 0 {
            return Turn::Theirs(self.blocked.min(bytes.len()));
        }
        if self.close.is_some() && !self.closing {
            // The sender's Close has overtaken our Ping.
            self.ours.take_if(|ping| !ping.begun);
        }
        if !self.are_frames {
            self.ours = None;
            return Turn::all_of(bytes);
        }
        if let Some(ours) = &self.ours {
            if ours.begun || self.scanner.at_boundary() {
                return Turn::Ours;
            }
            // Up to the boundary, and no further.
            return match self.scanner.next_boundary(bytes) {
                Ok(Some(count)) if !bytes.is_empty() => Turn::Theirs(count),
                _ => Turn::all_of(bytes),
            };
        }
        if bytes.is_empty() {
            return Turn::Nothing;
        }
        if self.closing {
            return Turn::Drop(bytes.len());
        }
        match limit.map(|limit| self.scanner.admit(bytes, limit)) {
            Some(Ok(admitted)) => {
                self.too_big |= admitted.exceeded;
                Turn::all_of(bytes.get(..admitted.bytes).unwrap_or_default())
            }
            _ => Turn::all_of(bytes),
        }
    }

    fn sent_of_ours(&mut self, count: usize) {
        if let Some(ours) = &mut self.ours {
            ours.sent = ours
                .sent
                .saturating_add(u8::try_from(count).unwrap_or(u8::MAX));
            if ours.sent >= ours.len {
                self.ours = None;
            }
        }
    }

    /// The first `count` bytes of the buffer are gone: follows them.
    fn pass(&mut self, count: usize) {
        let Some(buffer) = &mut self.buffer else {
            return;
        };
        if self.are_frames {
            let bytes = buffer.bytes().get(..count).unwrap_or_default();
            let (close, pongs) = (&mut self.close, &mut self.pongs);
            let followed = self.scanner.scan(bytes, |frame: Frame| match frame.opcode {
                Opcode::Close => {
                    close.get_or_insert(Close {
                        code: frame.close_code,
                    });
                }
                Opcode::Pong => *pongs = pongs.wrapping_add(1),
                _ => {}
            });
            if followed.is_err() {
                self.are_frames = false;
                self.not_frames = true;
            }
        }
        buffer.take(count);
    }
}

/// What is to be written next.
#[derive(Clone, Copy)]
enum Turn {
    Nothing,
    /// Our own frame.
    Ours,
    /// So many of the buffer's bytes.
    Theirs(usize),
    /// So many of the buffer's bytes, which come after our Close.
    Drop(usize),
}

impl Turn {
    fn all_of(bytes: &[u8]) -> Self {
        match bytes.len() {
            0 => Self::Nothing,
            count => Self::Theirs(count),
        }
    }
}

enum Write {
    Done,
    Blocked,
    Broken,
}

/// `websocket_rate`: bytes that may be read now. A second's worth at most is saved up, and is there
/// at the start.
struct Credit {
    bytes: usize,
    at: ngx_msec_t,
}

const A_SECOND: ngx_msec_t = 1000;

impl Credit {
    fn new() -> Self {
        Self {
            bytes: 0,
            at: now().wrapping_sub(A_SECOND),
        }
    }

    /// What may be read now, or else when something may.
    fn available(&mut self, rate: usize) -> Result<usize, ngx_msec_t> {
        let elapsed = now().wrapping_sub(self.at).min(A_SECOND);
        let earned = (rate as u128).saturating_mul(elapsed as u128) / A_SECOND as u128;
        if earned > 0 {
            self.at = now();
            self.bytes = self.bytes.saturating_add(earned as usize).min(rate);
        }
        if self.bytes > 0 {
            return Ok(self.bytes);
        }
        // Small rates would otherwise wake the worker for every byte.
        Err(now().wrapping_add((A_SECOND / rate.max(1)).max(20)))
    }

    fn spend(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
    }
}
