//! What a peer's Close says: its code and its text.

use nginx_tests::{Client, Frame, Nginx, ScriptedBackend};

use crate::case::{assert_ended, backend, http, join, server};

/// An nginx that writes the text of each tunnel's Close to `text.log`.
fn with_texts(backend: &ScriptedBackend, escape: &str) -> Nginx {
    let lines = "access_log logs/tunnel.log tunnel; access_log logs/text.log text;";
    let format = format!("log_format text escape={escape} '[$websocket_close_text]';");
    Nginx::http(format + &http(lines))
        .set("BACKEND", backend.address())
        .start()
}

fn text(nginx: &Nginx) -> String {
    nginx.wait_for_access("text.log", 1).swap_remove(0)
}

/// The client closes, and reads the answer.
fn close(client: &mut Client, frame: Frame) {
    client.send(frame.masked().bytes()).unwrap();
    client.read_until_close();
}

#[test]
fn codes_from_either_side() {
    for (code, reason, level) in [
        (1000, "normal", "info"),
        (1002, "protocol-error", "warn"),
        (1003, "unsupported-data", "warn"),
        (1007, "invalid-payload", "warn"),
        (1008, "policy-violation", "warn"),
        (1009, "message-too-big", "warn"),
        (1010, "mandatory-extension", "warn"),
        (1011, "internal-error", "warn"),
        (1012, "normal", "info"),
        (1014, "bad-gateway", "warn"),
        (3000, "normal", "info"),
        (4999, "normal", "info"),
    ] {
        let text = format!("says {code}");
        for by in ["client", "upstream"] {
            let frame = Frame::close(code, &text);
            let first = frame.clone();
            let backend = backend(move |conn| {
                if by == "upstream" {
                    conn.send(first.bytes())?;
                }
                conn.read_frame()?;
                conn.send(Frame::close(1000, "an answer").bytes())
            });
            let nginx = server("", &backend).start();
            let mut client = join(&nginx);
            if by == "upstream" {
                assert_eq!(client.frame(), frame);
                close(&mut client, Frame::close(1000, "an answer"));
            } else {
                close(&mut client, frame);
            }
            let line = assert_ended(&nginx, (by, reason, &code.to_string()), level);
            let said = format!("by {by}: {reason} {code} \"{text}\", ");
            assert!(line.contains(&said), "{line}");
        }
    }
}

#[test]
fn a_text_in_pieces() {
    let frame = Frame::close(1011, "the database is gone").bytes();
    let text_only = frame.clone();
    let backend = backend(move |conn| {
        conn.pause()?;
        for byte in &text_only {
            conn.send([*byte])?;
            conn.pause()?;
        }
        conn.read_frame().map(drop)
    });
    let nginx = with_texts(&backend, "default");
    let mut client = join(&nginx);
    for byte in frame {
        backend.resume();
        // It has gone by when the next is sent.
        assert_eq!(client.read_bytes(1).unwrap(), [byte]);
    }
    backend.resume();
    close(&mut client, Frame::close(1011, ""));
    let line = assert_ended(&nginx, ("upstream", "internal-error", "1011"), "warn");
    assert!(
        line.contains("internal-error 1011 \"the database is gone\", "),
        "{line}"
    );
    assert_eq!(text(&nginx), "[the database is gone]");
}

#[test]
fn a_text_that_is_no_text() {
    let sent = b"caf\xC3\xA9 \"x\"\r\n\x1b[31m \xFF\xC3";
    for (escape, logged) in [
        ("none", "[café \"x\"\\x0D\\x0A\\x1B[31m \\xFF\\xC3]"),
        (
            "json",
            "[café \\\"x\\\"\\\\x0D\\\\x0A\\\\x1B[31m \\\\xFF\\\\xC3]",
        ),
    ] {
        let backend = backend(|conn| conn.echo_frames());
        let nginx = with_texts(&backend, escape);
        let mut client = join(&nginx);
        let payload = [&1008u16.to_be_bytes()[..], sent].concat();
        close(&mut client, Frame::new(8, payload));
        let line = assert_ended(&nginx, ("client", "policy-violation", "1008"), "warn");
        let said = r#"1008 "caf\xC3\xA9 \x22x\x22\x0D\x0A\x1B[31m \xFF\xC3", "#;
        assert!(line.contains(said), "{line}");
        assert_eq!(text(&nginx), logged);
    }
}

#[test]
fn the_longest_text_and_none() {
    let longest = "x".repeat(123);
    let no_code = Frame::new(8, "");
    for (frame, expected) in [
        (Frame::close(4000, &longest), longest.as_str()),
        (Frame::close(1008, ""), "-"),
        (no_code, "-"),
    ] {
        let backend = backend(|conn| conn.echo_frames());
        let nginx = with_texts(&backend, "default");
        let mut client = join(&nginx);
        close(&mut client, frame);
        assert_eq!(text(&nginx), format!("[{expected}]"));
    }
}

#[test]
fn the_text_of_a_close_in_answer_to_nginx_s_is_not_shown() {
    let backend = backend(|conn| {
        conn.read_frame()?;
        conn.send(Frame::close(1011, "from the upstream").bytes())
    });
    let lines = "websocket_max_lifetime 300ms;
                 access_log logs/tunnel.log tunnel; access_log logs/text.log text;";
    let format = "log_format text '[$websocket_close_text]';".to_owned();
    let nginx = Nginx::http(format + &http(lines))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    assert_eq!(client.frame(), Frame::close(1001, ""));
    close(&mut client, Frame::close(1011, "from the client"));
    let line = assert_ended(&nginx, ("nginx", "lifetime", "1001"), "info");
    assert!(!line.contains("from the "), "{line}");
    assert_eq!(text(&nginx), "[-]");
}
