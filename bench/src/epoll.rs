//! Edge-triggered readiness: each descriptor is registered once and never changed.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

const EVENTS_AT_ONCE: usize = 256;

pub struct Epoll(OwnedFd);

/// A descriptor may have become readable or writable.
#[derive(Clone, Copy)]
pub struct Readiness {
    pub token: u64,
    /// The peer has closed its side: a read shorter than asked for is not the last one.
    pub closed: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// A descriptor that is closed leaves by itself.
    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        use epoll::EventFlags as On;
        let on = On::IN | On::OUT | On::RDHUP | On::ET;
        Ok(epoll::add(
            &self.0,
            source,
            epoll::EventData::new_u64(token),
            on,
        )?)
    }

    pub fn wait(&self, ready: &mut Vec<Readiness>, timeout: Duration) -> io::Result<()> {
        use epoll::EventFlags as On;
        let mut events = [const { std::mem::MaybeUninit::uninit() }; EVENTS_AT_ONCE];
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        ready.clear();
        let (events, _) = match epoll::wait(&self.0, &mut events, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            Readiness {
                token: event.data.u64(),
                closed: flags.intersects(On::RDHUP | On::HUP | On::ERR),
            }
        }));
        Ok(())
    }
}

/// Turns "not now" into `None`.
pub fn unless_blocked<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
