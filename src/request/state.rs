//! The states of a WebSocket attempt and every way from one to the next.
//!
//! ```text
//!            judge                    judge (an internal redirect)
//!  ──────────────────────▶ Judged ◀──────────────┐
//!                         │  │ ▲ join            │
//!        conclude         │  │ └────────────┐    │
//!  Ended ◀────────────────┤  └──────────▶ Joined ┤ leave
//!    ▲                    │                │     │
//!    │                    ▼ switch         │ Asked ─switch─▶ Switched ─carry─▶ Carried
//!    │                 Foreign             │                                     │
//!    └─────────────────────────────────────┴──────────── leave, conclude ◀───────┘
//! ```

use core::ptr::{self, NonNull};

use nginx_sys::{ngx_http_log_handler_pt, ngx_http_request_t, ngx_http_upstream_t, ngx_int_t};
use websocket_protocol::Cause;

use super::Attempt;
use crate::nginx::{Request, Upstream};
use crate::tunnel::{Side, Tunnel};

/// What a WebSocket attempt is to the module.
#[derive(Clone, Copy)]
pub enum State {
    /// It has been judged, and no upstream of ours has it: none yet, none any more, or one that
    /// could not be joined.
    Judged,
    /// An upstream has it that the module has joined.
    Joined(Joined),
    /// An upstream that was never joined has switched protocols: not ours.
    Foreign,
    /// Nothing is judged or joined any more.
    Ended(Ending),
}

/// nginx's own functions that the module stands in front of, while a request has this upstream.
#[derive(Clone, Copy)]
pub struct Joined {
    pub upstream: *mut ngx_http_upstream_t,
    pub process_header: RequestFunction,
    pub reinit_request: RequestFunction,
    pub finalize_request: Option<unsafe extern "C" fn(*mut ngx_http_request_t, ngx_int_t)>,
    pub log_handler: ngx_http_log_handler_pt,
    pub stage: Stage,
}

pub type RequestFunction = Option<unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t>;

/// How far an upstream that was joined has come.
#[derive(Clone, Copy)]
pub enum Stage {
    /// It has been, or is about to be, asked.
    Asked,
    /// It has switched protocols, and the client is being told.
    Switched,
    /// The connection is a tunnel.
    Carried(Carrier),
}

/// Who carries a tunnel's bytes.
#[derive(Clone, Copy)]
pub enum Carrier {
    Module(NonNull<Tunnel>),
    /// nginx's own loop, with the side that has ended it, if one did.
    Nginx(Option<Side>),
}

/// What became of an attempt.
#[derive(Clone, Copy)]
pub enum Ending {
    /// nginx answered it without asking an upstream.
    Rejected(Cause),
    /// An upstream was asked, or the client left, and no tunnel came of it.
    Failed(Cause),
    /// Answered by what is none of this module's business: a location that is off.
    Unknown,
    /// It was a tunnel, which is over.
    Closed(Carrier),
}

impl Attempt {
    pub fn is_ended(&self) -> bool {
        self.ending().is_some()
    }

    /// What became of it, once that is settled.
    pub fn ending(&self) -> Option<Ending> {
        match self.state() {
            State::Ended(ending) => Some(ending),
            State::Judged | State::Joined(_) | State::Foreign => None,
        }
    }

    /// The upstream that has the request, where it was joined.
    pub fn joined(&self) -> Option<Joined> {
        match self.state() {
            State::Joined(joined) => Some(joined),
            _ => None,
        }
    }

    /// Whether this is the upstream that was joined.
    pub fn is_at(&self, upstream: Upstream<'_>) -> bool {
        self.joined()
            .is_some_and(|joined| joined.upstream == upstream.as_ptr())
    }

    /// Who carries, or carried, its tunnel.
    pub fn carrier(&self) -> Option<Carrier> {
        match self.state() {
            State::Joined(Joined {
                stage: Stage::Carried(carrier),
                ..
            })
            | State::Ended(Ending::Closed(carrier)) => Some(carrier),
            _ => None,
        }
    }

    /// The tunnel that the module carries, or carried.
    pub fn tunnel(&self) -> Option<NonNull<Tunnel>> {
        match self.carrier()? {
            Carrier::Module(tunnel) => Some(tunnel),
            Carrier::Nginx(_) => None,
        }
    }

    /// Whether the upstream has switched protocols for it and it was joined.
    pub fn is_established(&self) -> bool {
        match self.state() {
            State::Joined(joined) => !matches!(joined.stage, Stage::Asked),
            State::Ended(Ending::Closed(_)) => true,
            _ => false,
        }
    }

    /// The request goes to an upstream that its location's twin names. `false`: not from here.
    pub fn join(&self, joined: Joined) -> bool {
        let may = match self.state() {
            State::Judged => true,
            // nginx has cleaned up after the one before, and left no word of it.
            State::Joined(before) => {
                matches!(before.stage, Stage::Asked) && before.upstream != joined.upstream
            }
            State::Foreign | State::Ended(_) => false,
        };
        if may {
            self.set_state(State::Joined(joined));
        }
        may
    }

    /// The joined upstream's functions have changed: nginx's parser puts up its next stage.
    pub fn rejoin(&self, process_header: RequestFunction) {
        if let State::Joined(joined) = self.state() {
            self.set_state(State::Joined(Joined {
                process_header,
                ..joined
            }));
        }
    }

    /// An upstream has switched protocols. Whether it is ours.
    pub fn switch(&self, upstream: Upstream<'_>) -> bool {
        match self.state() {
            State::Joined(joined)
                if joined.upstream == upstream.as_ptr() && matches!(joined.stage, Stage::Asked) =>
            {
                self.set_stage(joined, Stage::Switched);
                true
            }
            State::Judged | State::Joined(_) => {
                self.set_state(State::Foreign);
                false
            }
            State::Foreign | State::Ended(_) => false,
        }
    }

    /// The tunnel begins.
    pub fn carry(&self, carrier: Carrier) {
        if let State::Joined(joined) = self.state() {
            self.set_stage(joined, Stage::Carried(carrier));
        }
    }

    /// nginx is done with the joined upstream: a tunnel is over, an attempt may find another.
    /// `ended_by` is for a tunnel in nginx's own loop.
    pub fn leave(&self, ended_by: Option<Side>) {
        let State::Joined(joined) = self.state() else {
            return;
        };
        self.set_state(match joined.stage {
            Stage::Carried(Carrier::Nginx(_)) => {
                State::Ended(Ending::Closed(Carrier::Nginx(ended_by)))
            }
            Stage::Carried(carrier) => State::Ended(Ending::Closed(carrier)),
            // A 101 that did not get to the client.
            Stage::Switched => State::Ended(Ending::Closed(Carrier::Nginx(ended_by))),
            Stage::Asked => State::Judged,
        });
    }

    /// No tunnel came, or will come, of it.
    pub fn conclude(&self, ending: Ending) {
        match self.state() {
            State::Judged
            | State::Joined(Joined {
                stage: Stage::Asked,
                ..
            }) => self.set_state(State::Ended(ending)),
            State::Joined(_) | State::Foreign | State::Ended(_) => {}
        }
    }

    fn set_stage(&self, joined: Joined, stage: Stage) {
        self.set_state(State::Joined(Joined { stage, ..joined }));
    }
}

impl Joined {
    /// The upstream that was joined, if the request still has it.
    pub fn upstream<'r>(&self, r: Request<'r>) -> Option<Upstream<'r>> {
        r.upstream().filter(|u| ptr::eq(u.as_ptr(), self.upstream))
    }
}
