//! Where an address leads within a configuration, and what becomes of a handshake there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::access;
use super::error_page::ErrorPage;
use super::judge::{self, TOO_MUCH, server_name};
use super::known;
use super::listen::{self, Arrival};
use super::locate::{self, Found, Place};
use super::location::{By, Version};
use super::parse::Directive;
use super::reached::Reached;
use super::rewrite::{self, Answer, Outcome, Within};
use super::scope::{Level, Scope, titled};
use super::sent;
use super::stop::{Stop, answers_by_itself, content};
use super::uri::Uri;
use super::values::Maps;
use crate::options::Walk;
use crate::request::Request;

/// Follows the address of this command line.
pub fn reach(directives: &[Directive], walk: &Walk, version: Option<Version>) -> Reached {
    let blocks = directives.iter().find(|directive| directive.name == "http");
    let http = blocks.map_or(directives, Directive::children);
    let request = Request::new(&walk.target, walk);
    let mut way = Way {
        http,
        walk,
        version,
        maps: known::variables(http, &walk.target, &request),
        request,
        searches: 0,
        page: None,
        has_last_page: false,
        file: None,
        reached: Reached {
            url: walk.target.to_string(),
            server: None,
            location: None,
            judged: None,
            sent: Vec::new(),
            problems: Vec::new(),
            remarks: Vec::new(),
            unjudged: None,
        },
    };
    way.server();
    if let Some(file) = way.file.take().filter(|_| way.reached.passes()) {
        way.reached.is_unsure(file);
    }
    if way.maps.is_spent() {
        way.reached.unjudged = Some(format!("{}: {TOO_MUCH}", way.reached.url));
    }
    way.reached
}

struct Way<'a> {
    http: &'a [Directive],
    walk: &'a Walk,
    version: Option<Version>,
    request: Request,
    maps: Maps<'a>,
    /// Steps to named locations so far.
    searches: usize,
    /// What has taken the place of an error.
    page: Option<ErrorPage<'a>>,
    /// Nothing takes the place of an error behind that (`recursive_error_pages`).
    has_last_page: bool,
    /// Said where it passes only if there is no file, and there may be one.
    file: Option<String>,
    reached: Reached,
}

/// As often as nginx itself goes on searching.
const MAX_SEARCHES: usize = 10;
const ENDLESS: &str = "rewrites and try_files lead in a circle from location to location";

impl<'a> Way<'a> {
    fn server(&mut self) {
        let target = &self.walk.target;
        let host = known::host(&self.request);
        let addresses = self.addresses();
        let chosen = addresses.iter().find_map(|&address| {
            let arrival = Arrival {
                address,
                port: target.port,
                host: &host,
            };
            listen::choose(self.http, &arrival, self.maps.patterns())
        });
        let Some(server) = chosen else {
            let known = addresses.iter().find_map(|address| *address);
            let at = known.map_or(String::new(), |at| format!(" of {at}"));
            return self.reached.fails(format!(
                "no server listens on port {}{at}; if the port is mapped in front of nginx, give \
                 the one that nginx listens on",
                target.port
            ));
        };
        self.reached.server = Some(Stop::at(
            server.directive,
            server_name(server.directive.children()),
            server.why,
        ));
        match (target.secure, server.is_tls) {
            (true, false) => self.reached.fails(format!(
                "wss:// at port {}, where no `listen` has ssl",
                target.port
            )),
            (false, true) => self.reached.fails(format!(
                "ws:// at port {}, where `listen` has ssl: nginx answers 400",
                target.port
            )),
            _ => {}
        }
        let level = Level::new(server.directive.children());
        let client = level
            .find("ssl_verify_client")
            .filter(|line| line.says("on"));
        if let Some(line) = client.filter(|_| target.secure) {
            self.reached.fails(format!(
                "ssl_verify_client ({}) answers 400 to clients without a certificate",
                line.place()
            ));
        }
        self.within(server.directive);
    }

    /// The addresses the connection may go to, one after the other; one that only a resolver knows is `None`.
    fn addresses(&self) -> Vec<Option<IpAddr>> {
        let target = &self.walk.target;
        let given = self.walk.resolve.iter().find(|given| {
            given.port == target.port && given.host.eq_ignore_ascii_case(&target.host)
        });
        match (given, target.host.as_str()) {
            (Some(given), _) => vec![Some(given.address)],
            (None, "localhost") => vec![
                Some(Ipv4Addr::LOCALHOST.into()),
                Some(Ipv6Addr::LOCALHOST.into()),
            ],
            (None, host) => vec![host.parse().ok()],
        }
    }

    fn within(&mut self, server: &'a Directive) {
        let scope = Scope::of(&Level::new(self.http), &server_name(server.children()));
        let level = Level::new(server.children());
        let scope = scope.within(level.clone(), String::new());
        let name = level.find("server_name");
        self.maps
            .know("server_name", name.map_or("", |line| line.word(0)));
        let uri = Uri::read(&self.walk.target.path, !scope.is("merge_slashes", "off"));
        self.maps.know("uri", uri.path.as_str());
        if let Some(uri) = self.through_server(&scope, uri) {
            self.search(&scope, uri);
        }
    }

    /// In the server a changed path is what locations are searched with.
    fn through_server(&mut self, server: &Scope<'a>, uri: Uri) -> Option<Uri> {
        let level = server.level();
        match rewrite::run(
            &level,
            uri.clone(),
            &mut self.maps,
            &mut self.reached.remarks,
        ) {
            Outcome::On(uri, _) | Outcome::Again(uri) => Some(uri),
            Outcome::Answered(answer) => self.answered(server, server, uri, answer),
        }
    }

    /// What nginx answers in a scope may lead to another page. Gives the path to search with again, if it does.
    fn answered(
        &mut self,
        server: &Scope<'a>,
        scope: &Scope<'a>,
        uri: Uri,
        answer: Answer<'a>,
    ) -> Option<Uri> {
        let why = answer.why;
        let inside = answer.within.map(|block| {
            let level = Level::new(block.children());
            scope.within(level, scope.name.clone())
        });
        let scope = inside.as_ref().unwrap_or(scope);
        let Some(page) = self.page_of(scope, answer.error) else {
            self.reached.fails(why);
            return None;
        };
        self.page = Some(page);
        self.has_last_page = !scope.is("recursive_error_pages", "on");
        let (place, target) = (page.line.place(), page.target);
        let remark = format!("{why}, and error_page ({place}) leads to {target}");
        if target.starts_with('@') {
            self.reached.remarks.push(remark);
            return self.named(server, "error_page", target, uri);
        }
        if !target.starts_with('/') {
            self.reached.fails(format!(
                "{remark}, by a redirect, which browsers do not follow"
            ));
            return None;
        }
        self.reached.remarks.push(remark);
        self.searches += 1;
        if self.searches > MAX_SEARCHES {
            self.reached.fails(ENDLESS);
            return None;
        }
        let uri = uri.led_to(&self.maps.shown(page.target));
        self.maps.know("uri", uri.path.as_str());
        self.through_server(server, uri)
    }

    /// What takes the place of an error in a scope.
    fn page_of(&self, scope: &Scope<'a>, error: Option<u16>) -> Option<ErrorPage<'a>> {
        let page = ErrorPage::of(scope.list("error_page"), error?);
        page.filter(|_| !self.has_last_page)
    }

    /// What nginx answers to a file that is not there.
    fn no_file(&mut self, server: &Scope<'a>, scope: &Scope<'a>, uri: Uri) -> Option<Uri> {
        let what = match scope.name.as_str() {
            "" => format!("no location matches {}", uri.path),
            name => format!("{name} does not proxy"),
        };
        if self.page_of(scope, Some(404)).is_none() {
            let why = format!("{what}: {}", answers_by_itself(scope));
            self.reached.fails(why);
            return None;
        }
        // Of a folder nginx answers with its index, or 403.
        if uri.path.ends_with('/') {
            self.file = Some(format!(
                "{}: {what}, and what nginx answers to {} depends on whether there is such a folder",
                self.reached.url, uri.path
            ));
        }
        let answer = Answer {
            why: format!("{what}: nginx is assumed to find no file and answers 404"),
            error: Some(404),
            within: None,
        };
        self.answered(server, scope, uri, answer)
    }

    /// Goes to a location that only nginx leads to. `from` names what does.
    fn named(&mut self, server: &Scope<'a>, from: &str, name: &str, uri: Uri) -> Option<Uri> {
        self.searches += 1;
        match locate::named(server, name) {
            Some(_) if self.searches > MAX_SEARCHES => {
                self.reached.fails(ENDLESS);
                None
            }
            Some(place) => {
                self.reached.location = Some(Stop::of(&place));
                self.location(server, place, uri)
            }
            None => {
                self.reached
                    .fails(format!("{from}: there is no location {name}"));
                None
            }
        }
    }

    fn search(&mut self, server: &Scope<'a>, uri: Uri) {
        let mut uri = uri;
        // The server's own rewrites make it one, too.
        let mut is_internal = !uri.is_unchanged;
        for _ in 0..MAX_SEARCHES {
            let mut unknown = Vec::new();
            let found = locate::search(server, &uri.path, &self.maps, &mut unknown);
            for location in unknown {
                self.reached.is_unsure(format!(
                    "{}: {} ({}) may come first: its regular expression can't be evaluated here",
                    self.reached.url,
                    titled("location", &location.words),
                    location.place()
                ));
            }
            let place = match found {
                Found::Final(place) | Found::Prefix(place) => place,
                Found::Slash(place) => {
                    self.reached.location = Some(Stop::of(&place));
                    return self.reached.fails(format!(
                        "nginx redirects to {}/ (301), which browsers do not follow: write the \
                         address with the slash, or add location = {}",
                        uri.path, uri.path
                    ));
                }
                Found::Nothing => {
                    // The server's own is for what no location takes.
                    if let Some(line) = server.level().find("try_files") {
                        match self.try_files(server, server, uri, line) {
                            Some(again) => uri = again,
                            None => return,
                        }
                        is_internal = true;
                        continue;
                    }
                    match self.no_file(server, server, uri) {
                        Some(again) => uri = again,
                        None => return,
                    }
                    is_internal = true;
                    continue;
                }
            };
            self.reached.location = Some(Stop::of(&place));
            let internal = place.scope.nearest("internal");
            let again = match internal.filter(|_| !is_internal) {
                Some(line) => {
                    let answer = Answer {
                        why: format!("internal ({}) answers clients with 404", line.place()),
                        error: Some(404),
                        within: None,
                    };
                    self.answered(server, &place.scope, uri, answer)
                }
                None => self.location(server, place, uri),
            };
            match again {
                Some(again) => uri = again,
                None => return,
            }
            is_internal = true;
        }
        self.reached.fails(ENDLESS);
    }

    /// Goes through a location. Gives the path to search with again, if it is to be.
    fn location(&mut self, server: &Scope<'a>, place: Place<'a>, uri: Uri) -> Option<Uri> {
        let level = place.scope.level();
        let remarks = &mut self.reached.remarks;
        let ran = rewrite::run(&level, uri.clone(), &mut self.maps, remarks);
        let (uri, within) = match ran {
            Outcome::On(uri, within) => (uri, within),
            Outcome::Again(uri) => return Some(uri),
            Outcome::Answered(answer) => return self.answered(server, &place.scope, uri, answer),
        };
        let (place, try_files) = match within {
            Within::Level => (place, level.find("try_files")),
            Within::If => (place, None),
            Within::Pass(block) => {
                let own = block
                    .children()
                    .iter()
                    .find(|line| line.name == "try_files");
                (place.inside(block), own)
            }
        };
        // Before anything is passed on or looked for, it is looked at who asks.
        let is_on = place.scope.is("websocket", "on");
        let by = if is_on { By::Module } else { By::Nothing };
        let said = access::judge(by, &place.scope, &self.maps);
        let is_passed_on = try_files.is_none() && place.scope.level().pass().is_some();
        let is_led_on = self.page_of(&place.scope, said.error).is_some();
        match said.problems.into_iter().next() {
            // Where it would be passed on, the rest of what stops it is said, too.
            Some(why) if is_led_on || !is_passed_on => {
                self.reached.remarks.extend(said.remarks);
                let answer = Answer {
                    why,
                    error: said.error,
                    within: None,
                };
                return self.answered(server, &place.scope, uri, answer);
            }
            _ => {}
        }
        match try_files {
            Some(line) => {
                self.reached.remarks.extend(said.remarks);
                self.try_files(server, &place.scope, uri, line)
            }
            None if is_passed_on || content(&place.scope).is_some() => {
                self.arrived(&place, &uri);
                None
            }
            None => self.no_file(server, &place.scope, uri),
        }
    }

    /// A WebSocket's path is no file, so the last word is what counts.
    fn try_files(
        &mut self,
        server: &Scope<'a>,
        scope: &Scope<'a>,
        uri: Uri,
        line: &'a Directive,
    ) -> Option<Uri> {
        let last = line.words.last().map_or("", String::as_str);
        let at = line.place();
        if let Some(code) = last.strip_prefix('=') {
            let answer = Answer {
                why: format!("try_files ({at}) finds no file and answers {code}"),
                error: code.parse().ok(),
                within: None,
            };
            return self.answered(server, scope, uri, answer);
        }
        let remark = format!("try_files ({at}) is assumed to find no file");
        self.reached.remarks.push(remark);
        if !last.starts_with('@') {
            let uri = uri.led_to(&self.maps.shown(last));
            self.maps.know("uri", uri.path.as_str());
            return self.through_server(server, uri);
        }
        self.named(server, &scope.name, last, uri)
    }

    fn arrived(&mut self, place: &Place<'a>, uri: &Uri) {
        let judged = judge::location(place.directive, &place.scope, &self.maps, self.version);
        let Some(location) = judged else {
            return self.reached.fails(format!(
                "{} does not proxy: {}",
                place.scope.name,
                answers_by_itself(&place.scope)
            ));
        };
        if location.by == By::Nothing && !location.problems.is_empty() {
            self.reached
                .fails("`websocket on;` is missing in this location and in every level above it");
        }
        let status = self.page.and_then(|page| page.status);
        if let Some(status) = status.filter(|_| location.by == By::Hand) {
            self.reached.fails(format!(
                "error_page gives the answer the status {status}, a 101 too: write it with an \"=\" alone"
            ));
        }
        self.reached.problems.extend(location.problems.clone());
        self.reached.remarks.extend(location.remarks.clone());
        let sent = sent::request(
            place,
            uri,
            &self.maps,
            location.by,
            self.version,
            &self.request,
        );
        if let Some(sent) = sent {
            self.compare_host(&sent.host);
            self.reached.sent = sent.lines;
        }
        self.reached.judged = Some(location);
    }

    /// Many applications take an Origin only that agrees with Host.
    fn compare_host(&mut self, host: &str) {
        let origin = self.request.header("Origin").unwrap_or_default();
        let Some((_, of_origin)) = origin.split_once("://") else {
            return;
        };
        if !of_origin.eq_ignore_ascii_case(host) && !host.contains('$') {
            self.reached.remarks.push(format!(
                "the upstream gets Host {host} but Origin {origin}, and an application that \
                 compares them will refuse: set proxy_set_header Host $http_host"
            ));
        }
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
