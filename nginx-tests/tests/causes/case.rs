//! A handshake that fails for a known reason, and what nginx must say of it.

use std::fmt::Display;

use nginx_tests::client::SAMPLE_ACCEPT;
use nginx_tests::environment::{is_emulated, is_over_http2, nginx_version};
use nginx_tests::http::Head;
use nginx_tests::http2::translator::{is_skipped_over_http2, noted, without_tunnel};
use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_for};
use websocket_protocol::{Advice, Cause, Finding, Status};

/// Declares the tests of causes and the list of the causes that have one.
///
/// Each runs twice, with the error log at its default level and at `info`.
macro_rules! causes {
    ($($(#[$attribute:meta])* $test:ident: $cause:ident = $case:block)*) => {
        /// The causes that are produced in this file.
        pub const TESTED: &[websocket_protocol::Cause] =
            &[$(websocket_protocol::Cause::$cause,)*];

        $(
            #[test]
            $(#[$attribute])*
            fn $test() {
                for level in ["error", "info"] {
                    let case: $crate::case::Case = $case;
                    case.check(websocket_protocol::Cause::$cause, level);
                }
            }
        )*
    };
}
pub(crate) use causes;

/// What the tests' access log says of each WebSocket attempt, and only of those: `if` is for the
/// variable's sake too.
pub const LOG: &str = "
    log_format outcome escape=none '$status|$websocket_state|$websocket_cause|$websocket_handshake_time\
|$websocket_advice';
    access_log logs/outcome.log outcome if=$websocket_state;
";

/// An nginx whose server on `%PORT%` has `websocket on`, this text in it, and the access log
/// `outcome.log`.
pub fn server(text: impl Display) -> Setup {
    http("", text)
}

/// The same with more text in the `http` block.
pub fn http(http: impl Display, server: impl Display) -> Setup {
    Nginx::http(format!(
        "{LOG}{http}\nserver {{\n    listen 127.0.0.1:%PORT%;\n    websocket on;\n{server}\n}}\n"
    ))
}

/// A line of `outcome.log`.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    pub state: String,
    pub cause: String,
    pub time: String,
    pub advice: String,
}

/// The outcomes so far; waits for this many.
#[track_caller]
pub fn outcomes(nginx: &Nginx, count: usize) -> Vec<Outcome> {
    let lines = nginx.wait_for_access("outcome.log", count);
    let outcome = |line: &String| {
        let mut parts = line.split('|').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let (status, state) = (part().parse().expect("a status"), part());
        Outcome {
            status: noted(status, &state),
            state,
            cause: part(),
            time: part(),
            advice: part(),
        }
    };
    lines.iter().map(outcome).collect()
}

/// The state and cause of each attempt so far, in words; waits for this many.
#[track_caller]
pub fn states(nginx: &Nginx, count: usize) -> Vec<String> {
    outcomes(nginx, count)
        .iter()
        .map(|outcome| format!("{} {} {}", outcome.status, outcome.state, outcome.cause))
        .collect()
}

/// What the client saw of the handshake that fails: a status, unless it left.
pub type Seen = Option<u16>;

type Action = Box<dyn FnOnce(&Nginx, &[ScriptedBackend]) -> Seen>;

/// A configuration, what is behind it, and a client's handshake that fails.
pub struct Case {
    setup: Setup,
    backends: Vec<ScriptedBackend>,
    request: Handshake,
    headers: Vec<(&'static str, &'static str)>,
    action: Option<Action>,
    state: &'static str,
    status: u16,
    usual: Option<u16>,
    seen: String,
    advice: Advice,
    since: (u32, u32, u32),
    preloads: bool,
    over_http2: Result<(), &'static str>,
}

impl Case {
    /// A handshake that reaches [`server`] with this text.
    pub fn server(text: impl Display) -> Self {
        Self::http("", text)
    }

    /// The same with more text in the `http` block.
    pub fn http(http: impl Display, server: impl Display) -> Self {
        Self {
            setup: self::http(http, server),
            backends: Vec::new(),
            request: Handshake::new("/"),
            headers: Vec::new(),
            action: None,
            state: "",
            status: 0,
            usual: None,
            seen: String::new(),
            advice: Advice::Usual,
            since: (0, 0, 0),
            preloads: false,
            over_http2: Ok(()),
        }
    }

    /// nginx loads a library that is compiled here, for this processor.
    pub fn preloads(mut self) -> Self {
        self.preloads = true;
        self
    }

    /// Not over HTTP/2, where it has no meaning: this is why.
    pub fn not_over_http2(mut self, why: &'static str) -> Self {
        self.over_http2 = Err(why);
        self
    }

    /// Not with an nginx before this version.
    pub fn since(mut self, version: (u32, u32, u32)) -> Self {
        self.since = version;
        self
    }

    /// One more thing about the setup.
    pub fn with(mut self, change: impl FnOnce(Setup) -> Setup) -> Self {
        self.setup = change(self.setup);
        self
    }

    /// What `%NAME%` stands for.
    pub fn set(self, name: &str, value: impl Display) -> Self {
        self.with(|setup| setup.set(name, value))
    }

    /// A backend at `%BACKEND%`, the next one at `%BACKEND2%`.
    pub fn backend(mut self, backend: ScriptedBackend) -> Self {
        let name = match self.backends.len() {
            0 => "BACKEND".to_owned(),
            count => format!("BACKEND{}", count + 1),
        };
        let address = backend.address();
        self.backends.push(backend);
        self.set(&name, address)
    }

    /// This handshake instead of a right one.
    pub fn ask(mut self, request: Handshake) -> Self {
        self.request = request;
        self
    }

    /// This instead of sending the handshake and reading the answer.
    pub fn act(mut self, act: impl FnOnce(&Nginx, &[ScriptedBackend]) -> Seen + 'static) -> Self {
        self.action = Some(Box::new(act));
        self
    }

    /// The answer must have this header.
    pub fn answers(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// nginx answers this status by itself. In `seen`, `#` stands for a number and `*` for
    /// anything.
    pub fn rejected(self, status: u16, seen: &str) -> Self {
        self.ends("rejected", status, seen)
    }

    /// nginx answers this status after it has asked an upstream, or notes 499.
    pub fn failed(self, status: u16, seen: &str) -> Self {
        self.ends("failed", status, seen)
    }

    /// The status is another than the one that the cause usually has.
    pub fn instead_of(mut self, usual: u16) -> Self {
        self.usual = Some(usual);
        self
    }

    /// The advice is not the cause's usual one, but what follows from what was seen.
    pub fn found(mut self, finding: Finding) -> Self {
        self.advice = Advice::Found(finding);
        self
    }

    fn ends(mut self, state: &'static str, status: u16, seen: &str) -> Self {
        self.state = state;
        self.status = without_tunnel(status);
        seen.clone_into(&mut self.seen);
        self
    }

    /// Runs it, and looks at what the client, the error log and the access log say.
    #[track_caller]
    pub fn check(self, cause: Cause, level: &str) {
        if nginx_version() < self.since {
            return nginx_tests::skipped(format!("only from nginx {:?} on", self.since));
        }
        if self.over_http2.is_err_and(is_skipped_over_http2) {
            return;
        }
        if self.preloads && is_emulated() {
            return nginx_tests::skipped("nothing is preloaded for another processor");
        }
        let nginx = self.setup.log_level(level).start();
        let (status, backends) = (self.status, self.backends);
        let seen = match self.action {
            Some(act) => act(&nginx, &backends),
            None => {
                let head = Client::connect(nginx.port()).ask(&self.request);
                for (name, value) in self.headers {
                    assert_eq!(head.header(name), Some(value), "{}", head.text());
                }
                Some(head.status())
            }
        };
        assert_eq!(seen, (status != 499).then_some(status), "the status");
        if let Status::Code(code) = cause.status() {
            let status = self.usual.unwrap_or(status);
            assert_eq!(status, code, "the status that {cause} says it has");
        }

        let outcome = outcomes(&nginx, 1).remove(0);
        assert_eq!(
            (outcome.status, outcome.state.as_str()),
            (status, self.state)
        );
        assert_eq!(outcome.cause, cause.name());
        let advice = self.advice.text(cause);
        assert_eq!(outcome.advice, advice);
        assert!(glob("#.#", &outcome.time), "{outcome:?}");
        assert_eq!(outcome.time.split('.').nth(1).map(str::len), Some(3));

        nginx.wait_for_log("websocket handshake failed: ");
        if self.state == "rejected" {
            let mut asked = backends.iter().flat_map(ScriptedBackend::requests);
            let got = asked.find(|request| request.head.target() == "/");
            assert!(got.is_none(), "a backend got the handshake: {got:?}");
        }
        let log = nginx.stop();
        let line = only_failure(&log);
        let text = failure(cause, &self.seen, advice);
        assert!(line.contains(" [error] "), "{line}");
        let (_, said) = line.split_once(": *").expect("a connection's number");
        let (_, said) = said.split_once(' ').expect("nginx's own line");
        assert!(
            glob(&text, said),
            "the line is\n  {line}\nand should have been\n  {text}"
        );
    }
}

/// The line about a failed handshake, up to the client's address.
pub fn failure(cause: Cause, seen: &str, advice: &str) -> String {
    format!("websocket handshake failed: {cause}: {seen}; {advice}, client: 127.0.0.1, server: *")
}

/// The value that the answer should have had: over HTTP/2 the key is one of nginx's own.
pub fn expected_accept() -> &'static str {
    if is_over_http2() { "*=" } else { SAMPLE_ACCEPT }
}

/// The one line about a failed handshake that an error log has.
#[track_caller]
pub fn only_failure(log: &str) -> &str {
    let lines = lines(log, "websocket handshake failed:");
    assert_eq!(lines.len(), 1, "lines about the handshake in\n{log}");
    lines[0]
}

/// The lines of a text that hold another.
pub fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// Waits for the one line about a failed handshake, and gives what it says, up to the client's
/// address: `cause: what was seen; advice`.
#[track_caller]
pub fn said(nginx: &Nginx) -> String {
    let line = wait_for("a line about the handshake", || {
        nginx.log_lines("websocket handshake failed: ").pop()
    });
    only_failure(&nginx.error_log());
    let (_, said) = line.split_once("failed: ").expect("found by it");
    let (said, _) = said.rsplit_once(", client: ").expect("nginx's context");
    said.to_owned()
}

/// Sends a right handshake on a connection of its own and gives the answer.
#[track_caller]
pub fn ask(nginx: &Nginx, target: &str) -> Head {
    Client::connect(nginx.port()).ask(&Handshake::new(target))
}

/// Whether a text is of this form, where `#` is a number and `*` is anything.
pub fn glob(form: &str, text: &str) -> bool {
    let mut chars = form.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| glob(chars.as_str(), &text[at..])),
        Some('#') => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            (1..=digits).any(|end| glob(chars.as_str(), &text[end..]))
        }
        Some(c) => text
            .strip_prefix(c)
            .is_some_and(|rest| glob(chars.as_str(), rest)),
    }
}
