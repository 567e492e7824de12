//! Words that are refused: the line names the directive and what it would take.

use nginx_tests::Nginx;
use nginx_tests::nginx::assert_refused;

#[test]
fn a_word_that_is_none_of_the_choices() {
    for (name, word, choices) in [
        ("websocket", "yes", "\"on\" or \"off\""),
        ("websocket_tunnel", "maybe", "\"on\" or \"off\""),
        ("websocket_cause_header", "1", "\"on\" or \"off\""),
        ("websocket_advice", "no", "\"on\" or \"off\""),
        (
            "websocket_other_upgrades",
            "drop",
            "\"strip\", \"pass\" or \"reject\"",
        ),
        ("websocket_verify", "perhaps", "\"on\", \"off\" or \"log\""),
        (
            "websocket_log_level",
            "crit",
            "\"error\", \"warn\", \"notice\" or \"info\"",
        ),
    ] {
        assert_refused(
            &format!("{name} {word};"),
            &format!("invalid value \"{word}\" in \"{name}\" directive, it must be {choices} in"),
        );
    }
    for word in ["strict", "safe", "lenient"] {
        assert_refused("websocket_handshake lax;", &format!("\"{word}\""));
    }
    assert_refused(
        "websocket_handshake lax;",
        "invalid value \"lax\" in \"websocket_handshake\" directive, it must be \"strict\"",
    );
}

#[test]
fn a_time_that_is_none() {
    for name in [
        "websocket_timeout",
        "websocket_ping",
        "websocket_max_lifetime",
        "websocket_message_timeout",
        "websocket_drain",
        "websocket_upstream_drain",
    ] {
        let or = match name {
            "websocket_max_lifetime" => "a variable, or",
            _ => "or",
        };
        for word in [
            "on",
            "0",
            "0s",
            "soon",
            "-1s",
            "\"\"",
            "1001y",
            "99999999999999999999d",
        ] {
            let shown = word.trim_matches('"');
            assert_refused(
                &format!("{name} {word};"),
                &format!(
                    "invalid value \"{shown}\" in \"{name}\" directive, it must be a time from 1ms \
                     to 365000d, such as \"30s\", {or} \"off\" in"
                ),
            );
        }
    }
}

#[test]
fn a_size_that_is_none() {
    for (name, words, expected) in [
        (
            "websocket_buffer_size",
            &["0", "1023", "much", "-1", "1025m", "99999999999999999999m"][..],
            "a size from 1k to 1024m",
        ),
        (
            "websocket_buffers",
            &["-1", "many", "8k", "1000001", "99999999999999999999"],
            "a number from 0 to 1000000",
        ),
        (
            "websocket_max_message_size",
            &["-1", "big", "off", "1025g", "99999999999999999999g"],
            "a size up to 1024g, such as \"1m\", or 0 for no limit",
        ),
        (
            "websocket_rate",
            &["fast", "off", "1m/s", "1025m", "99999999999999999999m"],
            "a size per second up to 1024m, such as \"128k\", or 0 for no limit",
        ),
        (
            "websocket_message_rate",
            &[
                "fast",
                "10",
                "r/s",
                "10r/h",
                "0r/s",
                "0r/m",
                "-1r/s",
                "+1r/s",
                "1.5r/s",
                "rate=10r/s",
                "1000001r/s",
                "60000001r/m",
                "4294967296r/m",
            ],
            "a rate from 1r/m to 1000000r/s, such as \"10r/s\" or \"30r/m\", or \"off\"",
        ),
    ] {
        for word in words {
            assert_refused(
                &format!("{name} {word};"),
                &format!(
                    "invalid value \"{word}\" in \"{name}\" directive, it must be {expected} in"
                ),
            );
        }
    }
}

#[test]
fn large_buffers() {
    let name = "websocket_large_buffers";
    for (words, expected) in [
        ("4", "\"off\", or a number and a size"),
        ("on", "\"off\", or a number and a size"),
        ("0 256k", "a number from 1 to 1000000, or \"off\""),
        ("-1 256k", "a number from 1 to 1000000, or \"off\""),
        ("256k 4", "a number from 1 to 1000000, or \"off\""),
        ("1000001 256k", "a number from 1 to 1000000, or \"off\""),
    ] {
        let word = words.split(' ').next().expect("a word");
        assert_refused(
            &format!("{name} {words};"),
            &format!("invalid value \"{word}\" in \"{name}\" directive, it must be {expected} in"),
        );
    }
    for size in ["0", "1023", "much", "-1", "1025m"] {
        assert_refused(
            &format!("{name} 4 {size};"),
            &format!(
                "invalid parameter \"{size}\" in \"{name}\" directive, it must be a size from 1k to \
                 1024m, such as \"256k\" in"
            ),
        );
    }
}

#[test]
fn parameters() {
    let ping = "it must be \"timeout=time\", with a time from 1ms to 365000d, or \"to=client\", \
                \"to=upstream\" or \"to=both\" in";
    for word in [
        "timeout=0",
        "timeout=",
        "timeout=on",
        "to=me",
        "to=",
        "later",
    ] {
        assert_refused(
            &format!("websocket_ping 1s {word};"),
            &format!("invalid parameter \"{word}\" in \"websocket_ping\" directive, {ping}"),
        );
    }
    for (first, second) in [("to=client", "to=both"), ("timeout=1s", "timeout=1s")] {
        assert_refused(
            &format!("websocket_ping 1s {first} {second};"),
            &format!("duplicate parameter \"{second}\" in \"websocket_ping\" directive in"),
        );
    }
    for word in [
        "code=",
        "1001",
        "code=999",
        "code=1004",
        "code=1006",
        "code=1015",
        "code=2000",
        "code=5000",
        "code=+1008",
        "code=65537",
        "code=x",
    ] {
        assert_refused(
            &format!("websocket_max_lifetime 1s {word};"),
            &format!(
                "invalid parameter \"{word}\" in \"websocket_max_lifetime\" directive, it must be \
                 \"code=number\", with a code that may be sent: 1000 to 1003, 1007 to 1014, or 3000 \
                 to 4999 in"
            ),
        );
    }
    for word in [
        "burst=",
        "burst=-1",
        "burst=few",
        "burst=1000001",
        "burst=4294967296",
        "nodelay",
        "20",
    ] {
        assert_refused(
            &format!("websocket_message_rate 1r/s {word};"),
            &format!(
                "invalid parameter \"{word}\" in \"websocket_message_rate\" directive, it must be \
                 \"burst=number\", with a number from 0 to 1000000, \"delay\" or \"close\" in"
            ),
        );
    }
    for (first, second) in [
        ("burst=1", "burst=2"),
        ("delay", "close"),
        ("close", "delay"),
        ("close", "close"),
    ] {
        assert_refused(
            &format!("websocket_message_rate 1r/s {first} {second};"),
            &format!("duplicate parameter \"{second}\" in \"websocket_message_rate\" directive in"),
        );
    }
    for name in ["websocket_drain", "websocket_upstream_drain"] {
        for word in ["code=1000", "code=", "1001"] {
            assert_refused(
                &format!("{name} 1s {word};"),
                &format!(
                    "invalid parameter \"{word}\" in \"{name}\" directive, it must be \
                     \"code=1001\" or \"code=1012\" in"
                ),
            );
        }
    }
}

#[test]
fn origins() {
    for word in ["*", "all", "any", "off"] {
        assert_refused(
            &format!("websocket_allow_origin {word};"),
            &format!(
                "invalid value \"{word}\" in \"websocket_allow_origin\" directive, leave it out to \
                 allow all in"
            ),
        );
    }
    assert_refused(
        "websocket_allow_origin same example.com;",
        "invalid value \"example.com\" in \"websocket_allow_origin\" directive, it must be \"none\", \
         \"same\", \"null\", an origin such as \"https://example.com\", or \"~\" and a regular \
         expression in",
    );
    assert_refused(
        "websocket_allow_origin \"~^https://(\";",
        "in \"websocket_allow_origin\" directive in",
    );
}

#[test]
fn too_few_words_or_too_many() {
    for (name, words) in [
        ("websocket_tunnel", ""),
        ("websocket_handshake", "strict lenient"),
        ("websocket_ping", "1s to=both timeout=1s to=both"),
        ("websocket_drain", "1s code=1001 code=1012"),
        ("websocket_message_rate", ""),
        ("websocket_message_rate", "1r/s burst=1 close close"),
        ("websocket_message_timeout", "1s 2s"),
        ("websocket_max_lifetime", "1s code=1001 code=1008"),
        ("websocket_upstream_drain", ""),
        ("websocket_allow_origin", ""),
    ] {
        assert_refused(
            &format!("{name} {words};"),
            &format!("invalid number of arguments in \"{name}\" directive in"),
        );
    }
}

#[test]
fn values_that_nginx_cannot_read() {
    assert_refused("websocket_max_lifetime 1h$;", "invalid variable name in");
    let unknown = "location / { websocket on; proxy_pass http://127.0.0.1:1; websocket_max_lifetime $nothing; }";
    let check = Nginx::server(unknown).check();
    assert!(!check.ok);
    assert!(
        check.output.contains("unknown \"nothing\" variable"),
        "{check:?}"
    );
}
