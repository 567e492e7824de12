//! Requests in the form of uwsgi and scgi, as a server behind nginx gets them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::wire::Wire;

impl Wire {
    /// Reads the variables of a uwsgi request.
    pub fn read_uwsgi(&mut self) -> io::Result<BTreeMap<String, String>> {
        let mut head = [0; 4];
        self.read_exact(&mut head)?;
        let [_, low, high, _] = head;
        let packet = self.read_bytes(usize::from(u16::from_le_bytes([low, high])))?;
        let mut rest = packet.as_slice();
        let mut strings = Vec::new();
        while !rest.is_empty() {
            let mut length = [0; 2];
            rest.read_exact(&mut length)?;
            let mut string = vec![0; usize::from(u16::from_le_bytes(length))];
            rest.read_exact(&mut string)?;
            strings.push(String::from_utf8_lossy(&string).into_owned());
        }
        Ok(pairs(strings))
    }

    /// Reads the variables of an scgi request.
    pub fn read_scgi(&mut self) -> io::Result<BTreeMap<String, String>> {
        let length = self.read_until(b":")?;
        let length = String::from_utf8_lossy(&length);
        let length: usize = length
            .trim_end_matches(':')
            .parse()
            .map_err(io::Error::other)?;
        let netstring = self.read_bytes(length + 1)?;
        let text = String::from_utf8_lossy(&netstring[..length]).into_owned();
        Ok(pairs(text.split('\0').map(str::to_owned).collect()))
    }
}

fn pairs(strings: Vec<String>) -> BTreeMap<String, String> {
    strings
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}
