//! Closing tunnels on request: what the request means, whether it may be made, and what is answered.

use core::fmt;
use core::str;

use websocket_protocol::{ControlFrame, OriginRule, RequestAuthority};
use websocket_zone::{Action, Progress, Text, Which, Zone};

use crate::ask::label;
use crate::json::Json;
use crate::out::Out;
use crate::query::{Parameter, Wrong, find, missing, parameters};
use crate::show::{Seconds, Shown};
use crate::source::Budget;

/// Tunnels are to be closed, as the query of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Which, how and over what time; posted when the query was read.
    pub action: Action,
    /// Only to be counted.
    pub is_dry: bool,
}

/// The code if none is given: that of a drain.
const SERVICE_RESTART: u16 = 1012;

/// Longer than that nobody waits for.
const LONGEST: u64 = 86_400_000;

/// What a Close frame has room for beside the code (RFC 6455 section 5.5).
const LONGEST_REASON: usize = 123;

impl Close {
    /// Reads a query, at this time on the clock that never goes back. What is not known is refused: a slip
    /// must not close more than was meant.
    pub fn parse<'q>(zone: &Zone<'_>, query: &'q [u8], now: u64) -> Result<Self, Wrong<'q>> {
        let mut which = Which::default();
        let (mut over_ms, mut code, mut is_dry) = (0, SERVICE_RESTART, false);
        let mut reason = Text::EMPTY;
        for (at, parameter) in parameters(query).enumerate() {
            let is_repeated = parameters(query)
                .take(at)
                .any(|earlier| earlier.name == parameter.name);
            if is_repeated {
                return Err(parameter.refused("is given twice"));
            }
            match parameter.name {
                b"id" => which.id = Some(parameter.number()?),
                b"label" => which.label = Some(label(zone, &parameter)?),
                b"client" => which.client = Some(parameter.cidr()?),
                b"upstream" => which.upstream = Some(parameter.text()?),
                b"subprotocol" => which.subprotocol = Some(parameter.text()?),
                b"idle" => which.idle_ms = Some(parameter.time()?),
                b"older" => which.older_ms = Some(parameter.time()?),
                b"over" => {
                    let time = parameter.time()?;
                    over_ms = Some(time)
                        .filter(|time| *time <= LONGEST)
                        .ok_or(parameter.wrong("at most 24h"))?;
                }
                b"code" => code = close_code(&parameter)?,
                b"reason" => reason = close_reason(&parameter)?,
                b"dry_run" => is_dry = parameter.flag()?,
                _ => return Err(parameter.refused("is not known")),
            }
        }
        if which == Which::default() {
            return Err(missing(
                "close",
                "needs to know which tunnels: \
                 id, label, client, upstream, subprotocol, idle or older (older=0 is all of them)",
            ));
        }
        let action = Action {
            which,
            over_ms,
            code,
            reason,
            posted_at: now,
        };
        Ok(Self { action, is_dry })
    }
}

/// One that may be sent (RFC 6455 section 7.4).
fn close_code<'q>(parameter: &Parameter<'q>) -> Result<u16, Wrong<'q>> {
    let expected = "a code that may be sent: \
                    1000 to 1003, 1007 to 1014, or 3000 to 4999";
    parameter.parsed(expected, |text| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let code = text.parse().ok().filter(|_| is_plain);
        code.filter(|code| ControlFrame::may_close_with(*code))
    })
}

fn close_reason<'q>(parameter: &Parameter<'q>) -> Result<Text, Wrong<'q>> {
    let text = parameter.text()?;
    if text.len() > LONGEST_REASON || str::from_utf8(&text).is_err() {
        return Err(parameter.wrong("UTF-8 of at most 123 bytes"));
    }
    Ok(text)
}

/// The action of which a query asks how far it is.
pub fn action(query: &[u8]) -> Result<u64, Wrong<'_>> {
    match find(query, "action") {
        Some(parameter) => parameter.number(),
        None => Err(missing("action", "is missing: which one to tell of")),
    }
}

/// Tunnels are being counted that an action would close.
pub struct Count {
    next: usize,
    meant: Meant,
}

/// How many tunnels fit an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meant {
    /// Those that it closes.
    pub matched: u64,
    /// Those that nginx's own loop carries: they can be sent no Close, and are left alone.
    pub own_loop: u64,
}

impl Count {
    /// None is yet.
    pub fn new() -> Self {
        Self {
            next: 0,
            meant: Meant::default(),
        }
    }

    /// Goes on, but not for long. How many there are, when all were looked at.
    pub fn go_on(&mut self, zone: &Zone<'_>, action: &Action, now: u64) -> Option<Meant> {
        let mut budget = Budget::full();
        while self.next < zone.tunnels() {
            if budget.is_spent() {
                return None;
            }
            match zone.tunnel(self.next) {
                Some(tunnel) => {
                    budget.record();
                    if action.means(zone, &tunnel.facts(), now) {
                        match tunnel.numbers.is_own_loop {
                            true => self.meant.own_loop += 1,
                            false => self.meant.matched += 1,
                        }
                    }
                }
                None => budget.place(),
            }
            self.next += 1;
        }
        Some(self.meant)
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::new()
    }
}

/// What is known of who asks for an action.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'r> {
    /// The header X-WebSocket-Control.
    pub control: Option<&'r [u8]>,
    /// The header Sec-Fetch-Site.
    pub fetch_site: Option<&'r [u8]>,
    /// The header Origin.
    pub origin: Option<&'r [u8]>,
    /// Where the request was sent to.
    pub authority: RequestAuthority<'r>,
}

/// Why an action may not be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A page of another site is behind it.
    OtherSite,
    /// It lacks the header that such a page can't send.
    NoHeader,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSite => "the request comes from a page of another site",
            Self::NoHeader => "the request needs the header \"X-WebSocket-Control: 1\"",
        })
    }
}

impl Sender<'_> {
    /// Whether an action may be asked for: not by a page of another site, which can have a browser send
    /// requests with its user's credentials and from its user's address. It can't send a header of its own
    /// unasked, and can't suppress what the browser tells of it.
    pub fn may_act(&self) -> Result<(), Forbidden> {
        let is_other_site = self
            .fetch_site
            .is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
            || self
                .origin
                .is_some_and(|origin| !OriginRule::Same.matches(Some(origin), self.authority));
        if is_other_site {
            return Err(Forbidden::OtherSite);
        }
        if self.control != Some(b"1") {
            return Err(Forbidden::NoHeader);
        }
        Ok(())
    }
}

/// What is answered to a request. It fits into 2 kilobytes.
#[derive(Clone, Copy, Debug)]
pub enum Closing {
    /// An action was posted, or would be.
    Posted {
        /// Its id, where it was.
        id: Option<u64>,
        /// What it is.
        action: Action,
        /// How many tunnels were meant.
        meant: Meant,
    },
    /// How far one is.
    Progress {
        /// Its id.
        id: u64,
        /// What it is.
        action: Action,
        /// How far.
        progress: Progress,
    },
}

impl Closing {
    /// Writes it as JSON. How long it is.
    pub fn write(&self, room: &mut [u8]) -> usize {
        write(room, |json| match self {
            Self::Posted { id, action, meant } => {
                json.key("action")?;
                json.maybe(*id)?;
                json.number("dry_run", id.is_none())?;
                json.number("matched", meant.matched)?;
                json.number("own_loop", meant.own_loop)?;
                terms(json, action)
            }
            Self::Progress {
                id,
                action,
                progress,
            } => {
                json.number("action", id)?;
                json.number("matched", progress.matched)?;
                json.number("open", progress.open)?;
                json.number("done", progress.open == 0 && progress.waiting == 0)?;
                terms(json, action)
            }
        })
    }
}

/// Writes what is wrong with a request as JSON. How long it is.
pub fn write_error(room: &mut [u8], error: impl fmt::Display) -> usize {
    write(room, |json| json.text_at("error", &error))
}

fn terms(json: &mut Json<'_, '_>, action: &Action) -> fmt::Result {
    json.number("over", Seconds(action.over_ms))?;
    json.number("code", action.code)?;
    json.text_at("reason", Shown(&action.reason))
}

fn write(room: &mut [u8], object: impl FnOnce(&mut Json<'_, '_>) -> fmt::Result) -> usize {
    let mut out = Out::new(room);
    let json = &mut Json::new(&mut out, false);
    // There is room for all of it.
    let _ = json
        .open("{")
        .and_then(|()| object(json))
        .and_then(|()| json.close("}"))
        .and_then(|()| json.raw("\n"));
    out.length()
}
