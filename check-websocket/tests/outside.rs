//! Whatever comes from outside: no crash, no hang, and no character that a terminal obeys.
//!
//! The same is fuzzed without an end by `cargo fuzz` (fuzz/). Here the input is made up from what a
//! server or a configuration has in it, so that little of it is refused at its first byte.

use std::time::{Duration, Instant};

use check_websocket::outside;
use proptest::prelude::*;

/// What a terminal obeys, and what is written in another direction.
const TRICKS: &[&str] = &[
    "\u{1b}[2J",
    "\u{1b}]0;a\u{7}",
    "\u{7}",
    "\r",
    "\n",
    "\r\nworks\r\n",
    "\u{9b}1m",
    "\u{85}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{2028}",
    "\u{feff}",
    "\u{e0041}",
    "\0",
    "\u{7f}",
];

const OF_ANSWERS: &[&str] = &[
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 ",
    "101",
    "1019",
    " ",
    "404 Not Found\r\n",
    "Upgrade: websocket\r\n",
    "Connection: Upgrade\r\n",
    "Sec-WebSocket-Accept: ",
    "Set-Cookie : a\r\n",
    "Sec-WebSocket-Protocol: ",
    "Location: ",
    "Content-Type: text/plain\r\n",
    "Content-Length: 9\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Server: nginx\r\n",
    "X-WebSocket-Cause: ",
    "\r\n\r\n",
    ":",
    "<hr><center>nginx</center>",
    "{\"a\":1}",
];

const OF_CONFIGURATIONS: &[&str] = &[
    "server {",
    "http {",
    "location ",
    "location ~ ",
    "/a",
    "/",
    "= ",
    "@a",
    "}",
    ";",
    "{",
    "proxy_pass ",
    "http://a;",
    "http://$a/;",
    "websocket on;",
    "websocket On;",
    "return 404;",
    "rewrite ^/a /b last;",
    "rewrite ^ ",
    "permanent;",
    "if ($http_upgrade) {",
    "if ($a = ",
    ") {",
    "set $a ",
    "$a",
    "try_files $uri @a;",
    "map $http_upgrade $a {",
    "default ",
    "proxy_set_header ",
    "Upgrade ",
    "Connection ",
    "$http_upgrade;",
    "upgrade;",
    "listen 80;",
    "server_name ",
    "include a;",
    "include *;",
    "geo $b {",
    "upstream a {",
    "content_by_lua_block {",
    "]]",
    "[[",
    "--",
    "\"",
    "'",
    "\\",
    "#",
    "\n",
    " ",
    "allow all;",
    "deny all;",
    "limit_except POST {",
    "auth_basic a;",
    "proxy_hide_header Upgrade;",
    "internal;",
    "ssl_verify_client on;",
    "proxy_read_timeout 0;",
    "websocket_allow_origin ",
    "~a",
    "error_page 404 @a;",
    "${a}",
    "$",
    "\n# configuration file /a:\n",
    "# configuration file /e/a:\n",
    "include e/a;",
];

fn made_of(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(pieces).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(TRICKS).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Longer than any of these takes, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

fn is_clean(say: impl FnOnce() -> Vec<String>) -> Result<(), TestCaseError> {
    let start = Instant::now();
    let said = say();
    prop_assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
    prop_assert!(!said.is_empty());
    if let Some((c, text)) = outside::raw(&said) {
        return Err(TestCaseError::fail(format!("{c:?} in {text:?}")));
    }
    Ok(())
}

fn with(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(with(60))]

    #[test]
    fn an_answer(bytes in made_of(OF_ANSWERS)) {
        is_clean(|| outside::answer(&bytes))?;
    }

    #[test]
    fn frames(bytes in prop::collection::vec(any::<u8>(), 0..200), opcode in 0x80u8..0x8b, length in 0u8..128) {
        is_clean(|| outside::frames(&[&[opcode, length], &bytes[..]].concat()))?;
    }
}

proptest! {
    #![proptest_config(with(1000))]

    /// What was said of a part of it holds for the whole.
    #[test]
    fn an_answer_that_comes_in_pieces(bytes in made_of(OF_ANSWERS)) {
        let bytes = [b"HTTP/1.1 404 Not Found\r\n", &bytes[..]].concat();
        let whole = outside::head(&bytes);
        for length in 0..bytes.len() {
            match outside::head(&bytes[..length]) {
                Ok(None) => {}
                Ok(Some((lines, rest))) => {
                    prop_assert_eq!(&whole, &Ok(Some((lines, rest + bytes.len() - length))));
                }
                Err(_) => prop_assert!(whole.is_err()),
            }
        }
    }

    #[test]
    fn a_configuration(text in made_of(OF_CONFIGURATIONS)) {
        is_clean(|| outside::configuration(&text))?;
    }

    /// One that is right is changed here and there: made up it would not be read at all.
    #[test]
    fn a_certificate(changes in prop::collection::vec((0usize..2000, any::<u8>()), 0..6), trick in prop::sample::select(TRICKS)) {
        let mut der = certificate(trick);
        for (at, byte) in changes {
            let length = der.len();
            if let Some(place) = der.get_mut(at % length) {
                *place = byte;
            }
        }
        is_clean(|| outside::certificate(&der))?;
    }
}

/// A certificate with this in each of its names.
fn certificate(trick: &str) -> Vec<u8> {
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock};
    // Its key is made once for each: that takes longest.
    static MADE: OnceLock<Mutex<HashMap<String, Vec<u8>>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().expect("no panic");
    let der = made.entry(trick.to_owned()).or_insert_with(|| {
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let name = &mut params.distinguished_name;
        name.push(rcgen::DnType::CommonName, trick);
        name.push(rcgen::DnType::OrganizationName, trick);
        let key = rcgen::KeyPair::generate().expect("a key");
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    });
    der.clone()
}
