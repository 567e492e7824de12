//! What is measured. A peer is configurations in `peers/` and an entry in [`PEERS`]; a proxy that
//! isn't among them yet also is a variant of [`Program`].

use std::net::SocketAddr;

use rustix::process::getuid;

use crate::program::Program;
use crate::result::Result;
use crate::scenario::{Kind, Scenario};
use crate::setup::Setup;
use crate::tls::Certificate;

pub struct Peer {
    pub name: &'static str,
    pub program: Program,
    /// Names and contents; the program is given the first.
    pub files: &'static [(&'static str, &'static str)],
    /// The module's directive in the location; where the module is not loaded, nobody reads it.
    websocket: &'static str,
    /// What stands in its http block beside.
    http: &'static str,
    /// `websocket_http2`, where HTTP/2 is spoken.
    websocket_http2: &'static str,
    /// Its clients speak HTTP/1.1, also where others' speak HTTP/2.
    pub keeps_to_http1: bool,
}

/// Those that run when none is named, and with another build of the module.
pub const DEFAULT_PEERS: &str = "module,stock";
pub const DEFAULT_PEERS_WITH_BEFORE: &str = "module,before";
/// Over HTTP/2, which stock nginx carries no WebSocket over.
pub const DEFAULT_PEERS_OF_HTTP2: &str = "module,http1";

/// What users would pick instead, beside what there is.
pub const ALL_PEERS: &str = "module,haproxy,envoy,caddy,traefik,apache,relay,stock";

/// The peer that is another build of the module.
pub const BEFORE: &str = "before";

/// All there are; ratios are to the last of those that run.
pub static PEERS: [Peer; 14] = [
    Peer::module("module", "on", ""),
    Peer::module(BEFORE, "on", ""),
    Peer::module("zone", "on", "websocket_zone websocket:64m;"),
    Peer::module("off", "off", ""),
    Peer {
        keeps_to_http1: true,
        ..Peer::module("http1", "on", "")
    },
    Peer {
        websocket_http2: "off",
        ..Peer::module("h2off", "on", "")
    },
    Peer::module("lowat", "on; websocket_send_lowat 128k", ""),
    Peer::of(
        "haproxy",
        Program::Haproxy,
        &[("haproxy.cfg", include_str!("../peers/haproxy.cfg"))],
    ),
    Peer::of(
        "envoy",
        Program::Envoy,
        &[("envoy.yaml", include_str!("../peers/envoy.yaml"))],
    ),
    Peer::of(
        "caddy",
        Program::Caddy,
        &[("Caddyfile", include_str!("../peers/Caddyfile"))],
    ),
    Peer::of(
        "traefik",
        Program::Traefik,
        &[
            ("traefik.yaml", include_str!("../peers/traefik.yaml")),
            ("routes.yaml", include_str!("../peers/traefik-routes.yaml")),
        ],
    ),
    Peer::of(
        "apache",
        Program::Apache,
        &[("apache.conf", include_str!("../peers/apache.conf"))],
    ),
    Peer::of(
        "relay",
        Program::Relay,
        &[("relay.conf", include_str!("../peers/relay.conf"))],
    ),
    Peer::of(
        "stock",
        Program::Nginx,
        &[("nginx.conf", include_str!("../peers/stock.conf"))],
    ),
];

/// What a peer needs to know of the run.
pub struct Site<'a> {
    pub setup: &'a Setup,
    pub certificate: &'a Certificate,
    pub backend: SocketAddr,
    /// How many clients there are at once.
    pub clients: usize,
    pub core: usize,
    /// How nginx is told to speak HTTP/2, where it is to.
    pub http2: Option<Http2>,
}

/// In a server of nginx: in `listen`, or as a directive, which newer versions want.
#[derive(Clone, Copy)]
pub enum Http2 {
    Listen,
    Directive,
}

impl Http2 {
    /// Since 1.25.1 it is a directive.
    pub fn of_nginx(setup: &Setup) -> Result<Self> {
        let version = Program::Nginx.version(setup)?;
        let numbers = version.trim_start_matches(|c: char| !c.is_ascii_digit());
        let mut numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0));
        let version = [(); 3].map(|()| numbers.next().unwrap_or(0));
        Ok(match version >= [1_u32, 25, 1] {
            true => Self::Directive,
            false => Self::Listen,
        })
    }
}

impl Peer {
    const fn of(
        name: &'static str,
        program: Program,
        files: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            name,
            program,
            files,
            websocket: "",
            http: "",
            websocket_http2: "",
            keeps_to_http1: false,
        }
    }

    const fn module(name: &'static str, websocket: &'static str, http: &'static str) -> Self {
        Self {
            name,
            program: Program::Nginx,
            files: &[("nginx.conf", include_str!("../peers/module.conf"))],
            websocket,
            http,
            websocket_http2: "on",
            keeps_to_http1: false,
        }
    }

    /// What it is, as it says itself.
    pub fn version(&self, setup: &Setup) -> Result<String> {
        let version = self.program.version(setup)?;
        Ok(match self.websocket {
            "" => version,
            // All crates here have one version.
            _ => format!("{version}, module {}", env!("CARGO_PKG_VERSION")),
        })
    }

    /// Whether it can do what is measured.
    pub const fn is_capable_of(&self, scenario: &Scenario) -> bool {
        let carries_websocket = match self.program {
            Program::Nginx => !self.websocket.is_empty(),
            Program::Haproxy => true,
            _ => false,
        };
        let speaks_http2 = carries_websocket
            || matches!((self.program, scenario.kind), (Program::Nginx, Kind::Plain));
        let is_counted = !scenario.counted || matches!(self.program, Program::Nginx);
        (!scenario.tls || self.program.speaks_tls())
            && (!scenario.http2 || speaks_http2)
            && is_counted
    }

    /// The lines of a server that speaks HTTP/2.
    fn http2(&self, http2: Option<Http2>) -> String {
        let directive = match http2 {
            None => return String::new(),
            Some(Http2::Listen) => "",
            Some(Http2::Directive) => "http2 on;",
        };
        match self.websocket_http2 {
            "" => directive.to_owned(),
            value => format!("{directive} websocket_http2 {value};"),
        }
    }

    /// What answers where tunnels are listed.
    fn list(&self) -> &'static str {
        match self.http.contains("websocket_zone") {
            true => "websocket_status json",
            false => "return 404",
        }
    }

    /// A file as this run needs it.
    pub fn configure(&self, text: &str, site: &Site<'_>, [port, tls_port]: [u16; 2]) -> String {
        // Workers that root starts become someone else, who may not be allowed to read the
        // directory.
        let user = if getuid().is_root() {
            "user root root;"
        } else {
            ""
        };
        let module = match &site.setup.before {
            Some(before) if self.name == BEFORE => before,
            _ => &site.setup.module,
        };
        [
            ("%MODULE%", module.display().to_string()),
            ("%HTTP%", self.http.to_owned()),
            (
                "%LISTEN_HTTP2%",
                match site.http2 {
                    Some(Http2::Listen) => " http2".to_owned(),
                    _ => String::new(),
                },
            ),
            ("%HTTP2%", self.http2(site.http2)),
            ("%WEBSOCKET%", self.websocket.to_owned()),
            ("%LIST%", self.list().to_owned()),
            ("%USER%", user.to_owned()),
            ("%PORT%", port.to_string()),
            ("%TLS_PORT%", tls_port.to_string()),
            ("%BACKEND%", site.backend.to_string()),
            ("%BACKEND_HOST%", site.backend.ip().to_string()),
            ("%BACKEND_PORT%", site.backend.port().to_string()),
            // With few left, nginx closes connections that have not sent anything yet.
            ("%CONNECTIONS%", (3 * site.clients + 500).to_string()),
            // More than there are: one that ends may overlap with the next.
            ("%CLIENTS%", (site.clients + 500).to_string()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}
