//! How far a handshake has come through the phases in which nginx may refuse it.

use core::cell::Cell;

use websocket_protocol::Cause;

/// What the access phase has made of a request, in the location it is in. nginx forgets why it refused
/// one as soon as `error_page` gives it another status or another location.
pub struct Access {
    phase: Cell<Phase>,
    /// The status of the last subrequest that asked whether to let it in, 0 where there was none.
    answer: Cell<u16>,
    refused: Cell<Option<Cause>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not come so far.
    Before,
    /// The modules of the access phase have it.
    Asked,
    /// None of them has refused it.
    Admitted,
}

impl Access {
    pub const fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Before),
            answer: Cell::new(0),
            refused: Cell::new(None),
        }
    }

    /// It is in another location, where all begins anew but for a refusal.
    pub fn begin(&self) {
        self.phase.set(Phase::Before);
        self.answer.set(0);
    }

    /// The access phase begins.
    pub fn ask(&self) {
        if self.phase.get() == Phase::Before {
            self.phase.set(Phase::Asked);
        }
    }

    /// A subrequest has been answered while the access phase went on.
    pub fn answered(&self, status: u16) {
        if self.is_asked() {
            self.answer.set(status);
        }
    }

    /// The access phase is over.
    pub fn admit(&self) {
        self.phase.set(Phase::Admitted);
    }

    /// Whether it is in the access phase; for one that is answered, whether it was refused there.
    pub fn is_asked(&self) -> bool {
        self.phase.get() == Phase::Asked
    }

    /// Whether it has passed that phase, too.
    pub fn is_admitted(&self) -> bool {
        self.phase.get() == Phase::Admitted
    }

    pub fn answer(&self) -> u16 {
        self.answer.get()
    }

    /// Why it was refused in the location where it was first.
    pub fn refused(&self) -> Option<Cause> {
        self.refused.get()
    }

    pub fn refuse(&self, cause: Cause) {
        self.refused.set(self.refused.get().or(Some(cause)));
    }
}
