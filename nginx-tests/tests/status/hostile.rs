//! What a client may send to be shown: it makes no markup, breaks no JSON and no metric.

use nginx_tests::client::get;
use nginx_tests::{Client, EchoBackend, Handshake, Nginx, wait_for};

use crate::case::status;

const HOSTILE: [&[u8]; 6] = [
    b"<script>alert(1)</script>",
    b"\"quotes\\and\\backslashes\\\"",
    b"{\"a\":[}",
    b"\xff\xfe\xc3\x28\x80",
    b"\xe2\x80\xa8\xe2\x80\xae\xc2\x85",
    b"a=\"1\"} 5\\n# EOF",
];

#[test]
fn in_uri_host_origin_and_subprotocol() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(
        "server {
            listen 127.0.0.1:%PORT%;
            server_name ~^(?<name>.*)$;
            location /checked { proxy_pass http://%BACKEND%; websocket on; websocket_allow_origin none; }
            location / { proxy_pass http://%BACKEND%; websocket on; }
            location = /status/ { websocket_status; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let mut kept = Vec::new();
    for text in HOSTILE {
        for control in [b"".as_slice(), b"\t\x01\x1b[0m\x7f"] {
            let bytes = [text, control].concat();
            kept.extend(send(&nginx, "/", "Host: localhost", &bytes));
            send(&nginx, "/checked", "Origin: ", &bytes);
            send(&nginx, "/checked", "Sec-WebSocket-Protocol: ", &bytes);
            send(&nginx, "/", "Host: ", &bytes);
        }
    }
    let value = wait_for("failures", || {
        let value = status(&nginx, "tunnels=100");
        (value["failures"].as_array().unwrap().len() >= HOSTILE.len()).then_some(value)
    });
    assert!(!kept.is_empty(), "not one handshake came through");
    assert_eq!(value["tunnels"]["matched"], kept.len());
    let json = get(nginx.port(), "/status/?format=json").text();
    assert!(!json.trim_end().contains(|c: char| c.is_ascii_control()));
    for accept in ["text/plain", "application/openmetrics-text"] {
        crate::metrics::assert_readable(&nginx, "/status/", accept);
    }
}

/// A handshake with these bytes in its path, or behind the beginning of a header. The client, if it
/// succeeds.
fn send(nginx: &Nginx, path: &str, header: &str, bytes: &[u8]) -> Option<Client> {
    let plain = Handshake::new("/PATH").without("Host").bytes();
    let text = plain.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    let rest = text[1..].join(&b'\n');
    let is_header = header.ends_with(": ");
    // Of what no request line can have nginx would make an error before anything is judged.
    let in_path: Vec<u8> = bytes
        .iter()
        .map(|byte| {
            if *byte <= b' ' || *byte == 0x7f {
                b'_'
            } else {
                *byte
            }
        })
        .filter(|_| !is_header)
        .collect();
    let in_header = if is_header { bytes } else { b"" };
    let host = if header.starts_with("Host") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let request = [
        b"GET ".as_slice(),
        path.as_bytes(),
        &in_path,
        b" HTTP/1.1\r\n",
        host.as_bytes(),
        header.as_bytes(),
        in_header,
        b"\r\n",
        &rest,
    ]
    .concat();
    let mut client = Client::connect(nginx.port());
    client.send(&request).ok()?;
    let head = client.read_head().ok()?;
    (head.status() == 101).then_some(client)
}
