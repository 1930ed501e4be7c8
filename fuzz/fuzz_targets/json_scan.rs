//! Whatever the scan accepts means the same to serde_json, and stays JSON when its watched members are removed; also
//! where an object may stand for a list of it.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use carnet_wire::json::{Edit, Kind, Scan, Watch, scan, splice, string_value};
use carnet_wire::limits::MAX_DEPTH;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const PATHS: [&str; 6] = [
    "model",
    "tools",
    "provider.order",
    "tools[].type",
    "tools[].server_url",
    "list[]",
];

static WATCH: LazyLock<Watch> = LazyLock::new(|| {
    Watch::new(PATHS)
        .expect("the paths are valid")
        .with_known(["model", "messages"])
});

static LONE: LazyLock<Watch> = LazyLock::new(|| WATCH.clone().with_lone_objects());

fuzz_target!(|body: &[u8]| {
    let strict = look(body, &WATCH);
    let lone = look(body, &LONE);
    assert!(
        strict.is_none() || strict == lone,
        "what all take is read alike"
    );
});

fn look(body: &[u8], watch: &Watch) -> Option<Scan> {
    match scan(body, watch, MAX_DEPTH) {
        Ok(found) => {
            check(body, watch, &found);
            Some(found)
        }
        Err(error) => {
            assert!(error.offset <= body.len() && !error.to_string().is_empty());
            None
        }
    }
}

fn check(body: &[u8], watch: &Watch, found: &Scan) {
    assert!(
        found
            .unknown(body)
            .all(|key| key != "model" && key != "messages")
    );
    // serde_json's values cannot hold a lone surrogate or a number out of range, both of which the grammar allows.
    let Ok(whole) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for (index, path) in PATHS.iter().enumerate() {
        let ours: Vec<Value> = found
            .all(index)
            .map(|hit| {
                serde_json::from_slice(&body[hit.value.clone()])
                    .expect("a part of valid JSON is valid")
            })
            .collect();
        assert_eq!(ours, values_at(&whole, path), "{path}");
    }
    for hit in found.hits.iter().filter(|hit| hit.kind == Kind::String) {
        let text = string_value(body, hit).expect("serde_json has read it");
        assert_eq!(
            serde_json::from_slice::<Value>(&body[hit.value.clone()]).ok(),
            Some(Value::from(text))
        );
    }
    let edits: Vec<Edit> = found.hits.iter().map(Edit::remove).collect();
    let left = splice(&Bytes::copy_from_slice(body), &edits).concat();
    let again = scan(&left, watch, MAX_DEPTH).expect("a body without some members is a body");
    assert!(again.hits.is_empty());
}

fn values_at(whole: &Value, path: &str) -> Vec<Value> {
    let mut places = vec![whole];
    for segment in path.split('.') {
        let key = segment.trim_end_matches("[]");
        places = places
            .into_iter()
            .filter_map(|value| value.get(key))
            .collect();
        if key != segment {
            // A scan that takes no object for a list has refused one that stands here.
            places = places
                .into_iter()
                .flat_map(|value| match value {
                    Value::Array(elements) => elements.iter().collect(),
                    Value::Object(_) => vec![value],
                    _ => Vec::new(),
                })
                .collect();
        }
    }
    places.into_iter().cloned().collect()
}
