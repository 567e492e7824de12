//! Edge-triggered readiness: each descriptor is registered once and never changed.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

const EVENTS_AT_ONCE: usize = 256;

pub struct Epoll {
    descriptor: OwnedFd,
    /// Tokens whose owners stopped before they were blocked.
    again: RefCell<Vec<u64>>,
}

/// A descriptor may have become readable or writable.
#[derive(Clone, Copy)]
pub struct Readiness {
    pub token: u64,
    /// The peer has closed its side: a read shorter than asked for is not the last one.
    pub closed: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            descriptor: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            again: RefCell::default(),
        })
    }

    /// Reports a token with the next events: for one who lets others have their turn.
    pub fn again(&self, token: u64) {
        self.again.borrow_mut().push(token);
    }

    /// A descriptor that is closed leaves by itself.
    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        use epoll::EventFlags as On;
        let on = On::IN | On::OUT | On::RDHUP | On::ET;
        Ok(epoll::add(
            &self.descriptor,
            source,
            epoll::EventData::new_u64(token),
            on,
        )?)
    }

    pub fn wait(&self, ready: &mut Vec<Readiness>, timeout: Duration) -> io::Result<()> {
        use epoll::EventFlags as On;
        let mut events = [const { std::mem::MaybeUninit::uninit() }; EVENTS_AT_ONCE];
        let again = self.again.take();
        let timeout = if again.is_empty() {
            timeout
        } else {
            Duration::ZERO
        };
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        ready.clear();
        ready.extend(again.iter().map(|&token| Readiness {
            token,
            closed: false,
        }));
        let (events, _) = match epoll::wait(&self.descriptor, &mut events, Some(&timeout)) {
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
