//! Real shapes of answers, and the law that cutting them elsewhere changes nothing.

use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_MODEL_NAME, MAX_SNIFFED_WHOLE};

fn whole(framing: Framing, answer: &[u8]) -> Reported {
    let mut sniff = ReportedModel::new(framing);
    sniff.push(answer);
    sniff.finish().clone()
}

fn in_pieces(framing: Framing, answer: &[u8], size: usize, limit: usize) -> Reported {
    let mut sniff = ReportedModel::with_limit(framing, limit);
    for piece in answer.chunks(size) {
        sniff.push(piece);
    }
    sniff.finish().clone()
}

fn model(name: &str) -> Reported {
    Reported::Model(name.to_owned())
}

#[test]
fn json_answers() {
    for (answer, want) in [
        (
            r#"{"id":"1","object":"chat.completion","model":"a-1","choices":[]}"#,
            model("a-1"),
        ),
        (r#"  {"model" : "a" }"#, model("a")),
        ("\u{feff}{\"model\":\"a\"}", model("a")),
        ("\n\n\r\n\n{\"model\":\"a\"}", model("a")),
        (
            r#"{"choices":[{"message":{"model":"x","content":"\"model\":\"y\""}}],"model":"z"}"#,
            model("z"),
        ),
        (
            r#"{"a":["model","x"],"b":{"model":"x"},"model":"z"}"#,
            model("z"),
        ),
        (
            r#"{"message":{"model":"x"},"response":{"model":"y"},"model":"z"}"#,
            model("z"),
        ),
        (r#"{"m\u006fdel":"a\/\u0062\ud83d\ude00"}"#, model("a/b😀")),
        (r#"{"model":"first","model":"second"}"#, model("first")),
        (
            r#"{"Model":"x","models":"y","model ":"z"}"#,
            Reported::Absent(Absence::Ended),
        ),
        (r#"{"a":"model","b":1}"#, Reported::Absent(Absence::Ended)),
        (
            r#"{"model":null,"x":"y"}"#,
            Reported::Absent(Absence::Ended),
        ),
        (
            r#"{"model":["a"],"x":"y"}"#,
            Reported::Absent(Absence::Ended),
        ),
        (
            r#"{"model":{"model":"a"}}"#,
            Reported::Absent(Absence::Ended),
        ),
        (r#"{"model":1}"#, Reported::Absent(Absence::Ended)),
        (r#"{"model":""}"#, Reported::Absent(Absence::Ended)),
        (
            r#"{"error":{"message":"no"}}{"model":"late"}"#,
            Reported::Absent(Absence::Ended),
        ),
        (r#"{"mod"#, Reported::Absent(Absence::Ended)),
        (r#"{"model":"a"#, Reported::Absent(Absence::Ended)),
        ("", Reported::Absent(Absence::Ended)),
        ("[]", Reported::Absent(Absence::NotJson)),
        ("<html>", Reported::Absent(Absence::NotJson)),
        (
            "data: {\"model\":\"a\"}\n\n",
            Reported::Absent(Absence::NotJson),
        ),
        (r#"{"model":"\ud800"}"#, Reported::Absent(Absence::NotText)),
    ] {
        assert_eq!(whole(Framing::Json, answer.as_bytes()), want, "{answer}");
    }
    assert_eq!(
        whole(Framing::Json, b"{\"model\":\"\xff\"}"),
        Reported::Absent(Absence::NotText)
    );
}

#[test]
fn streams() {
    for (answer, want) in [
        (
            "data: {\"id\":\"1\",\"model\":\"a\",\"choices\":[]}\n\ndata: [DONE]\n\n",
            model("a"),
        ),
        ("data:{\"model\":\"a\"}\r\n\r\n", model("a")),
        ("data: {\"model\":\"a\"}\r\r", model("a")),
        ("data:  {\"model\":\"a\"}\n\n", model("a")),
        ("\u{feff}data: {\"model\":\"a\"}\n\n", model("a")),
        (
            ": PROCESSING\n\n: PROCESSING\n\ndata: {\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (":\ndata: {\"model\":\"a\"}", model("a")),
        (
            "event: x\nid: 1\nretry: 9\ndata: {\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"choices\":[],\r\ndata: \"model\":\"a\"}\r\n\r\n",
            model("a"),
        ),
        (
            "data: {\"choices\":[],\rdata: \"model\":\"a\"}\r\r",
            model("a"),
        ),
        (
            "data: {\"choices\":[],\ndata: \"model\":\ndata\ndata: \"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"model\":\"\",\"choices\":[]}\n\ndata: {\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"model\":null}\n\ndata: {\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"choices\":[]\n\ndata: {\"model\":\"a\"}\n\n",
            model("a"),
        ),
        ("data: {\"x\":\"\n\ndata: {\"model\":\"a\"}\n\n", model("a")),
        ("data: [DONE]\n\ndata: {\"model\":\"a\"}\n\n", model("a")),
        ("data\n\ndata: {\"model\":\"a\"}\n\n", model("a")),
        (
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"tools\":[{\"model\":\"t\"}],\"model\":\"a\"}}\n\n",
            model("a"),
        ),
        (
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{},\"model\":\"a\"}}\n\n",
            model("a"),
        ),
        (
            "data: {\"response\":{\"x\":1},\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"x\":{\"response\":{\"model\":\"no\"}},\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"message\":{\"message\":{\"model\":\"no\"}},\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "data: {\"message\":\"model\",\"response\":[{\"model\":\"no\"}],\"model\":\"a\"}\n\n",
            model("a"),
        ),
        (
            "Data: {\"model\":\"no\"}\n\n",
            Reported::Absent(Absence::Ended),
        ),
        (
            " data: {\"model\":\"no\"}\n\n",
            Reported::Absent(Absence::Ended),
        ),
        (
            "datas: {\"model\":\"no\"}\n\n",
            Reported::Absent(Absence::Ended),
        ),
        (
            ": data: {\"model\":\"no\"}\n\n",
            Reported::Absent(Absence::Ended),
        ),
        ("{\"model\":\"no\"}\n\n", Reported::Absent(Absence::Ended)),
        (
            "data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n",
            Reported::Absent(Absence::Ended),
        ),
        ("", Reported::Absent(Absence::Ended)),
        (
            "data: {\"model\":\"\\ud800\"}\n\n",
            Reported::Absent(Absence::NotText),
        ),
    ] {
        assert_eq!(
            whole(Framing::EventStream, answer.as_bytes()),
            want,
            "{answer:?}"
        );
    }
}

#[test]
fn the_search_and_the_name_are_bounded() {
    for (framing, before, after, limit) in [
        (Framing::Json, "{\"x\":\"", "\",", MAX_SNIFFED_WHOLE),
        (
            Framing::EventStream,
            "data: {\"x\":\"",
            "\",",
            MAX_SNIFFED_WHOLE,
        ),
        (
            Framing::EventStream,
            "data: {}\n\ndata: {\"x\":\"",
            "\",",
            MAX_SNIFFED + 10,
        ),
    ] {
        let answer =
            |filler: usize| format!("{before}{}{after}\"model\":\"a\"}}", "x".repeat(filler));
        let most = limit - answer(0).len() + 1;
        assert_eq!(whole(framing, answer(most).as_bytes()), model("a"));
        assert_eq!(
            whole(framing, answer(most + 1).as_bytes()),
            Reported::Absent(Absence::Limit)
        );
    }
    for (len, want) in [
        (MAX_MODEL_NAME, None),
        (MAX_MODEL_NAME + 1, Some(Absence::TooLong)),
    ] {
        let name = "x".repeat(len);
        let reported = whole(
            Framing::Json,
            format!("{{\"model\":\"{name}\"}}").as_bytes(),
        );
        assert_eq!(reported, want.map_or(model(&name), Reported::Absent));
    }
    // Comments do not count.
    let keep_alive = ": keep-alive\n\n".repeat(MAX_SNIFFED / 14 + 1);
    let answer = format!("{keep_alive}data: {{\"model\":\"a\"}}\n\n");
    assert_eq!(whole(Framing::EventStream, answer.as_bytes()), model("a"));
}

#[test]
fn the_name_is_known_with_its_last_byte() {
    let mut sniff = ReportedModel::new(Framing::Json);
    assert_eq!(sniff.push(b"{\"model\":\"a"), &Reported::Pending);
    assert_eq!(sniff.push(b"\""), &model("a"));
    assert_eq!(sniff.push(b",\"model\":\"b\"}"), &model("a"));
    assert_eq!(sniff.finish(), &model("a"));
    assert_eq!(sniff.reported(), &model("a"));
}

#[test]
fn content_types() {
    for (content_type, want) in [
        ("text/event-stream", Framing::EventStream),
        ("Text/Event-Stream; charset=utf-8", Framing::EventStream),
        (" text/event-stream ;x", Framing::EventStream),
        ("application/json", Framing::Json),
        ("application/x-ndjson", Framing::Json),
        ("text/event-streams", Framing::Json),
        ("", Framing::Json),
    ] {
        assert_eq!(
            Framing::of_content_type(content_type),
            want,
            "{content_type}"
        );
    }
}

/// Pieces of answers that are likely to meet each other badly.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"data: "[..],
        b"data:",
        b"data",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b": x",
        b"event: y",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"model\":",
        b"\"model\":\"a\"",
        b"\"response\":{",
        b"\"message\":",
        b"\"\"",
        b"\"x\":1",
        b",",
        b"\"",
        b"\\",
        b"\\u006d",
        b"\\ud83d\\ude00",
        b"\"m\\u006fdel\":\"b\"",
        b"\xEF\xBB\xBF",
        b"\xEF",
        "é".as_bytes(),
        b"[DONE]",
        b" ",
        b"null",
        b"{\"model\":\"",
        b"{\"model\":\"c\"}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn id_in_pieces(framing: Framing, answer: &str, size: usize) -> Option<String> {
    let mut sniff = ResponseId::new(framing);
    let mut pieces = answer.as_bytes().chunks(size);
    pieces.find_map(|piece| sniff.push(piece).map(str::to_owned))
}

#[test]
fn the_id_of_a_response_is_found_wherever_the_answer_is_cut() {
    let stream = concat!(
        ": hi\n\nevent: response.queued\ndata: {\"type\":\"response.queued\",\"id\":\"evt_1\",\"item\":{\"id\":\"msg_1\"},",
        "\"response\":{\"output\":[{\"id\":\"msg_2\"}],\"id\":\"resp_1\",\"model\":\"m\"}}\n\n",
        "data: {\"response\":{\"id\":\"resp_2\"}}\n\n",
    );
    let whole =
        r#"{"output":[{"id":"msg_1"}],"response":{"id":"resp_0"},"i\u0064":"resp_1","model":"m"}"#;
    for (framing, answer) in [(Framing::EventStream, stream), (Framing::Json, whole)] {
        for size in 1..=answer.len() {
            let id = id_in_pieces(framing, answer, size);
            assert_eq!(id.as_deref(), Some("resp_1"), "{framing:?} in {size}");
        }
    }
    for (framing, answer) in [
        (
            Framing::EventStream,
            "data: {\"id\":\"chatcmpl_1\"}\n\ndata: [DONE]\n\n",
        ),
        (
            Framing::EventStream,
            "data: {\"message\":{\"id\":\"msg_1\"}}\n\n",
        ),
        (Framing::Json, r#"{"response":{"id":"resp_1"},"id":7}"#),
        (Framing::Json, "[]"),
        (Framing::Json, ""),
    ] {
        assert_eq!(id_in_pieces(framing, answer, 3), None, "{answer}");
    }
}

proptest! {
    #[test]
    fn cutting_an_answer_anywhere_changes_nothing(
        answer in answer(),
        stream: bool,
        limit in prop::sample::select(vec![20_usize, 50, MAX_SNIFFED]),
        cuts in prop::collection::vec(0_usize..200, 0..5),
    ) {
        let framing = if stream { Framing::EventStream } else { Framing::Json };
        let want = in_pieces(framing, &answer, answer.len().max(1), limit);
        for size in [1, 2, 3, 7, 37] {
            prop_assert_eq!(&in_pieces(framing, &answer, size, limit), &want);
        }
        let mut cuts = cuts;
        cuts.extend([0, answer.len()]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(answer.len()));
        cuts.sort_unstable();
        let mut sniff = ReportedModel::with_limit(framing, limit);
        for ends in cuts.windows(2) {
            sniff.push(&answer[ends[0]..ends[1]]);
        }
        prop_assert_eq!(sniff.finish(), &want);
    }

    #[test]
    fn the_name_in_a_valid_answer_is_the_one_that_a_whole_parser_sees(
        name in "[ -~é漢😀\n\"\\\\]{1,20}",
        before in "[a-z\"\\\\{}\\[\\],: ]{0,30}",
        stream: bool,
    ) {
        let json = serde_json::json!({"a": before, "b": {"model": before}, "c": [before, {"model": 1}], "model": name});
        let (framing, answer) = if stream {
            (Framing::EventStream, format!(": hi\n\ndata: {json}\n\n"))
        } else {
            (Framing::Json, serde_json::to_string_pretty(&json).unwrap())
        };
        prop_assert_eq!(whole(framing, answer.as_bytes()), Reported::Model(name));
    }
}

fn renamed(framing: Framing, answer: &[u8], size: usize) -> String {
    let mut rename = ModelRename::new(framing, "m\"1");
    let mut out = Vec::new();
    for piece in answer.chunks(size) {
        rename.push(piece, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    assert_eq!(rename.renamed(), out.as_bytes() != answer, "{out}");
    out
}

#[test]
fn another_name_takes_the_place_of_each_reported_one() {
    let (json, events) = (Framing::Json, Framing::EventStream);
    for (framing, answer, want) in [
        (
            json,
            r#"{"id":1,"model":"a-1","b":[]}"#,
            r#"{"id":1,"model":"m\"1","b":[]}"#,
        ),
        (
            json,
            r#"{"m\u006fdel" : "a\"\\","b":1}"#,
            r#"{"m\u006fdel" : "m\"1","b":1}"#,
        ),
        (
            json,
            r#"{"model":"","model":"b"}"#,
            r#"{"model":"m\"1","model":"m\"1"}"#,
        ),
        (
            json,
            r#"{"model":null,"a":"model","c":{"model":"x"}}"#,
            r#"{"model":null,"a":"model","c":{"model":"x"}}"#,
        ),
        (
            json,
            r#"[{"modelVersion":"a"},{"modelVersion":"b"}]"#,
            r#"[{"modelVersion":"m\"1"},{"modelVersion":"m\"1"}]"#,
        ),
        (
            json,
            "not JSON, \"model\":\"a\"",
            "not JSON, \"model\":\"a\"",
        ),
        (
            events,
            "event: a\r\ndata: {\"response\":{\"model\":\"a\"}}\r\n\r\n: c\n\ndata:{\"model\":\"b\"}\n\ndata: [DONE]\n\n",
            "event: a\r\ndata: {\"response\":{\"model\":\"m\\\"1\"}}\r\n\r\n: c\n\ndata:{\"model\":\"m\\\"1\"}\n\ndata: [DONE]\n\n",
        ),
        (
            events,
            "data: {\"model\":\"a\ndata: b\"}\n\ndata: {\"model\":\"b\"}\n\n",
            "data: {\"model\":\"m\\\"1\"\ndata: b\"}\n\ndata: {\"model\":\"m\\\"1\"}\n\n",
        ),
    ] {
        for size in [1, 2, 7, 1000] {
            assert_eq!(renamed(framing, answer.as_bytes(), size), want, "{size}");
        }
    }
}
