//! Watched keys: found by any spelling of their escapes, refused twice or in another letter case.

use super::super::{Kind, ScanErrorKind, ValueError, Watch, bool_value, scan, string_value};
use super::scan_for;
use crate::limits::{MAX_DEPTH, MAX_HITS, MAX_UNKNOWN_KEYS};

const PATHS: &[&str] = &[
    "model",
    "stream",
    "tools[].type",
    "tools[].server_url",
    "provider.order",
    "background",
];

/// Each hit as `path=text of the value`.
fn found(body: &str, paths: &[&str]) -> Vec<String> {
    let scan = scan_for(body, paths).unwrap_or_else(|error| panic!("{body}: {error}"));
    scan.hits
        .iter()
        .map(|hit| format!("{}={}", paths[hit.path], &body[hit.value.clone()]))
        .collect()
}

#[test]
fn values_are_found_with_their_spans() {
    for (body, want) in [
        (r#"{"model":"a"}"#, vec![r#"model="a""#]),
        (
            r#" { "stream" : true , "model" : null } "#,
            vec!["stream=true", "model=null"],
        ),
        (r#"{"mod\u0065l":"a"}"#, vec![r#"model="a""#]),
        (
            r#"{"\u006d\u006f\u0064\u0065\u006C":"a\u0062"}"#,
            vec![r#"model="a\u0062""#],
        ),
        (r#"{"model":-1.5e3,"x":1}"#, vec!["model=-1.5e3"]),
        (
            r#"{"model":{"model":"a","Model":"b"}}"#,
            vec![r#"model={"model":"a","Model":"b"}"#],
        ),
        (
            r#"{"tools":[{"type":"f"},{"type":"m","server_url":"u"},[],7]}"#,
            vec![],
        ),
        (
            r#"{"tools":[{"type":"f"},{"type":"m","server_url":"u"},7]}"#,
            vec![
                r#"tools[].type="f""#,
                r#"tools[].type="m""#,
                r#"tools[].server_url="u""#,
            ],
        ),
        (r#"{"tools":[]}"#, vec![]),
        (r#"{"tools":null,"provider":"x"}"#, vec![]),
        (
            r#"{"provider":{"order":["a","b"],"only":[]}}"#,
            vec![r#"provider.order=["a","b"]"#],
        ),
        (
            r#"{"messages":[{"model":"a","model":"b","MODEL":"c"}]}"#,
            vec![],
        ),
        (
            r#"{"a":"\"model\":\"x\"","model":"y"}"#,
            vec![r#"model="y""#],
        ),
        (
            r#"{"tools[].type":1,"tools[0].server_url":"u","provider.order":2}"#,
            vec![],
        ),
        (r#"{}"#, vec![]),
    ] {
        match want.as_slice() {
            [] if body.contains("[],7") => assert!(scan_for(body, PATHS).is_err(), "{body}"),
            _ => assert_eq!(found(body, PATHS), want, "{body}"),
        }
    }
}

#[test]
fn containers_come_before_what_is_in_them() {
    let paths = &["tools[]", "tools", "tools[].type", "tools", "a.b.c", "a"];
    assert_eq!(
        found(r#"{"tools":[{"type":1},2],"a":{"b":{"c":3}}}"#, paths),
        [
            r#"tools=[{"type":1},2]"#,
            r#"tools=[{"type":1},2]"#,
            r#"tools[]={"type":1}"#,
            "tools[].type=1",
            "tools[]=2",
            r#"a={"b":{"c":3}}"#,
            "a.b.c=3",
        ]
    );
}

#[test]
fn a_watched_key_may_stand_once_in_each_object() {
    for (body, key) in [
        (r#"{"model":1,"model":1}"#, "model"),
        (r#"{"model":1,"x":2,"mod\u0065l":3}"#, "model"),
        (r#"{"\u006dodel":1,"m\u006fdel":2}"#, "model"),
        (r#"{"tools":[{"type":1}],"tools":[]}"#, "tools"),
        (r#"{"tools":null,"tools":null}"#, "tools"),
        (r#"{"tools":[{"type":1,"a":0,"type":2}]}"#, "type"),
        (
            r#"{"tools":[{},{"server_url":1,"server\u005furl":2}]}"#,
            "server_url",
        ),
        (r#"{"provider":{"order":1,"order":1}}"#, "order"),
        (r#"{"provider":{},"provider":{}}"#, "provider"),
    ] {
        let kind = scan_for(body, PATHS).unwrap_err().kind;
        assert_eq!(
            kind,
            ScanErrorKind::Duplicate {
                key: key.to_owned()
            },
            "{body}"
        );
    }
    for body in [
        r#"{"tools":[{"type":1},{"type":2}]}"#,
        r#"{"type":1,"type":2,"order":3,"order":4,"server_url":5,"server_url":6}"#,
        r#"{"x":1,"x":2,"model":3}"#,
        r#"{"provider":{"model":1,"model":2}}"#,
        r#"{"model":{"a":1,"a":2}}"#,
    ] {
        assert!(scan_for(body, PATHS).is_ok(), "{body}");
    }
}

#[test]
fn spellings_that_a_lenient_parser_takes_for_a_watched_key_are_refused() {
    for (key, expected) in [
        ("Model", "model"),
        ("MODEL", "model"),
        ("mODEL", "model"),
        (r"\u004dodel", "model"),
        ("\u{17f}tream", "stream"),
        (r"\u017ftream", "stream"),
        ("ST\u{17f}EAM", ""),
        ("tool\u{17f}", "tools"),
        ("TOOL\u{17f}", "tools"),
        ("bac\u{212a}ground", "background"),
        (r"bac\u212aground", "background"),
        ("BAC\u{212a}GROUND", "background"),
        ("prov\u{131}der", "provider"),
        ("PROV\u{130}DER", "provider"),
        (r"model\u0000", "model"),
        (r"Model\u0000and more", "model"),
    ] {
        for body in [
            format!(r#"{{"{key}":1}}"#),
            format!(r#"{{"x":[],"{key}":{{}},"model":"a"}}"#),
        ] {
            match scan_for(&body, PATHS) {
                Ok(_) => assert!(expected.is_empty(), "{body}"),
                Err(error) => {
                    let ScanErrorKind::CaseVariant {
                        expected: watched, ..
                    } = &error.kind
                    else {
                        panic!("{body}: {error}")
                    };
                    assert_eq!(watched, expected, "{body}");
                }
            }
        }
    }
    for body in [
        r#"{"Tools":[]}"#,
        r#"{"tools":[{"Type":1}]}"#,
        r#"{"tools":[{},{"SERVER_URL":"u"}]}"#,
        r#"{"provider":{"Order":1}}"#,
        r#"{"Provider":{}}"#,
    ] {
        assert!(
            matches!(
                scan_for(body, PATHS).unwrap_err().kind,
                ScanErrorKind::CaseVariant { .. }
            ),
            "{body}"
        );
    }
    let error = scan_for(r#"{"x":1, "M\u004fdel":2}"#, PATHS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "key `MOdel` could be read as `model` at byte 8"
    );
}

#[test]
fn other_keys_pass_however_alike_they_look() {
    for key in [
        "model ",
        " model",
        "mo del",
        "model\u{200b}",
        "\u{feff}model",
        "mod\u{ad}el",
        "m\u{43e}del",
        "\u{ff4d}odel",
        "models",
        "mode",
        "m",
        "",
        "model_",
        "mödel",
        "mode\u{301}l",
        r"\u0000model",
        r"mod\u0000el",
        r"model\n",
        r"model\\",
        "tool",
        "serverUrl",
        "\u{1d426}odel",
    ] {
        let body = format!(r#"{{"{key}":"x","model":"a"}}"#);
        assert_eq!(found(&body, PATHS), [r#"model="a""#], "{key}");
    }
}

#[test]
fn an_object_in_place_of_a_list_is_refused_and_the_reverse() {
    for (body, message) in [
        (
            r#"{"tools":{"type":"x"}}"#,
            "`tools` must be an array, but is an object at byte 9",
        ),
        (
            r#"{"tools":{}}"#,
            "`tools` must be an array, but is an object at byte 9",
        ),
        (
            r#"{"provider":[{"order":1}]}"#,
            "`provider` must be an object, but is an array at byte 12",
        ),
        (
            r#"{"tools":[[{"type":"x"}]]}"#,
            "`tools[]` must be an object, but is an array at byte 10",
        ),
    ] {
        assert_eq!(
            scan_for(body, PATHS).unwrap_err().to_string(),
            message,
            "{body}"
        );
    }
    let both = &["content[].type", "content.type"];
    assert_eq!(found(r#"{"content":{"type":1}}"#, both), ["content.type=1"]);
    assert_eq!(
        found(r#"{"content":[{"type":1}]}"#, both),
        ["content[].type=1"]
    );
    assert!(found(r#"{"content":"text"}"#, both).is_empty());
}

#[test]
fn strings_and_booleans_are_read_and_other_kinds_named() {
    let read = |body: &str| {
        let scan = scan_for(body, &["model"]).unwrap();
        string_value(body.as_bytes(), scan.first(0).unwrap()).map(|text| text.into_owned())
    };
    for (body, want) in [
        (r#"{"model":"a"}"#, Ok("a")),
        (r#"{"model":""}"#, Ok("")),
        (
            r#"{"model":"a\/b\u00e9\ud83d\ude00\n\"\\"}"#,
            Ok("a/bé😀\n\"\\"),
        ),
        (r#"{"model":"\u0061 漢"}"#, Ok("a 漢")),
        (
            r#"{"model":"\ud83d"}"#,
            Err("must be Unicode text, but has a lone surrogate"),
        ),
        (r#"{"model":null}"#, Err("must be a string, but is null")),
        (r#"{"model":7}"#, Err("must be a string, but is a number")),
        (
            r#"{"model":true}"#,
            Err("must be a string, but is a boolean"),
        ),
        (
            r#"{"model":["a"]}"#,
            Err("must be a string, but is an array"),
        ),
        (
            r#"{"model":{"id":"a"}}"#,
            Err("must be a string, but is an object"),
        ),
    ] {
        let got = read(body).map_err(|error| error.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{body}");
    }
    let body = br#"{"stream":false,"model":true}"#;
    let scan = scan(
        body,
        &Watch::new(["stream", "model", "x"]).unwrap(),
        MAX_DEPTH,
    )
    .unwrap();
    assert_eq!(bool_value(body, scan.first(0).unwrap()), Ok(false));
    assert_eq!(bool_value(body, scan.first(1).unwrap()), Ok(true));
    assert_eq!(scan.first(2), None);
    assert_eq!(
        bool_value(b"", scan.first(1).unwrap()),
        Err(ValueError::OutsideBody)
    );
    assert_eq!(scan.first(1).map(|hit| hit.kind), Some(Kind::Bool));
}

#[test]
fn unknown_top_level_keys_are_reported() {
    let watch = Watch::new(["model"])
        .unwrap()
        .with_known(["model", "messages", "temperature"]);
    let unknown = |body: &str| {
        let scan = scan(body.as_bytes(), &watch, MAX_DEPTH).unwrap();
        scan.unknown(body.as_bytes())
            .map(|key| key.into_owned())
            .collect::<Vec<_>>()
    };
    assert!(unknown(r#"{"model":"a","messages":[{"zap":1}],"temper\u0061ture":1}"#).is_empty());
    assert_eq!(
        unknown(r#"{"zip":1,"Temperature":2,"model":"a","rout\u0065":{"x":1}}"#),
        ["zip", "Temperature", "route"]
    );
    assert_eq!(unknown(r#"{"model ":1,"":2}"#), ["model ", ""]);
    let many = format!("{{{}\"model\":1}}", "\"x\":1,".repeat(1_000));
    assert_eq!(unknown(&many).len(), MAX_UNKNOWN_KEYS);
    let unasked = scan_for(r#"{"zip":1}"#, &["model"]).unwrap();
    assert!(unasked.unknown_keys.is_empty());
}

#[test]
fn the_number_of_hits_is_limited() {
    let body = |count: usize| {
        format!(
            r#"{{"tools":[{}{{"type":1}}]}}"#,
            "{\"type\":1},".repeat(count - 1)
        )
    };
    assert_eq!(
        scan_for(&body(MAX_HITS), PATHS).unwrap().hits.len(),
        MAX_HITS
    );
    let error = scan_for(&body(MAX_HITS + 1), PATHS).unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::TooManyHits { max: MAX_HITS });
}

#[test]
fn many_watched_keys_in_one_object_are_told_apart() {
    let paths: Vec<String> = (0..128).map(|n| format!("key{n}")).collect();
    let watch = Watch::new(&paths).unwrap();
    let members: Vec<String> = paths.iter().map(|path| format!("\"{path}\":1")).collect();
    let body = format!("{{{}}}", members.join(","));
    assert_eq!(
        scan(body.as_bytes(), &watch, MAX_DEPTH).unwrap().hits.len(),
        128
    );
    let again = format!("{{{},\"key127\":2}}", members.join(","));
    assert!(scan(again.as_bytes(), &watch, MAX_DEPTH).is_err());
}

#[test]
fn an_object_stands_for_a_list_of_it_only_where_the_watch_says_so() {
    let paths = [
        "list",
        "list[]",
        "list[].type",
        "list[].deep[].x",
        "rows[][].x",
    ];
    let strict = Watch::new(paths).unwrap();
    let watch = Watch::new(paths).unwrap().with_lone_objects();
    for (body, want) in [
        (
            r#"{"list":{"type":1},"b":2}"#,
            vec![
                ("list", r#"{"type":1}"#, r#""list":{"type":1},"#),
                ("list[]", r#"{"type":1}"#, r#""list":{"type":1},"#),
                ("list[].type", "1", r#""type":1"#),
            ],
        ),
        (
            r#"{"list":[{"deep":{"x":1}}]}"#,
            vec![
                (
                    "list",
                    r#"[{"deep":{"x":1}}]"#,
                    r#""list":[{"deep":{"x":1}}]"#,
                ),
                ("list[]", r#"{"deep":{"x":1}}"#, r#"{"deep":{"x":1}}"#),
                ("list[].deep[].x", "1", r#""x":1"#),
            ],
        ),
        (r#"{"rows":{"x":1}}"#, vec![("rows[][].x", "1", r#""x":1"#)]),
        (
            r#"{"rows":[{"x":1}]}"#,
            vec![("rows[][].x", "1", r#""x":1"#)],
        ),
    ] {
        let scan = scan(body.as_bytes(), &watch, MAX_DEPTH).unwrap();
        let found: Vec<_> = scan
            .hits
            .iter()
            .map(|hit| {
                (
                    paths[hit.path],
                    &body[hit.value.clone()],
                    &body[hit.member.clone()],
                )
            })
            .collect();
        assert_eq!(found, want, "{body}");
        let error = super::super::scan(body.as_bytes(), &strict, MAX_DEPTH).unwrap_err();
        assert!(
            matches!(error.kind, ScanErrorKind::Shape { .. }),
            "{body}: {error}"
        );
    }
    // What holds in an element holds in the one object, and a list for an object is none of this.
    for body in [
        r#"{"list":{"type":1,"Type":2}}"#,
        r#"{"list":{"type":1,"type":2}}"#,
        r#"{"list":[[{"type":1}]]}"#,
    ] {
        assert!(scan(body.as_bytes(), &watch, MAX_DEPTH).is_err(), "{body}");
    }
}
