//! `--json`: the schema names what the program can say, no more and no less.

use serde_json::Value;
use websocket_protocol::Cause;

use nginx_tests::ScriptedBackend;

use crate::program::examine;

const SCHEMA: &str = include_str!("../../../docs/check-websocket.schema.json");

#[test]
fn the_schema_lists_every_cause() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let listed = schema["$defs"]["cause"]["enum"].as_array().expect("a list");
    let listed: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
    let all: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).collect();
    assert_eq!(listed, all);
}

/// `examine` checks each report against the schema; this one fills every part of it.
#[test]
fn a_full_report() {
    let backend = ScriptedBackend::standard();
    let url = format!("ws://{}/", backend.address());
    let report = examine(
        &url,
        &[
            "--backend",
            &url,
            "--repeat=2",
            "--message=a",
            "--hold=50ms",
        ],
    );
    for part in ["backend", "comparison", "repeat"] {
        assert!(report[part].is_object(), "{part}: {report:#}");
    }
    assert_eq!(report["probes"].as_array().map(Vec::len), Some(2));
    let times = &report["repeat"]["handshake_ms"];
    let time = |name: &str| times[name].as_f64().expect("a time");
    assert!(time("shortest") <= time("median") && time("median") <= time("longest"));
}
