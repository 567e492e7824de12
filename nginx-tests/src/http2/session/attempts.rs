//! The same for those to whom the end of a connection is no failure.

use std::io::{self, ErrorKind};

use super::{DATA, Session, frame};
use crate::frame::Frame;

impl Session {
    /// Sends bytes as they are.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Reads on until this is so.
    pub fn try_wait(&mut self, is: impl Fn(&Self) -> bool) -> io::Result<()> {
        while !is(self) {
            self.step()?;
        }
        Ok(())
    }

    /// Sends bytes on a stream, in frames of up to 16 KiB, as its window lets them go.
    pub fn try_data(&mut self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            while self.room(stream) == 0 {
                self.check(stream)?;
                self.step()?;
            }
            let (piece, behind) = rest.split_at(rest.len().min(self.room(stream)).min(16_384));
            self.try_send(&frame(DATA, 0, stream, piece))?;
            if let Some(known) = self.streams.get_mut(&stream) {
                known.sent += piece.len() as u64;
            }
            rest = behind;
        }
        Ok(())
    }

    /// Waits for a WebSocket frame, and takes it.
    pub fn try_read(&mut self, stream: u32) -> io::Result<Frame> {
        loop {
            let mut rest = &self.of(stream).bytes[..];
            if is_whole(rest) {
                let frame = Frame::read(&mut rest)?;
                let rest = rest.to_vec();
                if let Some(known) = self.streams.get_mut(&stream) {
                    known.bytes = rest;
                }
                return Ok(frame);
            }
            self.check(stream)?;
            self.step()?;
        }
    }

    /// An error if nothing more comes of a stream.
    fn check(&self, stream: u32) -> io::Result<()> {
        if self.of(stream).is_ended || self.of(stream).reset.is_some() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Whether these bytes begin with a whole WebSocket frame (RFC 6455 section 5.2).
fn is_whole(bytes: &[u8]) -> bool {
    let [_, second, rest @ ..] = bytes else {
        return false;
    };
    let size = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, rest)) = rest.split_at_checked(size) else {
        return false;
    };
    let length = match length {
        [] => usize::from(second & 0x7f),
        bytes => bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    rest.len() >= mask + length
}
