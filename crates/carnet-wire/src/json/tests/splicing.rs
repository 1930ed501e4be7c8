//! Edits keep a body valid, whichever members they take out.

use bytes::Bytes;

use super::super::{Edit, splice};
use super::scan_for;

/// Removes the members at these paths and joins the segments.
fn without(body: &str, paths: &[&str]) -> String {
    let edits: Vec<Edit> = scan_for(body, paths)
        .unwrap()
        .hits
        .iter()
        .map(Edit::remove)
        .collect();
    joined(body, &edits)
}

fn joined(body: &str, edits: &[Edit]) -> String {
    let segments = splice(&Bytes::copy_from_slice(body.as_bytes()), edits);
    assert!(segments.iter().all(|segment| !segment.is_empty()), "{body}");
    String::from_utf8(segments.concat()).unwrap()
}

#[test]
fn members_are_removed_with_one_comma() {
    for (paths, want) in [
        (&["a"][..], r#"{"b":2,"c":{"d":3}}"#),
        (&["b"], r#"{"a":1,"c":{"d":3}}"#),
        (&["c"], r#"{"a":1,"b":2}"#),
        (&["a", "b"], r#"{"c":{"d":3}}"#),
        (&["b", "c"], r#"{"a":1}"#),
        (&["a", "c"], r#"{"b":2}"#),
        (&["c", "b", "a"], "{}"),
        (&["c.d"], r#"{"a":1,"b":2,"c":{}}"#),
        (&["c.d", "c"], r#"{"a":1,"b":2}"#),
        (&["b", "c.d"], r#"{"a":1,"c":{}}"#),
        (&["b", "b"], r#"{"a":1,"c":{"d":3}}"#),
        (&["x"], r#"{"a":1,"b":2,"c":{"d":3}}"#),
    ] {
        assert_eq!(
            without(r#"{"a":1,"b":2,"c":{"d":3}}"#, paths),
            want,
            "{paths:?}"
        );
    }
}

#[test]
fn white_space_does_not_confuse_the_commas() {
    let body = "{ \"a\" : 1 ,\n  \"b\" : 2 ,\n  \"c\" : 3 ,\n \"d\" : 4 }";
    for (paths, left) in [
        (&["a"][..], "bcd"),
        (&["d"], "abc"),
        (&["c", "d"], "ab"),
        (&["b", "c"], "ad"),
        (&["b", "c", "d"], "a"),
        (&["a", "b", "c"], "d"),
        (&["a", "d"], "bc"),
        (&["a", "b", "c", "d"], ""),
        (&["b", "d"], "ac"),
    ] {
        let text = without(body, paths);
        let value: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let keys: String = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, left, "{text}");
    }
}

#[test]
fn elements_are_removed_like_members() {
    for (paths, want) in [
        (&["l[]"][..], r#"{"l":[],"m":[7]}"#),
        (&["l[].x"], r#"{"l":[{},{},3],"m":[7]}"#),
        (&["l[].x", "m[]"], r#"{"l":[{},{},3],"m":[]}"#),
    ] {
        assert_eq!(
            without(r#"{"l":[{"x":1},{"x":2},3],"m":[7]}"#, paths),
            want,
            "{paths:?}"
        );
    }
    let body = r#"{"l":[0,1,2,3]}"#;
    let hits = scan_for(body, &["l[]"]).unwrap().hits;
    for mask in 0..16_u32 {
        let removed: Vec<Edit> = hits
            .iter()
            .enumerate()
            .filter(|(n, _)| mask >> n & 1 == 1)
            .map(|(_, hit)| Edit::remove(hit))
            .collect();
        let left: Vec<String> = (0..4_u32)
            .filter(|n| mask >> n & 1 == 0)
            .map(|n| n.to_string())
            .collect();
        assert_eq!(
            joined(body, &removed),
            format!(r#"{{"l":[{}]}}"#, left.join(",")),
            "{mask:04b}"
        );
    }
}

#[test]
fn values_are_replaced_beside_removals_in_any_order() {
    let body = r#"{"model":"a","user":"u","stream":true}"#;
    let hits = scan_for(body, &["model", "user", "stream"]).unwrap().hits;
    let new = Bytes::from_static(br#""much longer""#);
    let mut edits = vec![
        Edit::remove(&hits[1]),
        Edit::replace(&hits[0], new.clone()),
        Edit::remove(&hits[2]),
    ];
    for _ in 0..edits.len() {
        edits.rotate_left(1);
        assert_eq!(
            joined(body, &edits),
            r#"{"model":"much longer"}"#,
            "{edits:?}"
        );
    }
    assert_eq!(joined(body, &[]), body);
    assert_eq!(joined("", &[]), "");
}

#[test]
fn an_edit_inside_a_removed_or_replaced_part_goes_with_it() {
    let body = r#"{"a":1,"p":{"order":["x"]},"z":2}"#;
    let hits = scan_for(body, &["p", "p.order"]).unwrap().hits;
    let new = |text: &'static str| Bytes::from_static(text.as_bytes());
    let inner = Edit::replace(&hits[1], new("[]"));
    assert_eq!(
        joined(body, &[inner.clone(), Edit::remove(&hits[0])]),
        r#"{"a":1,"z":2}"#
    );
    assert_eq!(
        joined(body, &[Edit::replace(&hits[0], new("null")), inner.clone()]),
        r#"{"a":1,"p":null,"z":2}"#
    );
    assert_eq!(joined(body, &[inner]), r#"{"a":1,"p":{"order":[]},"z":2}"#);
}

#[test]
fn insertions_beside_other_edits_stay() {
    let body = r#"{"a":1,"b":2}"#;
    let hits = scan_for(body, &["a", "b"]).unwrap().hits;
    let insert = |at: usize, text: &'static str| Edit {
        range: at..at,
        with: Bytes::from_static(text.as_bytes()),
    };
    let end = hits[1].value.end;
    let edits = [
        insert(1, r#""x":0,"#),
        Edit::replace(&hits[1], Bytes::from_static(b"22")),
        insert(end, r#","y":3"#),
    ];
    assert_eq!(joined(body, &edits), r#"{"x":0,"a":1,"b":22,"y":3}"#);
    let edits = [Edit::remove(&hits[0]), insert(1, r#""x":0,"#)];
    assert_eq!(joined(body, &edits), r#"{"x":0,"b":2}"#);
}

#[test]
fn segments_share_the_body() {
    let body = Bytes::from_static(br#"{"model":"a","messages":[]}"#);
    let hits = scan_for(std::str::from_utf8(&body).unwrap(), &["model"])
        .unwrap()
        .hits;
    let segments = splice(
        &body,
        &[Edit::replace(&hits[0], Bytes::from_static(b"\"b\""))],
    );
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0].as_ptr(), body.as_ptr());
    assert_eq!(segments[2].as_ptr(), body[12..].as_ptr());
}

#[test]
fn ranges_of_another_body_do_no_harm() {
    for (start, end) in [(5, 1_000), (1_000, 2_000), (1_000, 3)] {
        let range = start..end;
        let text = joined(
            "{\"a\":1}",
            &[Edit {
                range,
                with: Bytes::new(),
            }],
        );
        assert!("{\"a\":1}".starts_with(&text));
    }
}
