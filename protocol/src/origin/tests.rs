use super::*;

const REQUEST: RequestAuthority<'_> = RequestAuthority {
    secure: false,
    host: b"example.com",
};

#[test]
fn none_is_no_header() {
    assert!(rule("none").matches(None, REQUEST));
    assert!(!rule("none").matches(Some(b""), REQUEST));
    for other in [
        "same",
        "null",
        "https://example.com",
        "https://*.example.com",
    ] {
        assert!(!rule(other).matches(None, REQUEST), "{other}");
    }
}

#[test]
fn null_is_only_itself() {
    assert!(allows("null", "null"));
    for other in ["none", "same", "https://null", "https://*.null"] {
        assert!(!allows(other, "null"), "{other}");
    }
    assert!(!allows("null", "https://null"));
}

#[test]
fn exact() {
    assert!(allows("https://example.com", "https://example.com"));
    assert!(allows("https://example.com", "HTTPS://Example.COM"));
    assert!(allows("https://example.com", " https://example.com:443 "));
    assert!(allows("http://example.com:80", "http://example.com"));
    assert!(allows("https://[::1]:8443", "https://[::1]:8443"));
    assert!(allows(
        "chrome-extension://abcdef",
        "chrome-extension://abcdef"
    ));
    assert!(allows("file://", "file://"));
    for other in [
        "http://example.com",
        "https://example.com:444",
        "https://www.example.com",
        "https://example.com.evil.test",
        "https://example.com/",
        "https://example.com https://evil.test",
        "https://user@example.com",
        "https://*",
        "example.com",
        "",
    ] {
        assert!(!allows("https://example.com", other), "{other}");
    }
}

#[test]
fn subdomains() {
    for origin in ["https://a.example.com", "https://a.b.EXAMPLE.com:443"] {
        assert!(allows("https://*.example.com", origin), "{origin}");
    }
    for origin in [
        "https://example.com",
        "https://.example.com",
        "https://a..example.com",
        "https://*.example.com",
        "https://aexample.com",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://a.example.com.evil.test",
    ] {
        assert!(!allows("https://*.example.com", origin), "{origin}");
    }
    assert!(allows(
        "https://*.example.com:8443",
        "https://a.example.com:8443"
    ));
}

#[test]
fn same_with_port_in_host() {
    assert!(is_same(
        "http://example.com:8080",
        false,
        "example.com:8080"
    ));
    assert!(is_same(
        "https://example.com:8443",
        true,
        "EXAMPLE.com:8443"
    ));
    assert!(is_same("https://example.com", false, "example.com:443"));
    assert!(is_same("http://[::1]:8080", false, "[::1]:8080"));
    assert!(!is_same("http://example.com", false, "example.com:8080"));
    assert!(!is_same(
        "http://example.com:8080",
        false,
        "example.com:8081"
    ));
    assert!(!is_same("http://evil.test:8080", false, "example.com:8080"));
}

#[test]
fn same_without_port_in_host() {
    assert!(is_same("http://example.com", false, "example.com"));
    assert!(is_same("https://example.com", true, "example.com"));
    assert!(is_same("http://[::1]", false, "[::1]"));
    // TLS ended in front.
    assert!(is_same("https://example.com", false, "example.com"));
    // A page that came without TLS is another origin than a server reached with it.
    assert!(!is_same("http://example.com", true, "example.com"));
    assert!(!is_same("https://example.com:8443", false, "example.com"));
    assert!(!is_same("https://example.com:8443", true, "example.com"));
    assert!(!is_same("https://example.com", false, ""));
    assert!(!is_same(
        "chrome-extension://example.com",
        false,
        "example.com"
    ));
}

#[test]
fn errors() {
    for (text, error) in [
        ("", OriginRuleError::Scheme),
        ("*", OriginRuleError::All),
        ("all", OriginRuleError::All),
        ("any", OriginRuleError::All),
        ("off", OriginRuleError::All),
        ("example.com", OriginRuleError::Scheme),
        ("example.com:443", OriginRuleError::Scheme),
        ("://example.com", OriginRuleError::Scheme),
        ("1a://example.com", OriginRuleError::Scheme),
        ("*://example.com", OriginRuleError::Scheme),
        ("https://", OriginRuleError::Host),
        ("https://:443", OriginRuleError::Host),
        ("https://a b", OriginRuleError::Host),
        ("https://user@a", OriginRuleError::Host),
        ("https://[::1", OriginRuleError::Host),
        ("https://[]", OriginRuleError::Host),
        ("https://[::1]x", OriginRuleError::Host),
        ("https://a:", OriginRuleError::Port),
        ("https://a:0", OriginRuleError::Port),
        ("https://a:+1", OriginRuleError::Port),
        ("https://a:65536", OriginRuleError::Port),
        ("https://a:b", OriginRuleError::Port),
        ("https://::1", OriginRuleError::Port),
        ("https://a/", OriginRuleError::Path),
        ("https://a:443/b", OriginRuleError::Path),
        ("https://*", OriginRuleError::Wildcard),
        ("https://*.", OriginRuleError::Wildcard),
        ("https://a.*.com", OriginRuleError::Wildcard),
        ("https://*a.com", OriginRuleError::Wildcard),
        ("https://*.*.com", OriginRuleError::Wildcard),
        ("https://*.a.com:*", OriginRuleError::Port),
    ] {
        assert_eq!(OriginRule::parse(text.as_bytes()), Err(error), "{text}");
        assert!(!error.to_string().ends_with('.'));
    }
}

fn rule(text: &str) -> OriginRule<'_> {
    OriginRule::parse(text.as_bytes()).unwrap()
}

fn allows(text: &str, origin: &str) -> bool {
    rule(text).matches(Some(origin.as_bytes()), REQUEST)
}

fn is_same(origin: &str, secure: bool, host: &str) -> bool {
    let request = RequestAuthority {
        secure,
        host: host.as_bytes(),
    };
    OriginRule::Same.matches(Some(origin.as_bytes()), request)
}
