//! How a tunnel ended, and what went through it.

use core::fmt;

use super::limits::Side;
use super::time::Time;

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A side sent a Close frame.
    Normal,
    /// A side's stream ended without one.
    NoCloseFrame,
    /// A side's connection broke.
    Reset,
    /// Nothing moved for too long.
    IdleTimeout,
    /// A side took nothing of what was written to it for too long.
    SendTimeout,
    /// A side did not answer a Ping.
    PingTimeout,
    /// The tunnel was old enough.
    Lifetime,
    /// The client's message was larger than the limit.
    MessageTooBig,
    /// The process is to end, and asked for it in time.
    Drain,
    /// The process is to end, and cut it off.
    WorkerShutdown,
    /// It could not go on, for lack of memory for example.
    Error,
}

impl Reason {
    /// As it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::NoCloseFrame => "no-close-frame",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle-timeout",
            Self::SendTimeout => "send-timeout",
            Self::PingTimeout => "ping-timeout",
            Self::Lifetime => "lifetime",
            Self::MessageTooBig => "message-too-big",
            Self::Drain => "drain",
            Self::WorkerShutdown => "worker-shutdown",
            Self::Error => "error",
        }
    }

    /// Whether an operator would want to know.
    pub const fn is_abnormal(self) -> bool {
        !matches!(
            self,
            Self::Normal | Self::Lifetime | Self::Drain | Self::WorkerShutdown
        )
    }
}

/// Who ended a tunnel, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `None` where it was no side.
    pub by: Option<Side>,
    /// Why.
    pub reason: Reason,
    /// The status code of the first Close frame, if there was one that had a code.
    pub code: Option<u16>,
}

/// A tunnel's account.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// How it ended; of one that goes on, how it would if it were cut off now.
    pub end: End,
    /// What came from the client.
    pub from_client: Count,
    /// What came from the upstream.
    pub from_upstream: Count,
    /// How long the last answered Ping took until its Pong, milliseconds.
    pub ping_rtt: Option<u32>,
    /// How long client and upstream had been silent when nginx closed the tunnel, milliseconds.
    pub silent: (Time, Time),
}

/// What went by in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Bytes received.
    pub bytes: u64,
    /// Frames passed on or dropped, control frames included.
    pub frames: u64,
    /// Messages whose last frame was.
    pub messages: u64,
}

impl Count {
    /// Nothing yet.
    pub const NONE: Self = Self {
        bytes: 0,
        frames: 0,
        messages: 0,
    };
}

impl Summary {
    /// Who ended it, as it stands in the log.
    pub fn by(&self) -> &'static str {
        self.end.by.map_or("nginx", Side::name)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { reason, code, .. } = self.end;
        write!(f, "by {}: {}", self.by(), reason.name())?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        if matches!(reason, Reason::IdleTimeout | Reason::PingTimeout) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(by: Option<Side>, reason: Reason, code: Option<u16>) -> Summary {
        let count = |bytes| Count {
            bytes,
            frames: 2,
            messages: 1,
        };
        Summary {
            end: End { by, reason, code },
            from_client: count(19),
            from_upstream: count(11),
            ping_rtt: None,
            silent: (5, 6),
        }
    }

    #[test]
    fn the_line() {
        let text = summary(Some(Side::Client), Reason::Normal, Some(1000)).to_string();
        assert_eq!(
            text,
            "by client: normal 1000, in: 19 bytes 2 frames 1 messages, \
             out: 11 bytes 2 frames 1 messages"
        );
        let summary = Summary {
            ping_rtt: Some(7),
            ..summary(None, Reason::IdleTimeout, Some(1001))
        };
        let text = summary.to_string();
        assert!(text.starts_with(
            "by nginx: idle-timeout 1001, client silent for 5 ms, upstream for 6 ms, in: "
        ));
        assert!(text.ends_with(", ping rtt 7 ms"));
    }

    #[test]
    fn what_an_operator_wants_to_know() {
        assert!(Reason::SendTimeout.is_abnormal() && Reason::Reset.is_abnormal());
        assert!(!Reason::Normal.is_abnormal() && !Reason::Drain.is_abnormal());
    }
}
