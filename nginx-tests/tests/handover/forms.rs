//! Whatever leads to the upstream, and whatever the client came by, a tunnel finds its way again.

use nginx_tests::environment::nginx_version;
use nginx_tests::wire::Wire;
use nginx_tests::{Client, Handshake, Listen, Nginx, ScriptedBackend, resolver, wait_until};

use crate::case::{PROXIED, echo, hand_over, head, http, nginx, only_line, value};

/// Tunnels through these lines in `http`, with a location of these, are handed over twice.
#[track_caller]
fn assert_carried(block: &str, location: &str) {
    let backends = [echo(), echo()];
    let http = format!("{block}\n{}", http(location));
    let nginx = Nginx::http(http)
        .set("BACKEND", backends[0].address())
        .set("OTHER", backends[1].address())
        .set("PORTB", backends[0].port())
        .workers(2)
        .start();
    let mut clients: Vec<Client> = (0..6).map(|_| crate::case::join(&nginx)).collect();
    let connections = || backends.each_ref().map(ScriptedBackend::connections);
    let before = connections();
    for round in 0..2 {
        for client in &mut clients {
            client.echo(&format!("round {round}"));
        }
        hand_over(&nginx);
    }
    for client in &mut clients {
        client.echo("still there");
    }
    assert_eq!(connections(), before, "{location}");
    let refused = nginx.log_lines("handover refused");
    assert!(refused.is_empty(), "{refused:#?}");
    for client in clients {
        client.close_politely();
    }
    let lines = nginx.wait_for_access("tunnel.log", 6);
    assert!(
        lines
            .iter()
            .all(|line| value(line, "websocket_handovers") == "2"),
        "{lines:#?}"
    );
}

const SERVERS: &str = "server %BACKEND%; server %OTHER%;";

#[test]
fn upstream_blocks() {
    for balancer in [
        "",
        "least_conn;",
        "ip_hash;",
        "hash $remote_port;",
        "hash $connection consistent;",
        "random;",
        "random two least_conn;",
        "keepalive 4;",
        "least_conn; keepalive 4;",
        "zone one 64k;",
        "zone one 64k; least_conn; keepalive 2;",
    ] {
        let block = format!("upstream both {{ {balancer} {SERVERS} }}");
        assert_carried(&block, "proxy_pass http://both; websocket on;");
    }
}

#[test]
fn servers_that_are_not_chosen_now() {
    // One that answers nothing any more is left out for a while, and one that is a backup is never chosen.
    let block = "upstream both { server %OTHER% max_conns=1; server %BACKEND% backup; }";
    assert_carried(block, "proxy_pass http://both; websocket on;");
    // A balancer that wants to know what the server answers hears nothing of one that it has not chosen.
    if nginx_version() >= (1, 29, 6) {
        let learns =
            "sticky learn header create=$upstream_cookie_one lookup=$cookie_one zone=known:64k;";
        let block = format!(
            "upstream both {{ server %OTHER% max_conns=1; server %BACKEND% backup; {learns} }}"
        );
        assert_carried(&block, "proxy_pass http://both; websocket on;");
    }
}

#[test]
fn addresses_out_of_variables() {
    assert_carried(
        "",
        "set $to %BACKEND%; proxy_pass http://$to; websocket on;",
    );
    assert_carried(
        "upstream both { least_conn; server %BACKEND%; server %OTHER%; }",
        "set $to both; proxy_pass http://$to; websocket on;",
    );
}

/// A name of a variable's, for which the new worker asks nobody.
#[test]
fn names_out_of_variables() {
    assert_carried(
        &format!("resolver {} ipv6=off;", resolver::start()),
        "set $to chat.test; proxy_pass http://$to:%PORTB%; websocket on;",
    );
}

/// The new workers know what the old ones have been told of the name.
#[test]
fn names_of_servers_that_are_resolved_while_nginx_runs() {
    if nginx_version() < (1, 27, 3) {
        return nginx_tests::skipped("this nginx resolves no names of servers while it runs");
    }
    let backend = echo();
    let http = format!(
        "resolver {} ipv6=off; upstream chat {{ zone chat 64k; server chat.test:%PORTB% resolve; }} {}",
        resolver::start(),
        http("proxy_pass http://chat; websocket on;")
    );
    let nginx = Nginx::http(http).set("PORTB", backend.port()).start();
    wait_until("the name to be resolved", || {
        let mut client = Client::connect(nginx.port());
        client.ask(&Handshake::new("/")).status() == 101
    });
    let mut client = crate::case::join(&nginx);
    let connections = backend.connections();
    for _ in 0..3 {
        client.echo("there");
        hand_over(&nginx);
    }
    client.echo("still there");
    assert_eq!(backend.connections(), connections);
}

#[test]
fn paths_and_redirects() {
    assert_carried("", "proxy_pass http://%BACKEND%/elsewhere/; websocket on;");
    assert_carried(
        "",
        "rewrite ^ /x break; proxy_pass http://%BACKEND%; websocket on;",
    );
    assert_carried(
        "",
        "try_files /nothing @there; } location @there { proxy_pass http://%BACKEND%; websocket on;",
    );
    assert_carried(
        "",
        "if ($http_upgrade) { proxy_pass http://%BACKEND%; } websocket on;",
    );
    assert_carried(
        "",
        "proxy_pass http://%BACKEND%; websocket on; proxy_bind 127.0.0.1;",
    );
}

#[test]
fn unix_sockets_on_both_sides() {
    let setup = Nginx::http(format!(
        "{} server {{ listen 127.0.0.1:%PORT%; listen unix:%PREFIX%/front;
            access_log logs/tunnel.log tunnel;
            location / {{ proxy_pass http://unix:%PREFIX%/back:/; websocket on; }} }}",
        head("on")
    ));
    let (front, back) = (setup.path("front"), setup.inside("back"));
    let backend = ScriptedBackend::on(Listen::Unix(setup.path("back")), |conn| {
        let handshake = conn.read_request()?.head;
        conn.accept(&handshake)?;
        conn.echo_frames()
    });
    let nginx = setup.start();
    let mut client = Client::over(Wire::connect_unix(&front).unwrap());
    client.establish("/");
    client.echo("one");
    hand_over(&nginx);
    client.echo("two");
    client.close_politely();
    let line = only_line(&nginx);
    assert_eq!(value(&line, "websocket_handovers"), "1");
    assert_eq!(
        value(&line, "upstream_addr"),
        format!("unix:{}", back.display())
    );
    assert_eq!(backend.connections(), 1);
}

/// What the proxy in front had said of the client is said once more, and is what `real_ip` takes the address from.
#[test]
fn the_proxy_protocol_and_real_ip() {
    let backend = echo();
    for (client, ports, proxy, limit) in [
        // It knows nothing of its client.
        (
            "127.0.0.1",
            "- -",
            "PROXY UNKNOWN\r\n",
            "allow 127.0.0.1; deny all;",
        ),
        (
            "192.0.2.7",
            "4711 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n",
            "allow 192.0.2.7; deny all;",
        ),
        (
            "2001:db8::7",
            "4711 443",
            "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n",
            "allow 2001:db8::7; deny all;",
        ),
    ] {
        let http = format!(
            "{} log_format who '$remote_addr $proxy_protocol_port $proxy_protocol_server_port $websocket_handovers';
            server {{ listen 127.0.0.1:%PORT% proxy_protocol; access_log logs/tunnel.log who;
                set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
                location / {{ {PROXIED} {limit} }} }}",
            head("on")
        );
        let nginx = Nginx::http(http).set("BACKEND", backend.address()).start();
        let mut wire = Wire::connect(nginx.port()).unwrap();
        wire.send(proxy).unwrap();
        let mut tunnel = Client::over(wire);
        tunnel.establish("/");
        tunnel.echo("one");
        hand_over(&nginx);
        tunnel.echo("two");
        hand_over(&nginx);
        tunnel.echo("three");
        tunnel.close_politely();
        let lines = nginx.wait_for_access("tunnel.log", 1);
        assert_eq!(lines, [format!("{client} {ports} 2")]);
    }
}

/// A head that fills more than one buffer.
#[test]
fn a_large_head() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut client = Client::connect(nginx.port());
    let handshake = Handshake::new("/").add("Cookie", &"c".repeat(6000));
    client.accepted(&handshake);
    for _ in 0..3 {
        client.echo("once more");
        hand_over(&nginx);
    }
    client.echo("at last");
}

/// What the client sends together with its handshake is the tunnel's.
#[test]
fn frames_behind_the_handshake() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut wire = Wire::connect(nginx.port()).unwrap();
    let frame = nginx_tests::Frame::text("early").masked().bytes();
    wire.send([Handshake::new("/").bytes(), frame].concat())
        .unwrap();
    let mut client = Client::over(wire);
    assert_eq!(client.read_head().unwrap().status(), 101);
    assert_eq!(client.frame(), nginx_tests::Frame::text("early"));
    hand_over(&nginx);
    client.echo("late");
}

#[test]
fn reuseport_and_many_workers() {
    let backend = echo();
    let nginx = Nginx::http(format!(
        "{} server {{ listen 127.0.0.1:%PORT% reuseport; access_log logs/tunnel.log tunnel;
            location / {{ {PROXIED} }} }}",
        head("on")
    ))
    .set("BACKEND", backend.address())
    .workers(4)
    .start();
    let mut clients: Vec<Client> = (0..20).map(|_| crate::case::join(&nginx)).collect();
    for _ in 0..3 {
        hand_over(&nginx);
        for client in &mut clients {
            client.echo("there");
        }
    }
}
