//! What the JSON says, against what was done. That each counter is exact is shown in tests/zone.

use nginx_tests::client::get;
use nginx_tests::environment::is_over_http2;
use nginx_tests::{
    Client, EchoBackend, Handshake, Listen, Nginx, ScriptedBackend, wait_for, wait_until,
};
use serde_json::{Value, json};

use crate::case::{join, server, status};

/// Pages put credentials among the subprotocols, and servers have to give them back.
#[test]
fn a_subprotocol_that_is_too_long_for_a_name_is_not_shown() {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0";
    let credential = TOKEN.repeat(2);
    let backend = EchoBackend::on(Listen::Tcp, &[&credential]);
    let nginx = server(&backend).start();
    let mut client = Client::connect(nginx.port());
    client.accepted(&Handshake::new("/").add("Sec-WebSocket-Protocol", &credential));
    let value = status(&nginx, "");
    assert_eq!(value["tunnels"]["list"][0]["subprotocol"], "...");
    drop(client);
    let value = wait_for("its end", || {
        let value = status(&nginx, "");
        (value["tunnels"]["matched"] == 0).then_some(value)
    });
    assert_eq!(value["ends"][0]["subprotocol"], "...");
    assert!(!value.to_string().contains(TOKEN));
}

#[test]
fn tunnels_failures_and_ends() {
    let backend = EchoBackend::on(Listen::Tcp, &["chat"]);
    let nginx = server(&backend).start();
    let before = status(&nginx, "");
    assert_eq!(before["totals"]["attempts"], 0);
    assert_eq!(before["nginx"], version());
    assert_eq!(before["control"], "/status/close");
    assert_eq!(before["zone"]["name"], "websocket");
    assert_eq!(before["zone"]["workers"], 1);

    let handshake = Handshake::new("/chat?token=secret").add("Sec-WebSocket-Protocol", "chat");
    let mut client = Client::connect(nginx.port());
    client.accepted(&handshake);
    client.echo("hello");
    let mut other = join(&nginx, "/other");
    let refused = Client::connect(nginx.port())
        .ask(&Handshake::new("/bad?token=secret").without("Sec-WebSocket-Key"));
    assert_eq!(refused.status(), 400);

    let value = wait_for("what was carried", || {
        let value = status(&nginx, "sort=messages");
        (value["totals"]["from_upstream"]["messages"] == 1).then_some(value)
    });
    assert!(!value.to_string().contains("secret"));
    let totals = &value["totals"];
    assert_eq!(totals["attempts"], 3);
    assert_eq!(totals["established"], 2);
    assert_eq!(totals["active"], 2);
    assert_eq!(
        totals["rejected"],
        json!({"total": 1, "causes": {"key-missing": 1}})
    );
    assert_eq!(totals["failed"], json!({"total": 0, "causes": {}}));
    assert_eq!(
        totals["from_client"],
        json!({"bytes": 11, "frames": 1, "messages": 1})
    );
    assert_eq!(
        totals["from_upstream"],
        json!({"bytes": 7, "frames": 1, "messages": 1})
    );
    assert_eq!(totals["handshake"]["count"], 2);
    assert_eq!(value["labels"][0]["label"], "chat.example /");
    assert_eq!(&value["labels"][0]["counters"], totals);
    assert_eq!(
        value["upstreams"],
        json!([{
            "upstream": backend.address(),
            "active": 2,
            "established": 2,
            "failed": {"total": 0, "causes": {}},
        }])
    );
    assert_eq!(value["causes"]["key-missing"]["fault"], "client");

    let tunnels = &value["tunnels"];
    assert_eq!(tunnels["matched"], 2);
    let first = &tunnels["list"][0];
    assert_eq!(first["uri"], "/chat");
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["server"], "chat.example");
    assert_eq!(first["upstream"], backend.address());
    assert_eq!(first["subprotocol"], "chat");
    assert_eq!(first["tls"], is_over_http2());
    assert_eq!(first["http"], if is_over_http2() { "2" } else { "1.1" });
    assert_eq!(first["from_client"]["messages"], 1);
    assert_eq!(tunnels["list"][1]["subprotocol"], Value::Null);
    let failure = &value["failures"][0];
    assert_eq!(failure["uri"], "/bad");
    assert_eq!(failure["cause"], "key-missing");
    assert_eq!(failure["rejected"], true);
    assert_eq!(failure["advice"], value["causes"]["key-missing"]["advice"]);

    let id = first["id"].clone();
    client.close_politely();
    let value = wait_for("the end of one", || {
        let value = status(&nginx, "");
        (value["totals"]["active"] == 1).then_some(value)
    });
    let end = &value["ends"][0];
    assert_eq!(end["id"], id);
    assert_eq!(end["by"], "client");
    assert_eq!(end["reason"], "normal");
    assert_eq!(end["code"], 1000);
    assert_eq!(end["subprotocol"], "chat");
    assert_eq!(
        value["totals"]["closes"],
        json!([{"by": "client", "reason": "normal", "code": "1000", "count": 1}])
    );
    assert_eq!(value["tunnels"]["list"][0]["uri"], "/other");
    assert_eq!(value["zone"]["peak"], 2);
    other.echo("still here");
}

fn version() -> String {
    let (major, minor, patch) = nginx_tests::environment::nginx_version();
    format!("{major}.{minor}.{patch}")
}

#[test]
fn what_waits_for_a_slow_client_is_found_by_sorting() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        let is_large = head.target() == "/large";
        conn.accept(&head)?;
        if is_large {
            // More than the kernel's buffers hold.
            let payload = vec![b'x'; 1 << 20];
            let frame = nginx_tests::Frame::binary(payload).bytes();
            while conn.send(&frame).is_ok() {}
        }
        conn.hang()
    });
    let nginx = Nginx::http(crate::case::SERVER)
        .set("BACKEND", backend.address())
        .start();
    let mut quiet = join(&nginx, "/quiet");
    let slow = join(&nginx, "/large");
    wait_until("bytes to wait", || {
        let value = status(&nginx, "sort=waiting&tunnels=1");
        let first = &value["tunnels"]["list"][0];
        let lent = value["zone"]["buffers_lent"].as_u64().unwrap();
        first["uri"] == "/large" && first["waiting_for_client"].as_u64().unwrap() > 0 && lent > 0
    });
    let value = status(&nginx, "");
    assert_eq!(value["tunnels"]["list"][0]["uri"], "/quiet");
    drop(slow);
    assert!(quiet.silent_for(std::time::Duration::from_millis(10)));
}

#[test]
fn choosing_and_paging() {
    let backend = EchoBackend::start();
    let nginx = server(&backend).start();
    let clients: Vec<_> = (0..5).map(|at| join(&nginx, &format!("/{at}"))).collect();
    let uris = |query: &str| -> Vec<String> {
        let value = status(&nginx, query);
        let list = value["tunnels"]["list"].as_array().unwrap();
        list.iter()
            .map(|tunnel| tunnel["uri"].as_str().unwrap().to_owned())
            .collect()
    };
    wait_until("all to be listed", || uris("").len() == 5);
    assert_eq!(uris("tunnels=2&offset=1"), ["/1", "/2"]);
    assert_eq!(uris("sort=age&tunnels=1"), ["/0"]);
    assert_eq!(uris("client=127.0.0.0/8"), uris(""));
    assert_eq!(uris("client=10.0.0.0/8"), [""; 0]);
    assert_eq!(uris("label=chat.example+/&tunnels=1"), ["/0"]);
    assert_eq!(
        uris(&format!("upstream={}&offset=4", backend.address())),
        ["/4"]
    );
    let value = status(&nginx, "tunnels=1&upstream=x");
    assert_eq!(value["tunnels"]["matched"], 0);
    assert_eq!(get(nginx.port(), "/json?client=x").status(), 400);
    drop(clients);
}
