//! What may decide and is not looked at: that much is said.

use super::scope::Scope;

/// Names, and what they may do.
const UNSEEN: [(&str, &str); 22] = [
    ("auth_request", "may refuse"),
    ("auth_jwt", "may refuse"),
    ("access_by_lua", "may refuse"),
    ("rewrite_by_lua", "may answer, or lead elsewhere"),
    (
        "content_by_lua",
        "may answer in place of what is written here",
    ),
    ("header_filter_by_lua", "may change the answer"),
    ("set_by_lua", "sets a variable"),
    ("js_access", "may refuse"),
    ("js_set", "sets a variable"),
    ("js_header_filter", "may change the answer"),
    ("perl_set", "sets a variable"),
    ("modsecurity", "may refuse"),
    ("more_clear_headers", "may remove what the handshake needs"),
    (
        "more_clear_input_headers",
        "may remove what the handshake needs",
    ),
    ("more_set_headers", "may change the answer"),
    ("more_set_input_headers", "may change the handshake"),
    ("limit_req", "may refuse clients that come too often"),
    ("limit_conn", "may refuse clients with too many connections"),
    ("proxy_ssl_verify", "may refuse the upstream's certificate"),
    (
        "error_page",
        "may answer, or pass the request on, in another way when something fails",
    ),
    ("valid_referers", "sets $invalid_referer"),
    ("proxy_bind", "must be an address of this host"),
];

/// A remark for each of them that is in force.
pub fn remarks(scope: &Scope<'_>) -> Vec<String> {
    let remark = |(name, what): &(&str, &str)| {
        let line = scope.nearest(name).filter(|line| !line.says("off"))?;
        let (name, place) = (&line.name, line.place());
        Some(format!("{name} ({place}) is not considered: it {what}"))
    };
    UNSEEN.iter().filter_map(remark).collect()
}
