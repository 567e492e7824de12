//! What is often changed for WebSocket and does nothing for it.

use super::scope::Scope;

/// More notes help nobody.
const ENOUGH: usize = 100;

/// A note for each such directive in force.
pub fn notes(scope: &Scope<'_>, notes: &mut Vec<String>) {
    const FOLKLORE: [(&str, &str); 4] = [
        (
            "proxy_buffering",
            "buffers responses; a tunnel passes bytes on as they come either way",
        ),
        (
            "client_max_body_size",
            "limits request bodies; a handshake has none, and frames are not part of one",
        ),
        (
            "keepalive_timeout",
            "applies between two requests; a tunnel is part of one",
        ),
        (
            "proxy_request_buffering",
            "is for request bodies; a tunnel has none",
        ),
    ];
    for (name, truth) in FOLKLORE {
        let Some(line) = scope.nearest(name) else {
            continue;
        };
        let note = format!(
            "{name} ({}) has no effect on tunnels: it {truth}",
            line.place()
        );
        if notes.len() < ENOUGH && !notes.contains(&note) {
            notes.push(note);
        }
    }
}
