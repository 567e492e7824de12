//! Every counter against what was done.

use nginx_tests::{Client, EchoBackend, Frame, Handshake, Nginx, ScriptedBackend, wait_until};
use websocket_protocol::Cause;
use websocket_protocol::tunnel::{Count, Side};
use websocket_zone::{CauseName, Code, Counters, Kind};

use crate::memory::{label, tunnels, zone};

fn count(bytes: u64, frames: u64, messages: u64) -> Count {
    Count {
        bytes,
        frames,
        messages,
    }
}

fn of(mut found: impl Iterator<Item = (CauseName, u64)>, cause: Cause) -> u64 {
    found
        .find(|(name, _)| name.cause() == Some(cause))
        .map_or(0, |(_, count)| count)
}

fn closed(counters: &Counters<'_>, by: Option<Side>, reason: &str, code: Code) -> u64 {
    let is_it = |close: &websocket_zone::Closes| {
        close.by == by && *close.reason == *reason.as_bytes() && close.code == code
    };
    counters
        .closes()
        .filter(is_it)
        .map(|close| close.count)
        .sum()
}

#[test]
fn a_load_of_four_workers() {
    let backend = EchoBackend::start();
    let gone = nginx_tests::backend::ScriptedBackend::answering(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    );
    let nginx = Nginx::http(
        "websocket_zone one:4m;
        server {
            listen 127.0.0.1:%PORT%;
            server_name example.com;
            location /echo { proxy_pass http://%BACKEND%; websocket on; websocket_handshake strict; }
            location /gone { proxy_pass http://%GONE%; websocket on; }
            location /dead { proxy_pass http://127.0.0.1:1; websocket on; }
            location /denied { proxy_pass http://%BACKEND%; websocket on; deny all; }
            location /off { proxy_pass http://%BACKEND%; }
        }",
    )
    .set("BACKEND", backend.address())
    .set("GONE", gone.address())
    .workers(4)
    .start();
    let zone = zone(&nginx);
    let ask = |handshake: &Handshake| Client::connect(nginx.port()).ask(handshake).status();
    for number in 0..40 {
        let mut client = Client::connect(nginx.port());
        client.establish("/echo?token=secret");
        for _ in 0..number {
            client.echo("Hello");
        }
        // 4 bytes more than its payload of 200: a length of 16 bits.
        client.echo(&"x".repeat(200));
        client.close_politely();
    }
    for _ in 0..7 {
        assert_eq!(ask(&Handshake::new("/gone")), 404);
    }
    for _ in 0..5 {
        assert_eq!(ask(&Handshake::new("/dead")), 502);
    }
    for _ in 0..3 {
        assert_eq!(ask(&Handshake::new("/denied")), 403);
        assert_eq!(
            ask(&Handshake::new("/echo").set("Sec-WebSocket-Version", "8")),
            426
        );
        // Nothing counts where it is off, nor does a plain request anywhere; the backend knows none.
        assert_eq!(ask(&Handshake::plain("/off")), 502);
        assert_eq!(ask(&Handshake::plain("/echo")), 502);
    }
    wait_until("all to be over", || {
        zone.totals().closes().map(|close| close.count).sum::<u64>() == 40
    });
    wait_until("all to have failed", || zone.totals().failed_total() == 12);

    let totals = zone.totals();
    assert_eq!(totals.attempts(), 40 + 7 + 5 + 3 + 3);
    assert_eq!(
        (totals.established(), totals.active(), totals.lost()),
        (40, 0, 0)
    );
    assert_eq!(of(totals.failed(), Cause::UpstreamNotFound), 7);
    assert_eq!(of(totals.failed(), Cause::UpstreamRefused), 5);
    assert_eq!(totals.failed_total(), 12);
    assert_eq!(of(totals.rejected(), Cause::LocalForbidden), 3);
    assert_eq!(of(totals.rejected(), Cause::VersionUnsupported), 3);
    assert_eq!(totals.rejected_total(), 6);
    assert_eq!(
        closed(&totals, Some(Side::Client), "normal", Code::Defined(1000)),
        40
    );
    // Each message of 5 bytes takes 11 from the client and 7 back, the long one 208 and 204, a Close with
    // its code 8 and 4.
    let short: u64 = (0..40).sum();
    assert_eq!(
        totals.from_client(),
        count(short * 11 + 40 * (208 + 8), short + 80, short + 40)
    );
    assert_eq!(
        totals.from_upstream(),
        count(short * 7 + 40 * (204 + 4), short + 80, short + 40)
    );
    assert_eq!(totals.histogram(Kind::Handshake).count(), 40);
    assert_eq!(totals.histogram(Kind::Duration).count(), 40);
    assert_eq!(totals.histogram(Kind::PingRtt).count(), 0);
    assert_eq!(
        (totals.drained(), totals.own_loop(), totals.unlisted()),
        (0, 0, 0)
    );
    assert!(tunnels(zone).is_empty());

    assert_eq!(label(zone, "example.com /echo").established(), 40);
    assert_eq!(label(zone, "example.com /echo").rejected_total(), 3);
    assert_eq!(label(zone, "example.com /gone").failed_total(), 7);
    assert_eq!(label(zone, "example.com /dead").attempts(), 5);
    assert_eq!(label(zone, "example.com /denied").rejected_total(), 3);

    let upstream = |address: &str| {
        let mut all = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
        all.find(|upstream| *upstream.address == *address.as_bytes())
            .expect("an upstream")
            .counters
    };
    let (well, sick) = (upstream(&backend.address()), upstream("127.0.0.1:1"));
    assert_eq!(
        (well.established(), well.failed_total(), well.active()),
        (40, 0, 0)
    );
    assert_eq!(
        (sick.established(), sick.failed_total(), sick.active()),
        (0, 5, 0)
    );
    assert_eq!(of(sick.failed(), Cause::UpstreamRefused), 5);
    assert_eq!(
        of(upstream(&gone.address()).failed(), Cause::UpstreamNotFound),
        7
    );

    assert_eq!((zone.failures(), zone.ends()), (0..18, 0..40));
    for number in zone.ends() {
        let end = zone.end(number).expect("it is remembered");
        assert_eq!(
            (&*end.who.uri, &*end.reason, end.code),
            (&b"/echo"[..], &b"normal"[..], Some(1000))
        );
        assert_eq!(
            (&*end.who.client, &*end.who.server),
            (&b"127.0.0.1"[..], &b"example.com"[..])
        );
        assert_eq!(&*end.upstream, backend.address().as_bytes());
    }
    let seen = |cause: Cause| {
        let mut failures = zone.failures().filter_map(|number| zone.failure(number));
        let found = failures.find(|failure| failure.cause.cause() == Some(cause));
        String::from_utf8_lossy(&found.expect("a failure").seen).into_owned()
    };
    assert_eq!(
        seen(Cause::VersionUnsupported),
        "Sec-WebSocket-Version is \"8\""
    );
    assert_eq!(
        seen(Cause::UpstreamNotFound),
        "upstream answered 404 where 101 was expected, for path \"/gone\""
    );
    assert!(seen(Cause::UpstreamRefused).starts_with("connect() failed (111: "));
}

#[test]
fn who_closes_how() {
    let backend = ScriptedBackend::start(|conn| {
        let head = conn.read_request()?.head;
        conn.accept(&head)?;
        let code: u16 = head
            .target()
            .trim_start_matches('/')
            .parse()
            .unwrap_or_default();
        if code > 0 {
            conn.send(Frame::close(code, "").bytes())?;
            return conn.hang();
        }
        conn.pause()
    });
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server {
            listen 127.0.0.1:%PORT%;
            location / { proxy_pass http://%BACKEND%; websocket on; websocket_ping 100ms timeout=100ms; }
            location /0/life { proxy_pass http://%BACKEND%; websocket on; websocket_max_lifetime 100ms; }
            location /0/loop { proxy_pass http://%BACKEND%; websocket on; websocket_tunnel off; }
        }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = zone(&nginx);
    for code in [1000, 1011, 3001, 3002, 4000, 4001, 4999] {
        let mut client = Client::connect(nginx.port());
        client.establish(&format!("/{code}"));
        assert_eq!(client.frame().close_code(), Some(code));
        client
            .send(Frame::close(code, "").masked().bytes())
            .expect("the answer is taken");
    }
    // Answers no Ping.
    let mut silent = Client::connect(nginx.port());
    silent.establish("/0");
    silent.read_until_close();
    let mut old = Client::connect(nginx.port());
    old.establish("/0/life");
    old.read_until_close();
    let mut own = Client::connect(nginx.port());
    own.establish("/0/loop");
    wait_until("the loop to carry it", || {
        tunnels(zone)
            .iter()
            .any(|tunnel| tunnel.numbers.is_own_loop)
    });
    drop(own);
    backend.resume();
    wait_until("all to be over", || {
        let totals = zone.totals();
        totals.established() == 10 && totals.active() == 0
    });
    let totals = zone.totals();
    let upstream = Some(Side::Upstream);
    assert_eq!(closed(&totals, upstream, "normal", Code::Defined(1000)), 1);
    let failed = closed(&totals, upstream, "internal-error", Code::Defined(1011));
    assert_eq!(failed, 1);
    assert_eq!(closed(&totals, upstream, "normal", Code::Registered), 2);
    assert_eq!(closed(&totals, upstream, "normal", Code::Private), 3);
    assert_eq!(
        closed(&totals, None, "ping-timeout", Code::Defined(1001)),
        1
    );
    assert_eq!(closed(&totals, None, "lifetime", Code::Defined(1001)), 1);
    assert_eq!(
        closed(&totals, Some(Side::Client), "unknown", Code::None),
        1
    );
    assert_eq!((totals.pings_lost(), totals.own_loop()), (1, 1));
    assert_eq!(totals.pings_sent(), 1);
    let codes: Vec<_> = zone
        .ends()
        .filter_map(|number| zone.end(number)?.code)
        .collect();
    assert!(
        codes.contains(&4999),
        "the history has the code itself: {codes:?}"
    );
}

#[test]
fn a_server_that_was_tried_before_the_one_that_answered_has_failed() {
    let backend = EchoBackend::start();
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        upstream both { server 127.0.0.1:1 max_fails=0; server %BACKEND% max_fails=0; }
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://both; websocket on; } }",
    )
    .set("BACKEND", backend.address())
    .start();
    let zone = zone(&nginx);
    for _ in 0..10 {
        let mut client = Client::connect(nginx.port());
        client.establish("/");
        client.close_politely();
    }
    wait_until("all to be over", || {
        zone.totals().established() == 10 && zone.totals().active() == 0
    });
    let upstreams: Vec<_> = (0..zone.upstreams())
        .filter_map(|index| zone.upstream(index))
        .collect();
    let find = |address: &str| {
        upstreams
            .iter()
            .find(|upstream| *upstream.address == *address.as_bytes())
    };
    let sick = &find("127.0.0.1:1").expect("it was tried").counters;
    let well = &find(&backend.address()).expect("it answered").counters;
    assert_eq!((well.established(), well.failed_total()), (10, 0));
    assert_eq!(
        (
            sick.established(),
            of(sick.failed(), Cause::UpstreamRefused)
        ),
        (0, 5)
    );
    assert_eq!(zone.totals().failed_total(), 0);
}

/// On their way from one location to another, attempts and what becomes of them.
#[test]
fn a_handshake_counts_under_one_label() {
    let backend = EchoBackend::start();
    let sends_on = ScriptedBackend::answering(
        "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /echo\r\nContent-Length: 0\r\n\r\n",
    );
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server {
            listen 127.0.0.1:%PORT%;
            websocket on;
            error_page 403 500 502 503 504 /50x.html;
            location = /50x.html { root html; }
            location /dead { proxy_pass http://127.0.0.1:1; }
            location /denied { deny all; proxy_pass http://%BACKEND%; }
            location /try { try_files /none @echo; }
            location @echo { proxy_pass http://%BACKEND%; }
            location /checked { try_files /none @checked; }
            location @checked { websocket_allow_origin https://a.example; proxy_pass http://%BACKEND%; }
            location /sends-on { proxy_pass http://%SENDS_ON%; }
            location /echo { proxy_pass http://%BACKEND%; }
        }",
    )
    .set("BACKEND", backend.address())
    .set("SENDS_ON", sends_on.address())
    .start();
    let zone = zone(&nginx);
    for path in ["/try", "/sends-on"] {
        let mut client = Client::connect(nginx.port());
        client.establish(path);
        client.close_politely();
    }
    for path in ["/dead", "/denied", "/checked"] {
        Client::connect(nginx.port()).ask(&Handshake::new(path));
    }
    wait_until("all to be over", || {
        let totals = zone.totals();
        totals.attempts() == 5 && totals.active() == 0
    });
    let counted: Vec<_> = (0..zone.labels())
        .filter_map(|index| zone.label(index))
        .map(|label| {
            let counters = label.counters;
            let [attempts, established] = [counters.attempts(), counters.established()];
            let failed = counters.failed_total() + counters.rejected_total();
            (
                String::from_utf8_lossy(&label.name).into_owned(),
                [attempts, established, failed],
            )
        })
        .filter(|(_, counts)| *counts != [0; 3])
        .collect();
    let expected = [
        ("/dead", [1, 0, 1]),
        ("/denied", [1, 0, 1]),
        ("@checked", [1, 0, 1]),
        ("@echo", [1, 1, 0]),
        ("/echo", [1, 1, 0]),
    ];
    let expected: Vec<_> = expected
        .map(|(name, counts)| (name.to_owned(), counts))
        .into();
    let sorted = |mut list: Vec<_>| {
        list.sort();
        list
    };
    assert_eq!(sorted(counted), sorted(expected));
}

/// Nor is it held against a server that its clients are not who it wants.
#[test]
fn what_is_the_client_s_fault_is_no_server_s() {
    let asks = ScriptedBackend::answering(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    );
    let nginx = Nginx::http(
        "websocket_zone one:1m;
        server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://%ASKS%; websocket on; } }",
    )
    .set("ASKS", asks.address())
    .start();
    let zone = zone(&nginx);
    assert_eq!(
        Client::connect(nginx.port())
            .ask(&Handshake::new("/"))
            .status(),
        401
    );
    wait_until("it to have failed", || zone.totals().failed_total() == 1);
    assert_eq!(of(zone.totals().failed(), Cause::UpstreamUnauthorized), 1);
    let failed = (0..zone.upstreams()).filter_map(|index| zone.upstream(index));
    assert_eq!(
        failed
            .map(|upstream| upstream.counters.failed_total())
            .sum::<u64>(),
        0
    );
}
