//! What is measured. A peer is configurations in `peers/` and an entry in [`PEERS`]; a proxy that
//! isn't among them yet also is a variant of [`Program`].

use std::net::SocketAddr;

use rustix::process::getuid;

use crate::program::Program;
use crate::result::Result;
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
}

/// Those that run when none is named, and with another build of the module.
pub const DEFAULT_PEERS: &str = "module,stock";
pub const DEFAULT_PEERS_WITH_BEFORE: &str = "module,before";

/// What users would pick instead, beside what there is.
pub const ALL_PEERS: &str = "module,haproxy,envoy,caddy,traefik,apache,relay,stock";

/// The peer that is another build of the module.
pub const BEFORE: &str = "before";

/// All there are; ratios are to the last of those that run.
pub static PEERS: [Peer; 12] = [
    Peer::module("module", "on", ""),
    Peer::module(BEFORE, "on", ""),
    Peer::module("zone", "on", "websocket_zone websocket:64m;"),
    Peer::module("off", "off", ""),
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
        }
    }

    const fn module(name: &'static str, websocket: &'static str, http: &'static str) -> Self {
        Self {
            name,
            program: Program::Nginx,
            files: &[("nginx.conf", include_str!("../peers/module.conf"))],
            websocket,
            http,
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
