use super::*;
use crate::HttpVersion;
use crate::RequestHeader::*;

const GET: RequestLine<'_> = RequestLine {
    method: b"GET",
    version: HttpVersion::Http11,
    has_body: false,
};
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn accepts_a_plain_handshake() {
    assert_eq!(head(&valid()).check(GET), Ok(()));
    assert!(head(&valid()).is_attempt());
    assert_eq!(head(&valid()).key(), Some(KEY.as_bytes()));
}

#[test]
fn accepts_lists_repeats_and_any_case() {
    let headers = [
        (Connection, "keep-alive"),
        (Connection, "foo, UPGRADE"),
        (Upgrade, "h2c"),
        (Upgrade, "foo/1, WebSocket"),
        (Key, " dGhlIHNhbXBsZSBub25jZQ==\t"),
        (Version, " 13 "),
        (Protocol, "chat"),
        (Protocol, "superchat, v2.chat"),
        (Extensions, "permessage-deflate; client_max_window_bits"),
        (Extensions, "x"),
    ];
    let head = head(&headers);
    assert_eq!(head.check(GET), Ok(()));
    assert_eq!(head.connection(), Some(&b"keep-alive"[..]));
    assert_eq!(head.upgrade_value(), Some(&b"h2c"[..]));
}

#[test]
fn knows_attempts() {
    assert!(head(&[(Upgrade, "websocket")]).is_attempt());
    assert!(head(&[(Key, "")]).is_attempt());
    assert!(head(&[(Version, "8")]).is_attempt());
    assert!(!head(&[]).is_attempt());
    assert!(!head(&[(Connection, "upgrade"), (Upgrade, "h2c"), (Protocol, "a")]).is_attempt());
}

#[test]
fn classifies_upgrade() {
    assert_eq!(head(&[]).upgrade(), super::Upgrade::Absent);
    for other in ["h2c", "", " , ", "\t", "tcp", "websockets", "/websocket"] {
        let other = head(&[(Upgrade, other)]).upgrade();
        assert_eq!(other, super::Upgrade::Other);
        assert!(!other.is_to_websocket());
    }
    for versioned in ["websocket/13", "h2c, WebSocket/ "] {
        let versioned = head(&[(Upgrade, versioned)]).upgrade();
        assert_eq!(versioned, super::Upgrade::Versioned);
        assert!(versioned.is_to_websocket());
    }
    assert_eq!(
        head(&[(Upgrade, "h2c, websocket")]).upgrade(),
        super::Upgrade::WebSocket
    );
    let both = [(Upgrade, "websocket"), (Upgrade, "websocket/1")];
    assert_eq!(head(&both).upgrade(), super::Upgrade::WebSocket);
}

#[test]
fn http2_and_http3_come_first() {
    for (version, text) in [
        (HttpVersion::Http2, "HTTP/2"),
        (HttpVersion::Http3, "HTTP/3"),
    ] {
        let line = RequestLine {
            method: b"POST",
            version,
            has_body: true,
        };
        let refusal = head(&[(Version, "13")]).check(line).unwrap_err();
        assert_eq!(refusal.cause, Cause::OverHttp2);
        assert_eq!(refusal.seen.to_string(), format!("request is {text}"));
    }
}

#[test]
fn method_and_version_of_the_line() {
    for method in ["POST", "get", "HEAD", ""] {
        let line = RequestLine {
            method: method.as_bytes(),
            ..GET
        };
        refused_line(
            line,
            Cause::MethodNotGet,
            &format!("method is \"{method}\""),
        );
    }
    let line = RequestLine {
        version: HttpVersion::Http10,
        ..GET
    };
    refused_line(line, Cause::HttpVersion, "request is HTTP/1.0");
    let line = RequestLine {
        version: HttpVersion::Http09,
        ..GET
    };
    refused_line(line, Cause::HttpVersion, "request is HTTP/0.9");
    let line = RequestLine {
        has_body: true,
        ..GET
    };
    refused_line(line, Cause::BodyPresent, "request has a body");
}

#[test]
fn upgrade_rules() {
    refused(
        &without(Upgrade),
        Cause::UpgradeMissing,
        "no Upgrade header",
    );
    for other in ["", "h2c", "websocket/13"] {
        let seen = format!("Upgrade is \"{other}\"");
        refused(&with(Upgrade, other), Cause::UpgradeNotWebsocket, &seen);
    }
}

#[test]
fn connection_rules() {
    refused(
        &without(Connection),
        Cause::ConnectionNotUpgrade,
        "no Connection header",
    );
    let close = with(Connection, "close");
    refused(
        &close,
        Cause::ConnectionNotUpgrade,
        "Connection is \"close\"",
    );
}

#[test]
fn key_rules() {
    refused(
        &without(Key),
        Cause::KeyMissing,
        "no Sec-WebSocket-Key header",
    );
    let twice = [valid().as_slice(), &[(Key, KEY)]].concat();
    refused(&twice, Cause::KeyRepeated, "2 Sec-WebSocket-Key headers");
    refused(
        &with(Key, "a, b"),
        Cause::KeyRepeated,
        "Sec-WebSocket-Key is \"a, b\"",
    );
    for key in [
        "",
        "AAAA",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQA=",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBsZSBub25jZ-==",
        "dGhlIHNhbXBs SBub25jZQ==",
    ] {
        let seen = format!("Sec-WebSocket-Key is \"{key}\"");
        refused(&with(Key, key), Cause::KeyInvalid, &seen);
    }
}

#[test]
fn key_may_set_unused_bits() {
    assert_eq!(
        head(&with(Key, "dGhlIHNhbXBsZSBub25jZf==")).check(GET),
        Ok(())
    );
    assert_eq!(
        head(&with(Key, "++++++++//////////++//==")).check(GET),
        Ok(())
    );
}

#[test]
fn version_rules() {
    refused(
        &without(Version),
        Cause::VersionMissing,
        "no Sec-WebSocket-Version header",
    );
    let twice = [valid().as_slice(), &[(Version, "13")]].concat();
    refused(
        &twice,
        Cause::VersionRepeated,
        "2 Sec-WebSocket-Version headers",
    );
    let list = with(Version, "13, 8");
    refused(
        &list,
        Cause::VersionRepeated,
        "Sec-WebSocket-Version is \"13, 8\"",
    );
    for version in ["8", "", "013", "13.0", "+13"] {
        let seen = format!("Sec-WebSocket-Version is \"{version}\"");
        refused(&with(Version, version), Cause::VersionUnsupported, &seen);
    }
}

#[test]
fn subprotocol_rules() {
    let empty = with(Protocol, "");
    refused(
        &empty,
        Cause::SubprotocolMalformed,
        "Sec-WebSocket-Protocol lists no subprotocol",
    );
    let space = with(Protocol, "a b");
    refused(
        &space,
        Cause::SubprotocolMalformed,
        "Sec-WebSocket-Protocol has \" \" at character 2, which is not allowed in a subprotocol",
    );
    let twice = [valid().as_slice(), &[(Protocol, "a, b"), (Protocol, "b")]].concat();
    refused(
        &twice,
        Cause::SubprotocolMalformed,
        "Sec-WebSocket-Protocol names a subprotocol twice: number 3 repeats an earlier one",
    );
}

#[test]
fn extensions_rules() {
    let bare = with(Extensions, "a;");
    refused(
        &bare,
        Cause::ExtensionsMalformed,
        "Sec-WebSocket-Extensions is \"a;\"",
    );
}

#[test]
fn safe_refuses_what_is_dangerous_only() {
    let odd: [&[(RequestHeader, &str)]; 9] = [
        &without(Key),
        &without(Version),
        &without(Connection),
        &with(Key, "c2hvcnQ="),
        &with(Version, "99"),
        &with(Upgrade, "websocket/13"),
        &with(Protocol, "SPDY/3.1+portforward.k8s.io"),
        &with(Protocol, ""),
        &with(Extensions, "a;"),
    ];
    for headers in odd {
        let first = head(headers).check(GET).unwrap_err();
        let judged = head(headers).judge(GET, Strictness::Safe);
        assert_eq!(judged, Ok(Some(first)));
        assert_eq!(head(headers).judge(GET, Strictness::Strict), Err(first));
    }
    for line in [
        RequestLine {
            method: b"POST",
            ..GET
        },
        RequestLine {
            version: HttpVersion::Http10,
            ..GET
        },
    ] {
        assert!(head(&valid()).judge(line, Strictness::Safe).is_ok());
    }
    for twice in [(Key, KEY), (Version, "13")] {
        let headers = [valid().as_slice(), &[twice]].concat();
        assert!(head(&headers).judge(GET, Strictness::Safe).is_err());
        assert!(head(&headers).judge(GET, Strictness::Lenient).is_ok());
    }
    assert_eq!(head(&valid()).judge(GET, Strictness::Safe), Ok(None));
}

type Headers = Vec<(RequestHeader, &'static str)>;

fn valid() -> Headers {
    vec![
        (Connection, "Upgrade"),
        (Upgrade, "websocket"),
        (Key, KEY),
        (Version, "13"),
    ]
}

fn without(header: RequestHeader) -> Headers {
    valid()
        .into_iter()
        .filter(|(name, _)| *name != header)
        .collect()
}

fn with(header: RequestHeader, value: &str) -> Vec<(RequestHeader, &str)> {
    without(header)
        .into_iter()
        .chain([(header, value)])
        .collect()
}

fn head<'a>(headers: &[(RequestHeader, &'a str)]) -> RequestHead<'a> {
    let mut head = RequestHead::new();
    for (header, value) in headers {
        head.add(*header, value.as_bytes());
    }
    head
}

#[track_caller]
fn refused(headers: &[(RequestHeader, &str)], cause: Cause, seen: &str) {
    let refusal = head(headers).check(GET).unwrap_err();
    assert_eq!(
        (refusal.cause, refusal.seen.to_string().as_str()),
        (cause, seen)
    );
}

#[track_caller]
fn refused_line(line: RequestLine<'_>, cause: Cause, seen: &str) {
    let refusal = head(&valid()).check(line).unwrap_err();
    assert_eq!(
        (refusal.cause, refusal.seen.to_string().as_str()),
        (cause, seen)
    );
}
