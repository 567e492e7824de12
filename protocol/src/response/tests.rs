use super::*;
use crate::ResponseHeader::*;

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[test]
fn accept_key_of_the_rfc() {
    assert_eq!(&accept_key(KEY), ACCEPT.as_bytes());
}

#[test]
fn accepts_a_plain_answer() {
    assert_eq!(check(&valid(), &[], &[]), Ok(()));
    let head = head(&with(Connection, "keep-alive, UPGRADE"));
    assert_eq!((head.protocol(), head.extensions()), (None, None));
    assert_eq!(head.check(KEY, [].into_iter(), [].into_iter()), Ok(()));
    assert_eq!(check(&with(Upgrade, " WebSocket "), &[], &[]), Ok(()));
}

#[test]
fn upgrade_rules() {
    refused(
        &without(Upgrade),
        Cause::ResponseUpgrade,
        "no Upgrade header",
    );
    for value in ["", "h2c", "websocket, h2c", "websocket/13"] {
        let seen = format!("Upgrade is \"{value}\"");
        refused(&with(Upgrade, value), Cause::ResponseUpgrade, &seen);
    }
    let twice = [valid().as_slice(), &[(Upgrade, "websocket")]].concat();
    refused(&twice, Cause::ResponseUpgrade, "2 Upgrade headers");
}

#[test]
fn connection_rules() {
    refused(
        &without(Connection),
        Cause::ResponseConnection,
        "no Connection header",
    );
    let close = with(Connection, "close");
    refused(&close, Cause::ResponseConnection, "Connection is \"close\"");
}

#[test]
fn accept_rules() {
    refused(
        &without(Accept),
        Cause::AcceptMissing,
        "no Sec-WebSocket-Accept header",
    );
    for value in [
        "",
        "S3PPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        let seen = format!("Sec-WebSocket-Accept is \"{value}\" where \"{ACCEPT}\" was expected");
        refused(&with(Accept, value), Cause::AcceptMismatch, &seen);
    }
    let twice = [valid().as_slice(), &[(Accept, ACCEPT)]].concat();
    refused(
        &twice,
        Cause::AcceptMismatch,
        "2 Sec-WebSocket-Accept headers",
    );
}

#[test]
fn subprotocol_rules() {
    let chosen = with(Protocol, " v2 ");
    assert_eq!(head(&chosen).protocol(), Some(&b"v2"[..]));
    assert_eq!(check(&chosen, &["v1, v2"], &[]), Ok(()));
    assert_eq!(check(&chosen, &["v1", "v2"], &[]), Ok(()));
    assert_eq!(check(&valid(), &["v1"], &[]), Ok(()));
    for (answer, offers) in [
        ("v2", &[][..]),
        ("v2", &["v1"]),
        ("v2", &["V2", "v2.1"]),
        ("", &["v1"]),
    ] {
        let refusal = check(&with(Protocol, answer), offers, &[]).unwrap_err();
        let seen = format!("Sec-WebSocket-Protocol has \"{answer}\", which was not offered");
        assert_eq!(refusal, (Cause::SubprotocolNotOffered, seen));
    }
    let listed = check(&with(Protocol, "v1, v2"), &["v1, v2"], &[]).unwrap_err();
    let seen = "Sec-WebSocket-Protocol has more than one name".to_owned();
    assert_eq!(listed, (Cause::SubprotocolNotOffered, seen));
    let twice = [valid().as_slice(), &[(Protocol, "v1"), (Protocol, "v2")]].concat();
    let refusal = check(&twice, &["v1, v2"], &[]).unwrap_err();
    let seen = "2 Sec-WebSocket-Protocol headers".to_owned();
    assert_eq!(refusal, (Cause::SubprotocolNotOffered, seen));
}

#[test]
fn extension_rules() {
    let chosen = with(Extensions, "permessage-deflate; server_no_context_takeover");
    let offer = "permessage-deflate; client_max_window_bits";
    assert_eq!(check(&chosen, &[], &[offer]), Ok(()));
    assert_eq!(check(&chosen, &[], &["a, b;c=d", offer]), Ok(()));
    assert_eq!(check(&valid(), &[], &[offer]), Ok(()));
    let refusal = check(
        &with(Extensions, "permessage-deflate, x; y=1"),
        &[],
        &[offer],
    );
    let seen = "Sec-WebSocket-Extensions has \"x\", which was not offered".to_owned();
    assert_eq!(refusal, Err((Cause::ExtensionNotOffered, seen.clone())));
    let twice = [chosen.as_slice(), &[(Extensions, "x")]].concat();
    assert_eq!(
        check(&twice, &[], &[offer]),
        Err((Cause::ExtensionNotOffered, seen))
    );
}

#[test]
fn no_accept_is_due_for_no_key() {
    for headers in [valid(), without(Accept), with(Accept, "anything")] {
        let checked = head(&headers).check(b"", [].into_iter(), [].into_iter());
        assert_eq!(checked, Ok(()));
    }
}

#[test]
fn safe_refuses_what_is_dangerous_only() {
    let safe = |headers: &[(ResponseHeader, &str)]| {
        let (none, strictness) = ([].into_iter(), Strictness::Safe);
        match head(headers).judge(KEY, none.clone(), none, strictness) {
            Ok(broken) => Ok(broken.map(|refusal| refusal.cause)),
            Err(refusal) => Err(refusal.cause),
        }
    };
    assert_eq!(safe(&valid()), Ok(None));
    for (headers, named) in [
        (without(Connection), Cause::ResponseConnection),
        (without(Upgrade), Cause::ResponseUpgrade),
        (without(Accept), Cause::AcceptMissing),
        (with(Protocol, "mqtt"), Cause::SubprotocolNotOffered),
    ] {
        assert_eq!(safe(&headers), Ok(Some(named)));
    }
    for (headers, refused) in [
        (with(Accept, "no"), Cause::AcceptMismatch),
        (with(Extensions, "x"), Cause::ExtensionNotOffered),
    ] {
        assert_eq!(safe(&headers), Err(refused));
    }
}

type Headers<'a> = Vec<(ResponseHeader, &'a str)>;

fn valid() -> Headers<'static> {
    vec![
        (Connection, "Upgrade"),
        (Upgrade, "websocket"),
        (Accept, ACCEPT),
    ]
}

fn without(header: ResponseHeader) -> Headers<'static> {
    valid()
        .into_iter()
        .filter(|(name, _)| *name != header)
        .collect()
}

fn with(header: ResponseHeader, value: &str) -> Headers<'_> {
    without(header)
        .into_iter()
        .chain([(header, value)])
        .collect()
}

fn head<'a>(headers: &[(ResponseHeader, &'a str)]) -> ResponseHead<'a> {
    let mut head = ResponseHead::new();
    for (header, value) in headers {
        head.add(*header, value.as_bytes());
    }
    head
}

fn check(
    headers: &[(ResponseHeader, &str)],
    protocols: &[&str],
    extensions: &[&str],
) -> Result<(), (Cause, String)> {
    head(headers)
        .check(
            KEY,
            protocols.iter().map(|value| value.as_bytes()),
            extensions.iter().map(|value| value.as_bytes()),
        )
        .map_err(|refusal| (refusal.cause, refusal.seen.to_string()))
}

#[track_caller]
fn refused(headers: &[(ResponseHeader, &str)], cause: Cause, seen: &str) {
    assert_eq!(check(headers, &[], &[]), Err((cause, seen.to_owned())));
}
