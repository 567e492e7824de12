//! The ends of a tunnel through which as much as possible flows one way.
//!
//! A flood is frames of one size without end. Behind its last one comes a mark, a frame of another
//! size: whoever has it knows that all the others have come, too.

use std::io::{self, ErrorKind};
use std::sync::LazyLock;

use crate::epoll::unless_blocked;
use crate::frame::Template;
use crate::result::Result;
use crate::stream::Stream;

/// What a frame of the flood carries, and what a mark does: the longest and the shortest payload
/// whose frames have headers of the same length, so that any header is one read.
pub const PAYLOAD: usize = 65_535;
const MARK: usize = 126;

/// How much may move before others have their turn.
pub const AT_ONCE: usize = 64 << 10;

pub struct End {
    sink: Sink,
    source: Source,
}

/// Why moving bytes came to a halt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// There is nothing more to be done until the next event.
    Blocked,
    /// It is the others' turn, and no event will tell when it is over.
    Unfinished,
    /// The other side has closed the connection.
    Ended,
}

/// The frames of all floods.
static FRAMES: LazyLock<[Template; 2]> =
    LazyLock::new(|| [Template::new(PAYLOAD), Template::new(MARK)]);

impl End {
    pub fn of_client() -> Self {
        let [flood, mark] = &*FRAMES;
        Self {
            sink: Sink::new(&flood.echoed, &mark.echoed, flood.header),
            source: Source::new(&flood.masked, &mark.masked),
        }
    }

    pub fn of_backend() -> Self {
        let [flood, mark] = &*FRAMES;
        let header = flood.header + flood.masked.len() - flood.echoed.len();
        Self {
            sink: Sink::new(&flood.masked, &mark.masked, header),
            source: Source::new(&flood.echoed, &mark.echoed),
        }
    }

    pub const fn start(&mut self) {
        self.source.flows = true;
    }

    /// Ends the flood, if there is one, with a mark.
    pub const fn mark(&mut self) {
        self.source.flows = false;
        self.source.marks += 1;
    }

    pub const fn flows(&self) -> bool {
        self.source.flows
    }

    pub fn send(&mut self, stream: &mut Stream) -> io::Result<Halt> {
        self.source.send(stream)
    }

    /// Receives this much at most, so that others have their turn.
    pub fn receive(&mut self, stream: &mut Stream, most: usize) -> Result<Halt> {
        self.sink.receive(stream, most)
    }

    /// How many marks have come since this was last asked.
    pub const fn take_marks(&mut self) -> usize {
        std::mem::replace(&mut self.sink.marks, 0)
    }

    /// How many frames of floods were sent and received since this was last asked.
    pub const fn take_frames(&mut self) -> u64 {
        std::mem::replace(&mut self.source.frames, 0) + std::mem::replace(&mut self.sink.frames, 0)
    }
}

struct Source {
    flood: &'static [u8],
    mark: &'static [u8],
    flows: bool,
    /// Marks that are still to be sent.
    marks: usize,
    /// What is being sent, and how much of it is.
    sends_mark: bool,
    sent: usize,
    frames: u64,
}

impl Source {
    const fn new(flood: &'static [u8], mark: &'static [u8]) -> Self {
        Self {
            flood,
            mark,
            flows: false,
            marks: 0,
            sends_mark: false,
            sent: 0,
            frames: 0,
        }
    }

    fn send(&mut self, stream: &mut Stream) -> io::Result<Halt> {
        match self.send_some(stream) {
            // Whoever reads will tell, too.
            Err(error) if is_end(&error) => Ok(Halt::Ended),
            other => other,
        }
    }

    fn send_some(&mut self, stream: &mut Stream) -> io::Result<Halt> {
        unless_blocked(stream.flush())?;
        let mut left = AT_ONCE;
        while left > 0 {
            if self.sent == 0 {
                if !self.flows && self.marks == 0 {
                    return Ok(Halt::Blocked);
                }
                self.sends_mark = !self.flows;
            }
            let frame = match self.sends_mark {
                true => self.mark,
                false => self.flood,
            };
            let Some(written) = unless_blocked(stream.write(&frame[self.sent..]))? else {
                return Ok(Halt::Blocked);
            };
            self.sent += written;
            left = left.saturating_sub(written);
            if self.sent == frame.len() {
                self.sent = 0;
                match self.sends_mark {
                    true => self.marks -= 1,
                    false => self.frames += 1,
                }
            }
        }
        Ok(Halt::Unfinished)
    }
}

/// The other side has closed, with something unread.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

struct Sink {
    flood_header: Vec<u8>,
    mark_header: Vec<u8>,
    /// The header of the frame that is coming, as far as it has come.
    header: Vec<u8>,
    header_length: usize,
    /// How much of its payload has not come yet.
    payload: usize,
    is_mark: bool,
    /// Made when there is something to receive.
    scratch: Vec<u8>,
    frames: u64,
    marks: usize,
}

impl Sink {
    fn new(flood: &[u8], mark: &[u8], header: usize) -> Self {
        Self {
            flood_header: flood[..header].to_vec(),
            mark_header: mark[..header].to_vec(),
            header: vec![0; header],
            header_length: 0,
            payload: 0,
            is_mark: false,
            scratch: Vec::new(),
            frames: 0,
            marks: 0,
        }
    }

    fn receive(&mut self, stream: &mut Stream, most: usize) -> Result<Halt> {
        let mut left = most;
        while left > 0 {
            let in_header = self.payload == 0;
            let read = if in_header {
                stream.read(&mut self.header[self.header_length..])
            } else {
                self.scratch.resize(AT_ONCE, 0);
                let room = self.payload.min(AT_ONCE).min(left);
                stream.discard(&mut self.scratch[..room])
            };
            let read = match unless_blocked(read) {
                Ok(None) => return Ok(Halt::Blocked),
                Ok(Some(0)) => return Ok(Halt::Ended),
                Ok(Some(read)) => read,
                Err(error) if is_end(&error) => return Ok(Halt::Ended),
                Err(error) => return Err(error.into()),
            };
            left = left.saturating_sub(read);
            if in_header {
                self.header_length += read;
                self.begin_payload()?;
            } else {
                self.payload -= read;
                self.end_payload();
            }
        }
        Ok(Halt::Unfinished)
    }

    /// Payloads are counted, not compared: a byte more or less shows in the next header.
    fn begin_payload(&mut self) -> Result<()> {
        if self.header_length < self.header.len() {
            return Ok(());
        }
        self.header_length = 0;
        self.is_mark = self.header == self.mark_header;
        if !self.is_mark && self.header != self.flood_header {
            return Err("what came out of a tunnel is not what was sent".into());
        }
        self.payload = if self.is_mark { MARK } else { PAYLOAD };
        Ok(())
    }

    const fn end_payload(&mut self) {
        if self.payload == 0 {
            match self.is_mark {
                true => self.marks += 1,
                false => self.frames += 1,
            }
        }
    }
}
