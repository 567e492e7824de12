//! Who may come in: `limit_except`, `allow` and `deny`, passwords, and origins.

use std::ptr;

use websocket_protocol::{OriginRule, RequestAuthority};

use super::location::By;
use super::parse::Directive;
use super::scope::{Level, Scope};
use super::values::Maps;

/// What is said of who is turned away.
#[derive(Default)]
pub struct Said {
    /// Each turns the handshake away.
    pub problems: Vec<String>,
    /// The status of the first of them.
    pub error: Option<u16>,
    pub remarks: Vec<String>,
}

/// Says of a location who is turned away there.
pub fn judge(by: By, scope: &Scope<'_>, maps: &Maps<'_>) -> Said {
    let mut said = Said::default();
    let excepted = scope.level().find("limit_except").filter(|line| {
        let names = |method: &str| {
            line.words
                .iter()
                .any(|word| word.eq_ignore_ascii_case(method))
        };
        // It allows GET, which a handshake is, or not.
        !names("GET")
    });
    match excepted {
        // What is in it is then in force.
        Some(line) => {
            let level = Level::new(line.children());
            within(&mut said, &scope.within(level, scope.name.clone()), maps);
        }
        None => within(&mut said, scope, maps),
    }
    if by == By::Module {
        origins(&mut said, scope, maps);
    }
    said
}

fn within(said: &mut Said, scope: &Scope<'_>, maps: &Maps<'_>) {
    let is_any = scope.is("satisfy", "any");
    let mut refusals = Vec::new();
    let mut error = None;
    let mut may_pass = false;
    for judged in [addresses(scope), password(scope, maps)] {
        match judged {
            Access::Free => {}
            Access::Refused(status, why) => {
                error = error.or(Some(status));
                refusals.push(why);
            }
            Access::Depends(on) => {
                may_pass = true;
                said.remarks.push(on);
            }
            Access::Allowed => may_pass = true,
        }
    }
    // Of several that have to do with it, one is enough.
    if is_any && (may_pass || scope.nearest("auth_request").is_some()) {
        said.remarks.extend(refusals);
    } else {
        said.problems.extend(refusals);
        said.error = error;
    }
}

enum Access {
    /// Nothing is asked.
    Free,
    Allowed,
    /// With this status.
    Refused(u16, String),
    Depends(String),
}

fn first_rule<'a>(level: &Level<'a>) -> Option<&'a Directive> {
    let rules = ["allow", "deny"].iter().filter_map(|name| level.find(name));
    // Of the same block, so the first is the one that lies before the other.
    rules.min_by_key(|rule| ptr::from_ref::<Directive>(rule))
}

/// The first rule that fits decides. Which address a client has is not known here.
fn addresses(scope: &Scope<'_>) -> Access {
    let mut rules = scope.levels.iter().rev().filter_map(first_rule);
    match rules.next() {
        Some(first) if first.word(0) == "all" && first.name == "deny" => {
            let why = format!("deny all ({}) answers 403 to every client", first.place());
            Access::Refused(403, why)
        }
        Some(first) if first.word(0) == "all" => Access::Allowed,
        Some(first) => Access::Depends(format!(
            "allow and deny ({}) decide by the client's address, which is not known here",
            first.place()
        )),
        None => Access::Free,
    }
}

fn password(scope: &Scope<'_>, maps: &Maps<'_>) -> Access {
    let Some(line) = scope.nearest("auth_basic") else {
        return Access::Free;
    };
    let place = line.place();
    match maps.value(line.word(0)).as_deref() {
        Some("off") => return Access::Free,
        Some(_) => {}
        None => {
            return Access::Depends(format!(
                "auth_basic ({place}) may ask for a password, which depends on a variable"
            ));
        }
    }
    match maps.value("$http_authorization").as_deref() {
        Some("") => {
            let why =
                format!("auth_basic ({place}) answers 401 to a handshake without Authorization");
            Access::Refused(401, why)
        }
        _ => Access::Depends(format!(
            "auth_basic ({place}) asks for a password, which is not checked here"
        )),
    }
}

/// `websocket_allow_origin`, for an Origin that is known.
fn origins(said: &mut Said, scope: &Scope<'_>, maps: &Maps<'_>) {
    let Some(line) = scope.nearest("websocket_allow_origin") else {
        return;
    };
    let place = line.place();
    let (Some(origin), Some(host)) = (maps.value("$http_origin"), maps.value("$http_host")) else {
        let text = format!("websocket_allow_origin ({place}) refuses pages of other origins");
        return said.remarks.push(text);
    };
    let request = RequestAuthority {
        host: host.as_bytes(),
        secure: maps.value("$scheme").as_deref() == Some("https"),
    };
    let header = (!origin.is_empty()).then_some(origin.as_bytes());
    let allows = |word: &String| match word.strip_prefix('~') {
        Some(text) => {
            let pattern = maps.patterns().get(text, true)?;
            Some(!origin.is_empty() && pattern.is_in(&origin))
        }
        None => Some(
            OriginRule::parse(word.as_bytes())
                .ok()?
                .matches(header, request),
        ),
    };
    let allowed: Vec<Option<bool>> = line.words.iter().map(allows).collect();
    if allowed.contains(&Some(true)) {
        return;
    }
    if allowed.contains(&None) {
        let text =
            format!("websocket_allow_origin ({place}) has a value that can't be evaluated here");
        return said.remarks.push(text);
    }
    let shown = match origin.as_str() {
        "" => "a handshake without Origin",
        origin => origin,
    };
    said.error = said.error.or(Some(403));
    said.problems.push(format!(
        "websocket_allow_origin ({place}) answers 403 to {shown}"
    ));
}
