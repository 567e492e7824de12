//! Whether WebSocket would pass each location that proxies, and why not.

use super::before::{self, Place};
use super::location::{By, Location, Version};
use super::parse::Directive;
use super::scope::{Level, Scope, titled};
use super::values::Maps;
use super::{access, folklore, proxied, rewrite, unseen};

/// What was found in a configuration.
#[derive(Debug)]
pub struct Judgement {
    pub locations: Vec<Location>,
    /// What concerns no single location.
    pub notes: Vec<String>,
    /// Where there were too many locations.
    pub unjudged: Option<String>,
}

impl Judgement {
    /// Whether WebSocket passes somewhere, and wherever it is meant to.
    pub fn works(&self) -> bool {
        let meant = |location: &&Location| location.is_meant();
        self.locations.iter().any(Location::passes)
            && self.locations.iter().filter(meant).all(Location::passes)
    }
}

/// More locations than these are no longer judged.
const MAX_LOCATIONS: usize = 20_000;

/// Judges a configuration; the version of nginx decides what its defaults are.
pub fn judge(directives: &[Directive], version: Option<Version>) -> Judgement {
    let mut judge = Judge {
        version,
        judgement: Judgement {
            locations: Vec::new(),
            notes: Vec::new(),
            unjudged: None,
        },
    };
    let blocks = |directives: &[Directive]| directives.iter().any(|d| d.name == "http");
    if blocks(directives) {
        for http in directives
            .iter()
            .filter(|directive| directive.name == "http")
        {
            judge.http(http.children());
        }
    } else {
        // A file of sites-enabled alone: what `http` would say is not known.
        judge.http(directives);
        judge.judgement.notes.push(
            "there is no http block: the file is judged as if it stood in an empty one".to_owned(),
        );
    }
    for stream in directives
        .iter()
        .filter(|directive| directive.name == "stream")
    {
        judge.judgement.notes.push(format!(
            "stream ({}) is not judged: it forwards connections and knows nothing of requests",
            stream.place()
        ));
    }
    judge.judgement
}

struct Judge {
    version: Option<Version>,
    judgement: Judgement,
}

impl Judge {
    fn http(&mut self, http: &[Directive]) {
        let maps = Maps::of(http);
        let level = Level::new(http);
        for server in level.all("server").iter().copied() {
            if server.block.is_none() {
                continue;
            }
            let scope = Scope::of(&level, &server_name(server.children()));
            let server = scope.within(Level::new(server.children()), String::new());
            self.level(&server, &server, None, &maps);
        }
    }

    /// Goes through the locations of a server or location. `around` is the location whose level it
    /// is.
    fn level<'a>(
        &mut self,
        server: &Scope<'a>,
        scope: &Scope<'a>,
        around: Option<&'a Directive>,
        maps: &Maps<'a>,
    ) {
        let level = scope.level();
        for directive in level.lines {
            let (name, place, of) = match directive.name.as_str() {
                "location" => (titled("location", &directive.words), directive, None),
                "if" => {
                    let name = titled(&format!("{} if", scope.name), &directive.words);
                    let place = around.unwrap_or(directive);
                    (name.trim().to_owned(), place, around.map(|_| &level))
                }
                _ => continue,
            };
            let inner = scope.within(Level::new(directive.children()), name);
            let own = inner.level();
            let before = Place {
                server,
                directive: place,
                level: of.unwrap_or(&own),
                scope: &inner,
                maps,
            };
            self.location(directive, &inner, &before);
            self.level(server, &inner, Some(place), maps);
        }
    }

    fn location<'a>(&mut self, line: &'a Directive, scope: &Scope<'a>, before: &Place<'_, 'a>) {
        let judgement = &mut self.judgement;
        if judgement.unjudged.is_some() || scope.level().pass().is_none() {
            return;
        }
        if judgement.locations.len() >= MAX_LOCATIONS {
            let text = "too many locations proxy: this one and those after it are not judged";
            judgement.unjudged = Some(format!("{}: {text}", line.place()));
            return;
        }
        let lists = ["proxy_set_header", "proxy_hide_header", "proxy_pass_header"];
        let lines: usize = lists.iter().map(|name| scope.list(name).len()).sum();
        if before.maps.step(lines).is_none() {
            judgement.unjudged = Some(format!("{}: {TOO_MUCH}", line.place()));
            return;
        }
        // What a `set` there makes of a variable counts in its lines.
        let mut maps = before.maps.clone();
        rewrite::set(before.level, &mut maps);
        let Some(mut location) = location(line, scope, &maps, self.version) else {
            return;
        };
        before::judge(&mut location, before);
        if location.is_meant() {
            folklore::notes(scope, &mut judgement.notes);
        }
        if maps.is_spent() {
            judgement.unjudged = Some(format!("{}: {TOO_MUCH}", line.place()));
        }
        judgement.locations.push(location);
    }
}

/// Said where a verdict may lack something.
pub const TOO_MUCH: &str = "this takes too much work to follow, so not all of it is judged";

/// Judges a location; `None` where it passes nothing on.
pub fn location(
    place: &Directive,
    scope: &Scope<'_>,
    maps: &Maps<'_>,
    version: Option<Version>,
) -> Option<Location> {
    let level = scope.level();
    let pass = level.pass()?;
    let mut location = Location {
        server: scope.server.to_string(),
        name: scope.name.clone(),
        file: place.file.to_string(),
        line: place.line,
        passes_to: titled(&pass.name, &pass.words),
        by: By::Nothing,
        problems: Vec::new(),
        remarks: Vec::new(),
    };
    let can = matches!(
        pass.name.as_str(),
        "proxy_pass" | "uwsgi_pass" | "scgi_pass"
    );
    // What is said of a server as a whole is not meant for its locations of PHP.
    if scope.is("websocket", "on") && (can || level.find("websocket").is_some()) {
        location.by = By::Module;
    }
    match pass.name.as_str() {
        "proxy_pass" => proxied::judge(&mut location, scope, maps, version),
        "uwsgi_pass" | "scgi_pass" => {
            let text = "the backend gets Upgrade as HTTP_UPGRADE and has to answer 101 itself";
            location.remarks.push(text.to_owned());
        }
        "grpc_pass" => location
            .problems
            .push("grpc_pass cannot carry a WebSocket".to_owned()),
        "memcached_pass" => location
            .problems
            .push("memcached_pass cannot carry a WebSocket".to_owned()),
        _ => location
            .problems
            .push("fastcgi_pass cannot carry a WebSocket".to_owned()),
    }
    let access = access::judge(location.by, scope, maps);
    location.problems.extend(access.problems);
    location.remarks.extend(access.remarks);
    location.remarks.extend(unseen::remarks(scope));
    Some(location)
}

/// What a server is called in reports.
pub fn server_name(server: &[Directive]) -> String {
    let find = |name: &str| server.iter().find(|line| line.name == name);
    let named = find("server_name").map(|line| titled("", &line.words));
    let listens = || find("listen").map_or("80", |line| line.word(0)).to_owned();
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("listen {}", listens()))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
