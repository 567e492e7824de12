//! What `websocket on` does not carry, although the recipe does.

/// A header, values for it, and why they need not be carried, if they need not. Several values at once are
/// several lines, none is the header's absence.
pub type Row = (
    &'static str,
    &'static [&'static [&'static str]],
    Option<Exception>,
);

/// A kind of deviation that is dangerous, or that two parties can read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    Body,
    Repeated,
    Accept,
    Extension,
    OtherUpgrade,
}

impl Exception {
    pub const ALL: [Self; 5] = [
        Self::Body,
        Self::Repeated,
        Self::Accept,
        Self::Extension,
        Self::OtherUpgrade,
    ];

    /// How `docs/security.md` begins to argue it.
    pub fn in_the_manual(self) -> &'static str {
        match self {
            Self::Body => "**A body behind the handshake.**",
            Self::Repeated => "**A repeated `Sec-WebSocket-Key` or `Sec-WebSocket-Version`.**",
            Self::Accept => "**An `Accept` that does not belong to the key**",
            Self::Extension => "**An extension that the client did not offer.**",
            Self::OtherUpgrade => "**An upgrade to another protocol**",
        }
    }
}
