//! What clients send is text.

use nginx_tests::Handshake;

use crate::case::{stage, texts};

/// As near to markup as the name of a subprotocol can come: it is a token.
const PROTOCOL: &str = "'`&#60|b&lt";

/// All markup that is in the page by itself.
const ELEMENTS: &str = "['b', 'i', 'img', 'script', 'iframe', 'a', 'style', 'svg'].map((name) => name + document.getElementsByTagName(name).length).join()";

#[test]
fn a_client_makes_no_markup() {
    let Some(mut stage) = stage() else { return };
    let before = stage.browser.eval(ELEMENTS);
    let hostile = [
        "<b>bold</b>",
        "\"><img/src=x/onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "'-alert(1)-'",
        "</td></tr></table><i>",
        "&lt;i&gt;&quot;",
        "\\u003ci\\u003e\\",
        "\u{202e}\u{200b}\u{2028}\u{feff}",
        "%3Cb%3E%0a%1b[31m%ff%fe",
    ];
    let mut kept = Vec::new();
    for text in hostile {
        let target = format!("/one/{text}?{text}");
        let mut client = nginx_tests::Client::connect(stage.nginx.port());
        let handshake = Handshake::new(&target)
            .add("Origin", text)
            .add("Sec-WebSocket-Protocol", PROTOCOL);
        client.accepted(&handshake);
        kept.push(client);
        let origin =
            Handshake::new(&format!("/choosy/{text}")).add("Origin", &format!("\"{text}\x01\x1b"));
        stage.failure(&origin);
    }
    let count = hostile.len();
    stage.browser.wait(&format!(
        "document.querySelectorAll('#tunnels tbody tr').length === {count} && document.querySelectorAll('#failures tbody tr').length >= {count}"
    ));
    stage.shows_more();
    assert_eq!(stage.browser.eval(ELEMENTS), before);

    // It is there as it was sent, and what would not be seen is written out.
    let addresses = stage.column("tunnels", "Address").join("\n");
    for text in hostile.iter().take(6) {
        assert!(addresses.contains(text), "{text} is not in {addresses}");
    }
    assert!(
        addresses.contains("\\u{202e}\\u{200b}\\u{2028}\\u{feff}"),
        "{addresses}"
    );
    let seen = stage.column("failures", "Cause").join("\n");
    assert!(seen.contains("<b>bold</b>"), "{seen}");
    let odd = "[...document.body.innerText].filter((c) => /[\\p{Cc}\\p{Cf}]/u.test(c) && !/[\\n\\t]/.test(c))";
    let odd = stage.browser.eval(odd);
    assert!(texts(&odd).is_empty(), "{odd}");
    stage.ends_clean();
}

/// Hosts that are no names; newer nginx takes the first of them alone.
#[test]
fn a_host_that_is_no_name() {
    let Some(mut stage) = stage() else { return };
    let before = stage.browser.eval(ELEMENTS);
    for host in ["it's&lt;x", "<b>host</b>", "\"'`&amp;", "x\u{202e}y"] {
        let head = nginx_tests::Client::connect(stage.nginx.port())
            .ask(&Handshake::new("/one/").set("Host", host));
        assert!([101, 400].contains(&head.status()), "{}", head.text());
        stage.failure(&Handshake::new("/dead/").set("Host", host));
    }
    stage
        .browser
        .wait("document.querySelectorAll('#failures tbody tr').length > 0");
    stage.shows_more();
    assert_eq!(stage.browser.eval(ELEMENTS), before);
    stage.ends_clean();
}
