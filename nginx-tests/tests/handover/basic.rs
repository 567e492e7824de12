//! A tunnel survives a reload, and nobody notices.

use nginx_tests::{Nginx, wait_until};

use crate::case::{
    PROXIED, active, assert_closed, block, echo, gone, hand_over, hand_over_with, http, join,
    nginx, number, only_line, value,
};

#[test]
fn a_tunnel_goes_on_in_a_new_worker() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut client = join(&nginx);
    client.echo("before");
    hand_over(&nginx);
    client.echo("behind");
    assert_eq!(backend.connections(), 1);
    assert_eq!(active(&nginx), 1);
    client.close_politely();
    let line = only_line(&nginx);
    assert_eq!(value(&line, "status"), "101");
    assert_eq!(value(&line, "websocket_close_code"), "1000");
    assert_eq!(number(&line, "websocket_handovers"), 1);
    // With the Close.
    assert_eq!(number(&line, "websocket_messages_in"), 2);
    assert_eq!(number(&line, "websocket_messages_out"), 2);
    let closed = nginx.wait_for_log("websocket closed after");
    assert!(
        closed.ends_with("handed over 1 time") || closed.contains(", handed over 1 time, "),
        "{closed}"
    );
    assert_eq!(nginx.log_lines("websocket established").len(), 1);
    let told = nginx.wait_for_log("websocket handover: 1 tunnel handed over in ");
    assert!(told.contains(" 0 stay"), "{told}");
    nginx.wait_for_log("websocket handover: 1 tunnel taken over, 0 refused");
}

/// What nginx counts and times is what it would be without.
#[test]
fn the_account_is_that_of_one_worker() {
    let backend = echo();
    let nginx = nginx(&backend).start();
    let mut moved = join(&nginx);
    for text in ["one", "two", "three"] {
        moved.echo(text);
        hand_over(&nginx);
    }
    moved.close_politely();
    let line = only_line(&nginx);
    let mut stays = join(&nginx);
    for text in ["one", "two", "three"] {
        stays.echo(text);
    }
    stays.close_politely();
    let lines = nginx.wait_for_access("tunnel.log", 2);
    for name in [
        "bytes_sent",
        "request_length",
        "upstream_addr",
        "upstream_bytes_sent",
        "upstream_bytes_received",
        "websocket_messages_in",
        "websocket_messages_out",
        "websocket_state",
    ] {
        assert_eq!(value(&line, name), value(&lines[1], name), "{name}");
    }
    assert_eq!(value(&line, "connection"), "1");
    assert_eq!(number(&line, "websocket_handovers"), 3);
    assert_eq!(number(&lines[1], "websocket_handovers"), 0);
    wait_until("all to be gone", || active(&nginx) == 0);
}

#[test]
fn off_leaves_a_tunnel_where_it_is() {
    let backend = echo();
    let nginx = Nginx::http(block("off", PROXIED))
        .set("BACKEND", backend.address())
        .start();
    let mut client = join(&nginx);
    let old = nginx.worker_pids();
    nginx.reload();
    client.echo("with the old worker");
    assert_eq!(nginx.exiting_worker_pids(), old);
    client.close_politely();
    gone(&nginx);
    assert!(nginx.log_lines("websocket handover").is_empty());
}

/// It takes both configurations.
#[test]
fn a_configuration_without_it_takes_nothing_over() {
    let backend = echo();
    let mut nginx = Nginx::http(http(&format!("{PROXIED} websocket_drain 1s;")))
        .set("BACKEND", backend.address())
        .start();
    let client = join(&nginx);
    nginx.reload_with(&block("off", PROXIED));
    assert_closed(client, 1012);
    gone(&nginx);
    assert!(nginx.log_lines("taken over").is_empty());
    // And back again.
    let mut client = join(&nginx);
    nginx.reload_with(&http(PROXIED));
    client.echo("with the old worker");
    client.close_politely();
    gone(&nginx);
    let mut client = join(&nginx);
    hand_over_with(&mut nginx, &http(PROXIED));
    client.echo("with the new worker");
}
