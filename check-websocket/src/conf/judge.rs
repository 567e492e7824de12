//! Whether WebSocket would pass each location that proxies, and why not.

use super::location::{By, Location, Version};
use super::parse::Directive;
use super::scope::{Scope, find, pass};
use super::values::Maps;
use super::{folklore, proxied};

/// What was found in a configuration.
#[derive(Debug)]
pub struct Judgement {
    pub locations: Vec<Location>,
    /// What concerns no single location.
    pub notes: Vec<String>,
}

impl Judgement {
    /// Whether WebSocket passes somewhere, and wherever it is meant to.
    pub fn works(&self) -> bool {
        let meant = |location: &&Location| location.is_meant();
        self.locations.iter().any(Location::passes)
            && self.locations.iter().filter(meant).all(Location::passes)
    }
}

/// Judges a configuration; the version of nginx decides what its defaults are.
pub fn judge(directives: &[Directive], version: Option<Version>) -> Judgement {
    let mut judge = Judge {
        version,
        judgement: Judgement {
            locations: Vec::new(),
            notes: Vec::new(),
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
        for server in http.iter().filter(|directive| directive.name == "server") {
            if server.block.is_none() {
                continue;
            }
            let scope = Scope {
                levels: vec![http],
                server: server_name(server.children()),
                name: String::new(),
            };
            self.level(&scope.within(server.children(), String::new()), &maps);
        }
    }

    /// Goes through the locations of a server or location.
    fn level(&mut self, scope: &Scope<'_>, maps: &Maps<'_>) {
        let level = scope.levels.last().copied().unwrap_or_default();
        for directive in level {
            let name = match directive.name.as_str() {
                "location" => format!("location {}", directive.words.join(" ")),
                "if" => format!("{} if {}", scope.name, directive.words.join(" "))
                    .trim()
                    .to_owned(),
                _ => continue,
            };
            let inner = scope.within(directive.children(), name);
            self.location(directive, &inner, maps);
            self.level(&inner, maps);
        }
    }

    fn location(&mut self, place: &Directive, scope: &Scope<'_>, maps: &Maps<'_>) {
        let Some(location) = location(place, scope, maps, self.version) else {
            return;
        };
        if location.is_meant() {
            folklore::notes(scope, &mut self.judgement.notes);
        }
        self.judgement.locations.push(location);
    }
}

/// Judges a location; `None` where it passes nothing on.
pub fn location(
    place: &Directive,
    scope: &Scope<'_>,
    maps: &Maps<'_>,
    version: Option<Version>,
) -> Option<Location> {
    let pass = pass(scope.levels.last()?)?;
    let mut location = Location {
        server: scope.server.clone(),
        name: scope.name.clone(),
        file: place.file.clone(),
        line: place.line,
        passes_to: format!("{} {}", pass.name, pass.word(0)),
        by: By::Nothing,
        problems: Vec::new(),
        remarks: Vec::new(),
    };
    if scope.is("websocket", "on") {
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
    never_proxied(&mut location, scope);
    Some(location)
}

/// `return` comes before `proxy_pass`, wherever it is written: in the server, or in the location
/// itself. That of a location around it is for what stays there.
fn never_proxied(location: &mut Location, scope: &Scope<'_>) {
    let server = scope.levels.get(1).filter(|_| scope.levels.len() > 2);
    let levels = server.into_iter().chain(scope.levels.last());
    if let Some(line) = levels.filter_map(|level| find(level, "return")).next() {
        location.problems.push(format!(
            "return ({}) answers before the request is passed on",
            line.place()
        ));
    }
}

/// What a server is called in reports.
pub fn server_name(server: &[Directive]) -> String {
    let named = find(server, "server_name").map(|line| line.words.join(" "));
    let listens = || {
        find(server, "listen")
            .map_or("80", |line| line.word(0))
            .to_owned()
    };
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("listen {}", listens()))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
