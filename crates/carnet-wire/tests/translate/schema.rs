//! Answers and events of Responses against the published specification.

use std::fs;
use std::path::Path;

use carnet_wire::dialect::Dialect;
use carnet_wire::translate::answer;
use serde_json::{Value, json};

use super::reading::{client, data, not_run, options, translated};
use super::scenarios::{body, stream};

/// The schemas of the specification; none where it is not on this machine.
fn schemas(test: &str) -> Option<Value> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs/openresponses.json");
    let Ok(text) = fs::read_to_string(file) else {
        not_run(test, "the specification is not on this machine");
        return None;
    };
    let spec: Value = serde_json::from_str(&text).unwrap();
    Some(spec["components"]["schemas"].clone())
}

/// Why a value is none of a schema, by the keywords that the specification uses for shapes.
fn fault(all: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return fault(all, &all[name.rsplit('/').next().unwrap()], value, place);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Some(found) = fault(all, part, value, place) {
            return Some(found);
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(options) = schema[key].as_array() {
            let faults: Vec<_> = options
                .iter()
                .map(|option| fault(all, option, value, place))
                .collect();
            if faults.iter().all(Option::is_some) {
                return Some(format!("{place} is none of {key}: {faults:?}"));
            }
        }
    }
    let is_kind = match schema["type"].as_str() {
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        _ => true,
    };
    let listed = schema["enum"]
        .as_array()
        .is_none_or(|values| values.contains(value));
    if !is_kind || !listed {
        return Some(format!("{place}: {value}"));
    }
    let missing = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| value.get(key.as_str().unwrap()).is_none());
    if let Some(key) = missing {
        return Some(format!("{place} lacks {key}"));
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(found) = value
            .get(key)
            .and_then(|value| fault(all, schema, value, &format!("{place}.{key}")))
        {
            return Some(found);
        }
    }
    let elements = value.as_array().filter(|_| schema["items"].is_object());
    elements
        .into_iter()
        .flatten()
        .find_map(|value| fault(all, &schema["items"], value, &format!("{place}[]")))
}

/// Checks each event against the schema that has its name.
fn check(all: &Value, out: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for event in data(std::str::from_utf8(out).unwrap()) {
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["sequence_number"], names.len());
        let named = |schema: &&Value| {
            schema["properties"]["type"]["enum"] == json!([event["type"]])
                && schema["required"].to_string().contains("sequence_number")
        };
        let schema = all.as_object().unwrap().values().find(named);
        let schema = schema.unwrap_or_else(|| panic!("no such event: {event}"));
        assert_eq!(fault(all, schema, &event, "event"), None, "{event}");
        names.push(event["type"].as_str().unwrap().to_owned());
    }
    names
}

#[test]
fn every_event_and_answer_is_one_of_the_specification() {
    let Some(all) = schemas("every_event_and_answer_is_one_of_the_specification") else {
        return;
    };
    let calls = [("f", json!({"a": 1})), ("g", json!({}))];
    let mut names = Vec::new();
    for from in [Dialect::Chat, Dialect::Messages] {
        let out = translated(
            from,
            Dialect::Responses,
            &stream(from, "text", "thought", &calls),
            true,
        );
        names = check(&all, &out);
        let cut = translated(
            from,
            Dialect::Responses,
            &stream(from, "text", "thought", &calls)[..2],
            true,
        );
        assert_eq!(check(&all, &cut).last().unwrap(), "response.failed");
        let whole = answer(
            from,
            client(Dialect::Responses),
            &body(from, "text", "thought", &calls),
            &options(),
        )
        .unwrap();
        let whole: Value = serde_json::from_slice(&whole.body).unwrap();
        assert_eq!(
            fault(&all, &all["ResponseResource"], &whole, "answer"),
            None
        );
    }
    let refusal = [
        r#"{"id":"i","choices":[{"delta":{"refusal":"no"},"finish_reason":"length"}]}"#.to_owned(),
    ];
    let refused = check(
        &all,
        &translated(Dialect::Chat, Dialect::Responses, &refusal, true),
    );
    assert_eq!(refused.last().unwrap(), "response.incomplete");
    let cited = json!({"index": 0, "delta": {"content": "a", "annotations": [{"type": "url_citation",
        "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}]}, "finish_reason": "stop"});
    let cited = check(
        &all,
        &translated(
            Dialect::Chat,
            Dialect::Responses,
            &[json!({"choices": [cited]}).to_string()],
            true,
        ),
    );
    assert!(cited.contains(&"response.output_text.annotation.added".to_owned()));
    assert_eq!(names, LIFE);
}

/// What a stream of reasoning, a text and two calls, each in two pieces, must be.
const LIFE: &[&str] = &[
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
];

#[test]
fn the_check_sees_what_is_missing_or_of_another_kind() {
    let all = json!({"A": {"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/x/B"}]}}},
        "B": {"type": "array", "items": {"enum": ["x"]}}});
    let faulty = |value: Value| fault(&all, &all["A"], &value, "v").is_some();
    assert!(!faulty(json!({"a": null})) && !faulty(json!({"a": ["x"]})));
    assert!(
        faulty(json!({}))
            && faulty(json!({"a": "x"}))
            && faulty(json!({"a": ["y"]}))
            && faulty(json!([]))
    );
}
