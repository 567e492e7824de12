//! The nginx between the parties, and what is asked of all ways through it.

use std::time::Instant;

use nginx_tests::Nginx;

use crate::parties::{Parties, cases};
use crate::verdict::{Outcome, compare};

/// Ways through nginx, each with its lines. Pings are by themselves: cases that expect none may end at one.
const WAYS: [(&str, &str); 3] = [
    ("defaults", ""),
    (
        "limits",
        "websocket_handshake strict;
        websocket_max_message_size 20m;
        websocket_rate 200m;
        websocket_timeout 1m;
        websocket_max_lifetime 10h;
        websocket_buffer_size 1k;",
    ),
    ("Pings", "websocket_ping 400ms to=both;"),
];

/// A case that says nothing for a second.
const WAITING: &str = "5.19";

/// An nginx before these ports of the parties' server.
pub fn nginx(parties: &Parties, lines: &str, plain: u16, tls: u16) -> Nginx {
    let servers = "
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://127.0.0.1:%PLAIN%; websocket on; %LINES% }
        }
        server {
            listen 127.0.0.1:%TLSPORT% ssl;
            ssl_certificate cert.pem;
            ssl_certificate_key key.pem;
            location / { proxy_pass https://127.0.0.1:%TLS%; websocket on; %LINES% }
        }";
    Nginx::http(servers)
        .certificate(&parties.certificate)
        .set("LINES", lines)
        .set("PLAIN", plain)
        .set("TLS", tls)
        .start()
}

/// Plays all cases without nginx and on each way through it, and compares. `play` takes a port,
/// whether it speaks TLS, and which cases.
#[track_caller]
pub fn same_verdicts(
    mut parties: Parties,
    ports: [u16; 2],
    play: fn(&mut Parties, u16, bool, &[String]) -> Vec<Outcome>,
) {
    let [plain, tls] = ports;
    let mut different = Vec::new();
    for (scheme, secure, port) in [("plain", false, plain), ("TLS", true, tls)] {
        let start = Instant::now();
        let direct = play(&mut parties, port, secure, &cases());
        println!(
            "{scheme}, without nginx: {:.1} s",
            start.elapsed().as_secs_f64()
        );
        for (way, lines) in WAYS {
            let start = Instant::now();
            let nginx = nginx(&parties, lines, plain, tls);
            let through = nginx.port_of(if secure { "TLSPORT" } else { "PORT" });
            let outcomes = play(&mut parties, through, secure, &cases());
            let seconds = start.elapsed().as_secs_f64();
            let pings: u64 = outcomes.iter().map(|outcome| outcome.pings).sum();
            let comparison = compare(&direct, &outcomes, |case| {
                let mut again = |port| {
                    let outcomes = play(&mut parties, port, secure, &[case.to_owned()]);
                    outcomes.into_iter().next().expect("the case's outcome")
                };
                (again(port), again(through))
            });
            println!("{scheme}, {way}: {comparison}; {seconds:.1} s");
            // A Ping comes where one is asked for, and nowhere else.
            let asked = lines.contains("websocket_ping");
            assert!(asked || pings == 0, "{pings} Pings");
            let waits = outcomes.iter().any(|outcome| outcome.case == WAITING);
            assert!(!asked || !waits || pings > 0, "no Ping");
            different.extend(comparison.different);
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
