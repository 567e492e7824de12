//! Times, and what they do to a tunnel.

use super::location::{By, Location};
use super::scope::Scope;

/// A ping that comes later than the timeout keeps nothing alive.
pub fn websocket(location: &mut Location, scope: &Scope<'_>) {
    let ping = scope
        .nearest("websocket_ping")
        .and_then(|line| milliseconds(line.word(0)));
    let timeout = match scope.nearest("websocket_timeout") {
        Some(line) => milliseconds(line.word(0)),
        None => Some(60 * 60 * 1000),
    };
    let Some(timeout) = timeout else { return };
    if ping.is_some_and(|ping| ping >= timeout) {
        let text = "websocket_timeout ends an idle tunnel before the first websocket_ping";
        location.remarks.push(text.to_owned());
    }
    location.remarks.push(format!(
        "an idle tunnel ends after {} (websocket_timeout)",
        seconds(timeout)
    ));
}

pub fn connect_timeout(location: &mut Location, scope: &Scope<'_>) {
    let line = scope.nearest("proxy_connect_timeout");
    if let Some(line) = line.filter(|line| milliseconds(line.word(0)) == Some(0)) {
        location.problems.push(format!(
            "proxy_connect_timeout 0 ({}) is not \"never\": it gives up at once",
            line.place()
        ));
    }
}

pub fn read_timeout(location: &mut Location, scope: &Scope<'_>) {
    let line = scope.nearest("proxy_read_timeout");
    let time = line.map_or(Some(60_000), |line| milliseconds(line.word(0)));
    match (line, time) {
        (Some(line), Some(0)) => location.problems.push(format!(
            "proxy_read_timeout 0 ({}) is not \"never\": it closes at once",
            line.place()
        )),
        (Some(line), Some(time)) if location.by == By::Module && time > 60_000 => {
            location.remarks.push(format!(
                "proxy_read_timeout ({}) only bounds the wait for the answer to the handshake; \
                 tunnels have websocket_timeout",
                line.place()
            ));
        }
        (_, Some(time)) if location.by == By::Hand => {
            location.remarks.push(format!(
                "a tunnel ends after {} in which neither side sends a byte (proxy_read_timeout)",
                seconds(time)
            ));
        }
        _ => {}
    }
}

/// A time of nginx: `60`, `60s`, `1h 30m` as `1h30m`, `500ms`. `None` for `off` and variables.
pub fn milliseconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn seconds(milliseconds: u64) -> String {
    if milliseconds % 1000 == 0 {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}
