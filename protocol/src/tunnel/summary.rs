//! How a tunnel ended, and what went through it.

use core::fmt;

use super::limits::Side;
use super::time::Time;
use crate::{Counted, Escaped};

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A side sent a Close frame that does not say that something is wrong.
    Normal,
    /// 1002: a side says that the other broke the protocol.
    ProtocolError,
    /// 1003: a side got a kind of data that it cannot accept.
    UnsupportedData,
    /// 1007: a side got a message whose data is not what its kind says.
    InvalidPayload,
    /// 1008: a side got a message that breaks its rules.
    PolicyViolation,
    /// 1010: the client misses an extension in the upstream's answer.
    MandatoryExtension,
    /// 1011: a side failed in a way that it did not expect.
    InternalError,
    /// 1014: a side is a gateway, and what it got from behind it was no use.
    BadGateway,
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
    /// No message went by for too long.
    MessageTimeout,
    /// The tunnel was old enough.
    Lifetime,
    /// The client's message was larger than the limit, or 1009: a side got one that is too big for it.
    MessageTooBig,
    /// The client's messages came too fast.
    MessageRate,
    /// The client had left, and what it had sent would have taken too long at its rate.
    Rate,
    /// The process is to end, and asked for it in time.
    Drain,
    /// The process is to end, and the upstream's server is one that its successor does not have.
    UpstreamDrain,
    /// The process has ended, and its successor's configuration does not let it go on.
    HandoverRefused,
    /// Somebody asked for it.
    Control,
    /// The process is to end, and cut it off.
    WorkerShutdown,
    /// It could not go on, for lack of memory for example.
    Error,
}

impl Reason {
    /// What a side's Close says by its code (RFC 6455 section 7.4, and IANA's registry). Codes from 3000
    /// on are the application's own.
    pub(super) const fn of_close(code: Option<u16>) -> Self {
        match code {
            Some(1002) => Self::ProtocolError,
            Some(1003) => Self::UnsupportedData,
            Some(1007) => Self::InvalidPayload,
            Some(1008) => Self::PolicyViolation,
            Some(1009) => Self::MessageTooBig,
            Some(1010) => Self::MandatoryExtension,
            Some(1011) => Self::InternalError,
            Some(1014) => Self::BadGateway,
            _ => Self::Normal,
        }
    }

    /// As it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ProtocolError => "protocol-error",
            Self::UnsupportedData => "unsupported-data",
            Self::InvalidPayload => "invalid-payload",
            Self::PolicyViolation => "policy-violation",
            Self::MandatoryExtension => "mandatory-extension",
            Self::InternalError => "internal-error",
            Self::BadGateway => "bad-gateway",
            Self::NoCloseFrame => "no-close-frame",
            Self::Reset => "reset",
            Self::IdleTimeout => "idle-timeout",
            Self::SendTimeout => "send-timeout",
            Self::PingTimeout => "ping-timeout",
            Self::MessageTimeout => "message-timeout",
            Self::Lifetime => "lifetime",
            Self::MessageTooBig => "message-too-big",
            Self::MessageRate => "message-rate",
            Self::Rate => "rate",
            Self::Drain => "drain",
            Self::UpstreamDrain => "upstream-drain",
            Self::HandoverRefused => "handover-refused",
            Self::Control => "control",
            Self::WorkerShutdown => "worker-shutdown",
            Self::Error => "error",
        }
    }

    /// Whether an operator would want to know.
    pub const fn is_abnormal(self) -> bool {
        !matches!(
            self,
            Self::Normal
                | Self::Lifetime
                | Self::Drain
                | Self::UpstreamDrain
                | Self::HandoverRefused
                | Self::Control
                | Self::WorkerShutdown
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
pub struct Summary<'a> {
    /// How it ended; of one that goes on, how it would if it were cut off now.
    pub end: End,
    /// The text of the Close whose code that is, as it was sent; empty if it had none.
    pub text: &'a [u8],
    /// What came from the client.
    pub from_client: Count,
    /// What came from the upstream.
    pub from_upstream: Count,
    /// How long the last answered Ping took until its Pong, milliseconds.
    pub ping_rtt: Option<u32>,
    /// How long client and upstream had been silent when nginx closed the tunnel, milliseconds.
    pub silent: (Time, Time),
    /// How the client's rate of messages was held.
    pub delays: Delays,
}

/// Messages of the client's that had to wait for their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// How often one had to.
    pub count: u64,
    /// For how long in all.
    pub milliseconds: u64,
}

impl Delays {
    /// None had to.
    pub const NONE: Self = Self {
        count: 0,
        milliseconds: 0,
    };
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

impl Summary<'_> {
    /// Who ended it, as it stands in the log.
    pub fn by(&self) -> &'static str {
        self.end.by.map_or("nginx", Side::name)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { reason, code, .. } = self.end;
        write!(f, "by {}: {}", self.by(), reason.name())?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        if !self.text.is_empty() {
            write!(f, " \"{}\"", Escaped(self.text))?;
        }
        if matches!(reason, Reason::IdleTimeout | Reason::PingTimeout) {
            let (client, upstream) = self.silent;
            write!(
                f,
                ", client silent for {client} ms, upstream for {upstream} ms"
            )?;
        }
        let (client, upstream) = (self.from_client, self.from_upstream);
        write!(f, ", {client} from client, {upstream} from upstream")?;
        if self.delays != Delays::NONE {
            let Delays {
                count,
                milliseconds,
            } = self.delays;
            let times = Counted(count, "time");
            write!(f, ", client delayed {times} for {milliseconds} ms in all")?;
        }
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
        let bytes = Counted(*bytes, "byte");
        let frames = Counted(*frames, "frame");
        let messages = Counted(*messages, "message");
        write!(f, "{bytes} in {frames} ({messages})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(by: Option<Side>, reason: Reason, code: Option<u16>) -> Summary<'static> {
        let count = |bytes, frames| Count {
            bytes,
            frames,
            messages: 1,
        };
        Summary {
            end: End { by, reason, code },
            text: b"",
            from_client: count(19, 2),
            from_upstream: count(1, 1),
            ping_rtt: None,
            silent: (5, 6),
            delays: Delays::NONE,
        }
    }

    #[test]
    fn the_line() {
        let text = summary(Some(Side::Client), Reason::Normal, Some(1000)).to_string();
        assert_eq!(
            text,
            "by client: normal 1000, 19 bytes in 2 frames (1 message) from client, \
             1 byte in 1 frame (1 message) from upstream"
        );
        let summary = Summary {
            ping_rtt: Some(7),
            ..summary(None, Reason::IdleTimeout, Some(1001))
        };
        let text = summary.to_string();
        assert!(text.starts_with(
            "by nginx: idle-timeout 1001, client silent for 5 ms, upstream for 6 ms, 19 bytes "
        ));
        assert!(text.ends_with(", ping rtt 7 ms"));
        let delays = Delays {
            count: 3,
            milliseconds: 1250,
        };
        let text = Summary { delays, ..summary }.to_string();
        let end = ", client delayed 3 times for 1250 ms in all, ping rtt 7 ms";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn the_text_of_a_close_is_quoted_and_escaped() {
        let summary = Summary {
            text: b"no \"DB\"\n\xFF",
            ..summary(Some(Side::Upstream), Reason::InternalError, Some(1011))
        };
        let text = summary.to_string();
        let start = r#"by upstream: internal-error 1011 "no \x22DB\x22\x0A\xFF", 19 bytes "#;
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn what_an_operator_wants_to_know() {
        assert!(Reason::SendTimeout.is_abnormal() && Reason::Reset.is_abnormal());
        assert!(!Reason::Normal.is_abnormal() && !Reason::Drain.is_abnormal());
        assert!(!Reason::UpstreamDrain.is_abnormal());
    }

    #[test]
    #[cfg_attr(miri, ignore = "six thousand codes, one like the other")]
    fn codes_that_say_that_something_is_wrong() {
        let wrong = [1002, 1003, 1007, 1008, 1009, 1010, 1011, 1014];
        for code in (0..6000).chain([u16::MAX]) {
            let reason = Reason::of_close(Some(code));
            let is_wrong = wrong.contains(&code);
            assert_eq!(reason.is_abnormal(), is_wrong, "{code}");
            assert_eq!(reason == Reason::Normal, !is_wrong, "{code}");
        }
        assert_eq!(Reason::of_close(None), Reason::Normal);
        let names = wrong.map(|code| Reason::of_close(Some(code)).name());
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name}");
        }
    }
}
