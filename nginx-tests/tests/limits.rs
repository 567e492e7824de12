//! `docs/operations.md`: how many tunnels one user may have, by the page's own configurations.

use std::fs;
use std::path::Path;

use nginx_tests::{Client, EchoBackend, Handshake, Nginx, ScriptedBackend, wait_for};

/// The configurations of the page's section, as the tests run them.
fn configurations() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = fs::read_to_string(path).expect("the page");
    let (_, section) = page
        .split_once("### Tunnels of one user\n")
        .expect("the section");
    let (section, _) = section.split_once("\n### ").expect("what comes after it");
    let blocks = section.split("```nginx\n").skip(1);
    let block = |text: &str| {
        let (text, _) = text.split_once("```").expect("the end of a block");
        text.replace("listen 80;", "listen 127.0.0.1:%PORT%;")
            .replace("127.0.0.1:9000", "%BACKEND%")
            .replace("127.0.0.1:9001", "%AUTH%")
    };
    blocks.map(block).collect()
}

fn handshake(cookie: &str) -> Handshake {
    Handshake::new("/chat/").add("Cookie", cookie)
}

#[track_caller]
fn join(nginx: &Nginx, cookie: &str) -> Client {
    let mut client = Client::connect(nginx.port());
    client.accepted(&handshake(cookie));
    client
}

#[track_caller]
fn assert_refused(nginx: &Nginx, cookie: &str) {
    let before = nginx.log_lines("local-limited").len();
    let head = Client::connect(nginx.port()).ask(&handshake(cookie));
    assert_eq!(head.status(), 429);
    let lines = wait_for("the cause in the log", || {
        let lines = nginx.log_lines("websocket handshake failed: local-limited: ");
        (lines.len() > before).then_some(lines)
    });
    assert_eq!(lines.len(), before + 1, "{lines:#?}");
}

/// Two tunnels for one user, whoever else there is; and a place for one that ends. They are open still.
#[track_caller]
#[must_use]
fn assert_two_each(nginx: &Nginx, ada: &str, bob: &str) -> Vec<Client> {
    let (mut first, mut second) = (join(nginx, ada), join(nginx, ada));
    assert_refused(nginx, ada);
    let mut others = [join(nginx, bob), join(nginx, bob)];
    assert_refused(nginx, bob);
    assert_refused(nginx, ada);
    for client in others.iter_mut().chain([&mut first, &mut second]) {
        client.echo("long after its handshake");
    }
    first.close_politely();
    let mut next = wait_for("a place", || {
        let mut client = Client::connect(nginx.port());
        (client.ask(&handshake(ada)).status() == 101).then_some(client)
    });
    next.echo("in its place");
    assert_refused(nginx, ada);
    others.into_iter().chain([second, next]).collect()
}

#[test]
fn by_a_part_of_a_cookie() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(&*configurations()[0])
        .set("BACKEND", backend.address())
        .start();
    let _open = assert_two_each(&nginx, "lang=de; session=ada.8c7f5b", "session=bob.99");
    // Another session of the same user is counted with the first; who has none, by address.
    assert_refused(&nginx, "session=ada.000");
    let _more = assert_two_each(&nginx, "lang=de", "session=eve.1");
}

#[test]
fn by_the_name_that_access_was_granted_to() {
    let backend = EchoBackend::start();
    let auth = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let user = head
            .header("Cookie")
            .and_then(|all| all.strip_prefix("token="));
        match user.and_then(|token| token.split_once('-')) {
            Some((user, "signed")) => conn.send(
                format!("HTTP/1.1 204 No Content\r\nX-User: {user}\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            ),
            _ => conn
                .send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        }
    });
    let nginx = Nginx::http(&*configurations()[1])
        .set("BACKEND", backend.address())
        .set("AUTH", auth.address())
        .start();
    let _open = assert_two_each(&nginx, "token=ada-signed", "token=bob-signed");
    let forged = Client::connect(nginx.port()).ask(&handshake("token=ada-forged"));
    assert_eq!(forged.status(), 403);
    assert_refused(&nginx, "token=ada-signed");
}
