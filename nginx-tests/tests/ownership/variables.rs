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

const TARGETS: [&str; 7] = [
    "/on", "/off", "/missing", "/nobody", "/page", "/back", "/asked",
];

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
                location /asked {{ auth_request /ask; {location} proxy_pass http://%BACKEND%; }}
                location = /ask {{ internal; {location} proxy_pass http://%BACKEND%/; }}
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

/// What requests through one nginx came to.
struct Seen {
    /// The answers, and what upstreams were asked.
    exchanges: Vec<String>,
    said: Vec<String>,
}

fn send_all(setup: Setup, upstreams: &[(&str, ScriptedBackend); 2]) -> Seen {
    let place = |setup: Setup, (name, upstream): &(&str, ScriptedBackend)| {
        setup.set(name, upstream.address())
    };
    let nginx = upstreams.iter().fold(setup, place).start();
    let requests = TARGETS.iter().flat_map(|target| requests(target));
    let exchange = |request: Handshake| {
        let counts = upstreams
            .each_ref()
            .map(|(_, upstream)| upstream.requests().len());
        let answer = answer(&nginx, &request);
        let asked: String = (upstreams.iter().zip(counts))
            .flat_map(|((_, upstream), before)| upstream.requests().split_off(before))
            .map(|got| got.head.text())
            .collect();
        let request = String::from_utf8_lossy(&request.bytes()).into_owned();
        format!("{request}was answered\n{answer}\nafter asking upstreams\n{asked}")
    };
    let exchanges = requests.map(exchange).collect();
    let log = nginx.stop();
    let mut said: Vec<String> = said(&log)
        .iter()
        .map(|line| without_numbers(line))
        .collect();
    // One tunnel may end before or after the next begins.
    said.sort();
    Seen { exchanges, said }
}

#[test]
fn looking_at_a_variable_early_changes_nothing() {
    let upstreams = [
        ("BACKEND", ScriptedBackend::standard()),
        ("NOT_FOUND", ScriptedBackend::answering(NOT_FOUND)),
    ];
    for look in LOOKS {
        let lines = format!("{} {} {}", look.http, look.server, look.location);
        let [blind, looking] =
            [false, true].map(|looking| send_all(look.setup(looking), &upstreams));
        for (blind, looking) in blind.exchanges.iter().zip(&looking.exchanges) {
            assert!(blind == looking, "with {lines}\n{blind}\nbecame\n{looking}");
        }
        assert_eq!(blind.said, looking.said, "in the log with {lines}");
        assert!(
            blind
                .said
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
