//! The scan against two other readings of the grammar, on valid documents and on damaged ones.

#![cfg(test)]

mod reference;

use bytes::Bytes;
use carnet_wire::json::{Edit, Kind, Watch, scan, splice, string_value};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

const DEPTH: usize = 64;
const PATHS: &[&str] = &[
    "model",
    "stream",
    "tools[].type",
    "tools[].server_url",
    "provider.order",
    "list[]",
];

/// White space, with none most of the time.
fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n", "\t \r\n"])
}

fn scalar() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "0",
        "-0",
        "-0.0e-0",
        "1E+2",
        "123.25",
        "true",
        "false",
        "null",
        r#""""#,
        r#""\u0061\n\"\\""#,
        r#""\ud83d\ude00""#,
        r#"",\"model\":\"x\"""#,
        r#""{[}]""#,
        "\"漢字\"",
    ]);
    prop_oneof![
        odd.prop_map(str::to_owned),
        any::<String>().prop_map(|s| Value::from(s).to_string()),
        any::<i64>().prop_map(|n| n.to_string())
    ]
}

/// A key of an unwatched member, in any spelling, also twice.
fn other_key() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        r#""""#,
        r#""a""#,
        r#""a\u0062""#,
        r#""model ""#,
        r#""\"model\"""#,
        r#""tools[].type""#,
    ]);
    prop_oneof![
        odd.prop_map(str::to_owned),
        "[x-z]{1,20}".prop_map(|key| format!("\"{key}\""))
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![other_key(), Just(r#""model""#.to_owned())];
        prop_oneof![
            prop::collection::vec((space(), inner.clone(), space()), 0..4).prop_map(|items| {
                let items: Vec<String> = items
                    .into_iter()
                    .map(|(a, value, b)| format!("{a}{value}{b}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            prop::collection::vec((key, inner, space()), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(key, value, s)| format!("{s}{key}{s}:{s}{value}{s}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Members of an object: some of the watched ones, each once, among others.
fn object(watched: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
    let watched: Vec<_> = watched
        .into_iter()
        .map(|(key, value)| {
            (prop::option::of(value))
                .prop_map(move |value| value.map(|value| (key.to_owned(), value)))
        })
        .collect();
    let others = prop::collection::vec((other_key(), any_value()), 0..4);
    (watched, others, space(), space())
        .prop_map(|(watched, others, a, b)| {
            (
                watched
                    .into_iter()
                    .flatten()
                    .chain(others)
                    .collect::<Vec<_>>(),
                a,
                b,
            )
        })
        .prop_flat_map(|(members, a, b)| (Just(members).prop_shuffle(), Just(a), Just(b)))
        .prop_map(|(members, a, b)| {
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("{a}{key}{b}:{a}{value}{b}"))
                .collect();
            format!("{{{}{b}}}", members.join(","))
        })
        .boxed()
}

fn list(item: BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop::collection::vec(item, 0..4)
        .prop_map(|items| format!("[ {}]", items.join(" , ")))
        .boxed()
}

fn document() -> BoxedStrategy<String> {
    let tool = object(vec![
        (r#""type""#, scalar().boxed()),
        (r#""server_url""#, any_value().boxed()),
    ]);
    let tool = prop_oneof![3 => tool, 1 => scalar()].boxed();
    object(vec![
        (r#""model""#, any_value().boxed()),
        (r#""str\u0065am""#, any_value().boxed()),
        (
            r#""tools""#,
            prop_oneof![4 => list(tool), 1 => scalar()].boxed(),
        ),
        (
            r#""provider""#,
            object(vec![(r#""\u006frder""#, any_value().boxed())]),
        ),
        (r#""list""#, list(any_value().boxed())),
    ])
}

/// The values at a watched path as serde_json sees them.
fn expected(document: &Value, path: &str) -> Vec<Value> {
    let mut places = vec![document];
    for segment in path.split('.') {
        let key = segment.trim_end_matches("[]");
        places = places
            .into_iter()
            .filter_map(|value| value.get(key))
            .collect();
        if key != segment {
            places = places
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .collect();
        }
    }
    places.into_iter().cloned().collect()
}

/// Damages a document at some places.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b""[..],
        b"\"",
        b"\\",
        b"\\u",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"0",
        b"-",
        b".",
        b"e",
        b"+",
        b" ",
        b"\n",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc3",
        "é".as_bytes(),
        b"/",
        b"'",
        b"NaN",
        b"null",
        b"true",
        b"//",
        b"a",
        b"\xEF\xBB\xBF",
        b"\"model\":1,",
        b"\"Model\":1,",
        b"1",
    ]);
    let damage = (any::<prop::sample::Index>(), 0..3_usize, pieces);
    (document(), prop::collection::vec(damage, 0..3)).prop_map(|(document, damages)| {
        let mut bytes = document.into_bytes();
        for (index, removed, piece) in damages {
            let start = index.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, piece.iter().copied());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn valid_documents_are_accepted_and_their_values_found(document in document()) {
        let body = document.as_bytes();
        let watch = Watch::new(PATHS).unwrap();
        let scan = scan(body, &watch, DEPTH).map_err(|error| TestCaseError::fail(format!("{document}: {error}")))?;
        let whole: Value = serde_json::from_str(&document).unwrap();
        for (index, path) in PATHS.iter().enumerate() {
            let found: Vec<Value> = scan
                .all(index)
                .map(|hit| serde_json::from_slice(&body[hit.value.clone()]).unwrap())
                .collect();
            prop_assert_eq!(found, expected(&whole, path), "{}", path);
        }
        for hit in scan.hits.iter().filter(|hit| hit.kind == Kind::String) {
            let value: String = serde_json::from_slice(&body[hit.value.clone()]).unwrap();
            prop_assert_eq!(string_value(body, hit).unwrap(), value);
        }
    }

    #[test]
    fn removing_members_leaves_a_valid_document_without_them(document in document(), removed: [bool; 4]) {
        let body = Bytes::from(document.into_bytes());
        let removed: Vec<&str> = ["model", "stream", "provider", "tools"].into_iter().zip(removed).filter(|(_, yes)| *yes).map(|(path, _)| path).collect();
        let scan = scan(&body, &Watch::new(&removed).unwrap(), DEPTH).unwrap();
        let edits: Vec<Edit> = scan.hits.iter().map(Edit::remove).collect();
        let left = splice(&body, &edits).concat();
        let mut want: Value = serde_json::from_slice(&body).unwrap();
        for key in &removed {
            want.as_object_mut().unwrap().remove(*key);
        }
        let left: Value = serde_json::from_slice(&left).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(left, want);
    }

    #[test]
    fn removing_all_that_was_found_leaves_nothing_to_find(document in document()) {
        let body = Bytes::from(document.into_bytes());
        let watch = Watch::new(PATHS).unwrap();
        let found = scan(&body, &watch, DEPTH).unwrap();
        let edits: Vec<Edit> = found.hits.iter().map(Edit::remove).collect();
        let left = splice(&body, &edits).concat();
        let again = scan(&left, &watch, DEPTH).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(again.hits.is_empty(), "{}", String::from_utf8_lossy(&left));
    }

    #[test]
    fn replacing_values_changes_nothing_else(document in document()) {
        let body = Bytes::from(document.into_bytes());
        let paths = ["model", "stream", "list[]"];
        let scan = scan(&body, &Watch::new(paths).unwrap(), DEPTH).unwrap();
        let edits: Vec<Edit> = scan.hits.iter().map(|hit| Edit::replace(hit, Bytes::from_static(b"[7]"))).collect();
        let mut want: Value = serde_json::from_slice(&body).unwrap();
        let new = serde_json::json!([7]);
        for key in ["model", "stream"] {
            want.get_mut(key).into_iter().for_each(|value| *value = new.clone());
        }
        if let Some(Value::Array(items)) = want.get_mut("list") {
            items.iter_mut().for_each(|item| *item = new.clone());
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&splice(&body, &edits).concat()).unwrap(), want);
    }

    #[test]
    fn damaged_documents_are_accepted_exactly_when_two_other_readings_accept_them(body in damaged()) {
        let ours = scan(&body, &Watch::new([""; 0]).unwrap(), DEPTH);
        let shown = String::from_utf8_lossy(&body);
        prop_assert_eq!(ours.is_ok(), reference::accepts(&body), "{}: {:?}", shown, ours);
        // serde_json allows lone surrogates where it skips, so in keys too.
        let theirs = std::str::from_utf8(&body).is_ok_and(|text| {
            text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
        });
        if !shown.contains("\\ud800") {
            prop_assert_eq!(ours.is_ok(), theirs, "{}: {:?}", shown, ours);
        }
    }

    #[test]
    fn what_a_scan_finds_in_a_damaged_document_is_what_serde_json_sees(body in damaged()) {
        let Ok(scan) = scan(&body, &Watch::new(PATHS).unwrap(), DEPTH) else { return Ok(()) };
        let Ok(whole) = serde_json::from_slice::<Value>(&body) else { return Ok(()) };
        for (index, path) in PATHS.iter().enumerate() {
            let found: Vec<Value> = scan.all(index).filter_map(|hit| serde_json::from_slice(&body[hit.value.clone()]).ok()).collect();
            prop_assert_eq!(found, expected(&whole, path), "{}", path);
        }
    }

    #[test]
    fn any_bytes_at_all_are_answered(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let scanned = scan(&body, &Watch::new(PATHS).unwrap(), DEPTH);
        prop_assert_eq!(scanned.is_ok(), reference::accepts(&body));
    }
}
