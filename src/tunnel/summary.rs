//! How a tunnel ended, for the log and for variables.

use core::fmt;

use nginx_sys::ngx_msec_t;

use super::Tunnel;
use super::direction::{Direction, Side};

/// Why a tunnel ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Normal,
    NoCloseFrame,
    Reset,
    IdleTimeout,
    PingTimeout,
    Lifetime,
    MessageTooBig,
    Drain,
    WorkerShutdown,
    Error,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::NoCloseFrame => "no-close-frame",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle-timeout",
            Self::PingTimeout => "ping-timeout",
            Self::Lifetime => "lifetime",
            Self::MessageTooBig => "message-too-big",
            Self::Drain => "drain",
            Self::WorkerShutdown => "worker-shutdown",
            Self::Error => "error",
        }
    }

    /// Whether an operator would want to know.
    pub fn is_abnormal(self) -> bool {
        !matches!(
            self,
            Self::Normal | Self::Lifetime | Self::Drain | Self::WorkerShutdown
        )
    }
}

/// Who ended a tunnel, and why.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// nginx, where it was no side.
    by: Option<Side>,
    reason: Reason,
    code: Option<u16>,
}

/// A tunnel's account.
pub struct Summary {
    pub by: &'static str,
    pub reason: Reason,
    pub code: Option<u16>,
    pub from_client: Count,
    pub from_upstream: Count,
    pub ping_rtt: Option<u32>,
    /// How long client and upstream had been silent, when that was the reason.
    pub silent: (ngx_msec_t, ngx_msec_t),
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}: {}", self.by, self.reason.name())?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        if matches!(self.reason, Reason::IdleTimeout | Reason::PingTimeout) {
            let (client, upstream) = self.silent;
            write!(
                f,
                ", client silent for {client} ms, upstream for {upstream} ms"
            )?;
        }
        write!(f, ", in: {}, out: {}", self.from_client, self.from_upstream)?;
        match self.ping_rtt {
            Some(rtt) => write!(f, ", ping rtt {rtt} ms"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bytes,
            frames,
            messages,
        } = self;
        write!(f, "{bytes} bytes {frames} frames {messages} messages")
    }
}

#[derive(Clone, Copy)]
pub struct Count {
    pub bytes: u64,
    pub frames: u64,
    pub messages: u64,
}

impl Tunnel {
    /// How it is, or how it ended.
    pub fn summary(&self) -> Summary {
        let end = self.end.unwrap_or_else(|| self.judge());
        Summary {
            by: end.by.map_or("nginx", Side::name),
            reason: end.reason,
            code: end.code,
            from_client: count(&self.from_client),
            from_upstream: count(&self.from_upstream),
            ping_rtt: self.clock.rtt,
            silent: self.closing.map_or((0, 0), |closing| closing.silent),
        }
    }

    /// Who ends it and why, while both connections are there.
    pub(super) fn judge(&self) -> End {
        let end = |by, reason, code| End { by, reason, code };
        if let Some(closing) = self.closing {
            return end(None, closing.reason, Some(closing.code));
        }
        // SAFETY: a request has a connection.
        if unsafe { (*(*self.r).connection).close() } != 0 {
            return end(None, Reason::WorkerShutdown, None);
        }
        let (client, upstream) = (&self.from_client, &self.from_upstream);
        let close = match self.first_close {
            Some(Side::Client) => client.close,
            Some(Side::Upstream) => upstream.close,
            None => None,
        };
        if let Some(close) = close {
            return end(self.first_close, Reason::Normal, close.code);
        }
        if let Some(side) = client.failed.or(upstream.failed) {
            return end(Some(side), Reason::Reset, None);
        }
        let Some((client, upstream)) = self.connections() else {
            return end(None, Reason::Error, None);
        };
        // SAFETY: both connections have their events.
        unsafe {
            if (*(*client).read).eof() != 0 {
                end(Some(Side::Client), Reason::NoCloseFrame, None)
            } else if (*(*upstream).read).eof() != 0 {
                end(Some(Side::Upstream), Reason::NoCloseFrame, None)
            } else {
                end(None, Reason::Error, None)
            }
        }
    }
}

fn count(direction: &Direction) -> Count {
    let (frames, messages) = direction.counts();
    Count {
        bytes: direction.bytes,
        frames,
        messages,
    }
}
