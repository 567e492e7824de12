//! Under what label a location is counted.

use core::fmt::{self, Write};

use websocket_zone::{Text, Writer};

use crate::conf::{LocationConf, MainConf};
use crate::nginx::string;

/// Gives every location the label that it is counted under.
pub(super) fn assign(writer: &Writer<'_>, main: &MainConf) {
    for level in main.levels().filter(|level| level.is_on()) {
        let label = match level.label_text() {
            Some(text) => writer.label(text),
            None => {
                let mut line = Line::new();
                // What is too long is cut.
                let _ = write_default(&mut line, level);
                writer.label(line.text())
            }
        };
        level.label.set(label);
    }
}

/// The server's first name and the location's, as it is written.
fn write_default(line: &mut Line, level: &LocationConf) -> fmt::Result {
    let (server, location) = (server_name(level), level.name());
    if server.is_empty() && location.is_empty() {
        return line.put(b"-");
    }
    line.put(server)?;
    if !server.is_empty() && !location.is_empty() {
        line.write_char(' ')?;
    }
    line.put(location)
}

fn server_name(level: &LocationConf) -> &[u8] {
    // SAFETY: a server lives as long as its configuration.
    unsafe { string::bytes(&(*level.server()).server_name) }
}

/// A little more than a text of the zone can hold, so that it sees what is cut.
struct Line {
    bytes: [u8; Text::MAX + 1],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; Text::MAX + 1],
            length: 0,
        }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn put(&mut self, text: &[u8]) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, byte) in room.iter_mut().zip(text) {
            *to = *byte;
            self.length += 1;
        }
        Ok(())
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes())
    }
}
