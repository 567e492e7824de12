use super::*;
use std::collections::HashSet;

#[test]
fn names_are_unique_and_spell_the_variant() {
    let mut names = HashSet::new();
    for &cause in Cause::ALL {
        assert!(names.insert(cause.name()), "{cause} twice");
        assert_eq!(kebab(&format!("{cause:?}")), cause.name());
        assert_eq!(Cause::from_name(cause.name()), Some(cause));
    }
    assert_eq!(Cause::from_name("no-such-cause"), None);
}

#[test]
fn texts_fit_a_log_line() {
    for cause in Cause::ALL {
        let (meaning, advice) = (cause.meaning(), cause.advice());
        assert!(
            meaning.ends_with('.') && meaning.len() > 10,
            "{cause}: {meaning}"
        );
        assert!(
            !advice.ends_with('.') && advice.len() > 10,
            "{cause}: {advice}"
        );
        assert!(
            !advice.starts_with(|c: char| c.is_ascii_uppercase()),
            "{cause}: {advice}"
        );
        for text in [meaning, advice] {
            assert!(
                text.len() <= 160,
                "{cause}: {} characters: {text}",
                text.len()
            );
            assert!(
                text.bytes().all(|b| (b' '..=b'~').contains(&b)),
                "{cause}: {text}"
            );
        }
    }
}

#[test]
fn statuses_are_failures() {
    for cause in Cause::ALL {
        if let Status::Code(code) = cause.status() {
            assert!((400..600).contains(&code), "{cause}: {code}");
        }
    }
}

#[test]
fn upstream_statuses() {
    for (status, name) in [
        (0, "upstream-response-invalid"),
        (100, "upstream-status"),
        (200, "upstream-not-websocket"),
        (204, "upstream-not-websocket"),
        (301, "upstream-redirect"),
        (304, "upstream-status"),
        (308, "upstream-redirect"),
        (400, "upstream-bad-request"),
        (401, "upstream-unauthorized"),
        (403, "upstream-forbidden"),
        (404, "upstream-not-found"),
        (405, "upstream-status"),
        (426, "upstream-version"),
        (429, "upstream-overloaded"),
        (500, "upstream-error"),
        (502, "upstream-error"),
        (503, "upstream-overloaded"),
        (999, "upstream-status"),
    ] {
        assert_eq!(
            Cause::from_upstream_status(status).map(Cause::name),
            Some(name),
            "{status}"
        );
    }
    assert_eq!(Cause::from_upstream_status(101), None);
}

#[test]
fn local_statuses() {
    for (status, name) in [
        (200, "local-status"),
        (301, "local-redirect"),
        (307, "local-redirect"),
        (401, "local-unauthorized"),
        (403, "local-forbidden"),
        (404, "local-not-found"),
        (410, "local-status"),
        (413, "local-body-too-large"),
        (414, "local-status"),
        (429, "local-limited"),
        (494, "local-header-too-large"),
        (495, "local-certificate-refused"),
        (496, "local-certificate-missing"),
        (497, "local-plain-to-tls"),
        (499, "client-gone"),
        (500, "local-status"),
        (503, "local-limited"),
    ] {
        assert_eq!(
            Cause::from_local_status(status).map(Cause::name),
            Some(name),
            "{status}"
        );
    }
    assert_eq!(Cause::from_local_status(0), None);
    assert_eq!(Cause::from_local_status(101), None);
}

fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}
