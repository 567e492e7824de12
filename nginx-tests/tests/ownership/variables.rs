//! To look at a variable is to change nothing, however early one looks.

use nginx_tests::nginx::Setup;
use nginx_tests::{Client, Frame, Handshake, Nginx, ScriptedBackend};

use crate::case::{BY_HAND, NOBODY, NOT_FOUND, said};

/// Lines that look at variables before anything is known of a request: in the http block, in the
/// server and in each location.
struct Look {
    http: &'static str,
    server: &'static str,
    location: &'static str,
}

const LOOKS: [Look; 6] = [
    Look {
        http: "",
        server: "set $early $websocket_state;",
        location: "",
    },
    Look {
        http: "",
        server: "",
        location: "set $early $websocket_cause;",
    },
    Look {
        http: "",
        server: "if ($websocket_state) { return 418; } if ($websocket_cause) { return 418; }",
        location: "",
    },
    Look {
        http: "",
        server: "",
        location: "if ($websocket_state) { return 418; }",
    },
    Look {
        http: "map $websocket_state:$websocket_cause $mapped { ':' ''; default 1; }",
        server: "if ($mapped) { return 418; }",
        location: "proxy_set_header X-Empty $mapped; %BY_HAND%",
    },
    Look {
        http: "",
        server: "
            set $early1 $websocket_upgrade$websocket_connection$websocket$websocket_advice;
            set $early2 $websocket_protocol$websocket_extensions$websocket_handshake_time;
            set $early3 $websocket_duration$websocket_bytes_in$websocket_bytes_out;
            set $early4 $websocket_frames_in$websocket_frames_out$websocket_ping_rtt;
            set $early5 $websocket_messages_in$websocket_messages_out$websocket_close_by;
            set $early6 $websocket_close_reason$websocket_close_code;",
        location: "",
    },
];

const TARGETS: [&str; 6] = ["/on", "/off", "/missing", "/nobody", "/page", "/back"];

impl Look {
    fn setup(&self, looking: bool) -> Setup {
        // The same lines but for the variables, so that the rest of them acts alike.
        let of = |text: &'static str| {
            if looking {
                text.to_owned()
            } else {
                blind(text)
            }
        };
        let (http, server, location) = (of(self.http), of(self.server), of(self.location));
        Nginx::http(format!(
            "{http}
            server {{
                listen 127.0.0.1:%PORT%; server_name one; websocket on;
                websocket_max_message_size 10;
                {server}
                location /on {{ {location} proxy_pass http://%BACKEND%; }}
                location /off {{ websocket off; {location} %HAND% proxy_pass http://%BACKEND%; }}
                location /missing {{ {location} proxy_pass http://%NOT_FOUND%; }}
                location /nobody {{ {location} proxy_pass http://%NOBODY%; }}
                location /page {{ error_page 502 = @off; {location} proxy_pass http://%NOBODY%; }}
                location /back {{
                    websocket off; error_page 502 = @on; {location} proxy_pass http://%NOBODY%;
                }}
                location @off {{ websocket off; {location} %HAND% proxy_pass http://%BACKEND%; }}
                location @on {{ {location} proxy_pass http://%BACKEND%; }}
            }}"
        ))
        .set("BY_HAND", BY_HAND)
        .set(
            "HAND",
            if self.location.contains("%BY_HAND%") {
                ""
            } else {
                BY_HAND
            },
        )
        .set("NOBODY", NOBODY)
    }
}

/// The text with other variables, which are empty, too.
fn blind(text: &str) -> String {
    let mut words = text.split("$websocket");
    let first = words.next().unwrap_or_default().to_owned();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    words.fold(first, |text, word| {
        format!("{text}$arg_none{}", word.trim_start_matches(is_name))
    })
}

fn requests(target: &str) -> [Handshake; 4] {
    [
        Handshake::new(target),
        Handshake::new(target).without("Sec-WebSocket-Version"),
        Handshake::plain(target),
        Handshake::plain(target)
            .add("Upgrade", "h2c")
            .add("Connection", "Upgrade"),
    ]
}

#[test]
fn looking_at_a_variable_early_changes_nothing() {
    let backend = ScriptedBackend::standard();
    let not_found = ScriptedBackend::answering(NOT_FOUND);
    for look in LOOKS {
        let through = |looking: bool| {
            let nginx = look
                .setup(looking)
                .set("BACKEND", backend.address())
                .set("NOT_FOUND", not_found.address())
                .start();
            let before = [&backend, &not_found].map(|backend| backend.requests().len());
            let answers: Vec<String> = TARGETS
                .iter()
                .flat_map(|target| requests(target))
                .map(|request| answer(&nginx, &request))
                .collect();
            let log = nginx.stop();
            let asked: Vec<Vec<String>> = [&backend, &not_found]
                .iter()
                .zip(before)
                .map(|(backend, before)| {
                    backend.requests()[before..]
                        .iter()
                        .map(|got| got.head.text())
                        .collect()
                })
                .collect();
            (
                answers,
                asked,
                said(&log)
                    .iter()
                    .map(|line| without_numbers(line))
                    .collect::<Vec<_>>(),
            )
        };
        let blind = through(false);
        let looking = through(true);
        let lines = format!("{} {} {}", look.http, look.server, look.location);
        assert_eq!(blind.0, looking.0, "to the client with {lines}");
        assert_eq!(blind.1, looking.1, "to the upstream with {lines}");
        assert_eq!(blind.2, looking.2, "in the log with {lines}");
        assert!(
            blind
                .2
                .iter()
                .any(|line| line.starts_with("websocket established"))
        );
    }
}

/// The answer, and what becomes of a message beyond the module's limit.
fn answer(nginx: &Nginx, request: &Handshake) -> String {
    let mut client = Client::connect(nginx.port());
    let head = client.ask(request);
    let kept = head.headers.iter().filter(|(name, _)| name != "Date");
    let mut text: String = kept
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    text = format!("{}\n{text}", head.start);
    if head.status() == 101 {
        let message = Frame::text("more than ten bytes").masked();
        client
            .send(message.bytes())
            .expect("the tunnel takes a frame");
        text += &format!("{:?}", client.frame());
    }
    text
}

fn without_numbers(line: &str) -> String {
    let mut text: String = line
        .chars()
        .map(|c| if c.is_ascii_digit() { '#' } else { c })
        .collect();
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    text
}
