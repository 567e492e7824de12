//! What is known of a handshake before its way through a configuration begins.

use super::parse::Directive;
use super::values::Maps;
use crate::request::Request;
use crate::target::Target;

/// The variables of a handshake for this address.
pub fn variables<'a>(http: &'a [Directive], target: &Target, request: &Request) -> Maps<'a> {
    let mut maps = Maps::of(http);
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase().replace('-', "_");
        maps.know(&format!("http_{name}"), value.as_str());
    }
    let query = target.path.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in [
        ("host", host(request).as_str()),
        ("scheme", if target.secure { "https" } else { "http" }),
        ("https", if target.secure { "on" } else { "" }),
        ("server_port", &target.port.to_string()),
        ("request_uri", &target.path),
        ("args", query),
        ("query_string", query),
        ("is_args", if query.is_empty() { "" } else { "?" }),
        ("server_protocol", "HTTP/1.1"),
    ] {
        maps.know(name, value);
    }
    maps.know_all_headers();
    maps
}

/// `$host`: in small letters, without a port.
pub fn host(request: &Request) -> String {
    let host = request.header("Host").unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}
