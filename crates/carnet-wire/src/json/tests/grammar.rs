//! RFC 8259 exactly: corner cases after the JSON parsing test suites, each as a value inside an object.

use super::super::{ScanErrorKind, Watch, scan};
use super::scan_for;
use crate::limits::MAX_DEPTH;

const VALUES: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "0e0",
    "0E+1",
    "1e-2",
    "1E22",
    "-123",
    "123.456e78",
    "1e999",
    "-1e-999",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[[]   ]",
    "[1,null,{\"a\":[]}]",
    "[1\n,\t2\r]",
    r#""""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u0061\u30af\uD83d\uDE00""#,
    r#""\u0000""#,
    r#""\uD800""#,
    r#""\uDc00\uD800""#,
    r#""\ud800abc""#,
    "\"\u{7f}\"",
    "\"\u{2028}\u{2029}\u{feff}\u{ffff}\u{10ffff}\"",
    "\"π é 漢字 😀\"",
    r#""a/*b*/c//d#e""#,
    r#"{"":0}"#,
    r#"{"a":1,"a":2}"#,
    r#"{"\u0000":0}"#,
    r#"{"a\u0022b":"'"}"#,
];

const NOT_VALUES: &[&str] = &[
    "",
    "-",
    "--1",
    "+1",
    "-a",
    "- 1",
    "01",
    "-01",
    "00",
    "1.",
    "-2.",
    ".5",
    "-.5",
    "0.e1",
    "1.e1",
    "1e",
    "1e+",
    "1E-",
    "1ee2",
    "1.2.3",
    "1+2",
    "1_000",
    "1 000",
    "0x1F",
    "1f",
    "１",
    "NaN",
    "-NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "True",
    "TRUE",
    "tru",
    "truee",
    "nul",
    "nulll",
    "None",
    "undefined",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1:2]",
    "[1}",
    "[\"a\"",
    "[\"a",
    "{",
    "{1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1,\"b\"",
    "'a'",
    "`a`",
    "“a”",
    "a",
    "\"a",
    "\"\\\"",
    "\"\\",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\\n\"",
    "\"\\u\"",
    "\"\\u00\"",
    "\"\\u00G0\"",
    "\"\\U0041\"",
    "\"\\u 041\"",
    "\"\\u+041\"",
    "\"\\{41}\"",
    "\"\\é\"",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"a\0b\"",
    "\"a\u{1f}b\"",
    "\"sixteen bytes and more \u{1}\"",
    "\"sixteen bytes and more \n and then an end\"",
    "\"a\"\"b\"",
    "\u{a0}1",
    "\u{b}1",
    "\u{c}1",
    "\u{85}1",
    "\u{2003}1",
    "\u{feff}1",
    "\0",
    "/*c*/1",
    "1/*c*/",
    "1//c\n",
    "#c\n1",
    "<null>",
    "@",
    "*",
    "...",
    "(1)",
    "{\"\\ud800\":1}",
    "{\"\\udc00\":1}",
    "{\"\\ud800\\u0041\":1}",
];

/// A value both where nobody watches and where a watched path leads.
fn around(value: &str) -> [String; 4] {
    [
        format!(r#"{{"a":{value}}}"#),
        format!(r#"{{"watched":{value}}}"#),
        format!(r#" {{ "list" : [ {{ "x" : {value} }} , 1 ] }} "#),
        format!("{{\"a\":[1,{value}\n]}}\r\n"),
    ]
}

const WATCHED: &[&str] = &["watched", "list[].x", "list[].y.z"];

#[test]
fn values_of_the_grammar_are_accepted() {
    for body in VALUES.iter().flat_map(|value| around(value)) {
        assert!(
            scan_for(&body, WATCHED).is_ok(),
            "{body}: {:?}",
            scan_for(&body, WATCHED)
        );
    }
}

#[test]
fn everything_else_is_refused() {
    for body in NOT_VALUES.iter().flat_map(|value| around(value)) {
        assert!(scan_for(&body, WATCHED).is_err(), "{body}");
    }
}

#[test]
fn bodies_that_are_not_one_object_are_refused() {
    for (body, kind) in [
        ("[]", ScanErrorKind::NotAnObject),
        (r#"[{"model":"a"}]"#, ScanErrorKind::NotAnObject),
        (r#""model""#, ScanErrorKind::NotAnObject),
        (" 1 ", ScanErrorKind::NotAnObject),
        ("null", ScanErrorKind::NotAnObject),
        ("{}{}", ScanErrorKind::TrailingBytes),
        ("{}]", ScanErrorKind::TrailingBytes),
        ("{},", ScanErrorKind::TrailingBytes),
        ("{}\0", ScanErrorKind::TrailingBytes),
        ("{} x", ScanErrorKind::TrailingBytes),
        ("{}\u{feff}", ScanErrorKind::TrailingBytes),
        ("{}\u{a0}", ScanErrorKind::TrailingBytes),
        ("{}//", ScanErrorKind::TrailingBytes),
        ("\u{feff}{}", ScanErrorKind::Bom),
        ("\u{feff}", ScanErrorKind::Bom),
    ] {
        assert_eq!(scan_for(body, WATCHED).unwrap_err().kind, kind, "{body:?}");
    }
    for body in [
        "",
        " ",
        "\n",
        "{",
        "}",
        "{\"",
        "\u{1e}{}\n",
        "data: {}",
        "\0",
    ] {
        assert!(scan_for(body, WATCHED).is_err(), "{body:?}");
    }
    for body in ["{}", " {} ", "\t\r\n{\n}\n", r#"{"a":1}"#] {
        assert!(scan_for(body, WATCHED).is_ok(), "{body:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    let watch = Watch::new(WATCHED).unwrap();
    for bad in [
        &b"\xff"[..],
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xe9",
    ] {
        for body in [
            [b"{\"a\":\"", bad, b"\"}"].concat(),
            [b"{\"", bad, b"\":1}"].concat(),
        ] {
            assert_eq!(
                scan(&body, &watch, MAX_DEPTH).unwrap_err().kind,
                ScanErrorKind::BadUtf8,
                "{body:?}"
            );
        }
    }
    let error = scan(b"{\"a\":\"xy\xff\"}", &watch, MAX_DEPTH).unwrap_err();
    assert_eq!(error.to_string(), "invalid UTF-8 at byte 8");
    for body in [
        "{}".encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
        b"\xff\xfe{\0}\0".to_vec(),
    ] {
        assert!(scan(&body, &watch, MAX_DEPTH).is_err(), "{body:?}");
    }
}

#[test]
fn depth_is_limited_on_and_off_watched_paths() {
    let deep = |open: &str, close: &str, levels: usize| {
        format!(
            r#"{{"a":{}1{}}}"#,
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let per_level = open.matches(['[', '{']).count();
        let most = (MAX_DEPTH - 1) / per_level;
        for paths in [&[][..], &["a"], &["a[][][]", "a.a.a", "a[].a[].a"]] {
            assert!(
                scan_for(&deep(open, close, most), paths).is_ok(),
                "{open} {paths:?}"
            );
            let error = scan_for(&deep(open, close, most + 1), paths).unwrap_err();
            assert_eq!(
                error.kind,
                ScanErrorKind::TooDeep { max: MAX_DEPTH },
                "{open} {paths:?}"
            );
        }
    }
    // Far too deep for any stack, never closed, and the depth of siblings does not add up.
    assert!(scan_for(&format!(r#"{{"a":{}"#, "[".repeat(1_000_000)), &["a"]).is_err());
    let wide = format!(r#"{{"a":[{}1]}}"#, "[[]],{},{\"b\":{}},".repeat(1_000));
    assert!(
        scan_for(&wide, &["a[][]"]).is_err(),
        "an object where a list is watched"
    );
    assert!(scan_for(&wide, &["b"]).is_ok());
    assert!(scan(b"{}", &Watch::new(["a"]).unwrap(), 0).is_err());
    assert!(scan(b"{\"a\":[]}", &Watch::new(["a"]).unwrap(), 1).is_err());
}

#[test]
fn messages_say_what_where_and_how_to_mend_it() {
    for (body, message, help) in [
        (
            r#"{"a":NaN}"#,
            "expected a value, found `N` at byte 5",
            Some("NaN"),
        ),
        (
            r#"{"a":01}"#,
            "invalid number at byte 5",
            Some("leading zeros"),
        ),
        (
            r#"{"a":1,}"#,
            "expected a key in double quotes, found `}` at byte 7",
            Some("trailing commas"),
        ),
        (
            r#"{'a':1}"#,
            "expected a key in double quotes, found `'` at byte 1",
            Some("double quotes"),
        ),
        (
            r#"{"a":1 /*x*/}"#,
            "expected `,` or a closing bracket, found `/` at byte 7",
            Some("comments"),
        ),
        (
            "{\"a\":\"x\ny\"}",
            "unescaped control character in a string at byte 7",
            Some("\\n"),
        ),
        (
            r#"{"a""#,
            "expected `:`, found the end of the body at byte 4",
            None,
        ),
        (r#"{"a": "x"#, "string without an end at byte 6", None),
        (
            r#"{"a": "\x"}"#,
            "invalid escape in a string at byte 7",
            None,
        ),
        (
            "{\"a\": \u{202e}1}",
            "expected a value, found `\\u{202e}` at byte 6",
            None,
        ),
        ("[]", "body is not a JSON object at byte 0", Some("`{`")),
        (
            "{}{}",
            "bytes after the end of the JSON object at byte 2",
            Some("one JSON object"),
        ),
        ("\u{feff}{}", "byte order mark at byte 0", Some("without")),
    ] {
        let error = scan_for(body, &[]).unwrap_err();
        assert_eq!(error.to_string(), message, "{body}");
        assert_eq!(
            error.help().is_some(),
            help.is_some(),
            "{body}: {:?}",
            error.help()
        );
        assert!(
            error
                .help()
                .unwrap_or_default()
                .contains(help.unwrap_or_default()),
            "{body}: {:?}",
            error.help()
        );
    }
}
