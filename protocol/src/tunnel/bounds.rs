//! What the messages of a tunnel are held to, where anything is asked of them.

use core::num::{NonZeroU32, NonZeroU64};

/// What messages are held to; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Payload bytes of one message from the client, all its fragments together.
    pub message: Option<NonZeroU64>,
    /// Bytes per second from the client.
    pub rate: Option<NonZeroU64>,
    /// How often the client may begin a message.
    pub message_rate: Option<MessageRate>,
    /// For how long no message may go by, either way, milliseconds.
    pub message_timeout: Option<NonZeroU32>,
}

impl Bounds {
    /// Whether there are any.
    pub const fn is_any(&self) -> bool {
        self.message.is_some()
            || self.rate.is_some()
            || self.message_rate.is_some()
            || self.message_timeout.is_some()
    }
}

/// How often messages may begin. Control frames are none, and fragments begin none but with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRate {
    /// Messages per minute, one as soon as the time for it has passed.
    pub per_minute: NonZeroU32,
    /// How many more may come at once.
    pub burst: u32,
    /// What becomes of those that come before their time.
    pub excess: Excess,
}

/// What becomes of messages that come too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// They wait, and so does all that comes behind them.
    Delay,
    /// They end the tunnel.
    Close,
}
