//! Reloads, good and bad ones, and an eye on the error log meanwhile.

use std::fs::{self, File};
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use nginx_tests::nginx::Setup;
use nginx_tests::wait_until;
use rustix::process::Signal;

use crate::kills;
use crate::random::Random;
use crate::world::World;

/// Lines in the `http` block that nginx refuses, and what it says.
const FAULTS: &[(&str, &str)] = &[
    (
        "no_such_directive;",
        "unknown directive \"no_such_directive\"",
    ),
    ("websocket maybe;", "invalid value \"maybe\""),
    (
        "websocket_ping 1s timeout=x;",
        "invalid parameter \"timeout=x\"",
    ),
    (
        "websocket_drain 1s code=1000;",
        "invalid parameter \"code=1000\"",
    ),
    ("websocket_allow_origin ~(;", "closing parenthesis"),
    ("websocket on; websocket off;", "directive is duplicate"),
    (
        "upstream dead { server 127.0.0.1:1; }",
        "duplicate upstream \"dead\"",
    ),
    ("include missing.conf;", "missing.conf"),
    (
        "server { websocket on; location / { proxy_pass http://; } }",
        "no host in upstream",
    ),
    (
        "server { websocket on; location / { proxy_pass http://127.0.0.1:1; no_such_directive; } }",
        "unknown directive \"no_such_directive\"",
    ),
    (
        "server { listen 127.0.0.1:1 ssl; ssl_certificate none.pem; ssl_certificate_key none.pem; }",
        "cannot load certificate",
    ),
];

/// What a process that broke down leaves in the error log; that one was killed is kills.rs' business.
const BROKEN_DOWN: [&str; 3] = ["exited on signal", "panicked at", "exited with fatal code"];

/// From one reload to the next, if nginx is done with it by then.
const PACE: Duration = Duration::from_millis(200);

/// An nginx whose error log may have what the faults bring into it.
pub fn allow_their_faults(setup: Setup) -> Setup {
    FAULTS
        .iter()
        .fold(setup, |setup, (_, said)| setup.allow_log(said))
}

pub struct Reloads<'a> {
    world: &'a World<'a>,
    random: Random,
    log: File,
    config: String,
    next: Instant,
}

impl<'a> Reloads<'a> {
    pub fn new(world: &'a World<'a>, seed: u64) -> Self {
        Self {
            world,
            random: Random::new(!seed),
            log: File::open(world.nginx.path("logs/error.log")).expect("an error log"),
            config: world.nginx.config().to_owned(),
            next: Instant::now(),
        }
    }

    /// A reload that nginx refuses, now and then, and one that it takes.
    pub fn some(&mut self) {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next = Instant::now() + PACE;
        if self.random.one_in(4) {
            self.refused();
        }
        if self.random.one_in(8) {
            self.world.nginx.signal(Signal::USR1);
        }
        self.reload();
        self.watch();
    }

    /// Reloads with buffers of another size, kept or not, and without one of the servers of `moving`.
    pub fn reload(&mut self) {
        let size = *self.random.pick(&["1k", "4k", "16k", "64k"]);
        let kept = *self.random.pick(&["0", "64"]);
        let away = *self.random.pick(&["weight=1;", "weight=2;", "no line;"]);
        let buffers =
            |size, kept| format!("websocket_buffer_size {size}; websocket_buffers {kept};");
        let config = self
            .config
            .replacen(&buffers("16k", "64"), &buffers(size, kept), 1);
        self.write(&config.replacen(away, "down;", 1));
        self.world
            .while_workers_change(|| self.world.nginx.reload());
        self.world.count("reloads");
    }

    fn refused(&mut self) {
        let (line, _) = *self.random.pick(FAULTS);
        self.watch();
        self.write(
            &self
                .config
                .replacen("http {", &format!("http {{\n{line}"), 1),
        );
        self.world.nginx.signal(Signal::HUP);
        // Whether it says what it should is judged with the whole log.
        wait_until(&format!("{line} to be refused"), || {
            self.watch().contains("[emerg]")
        });
        self.world.count("reloads refused");
    }

    fn write(&self, config: &str) {
        fs::write(self.world.nginx.path("nginx.conf"), config).expect("a new configuration");
    }

    /// What is new in the error log. Ends the run when a process has broken down.
    pub fn watch(&mut self) -> String {
        let mut news = Vec::new();
        self.log
            .read_to_end(&mut news)
            .expect("an error log can be read");
        let news = String::from_utf8_lossy(&news).into_owned();
        for line in news
            .lines()
            .filter(|line| BROKEN_DOWN.iter().any(|text| line.contains(text)))
            .filter(|line| !line.contains(kills::SAID[0]))
        {
            self.world
                .wrong("a process broke down".to_owned(), line.to_owned());
            self.world.set_over();
        }
        news
    }
}
