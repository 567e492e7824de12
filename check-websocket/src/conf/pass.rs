//! What passes requests on to a server behind nginx.

use super::parse::Directive;

pub const PASSES: [&str; 6] = [
    "proxy_pass",
    "grpc_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
];

/// What passes the requests of a block on.
pub fn pass(block: &[Directive]) -> Option<&Directive> {
    block
        .iter()
        .find(|line| PASSES.contains(&line.name.as_str()))
}
