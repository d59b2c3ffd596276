//! The schema that editors get is what the reader reads.

use std::collections::BTreeSet;
use std::path::Path;

use mtsec_agents::experiment::schema;
use serde_json::Value;

use super::wrong;

fn schema_file() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/schema.json");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_schema_beside_the_files_is_the_one_that_is_printed() {
    let printed = assert_cmd::Command::cargo_bin("mtsec-agents")
        .unwrap()
        .arg("schema")
        .output()
        .unwrap();
    assert!(printed.status.success());
    assert_eq!(
        String::from_utf8(printed.stdout).unwrap(),
        schema_file(),
        "make it anew: cargo run -- schema > experiments/schema.json"
    );
}

/// The names that the reader takes where `text` has an unknown one.
fn taken(text: &str) -> BTreeSet<String> {
    let message = wrong(text);
    let first = message.lines().next().unwrap();
    let (_, names) = first
        .split_once("expected one of ")
        .or_else(|| first.split_once("expected "))
        .unwrap_or_else(|| panic!("{message}"));
    let names = names.replace(" or ", ", ");
    names
        .split(", ")
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_schema_has_the_members_that_the_reader_takes_and_no_others() {
    let schema = schema();
    let cases = [
        ("zzz: 1", "/properties"),
        ("tasks: {zzz: 1}", "/definitions/tasks/properties"),
        (
            "tasks: {sample: {zzz: 1}}",
            "/definitions/tasks/properties/sample/properties",
        ),
        ("run_budget: {zzz: 1}", "/definitions/budget/properties"),
        ("table: {zzz: 1}", "/definitions/table/properties"),
        (
            "table: {columns: [{zzz: 1}]}",
            "/definitions/table/properties/columns/items/properties",
        ),
        ("matrix: {zzz: 1}", "/definitions/values/properties"),
        ("matrix: {zzz: 1}", "/definitions/cell/properties"),
    ];
    for (text, place) in cases {
        let properties = schema
            .pointer(place)
            .and_then(Value::as_object)
            .unwrap_or_else(|| panic!("{place}"));
        let names: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(names, taken(text), "{place}");
    }
}

#[test]
fn every_word_of_the_schema_is_one_that_the_reader_takes() {
    let schema = schema();
    let good = "matrix: {scaffold: aider, model: o3}\n";
    let words = |place: &str| -> Vec<Value> { schema.pointer(place).and_then(Value::as_array).unwrap().clone() };
    let mut looked_at = 0;
    let keys = schema
        .pointer("/definitions/cell/properties")
        .and_then(Value::as_object)
        .unwrap();
    for (key, value) in keys {
        let value = value.pointer("/anyOf/0").unwrap_or(value);
        for word in value.get("enum").and_then(Value::as_array).into_iter().flatten() {
            super::cells(&format!("{good}defaults: {{{key}: {word}}}"));
            looked_at += 1;
        }
    }
    for (place, around) in [
        ("/properties/test_turns/enum", "test_turns: @"),
        ("/properties/sandbox/enum", "sandbox: @"),
        ("/properties/containment/enum", "containment: @"),
        ("/definitions/tasks/properties/rows_are/enum", "tasks: {rows_are: @}"),
        ("/definitions/table/properties/lines/items/enum", "table: {lines: [@]}"),
        (
            "/definitions/table/properties/shares/items/enum",
            "table: {shares: [@]}",
        ),
    ] {
        for word in words(place) {
            super::cells(&format!("{good}{}", around.replace('@', &word.to_string())));
            looked_at += 1;
        }
    }
    assert!(looked_at > 50, "{looked_at}");
}

#[test]
fn every_file_is_what_the_schema_says() {
    let schema: Value = serde_json::from_str(&schema_file()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    for (name, _) in super::files::files() {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        assert!(
            text.starts_with("# yaml-language-server: $schema=schema.json\n"),
            "{name}"
        );
        let file: Value = mtsec_agents::yaml::read(&name, &text).unwrap();
        let faults = faults(&schema, &schema, &file);
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
    // And the check is one.
    for text in [
        "matrix: {modle: o3}",
        "attempts: 0",
        "name: 1",
        "matrix: {policy: [none, none]}",
        "table: {columns: [{}]}",
        "{}",
    ] {
        let file: Value = mtsec_agents::yaml::read("file", text).unwrap();
        assert!(!faults(&schema, &schema, &file).is_empty(), "{text}");
    }
}

/// Where a value is not what a schema says: what of JSON Schema ours makes use of, and a panic for what else there is.
fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: &str| faults.push(format!("{value}: {what}"));
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().map_or_else(
            || vec![value.as_str().unwrap().to_owned()],
            |all| all.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        )
    };
    let mut inner: Vec<(&Value, &Value)> = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "title" | "description" | "definitions" | "default" | "examples" => {}
            "$ref" => inner.push((
                root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(),
                value,
            )),
            "allOf" => inner.extend(rule.as_array().unwrap().iter().map(|rule| (rule, value))),
            "anyOf" => {
                let tries = rule.as_array().unwrap();
                if tries.iter().all(|rule| !self::faults(root, rule, value).is_empty()) {
                    fault("none of anyOf");
                }
            }
            "type" => {
                let is = |kind: &String| match kind.as_str() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    other => panic!("type {other}"),
                };
                if !texts(rule).iter().any(is) {
                    fault("another type");
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => fault("not in enum"),
            "enum" => {}
            "required" => {
                for name in texts(rule) {
                    if value.is_object() && value.get(&name).is_none() {
                        fault(&format!("{name} is not there"));
                    }
                }
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        inner.push((rule, value));
                    }
                }
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let is_known = schema.get("properties").is_some_and(|known| known.get(name).is_some());
                    match rule {
                        Value::Bool(false) if !is_known => fault(&format!("{name} is unknown")),
                        Value::Object(_) if !is_known => inner.push((rule, value)),
                        _ => {}
                    }
                }
            }
            "items" => inner.extend(value.as_array().into_iter().flatten().map(|value| (rule, value))),
            "minItems"
                if value
                    .as_array()
                    .is_some_and(|list| list.len() < rule.as_u64().unwrap() as usize) =>
            {
                fault("too few")
            }
            "uniqueItems" => {
                let list = value.as_array().cloned().unwrap_or_default();
                if list
                    .iter()
                    .enumerate()
                    .any(|(index, item)| list[..index].contains(item))
                {
                    fault("twice");
                }
            }
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => fault("too small"),
            "maximum" if value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()) => fault("too large"),
            "exclusiveMinimum" if value.as_f64().is_some_and(|number| number <= rule.as_f64().unwrap()) => {
                fault("too small")
            }
            "minLength" if value.as_str().is_some_and(str::is_empty) => fault("empty"),
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    fault("another pattern");
                }
            }
            "minItems" | "minimum" | "maximum" | "exclusiveMinimum" | "minLength" => {}
            other => panic!("the test knows no {other}"),
        }
    }
    for (schema, value) in inner {
        faults.extend(self::faults(root, schema, value));
    }
    faults
}
