//! The kinds of plain requests.

use nginx_tests::Handshake;

use crate::forms::Form;

pub struct Kind {
    pub name: &'static str,
    /// The query, in which `answer=` tells the upstream how to answer.
    query: &'static str,
    make: fn(Handshake) -> Handshake,
}

impl Kind {
    pub fn request(&self, form: &Form) -> Handshake {
        let target = format!("/{}/a%20page?{}", form.name, self.query);
        (self.make)(Handshake::plain(&target))
    }

    /// Whether it goes through this form as without the module: another upgrade, which the form
    /// would forward, is taken away by default.
    pub fn concerns(&self, form: &Form) -> bool {
        self.name != H2C || form.is_off() || !form.forwards_upgrades()
    }
}

const H2C: &str = "GET with an upgrade to h2c";

pub const KINDS: &[Kind] = &[
    Kind {
        name: "GET",
        query: "x=1",
        make: |get| get,
    },
    Kind {
        name: "GET again",
        query: "x=1",
        make: |get| get.add("Cookie", "a=b").add("X-Own", "1").add("X-Own", "2"),
    },
    Kind {
        name: "GET by HTTP/1.0",
        query: "x=1.0",
        make: |get| get.version("HTTP/1.0"),
    },
    Kind {
        name: "GET that closes",
        query: "x=2",
        make: |get| get.add("Connection", "close").add("TE", "trailers"),
    },
    Kind {
        name: "HEAD",
        query: "x=3",
        make: |get| get.method("HEAD"),
    },
    Kind {
        name: "POST with a length",
        query: "x=4",
        make: |get| get.method("POST").add("Content-Length", "4").body("abcd"),
    },
    Kind {
        name: "POST in chunks",
        query: "x=5",
        make: |get| {
            get.method("POST")
                .add("Transfer-Encoding", "chunked")
                .body("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        },
    },
    Kind {
        name: "PUT that expects 100",
        query: "x=6",
        make: |get| {
            get.method("PUT")
                .add("Expect", "100-continue")
                .add("Content-Length", "2")
                .body("ab")
        },
    },
    Kind {
        name: "GET of a range",
        query: "x=1",
        make: |get| get.add("Range", "bytes=1-3").add("If-Range", "\"tag\""),
    },
    Kind {
        name: "conditional GET",
        query: "x=1",
        make: |get| {
            get.add("If-None-Match", "\"tag\"")
                .add("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT")
        },
    },
    Kind {
        name: H2C,
        query: "x=7",
        make: |get| {
            get.add("Upgrade", "h2c")
                .add("Connection", "Upgrade, HTTP2-Settings")
                .add("HTTP2-Settings", "AAMAAABkAAQAAP__")
        },
    },
    Kind {
        name: "GET answered in chunks",
        query: "answer=chunks",
        make: |get| get,
    },
    Kind {
        name: "GET answered by a redirect",
        query: "answer=redirect",
        make: |get| get,
    },
    Kind {
        name: "GET answered by an error",
        query: "answer=error",
        make: |get| get,
    },
    Kind {
        name: "GET answered by nothing",
        query: "answer=nothing",
        make: |get| get,
    },
];
