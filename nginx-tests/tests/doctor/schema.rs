//! The part of JSON Schema that docs/check-websocket.schema.json is written in.
//!
//! An unknown keyword is a failure, so the schema can't hold a rule that is not checked.

use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("../../../docs/check-websocket.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

/// Fails the test if the value does not keep to the schema.
#[track_caller]
pub fn check(value: &Value) {
    let schema = schema();
    if let Err(error) = validate(&schema, &schema, value, "$") {
        panic!("{error}\n{value:#}");
    }
}

fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or(format!("{at}: no schema"))?;
    for (keyword, rule) in rules {
        let right = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let target = pointer.and_then(|path| root.pointer(path));
                let target = target.ok_or(format!("{at}: no such definition: {rule}"))?;
                validate(root, target, value, at)?;
                true
            }
            "type" => types(rule).any(|name| is_of_type(value, name)),
            "const" => rule == value,
            "enum" => rule
                .as_array()
                .is_some_and(|allowed| allowed.contains(value)),
            "minimum" => match (value.as_f64(), rule.as_f64()) {
                (Some(value), Some(minimum)) => value >= minimum,
                _ => true,
            },
            "oneOf" => {
                let choices = rule
                    .as_array()
                    .ok_or(format!("{at}: oneOf without choices"))?;
                let results: Vec<_> = choices
                    .iter()
                    .map(|choice| validate(root, choice, value, at))
                    .collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    return Err(format!("{at}: not one of the choices: {results:?}"));
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(root, rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "required" => match value.as_object() {
                Some(object) => texts(rule).all(|name| object.contains_key(name)),
                None => true,
            },
            "properties" => {
                properties(root, rule, value.as_object(), at)?;
                true
            }
            "additionalProperties" if rule == &Value::Bool(false) => {
                let known = schema["properties"].as_object();
                let unknown = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .find(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)));
                if let Some((name, _)) = unknown {
                    return Err(format!("{at}: {name} is not in the schema"));
                }
                true
            }
            _ => return Err(format!("{at}: this test does not know {keyword}: {rule}")),
        };
        if !right {
            return Err(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn properties(
    root: &Value,
    rule: &Value,
    object: Option<&Map<String, Value>>,
    at: &str,
) -> Result<(), String> {
    for (name, rule) in rule.as_object().into_iter().flatten() {
        if let Some(value) = object.and_then(|object| object.get(name)) {
            validate(root, rule, value, &format!("{at}.{name}"))?;
        }
    }
    Ok(())
}

fn types(rule: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match rule {
        Value::String(name) => Box::new(std::iter::once(name.as_str())),
        list => Box::new(texts(list)),
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let schema = schema();
    let right = serde_json::json!({"schema": 1, "works": true, "address": null, "locations": [],
        "notes": ["a"], "unread": []});
    assert_eq!(validate(&schema, &schema, &right, "$"), Ok(()));
    for (field, value) in [
        ("schema", Value::from(2)),
        ("works", Value::from("yes")),
        ("notes", serde_json::json!([1])),
        ("more", Value::Null),
        ("locations", serde_json::json!([{}])),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        assert!(validate(&schema, &schema, &wrong, "$").is_err(), "{wrong}");
    }
}
