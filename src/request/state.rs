//! The states of a WebSocket attempt and every way from one to the next.
//!
//! ```text
//!            judge                    judge (an internal redirect)
//!  ─────▶ LeftBehind ◀───▶ Judged ◀──────────────┐
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

use crate::nginx::{Request, Upstream};
use crate::tunnel::{Side, Tunnel};

/// What a WebSocket attempt is to the module.
#[derive(Clone, Copy)]
pub enum State {
    /// It has been judged, and no upstream of ours has it: none yet, none any more, or one that
    /// could not be joined.
    Judged,
    /// It has a handshake's headers, but goes on as the plain request that it is.
    LeftBehind,
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
    pub process_header: Option<RequestFunction>,
    pub reinit_request: Option<RequestFunction>,
    pub finalize_request: Option<unsafe extern "C" fn(*mut ngx_http_request_t, ngx_int_t)>,
    pub log_handler: ngx_http_log_handler_pt,
    pub stage: Stage,
}

pub type RequestFunction = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

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

impl State {
    /// The upstream that has the request, where it was joined.
    pub fn joined(self) -> Option<Joined> {
        match self {
            Self::Joined(joined) => Some(joined),
            _ => None,
        }
    }

    /// What became of the attempt, once that is settled.
    pub fn ending(self) -> Option<Ending> {
        match self {
            Self::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// Who carries, or carried, the attempt's tunnel.
    pub fn carrier(self) -> Option<Carrier> {
        match self {
            Self::Joined(Joined {
                stage: Stage::Carried(carrier),
                ..
            })
            | Self::Ended(Ending::Closed(carrier)) => Some(carrier),
            _ => None,
        }
    }

    /// Whether the upstream has switched protocols for the attempt and was joined.
    pub fn is_established(self) -> bool {
        match self {
            Self::Joined(joined) => !matches!(joined.stage, Stage::Asked),
            Self::Ended(Ending::Closed(_)) => true,
            _ => false,
        }
    }

    /// It is judged, for the first time or in another location.
    pub(super) fn judge(self, asks: bool) -> Self {
        match self {
            Self::Judged | Self::LeftBehind if asks => Self::Judged,
            Self::Judged | Self::LeftBehind => Self::LeftBehind,
            Self::Joined(_) | Self::Foreign | Self::Ended(_) => self,
        }
    }

    /// The request goes to an upstream that its location's twin names. Unchanged where it can't, from
    /// here.
    pub(super) fn join(self, joined: Joined) -> Self {
        match self {
            Self::Judged => Self::Joined(joined),
            // nginx has left the one before without a word.
            Self::Joined(before)
                if matches!(before.stage, Stage::Asked) && before.upstream != joined.upstream =>
            {
                Self::Joined(joined)
            }
            _ => self,
        }
    }

    /// The upstream's functions have changed: nginx's parser puts up its next stage.
    pub(super) fn rejoin(self, process_header: Option<RequestFunction>) -> Self {
        match self {
            Self::Joined(joined) => Self::Joined(Joined {
                process_header,
                ..joined
            }),
            _ => self,
        }
    }

    /// An upstream has switched protocols: the one that was joined, or another.
    pub(super) fn switch(self, upstream: *mut ngx_http_upstream_t) -> Self {
        match self {
            Self::Joined(joined) if joined.upstream == upstream => joined.at(Stage::Switched),
            Self::Judged | Self::LeftBehind | Self::Joined(_) => Self::Foreign,
            Self::Foreign | Self::Ended(_) => self,
        }
    }

    /// The tunnel begins.
    pub(super) fn carry(self, carrier: Carrier) -> Self {
        match self {
            Self::Joined(joined) => joined.at(Stage::Carried(carrier)),
            _ => self,
        }
    }

    /// nginx is done with the joined upstream: a tunnel is over, an attempt may find another.
    /// `ended_by` is for a tunnel that nginx carried.
    pub(super) fn leave(self, ended_by: Option<Side>) -> Self {
        let Self::Joined(joined) = self else {
            return self;
        };
        match joined.stage {
            Stage::Asked => Self::Judged,
            Stage::Carried(carrier @ Carrier::Module(_)) => Self::Ended(Ending::Closed(carrier)),
            // Or a 101 that did not get to the client.
            Stage::Carried(Carrier::Nginx(_)) | Stage::Switched => {
                Self::Ended(Ending::Closed(Carrier::Nginx(ended_by)))
            }
        }
    }

    /// It was a tunnel of another process's, which may not go on here.
    pub(super) fn turn_away(self, carrier: Carrier) -> Self {
        Self::Ended(Ending::Closed(carrier))
    }

    /// No tunnel came, or will come, of the attempt.
    pub(super) fn conclude(self, ending: Ending) -> Self {
        match self {
            Self::Judged
            | Self::LeftBehind
            | Self::Joined(Joined {
                stage: Stage::Asked,
                ..
            }) => Self::Ended(ending),
            Self::Joined(_) | Self::Foreign | Self::Ended(_) => self,
        }
    }
}

impl Joined {
    fn at(self, stage: Stage) -> State {
        State::Joined(Self { stage, ..self })
    }

    /// The upstream that was joined, if the request still has it.
    pub fn upstream<'r>(&self, r: Request<'r>) -> Option<Upstream<'r>> {
        r.upstream().filter(|u| ptr::eq(u.as_ptr(), self.upstream))
    }
}
