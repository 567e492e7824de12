//! docs/check-websocket.schema.json.

use nginx_tests::schema::keeps_to;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../docs/check-websocket.schema.json");

/// Fails the test if the value does not keep to the schema.
#[track_caller]
pub fn check(value: &Value) {
    nginx_tests::schema::check(SCHEMA, value);
}

#[test]
fn the_schema_refuses_what_it_should() {
    let right = serde_json::json!({"schema": 1, "works": true, "address": null, "locations": [],
        "notes": ["a"], "unread": []});
    assert_eq!(keeps_to(SCHEMA, &right), Ok(()));
    for (field, value) in [
        ("schema", Value::from(2)),
        ("works", Value::from("yes")),
        ("notes", serde_json::json!([1])),
        ("more", Value::Null),
        ("locations", serde_json::json!([{}])),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        assert!(keeps_to(SCHEMA, &wrong).is_err(), "{wrong}");
    }
}
