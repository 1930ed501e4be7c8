//! What went wrong in other gateways, by its number on the page `docs/src/reference/pitfalls.md`, each shown not to
//! happen here. Those that need a running gateway stand in `crates/carnet/tests/serve`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use carnet_wire::dialect::{Dialect, Options, ReasoningName, TokenLimitName, TranslateError};
use carnet_wire::form::{FailureKind, IdRule};
use carnet_wire::stream::aws::{AwsDecoder, Header, HeaderValue, write_message};
use carnet_wire::stream::sse::{Block, SseParser};
use carnet_wire::translate::{State, Stream, answer, ask};
use serde_json::{Value, json};

use super::reading::{
    Said, client, data, options, push, read_stream, read_whole, streamed, translated, whole,
};
use super::scenarios::{body, stream};

use Dialect::{Chat, Converse, GenerateContent, Messages, Responses};

/// The dialects of callers in whose words the expectations here stand.
const DIALECTS: [Dialect; 3] = [Chat, Messages, Responses];

/// Reads bytes as they come from the network, and translates them.
fn through(from: Dialect, to: Dialect, bytes: &[u8], size: usize) -> Said {
    let mut parser = SseParser::new();
    let mut stream = Stream::new(from, client(to), &options());
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        while let Some(block) = parser.next(&mut rest).unwrap() {
            if let Block::Event(event) = block {
                stream.push(
                    std::str::from_utf8(event.name).unwrap(),
                    event.data,
                    &mut out,
                );
            }
        }
    }
    stream.finish(&mut out);
    read_stream(to, &out)
}

fn framed(events: &[String]) -> String {
    events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect()
}

/// A request in the dialect of a service, and what was lost.
fn asked(from: Dialect, to: Dialect, body: &Value, options: &Options) -> (Value, Vec<String>) {
    let asked = ask(client(from), to, body.to_string().as_bytes(), options).unwrap();
    let losses = asked.losses.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&asked.body).unwrap(), losses)
}

fn question(more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "q"}]});
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    body
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

fn called(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
}

fn chunk(delta: Value, finish: Value) -> String {
    json!({"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        .to_string()
}

/// Chunks of chat completions with their end.
fn chunks(middle: &[String]) -> Vec<String> {
    let first = chunk(json!({"role": "assistant", "content": "a"}), json!(null));
    let mut all = vec![first];
    all.extend_from_slice(middle);
    all.push("[DONE]".to_owned());
    all
}

fn end() -> String {
    chunk(json!({}), json!("stop"))
}

/// The events that a client gets, as JSON.
fn events(from: Dialect, to: Dialect, stream: &[String]) -> Vec<Value> {
    let out = String::from_utf8(translated(from, to, stream, true)).unwrap();
    data(&out)
        .iter()
        .filter(|event| *event != "[DONE]")
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

#[test]
fn pitfall_01_characters_are_cut_by_chunks() {
    let text = "漢字かな 👩‍🚀 ñ";
    for from in [Chat, GenerateContent, Messages, Responses] {
        let bytes = framed(&stream(from, text, "思考🤔", &[]));
        for to in DIALECTS {
            for size in [1, 2, 3, 5, 4096] {
                let said = through(from, to, bytes.as_bytes(), size);
                assert_eq!((&*said.text, &*said.reasoning), (text, "思考🤔"));
            }
        }
    }
}

#[test]
fn pitfall_02_lines_end_in_all_ways_and_fields_need_no_space() {
    let plain = framed(&stream(Chat, "text", "", &[("f", json!({"a": 1}))]));
    let want = through(Chat, Messages, plain.as_bytes(), 4096);
    for (line_end, space) in [
        ("\n", ""),
        ("\r\n", " "),
        ("\r\n", ""),
        ("\r", " "),
        ("\r", ""),
    ] {
        let other = plain.replace("data: ", &format!("data:{space}"));
        let other = other.replace('\n', line_end);
        for size in [1, 2, 3, 7, 4096] {
            let said = through(Chat, Messages, other.as_bytes(), size);
            assert_eq!(said, want, "{line_end:?}{space:?} by {size}");
        }
    }
}

#[test]
fn pitfall_08_a_stream_ends_without_a_reason() {
    for to in DIALECTS {
        let said = streamed(Chat, to, &chunks(&[]), true);
        assert!(said.ended && said.errors.is_empty());
        assert_eq!((said.text.as_str(), said.finish.len()), ("a", 1));
    }
    // But one that breaks off before its end is none that has ended.
    for to in DIALECTS {
        let said = streamed(Chat, to, &chunks(&[])[..1], true);
        assert!(!said.ended && said.errors.len() == 1);
    }
}

#[test]
fn pitfall_10_an_error_stands_in_a_field_that_clients_read() {
    for to in DIALECTS {
        let mut broken = chunks(&[]);
        broken[1] = json!({"error": {"message": "no", "type": "server_error"}}).to_string();
        let out = String::from_utf8(translated(Chat, to, &broken, true)).unwrap();
        assert!(out.lines().all(|line| {
            line.is_empty() || line.starts_with("data: ") || line.starts_with("event: ")
        }));
        assert_eq!(read_stream(to, out.as_bytes()).errors, ["no"]);
        // A service that says it in a field of its own has not ended its answer.
        let odd = framed(&chunks(&[])[..1]) + "error: {\"message\":\"no\"}\n\n";
        let said = through(Chat, to, odd.as_bytes(), 4096);
        assert!(!said.ended && said.finish.is_empty() && said.errors.len() == 1);
    }
}

#[test]
fn pitfall_12_a_torn_stream_of_responses_has_its_terminal_event() {
    for from in Dialect::ALL {
        for cut in [0, 1, 3] {
            let begun = &stream(from, "text", "thought", &[])[..cut];
            let last = events(from, Responses, begun).pop().unwrap();
            assert_eq!(last["type"], "response.failed", "{from} at {cut}");
            assert_eq!(last["response"]["status"], "failed");
            assert!(last["response"]["error"]["message"].is_string());
        }
    }
}

#[test]
fn pitfall_13_an_error_of_responses_is_a_failed_response() {
    let mut broken = chunks(&[]);
    broken[1] = json!({"error": {"message": "no"}}).to_string();
    let out = String::from_utf8(translated(Chat, Responses, &broken, true)).unwrap();
    assert!(
        out.contains("event: response.failed\n") && !out.contains("event: error\n"),
        "{out}"
    );
    let last = events(Chat, Responses, &broken).pop().unwrap();
    assert_eq!(last["response"]["error"]["message"], "no");
}

#[test]
fn pitfall_14_an_error_within_a_stream_is_no_empty_token() {
    for error in [
        json!({"error": {"message": "no", "code": 500}}),
        json!({"error": {"message": "no"}, "choices": []}),
        json!({"error": {"message": "no"}, "choices": [{"index": 0, "delta": {"content": ""}}]}),
    ] {
        let mut broken = chunks(&[]);
        broken[1] = error.to_string();
        for to in DIALECTS {
            let said = streamed(Chat, to, &broken, true);
            assert_eq!(said.errors, ["no"], "{error}");
            assert!(!said.ended && said.finish.is_empty());
        }
    }
}

/// A message of an AWS event stream that tells of an exception.
fn exception(kind: &str) -> Vec<u8> {
    let header = |name, value| Header {
        name,
        value: HeaderValue::String(value),
    };
    let headers = [
        header(":message-type", "exception"),
        header(":exception-type", kind),
        header(":content-type", "application/json"),
    ];
    let mut out = Vec::new();
    write_message(&mut out, &headers, br#"{"message":"slow down"}"#).unwrap();
    out
}

fn excepted(kind: &str, to: Dialect) -> (Said, State) {
    let mut decoder = AwsDecoder::new();
    let mut stream = Stream::new(Converse, client(to), &options());
    let mut out = Vec::new();
    push(
        &mut stream,
        "messageStart\t{\"role\":\"assistant\"}",
        &mut out,
    );
    let frame = exception(kind);
    let mut rest = &frame[..];
    while let Some(message) = decoder.next(&mut rest).unwrap() {
        stream.push(message.exception_type().unwrap(), message.payload, &mut out);
    }
    stream.finish(&mut out);
    (read_stream(to, &out), stream.state())
}

#[test]
fn pitfall_16_exceptions_of_an_event_stream_are_told() {
    for kind in [
        "internalServerException",
        "modelStreamErrorException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
        "oneOfTomorrowException",
    ] {
        for to in DIALECTS {
            let (said, state) = excepted(kind, to);
            assert_eq!(said.errors, ["slow down"], "{kind}");
            assert!(!said.ended && matches!(state, State::Failed(_)));
        }
    }
}

#[test]
fn pitfall_17_being_throttled_in_mid_stream_can_be_tried_again() {
    for to in DIALECTS {
        let (_, state) = excepted("throttlingException", to);
        assert_eq!(state, State::Failed(FailureKind::RateLimit));
    }
    assert_eq!(FailureKind::RateLimit.status(), 429);
    // The code is that of the client's dialect where clients act on it.
    let mut stream = Stream::new(Converse, client(Responses), &options());
    let mut out = Vec::new();
    stream.push("throttlingException", b"{}", &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""code":"rate_limit_exceeded""#), "{out}");
    let (_, state) = excepted("serviceUnavailableException", Chat);
    assert_eq!(state, State::Failed(FailureKind::Overloaded));
}

#[test]
fn pitfall_18_usage_is_sent_to_who_asks_for_it_alone() {
    for from in Dialect::ALL {
        for wanted in [false, true] {
            let mut options = options();
            options.caller.include_usage = wanted;
            let mut stream_of = Stream::new(from, client(Chat), &options);
            let mut out = Vec::new();
            for event in stream(from, "text", "", &[]) {
                push(&mut stream_of, &event, &mut out);
            }
            stream_of.finish(&mut out);
            let out = String::from_utf8(out).unwrap();
            let empty = out.matches("\"choices\":[]").count();
            assert_eq!(empty, usize::from(wanted), "{from}: {out}");
            assert_eq!(out.contains("prompt_tokens"), wanted, "{from}: {out}");
        }
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
        "prompt_tokens_details": {"cached_tokens": 60}})
}

fn is_used(said: &Said) {
    assert_eq!([said.prompt, said.cached, said.output], [100, 60, 9]);
    assert!(said.ended && said.finish.len() == 1, "{said:?}");
}

#[test]
fn pitfall_19_usage_beside_an_empty_delta_counts() {
    let last = json!({"id": "i", "choices": [{"index": 0, "delta": {}}], "usage": usage()});
    for to in DIALECTS {
        is_used(&streamed(
            Chat,
            to,
            &chunks(&[end(), last.to_string()]),
            true,
        ));
    }
}

#[test]
fn pitfall_20_a_chunk_without_choices_is_one() {
    for odd in [
        json!({"id": "i"}),
        json!({"choices": null}),
        json!({"ping": true}),
    ] {
        for to in DIALECTS {
            let said = streamed(Chat, to, &chunks(&[odd.to_string(), end()]), true);
            assert_eq!(said.text, "a", "{odd}");
            assert!(said.ended && said.errors.is_empty(), "{odd}");
        }
    }
}

#[test]
fn pitfall_21_usage_beside_the_choices_is_told_once() {
    let last = json!({"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": usage()}});
    let stream = chunks(&[last.to_string()]);
    for to in DIALECTS {
        is_used(&streamed(Chat, to, &stream, true));
    }
    let told = events(Chat, Chat, &stream);
    let told = told.iter().filter(|event| event["usage"].is_object());
    assert_eq!(told.count(), 1);
}

#[test]
fn pitfall_22_a_chunk_of_usage_alone_has_choices() {
    let bare = json!({"id": "i", "usage": usage()});
    let stream = chunks(&[end(), bare.to_string()]);
    for to in DIALECTS {
        is_used(&streamed(Chat, to, &stream, true));
    }
    let told = events(Chat, Chat, &stream).pop().unwrap();
    assert_eq!(
        (&told["choices"], &told["usage"]["total_tokens"]),
        (&json!([]), &json!(109))
    );
}

#[test]
fn pitfall_23_the_last_delta_of_a_message_tells_the_prompts_tokens() {
    for from in [Chat, Converse, GenerateContent, Responses] {
        let all = events(from, Messages, &stream(from, "text", "", &[]));
        let delta = all
            .iter()
            .find(|event| event["type"] == "message_delta")
            .unwrap();
        let usage = &delta["usage"];
        assert_eq!(
            [
                &usage["input_tokens"],
                &usage["cache_read_input_tokens"],
                &usage["output_tokens"]
            ],
            [&json!(40), &json!(60), &json!(9)],
            "{from}"
        );
    }
}

#[test]
fn pitfall_24_cached_tokens_count_once() {
    for from in Dialect::ALL {
        let body = body(from, "text", "", &[]);
        for to in DIALECTS {
            let answer = answer(from, client(to), &body, &options()).unwrap();
            assert_eq!(answer.usage.unwrap().total(), 109, "{from} to {to}");
            let said: Value = serde_json::from_slice(&answer.body).unwrap();
            let usage = &said["usage"];
            let (prompt, cached) = match to {
                Chat => (
                    &usage["prompt_tokens"],
                    &usage["prompt_tokens_details"]["cached_tokens"],
                ),
                Responses => (
                    &usage["input_tokens"],
                    &usage["input_tokens_details"]["cached_tokens"],
                ),
                _ => (&usage["input_tokens"], &usage["cache_read_input_tokens"]),
            };
            let want = if to == Messages { 40 } else { 100 };
            assert_eq!(
                (prompt, cached),
                (&json!(want), &json!(60)),
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn more_cached_tokens_than_tokens_are_no_more_than_all() {
    let usages = [
        (
            Chat,
            json!({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}),
        ),
        (
            GenerateContent,
            json!({"promptTokenCount": 5, "candidatesTokenCount": 1, "cachedContentTokenCount": 9}),
        ),
        (
            Responses,
            json!({"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 9}}),
        ),
    ];
    for (from, usage) in usages {
        let mut answered: Value = serde_json::from_slice(&body(from, "t", "", &[])).unwrap();
        let key = if from == GenerateContent {
            "usageMetadata"
        } else {
            "usage"
        };
        answered[key] = usage;
        for to in DIALECTS {
            let answer = answer(
                from,
                client(to),
                answered.to_string().as_bytes(),
                &options(),
            );
            assert_eq!(answer.unwrap().usage.unwrap().total(), 6, "{from} to {to}");
        }
    }
}

#[test]
fn pitfall_25_reads_of_a_cache_cross_from_responses_to_messages() {
    is_used(&whole(
        Responses,
        Messages,
        &body(Responses, "text", "", &[]),
    ));
    is_used(&streamed(
        Responses,
        Messages,
        &stream(Responses, "text", "", &[]),
        true,
    ));
}

#[test]
fn pitfall_26_writes_to_a_cache_cross_over() {
    let message = json!({"type": "message", "content": [], "stop_reason": "end_turn",
        "usage": {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 9}});
    let conversed = json!({"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 30, "cacheReadInputTokens": 60, "cacheWriteInputTokens": 10, "outputTokens": 9, "totalTokens": 109}});
    let mut detailed = usage();
    detailed["prompt_tokens_details"]["cache_write_tokens"] = json!(10);
    let chatted = json!({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "usage": detailed});
    for (from, answered) in [(Messages, message), (Converse, conversed), (Chat, chatted)] {
        for to in DIALECTS {
            let answer = answer(
                from,
                client(to),
                answered.to_string().as_bytes(),
                &options(),
            );
            let said: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
            let usage = &said["usage"];
            let written = match to {
                Chat => &usage["prompt_tokens_details"]["cache_write_tokens"],
                Responses => &usage["input_tokens_details"]["cache_write_tokens"],
                _ => &usage["cache_creation_input_tokens"],
            };
            assert_eq!(written, 10, "{from} to {to}: {said}");
            assert_eq!(read_whole(to, said.to_string().as_bytes()).prompt, 100);
        }
    }
}

#[test]
fn pitfall_27_a_first_chunk_without_choices_begins_a_stream() {
    let filter = json!({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]});
    let mut filtered = chunks(&[end()]);
    filtered.insert(0, filter.to_string());
    for to in DIALECTS {
        let said = streamed(Chat, to, &filtered, true);
        assert_eq!(said.text, "a");
        assert!(said.ended && said.errors.is_empty());
    }
}

#[test]
fn pitfall_28_a_choice_without_a_delta_says_nothing() {
    let filter = json!({"id": "", "choices": [{"index": 0, "finish_reason": null, "content_filter_results": {}, "content_filter_offsets": {}}]});
    let more = chunk(json!({"content": "b"}), json!(null));
    for to in DIALECTS {
        let said = streamed(
            Chat,
            to,
            &chunks(&[filter.to_string(), more.clone(), end()]),
            true,
        );
        assert_eq!(said.text, "ab");
        assert!(said.ended && said.errors.is_empty());
    }
}

/// The indices of calls in the chunks that a client of chat completions gets.
fn indices(from: Dialect) -> BTreeSet<u64> {
    let calls = [
        ("f", json!({"a": 1})),
        ("g", json!({})),
        ("f", json!({"a": 2})),
    ];
    let all = events(from, Chat, &stream(from, "", "", &calls));
    let all = all
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"].as_array());
    all.flatten()
        .map(|call| call["index"].as_u64().unwrap())
        .collect()
}

#[test]
fn pitfall_29_parallel_calls_have_indices_of_their_own() {
    for from in [Chat, Converse, GenerateContent, Messages] {
        assert_eq!(indices(from), BTreeSet::from([0, 1, 2]), "{from}");
    }
    // A service that counts all of them as the first one is understood by their ids.
    let call = |id: &str, arguments: &str| {
        let function = json!({"name": "f", "arguments": arguments});
        chunk(
            json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}),
            json!(null),
        )
    };
    let all = chunks(&[call("a", "{\"n\":1}"), call("b", "{\"n\":2}"), end()]);
    for to in DIALECTS {
        let said = streamed(Chat, to, &all, true);
        let want = [
            ("f".to_owned(), json!({"n": 1})),
            ("f".to_owned(), json!({"n": 2})),
        ];
        assert_eq!(said.arguments(), want);
    }
}

#[test]
fn pitfall_30_parallel_calls_of_responses_have_indices_of_their_own() {
    assert_eq!(indices(Responses), BTreeSet::from([0, 1, 2]));
}

#[test]
fn pitfall_31_a_call_without_arguments_has_an_empty_object() {
    for from in Dialect::ALL {
        let calls = [("f", json!({}))];
        for to in [Chat, Responses] {
            let said = streamed(from, to, &stream(from, "", "", &calls), true);
            assert_eq!(said.calls[0].arguments, "{}", "{from} to {to}");
            let said = whole(from, to, &body(from, "", "", &calls));
            assert_eq!(said.calls[0].arguments, "{}", "{from} to {to}");
        }
    }
    // What another gateway has put into a history no longer poisons it.
    let history = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [called("c", "")]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ]});
    let sent = |to| asked(Chat, to, &history, &options()).0;
    assert_eq!(
        sent(Messages)["messages"][1]["content"][0]["input"],
        json!({})
    );
    assert_eq!(
        sent(Converse)["messages"][1]["content"][0]["toolUse"]["input"],
        json!({})
    );
    assert_eq!(
        sent(GenerateContent)["contents"][1]["parts"][0]["functionCall"]["args"],
        json!({})
    );
    assert_eq!(sent(Responses)["input"][1]["arguments"], "{}");
}

#[test]
fn pitfall_32_an_empty_piece_of_arguments_is_one() {
    let calls = [("f", json!({"a": 1}))];
    let all = stream(Messages, "", "", &calls);
    assert!(
        all.iter()
            .any(|event| event.contains("\"partial_json\":\"\""))
    );
    for to in DIALECTS {
        let said = streamed(Messages, to, &all, true);
        assert!(said.errors.is_empty() && said.ended);
        assert_eq!(said.arguments(), [("f".to_owned(), json!({"a": 1}))]);
    }
}

/// The reason that a client is told, in its own words.
fn reason(to: Dialect, calls: bool) -> &'static str {
    match (to, calls) {
        (Chat, false) => "stop",
        (Chat, true) => "tool_calls",
        (Responses, false) => "completed",
        (Responses, true) => "completed with calls",
        (_, false) => "end_turn",
        (_, true) => "tool_use",
    }
}

#[test]
fn pitfall_33_calls_end_an_answer_streamed_or_not() {
    let calls = [("f", json!({"a": 1}))];
    // Every one of these answers gives another reason than its calls.
    for from in Dialect::ALL {
        for to in DIALECTS {
            let want = [reason(to, true)];
            assert_eq!(whole(from, to, &body(from, "t", "", &calls)).finish, want);
            assert_eq!(
                streamed(from, to, &stream(from, "t", "", &calls), true).finish,
                want
            );
        }
    }
}

#[test]
fn pitfall_34_a_call_and_its_end_come_in_two_pieces() {
    let piece = |parts: Value, finish: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}]}).to_string()
    };
    let call = json!([{"functionCall": {"name": "f", "args": {"a": 1}}}]);
    let all = [piece(call, json!(null)), piece(json!([]), json!("STOP"))];
    for to in DIALECTS {
        let said = streamed(GenerateContent, to, &all, true);
        assert_eq!(said.finish, [reason(to, true)]);
        assert_eq!(said.arguments(), [("f".to_owned(), json!({"a": 1}))]);
    }
}

#[test]
fn pitfall_35_a_reason_on_every_chunk_is_told_once() {
    let again = |text: &str| chunk(json!({"content": text}), json!("stop"));
    for to in DIALECTS {
        let said = streamed(Chat, to, &chunks(&[again("b"), again("c")]), true);
        assert_eq!(
            (said.text.as_str(), said.finish),
            ("abc", vec![reason(to, false).to_owned()])
        );
        assert!(said.ended);
    }
}

#[test]
fn pitfall_36_no_reason_of_a_service_leaks() {
    let known = |to| match to {
        Chat => &["stop", "length", "tool_calls", "content_filter"][..],
        Responses => &["completed", "max_output_tokens", "content_filter"],
        _ => &[
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "refusal",
            "pause_turn",
        ],
    };
    for (from, reasons) in [
        (
            Chat,
            &[
                "stop",
                "length",
                "content_filter",
                "eos",
                "abort",
                "error",
                "model_length",
            ][..],
        ),
        (
            Converse,
            &[
                "end_turn",
                "max_tokens",
                "guardrail_intervened",
                "content_filtered",
                "stop_sequence",
                "odd",
            ],
        ),
        (
            GenerateContent,
            &[
                "STOP",
                "MAX_TOKENS",
                "SAFETY",
                "RECITATION",
                "MALFORMED_FUNCTION_CALL",
                "ODD",
            ],
        ),
        (
            Messages,
            &[
                "end_turn",
                "max_tokens",
                "refusal",
                "pause_turn",
                "stop_sequence",
                "odd",
            ],
        ),
    ] {
        let place = if from == GenerateContent {
            "STOP"
        } else {
            "stop"
        };
        for native in reasons {
            let told = |text: &str| {
                text.replace("\"end_turn\"", &format!("\"{native}\""))
                    .replace(&format!("\"{place}\""), &format!("\"{native}\""))
            };
            let whole_body = told(std::str::from_utf8(&body(from, "t", "", &[])).unwrap());
            let pieces: Vec<String> = stream(from, "t", "", &[])
                .iter()
                .map(|event| told(event))
                .collect();
            for to in DIALECTS {
                for said in [
                    whole(from, to, whole_body.as_bytes()),
                    streamed(from, to, &pieces, true),
                ] {
                    assert!(
                        said.finish
                            .iter()
                            .all(|reason| known(to).contains(&&**reason)),
                        "{from} to {to}: {native} became {:?}",
                        said.finish
                    );
                    assert_eq!(
                        said.finish.len() + said.errors.len(),
                        1,
                        "{from} to {to}: {native}"
                    );
                }
            }
        }
    }
}

#[test]
fn pitfall_37_no_call_is_read_out_of_reasoning() {
    let thought = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> [f()]";
    for from in Dialect::ALL {
        for to in DIALECTS {
            for said in [
                whole(from, to, &body(from, "t", thought, &[])),
                streamed(from, to, &stream(from, "t", thought, &[]), true),
            ] {
                assert!(said.calls.is_empty(), "{from} to {to}");
                assert_eq!((&*said.text, &*said.reasoning), ("t", thought));
                assert_eq!(said.finish, [reason(to, false)]);
            }
        }
    }
}

/// A history in which two tools were called.
fn history() -> Value {
    json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [called("c1", "{}"), called("c2", "{\"a\":1}")]},
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
    ]})
}

#[test]
fn pitfall_38_tools_of_a_history_are_declared_to_converse() {
    let (sent, _) = asked(Chat, Converse, &history(), &options());
    let tools = sent["toolConfig"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0]["toolSpec"]["name"], "f");
    assert_eq!(
        tools[0]["toolSpec"]["inputSchema"]["json"]["type"],
        "object"
    );
}

#[test]
fn pitfall_39_results_of_a_round_are_one_message_of_converse() {
    let (sent, _) = asked(Chat, Converse, &history(), &options());
    let roles: Vec<_> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| &turn["role"])
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let results = sent["messages"][2]["content"].as_array().unwrap();
    let ids: Vec<_> = results
        .iter()
        .map(|block| &block["toolResult"]["toolUseId"])
        .collect();
    assert_eq!(ids, ["c1", "c2"]);
}

#[test]
fn pitfall_40_converse_gets_no_empty_text() {
    let mut talk = history();
    talk["messages"].as_array_mut().unwrap().extend([
        json!({"role": "system", "content": ""}),
        json!({"role": "user", "content": " \n"}),
        json!({"role": "assistant", "content": [{"type": "text", "text": ""}]}),
        json!({"role": "user", "content": "next"}),
    ]);
    let (sent, _) = asked(Chat, Converse, &talk, &options());
    let blank = |text: &Value| text.as_str().is_some_and(|text| text.trim().is_empty());
    let turns = sent["messages"].as_array().unwrap();
    let blocks = turns
        .iter()
        .flat_map(|turn| turn["content"].as_array().unwrap());
    for block in blocks {
        let inside = block["toolResult"]["content"].as_array();
        let texts = inside.into_iter().flatten().map(|part| &part["text"]);
        assert!(!texts.chain([&block["text"]]).any(blank), "{block}");
    }
    assert!(
        turns.iter().all(|turn| turn["content"] != json!([])),
        "{sent}"
    );
    assert!(sent.get("system").is_none());
}

#[test]
fn pitfall_41_converse_is_told_which_tool_to_choose() {
    let one = json!({"type": "function", "function": {"name": "f"}});
    for (choice, want) in [
        (json!("auto"), json!({"auto": {}})),
        (json!("required"), json!({"any": {}})),
        (one, json!({"tool": {"name": "f"}})),
    ] {
        let body = question(json!({"tools": [tool("f")], "tool_choice": choice}));
        let (sent, losses) = asked(Chat, Converse, &body, &options());
        assert_eq!(sent["toolConfig"]["toolChoice"], want);
        assert!(losses.is_empty(), "{losses:?}");
    }
}

#[test]
fn pitfall_42_converse_gets_no_empty_description() {
    for description in [json!(""), json!(null)] {
        let mut tool = tool("f");
        tool["function"]["description"] = description;
        let (sent, _) = asked(
            Chat,
            Converse,
            &question(json!({"tools": [tool]})),
            &options(),
        );
        let spec = &sent["toolConfig"]["tools"][0]["toolSpec"];
        assert_eq!(spec["name"], "f");
        assert!(spec.get("description").is_none(), "{spec}");
    }
}

#[test]
fn pitfall_43_no_choice_of_a_tool_is_said_to_converse_by_leaving_them_out() {
    let body = question(json!({"tools": [tool("f")], "tool_choice": "none"}));
    let (sent, losses) = asked(Chat, Converse, &body, &options());
    assert!(
        sent.get("toolConfig").is_none() && losses.is_empty(),
        "{sent}"
    );
    // Where a history has calls they cannot be left out, and that is named.
    let mut body = history();
    body["tools"] = json!([tool("f")]);
    body["tool_choice"] = json!("none");
    let (sent, losses) = asked(Chat, Converse, &body, &options());
    assert!(sent["toolConfig"].get("toolChoice").is_none());
    assert_eq!(losses, ["tool-choice"]);
}

fn generate_schema(schema: &Value) -> (Value, Value) {
    let mut tool = tool("f");
    tool["function"]["parameters"] = schema.clone();
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body = question(json!({"tools": [tool], "response_format": format}));
    let (sent, losses) = asked(Chat, GenerateContent, &body, &options());
    assert!(losses.is_empty(), "{losses:?}");
    let declared = sent["tools"][0]["functionDeclarations"][0].clone();
    (declared, sent["generationConfig"].clone())
}

#[test]
fn pitfall_44_references_in_schemas_stand_where_generate_content_reads_them() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}});
    let (declared, config) = generate_schema(&schema);
    assert_eq!(declared["parametersJsonSchema"], schema);
    assert_eq!(config["responseJsonSchema"], schema);
    assert!(declared.get("parameters").is_none() && config.get("responseSchema").is_none());
}

#[test]
fn pitfall_45_words_of_schemas_stand_where_generate_content_reads_them() {
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false, "properties": {}});
    let (declared, config) = generate_schema(&schema);
    assert_eq!(declared["parametersJsonSchema"], schema);
    assert_eq!(config["responseJsonSchema"], schema);
}

#[test]
fn pitfall_46_a_reference_in_a_result_is_no_reference() {
    let mut talk = history();
    talk["messages"][2]["content"] = json!("{\"$ref\": \"#/x\", \"a\": \"\\u00fc\"}");
    let (sent, _) = asked(Chat, GenerateContent, &talk, &options());
    let result = &sent["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(
        result["response"],
        json!({"output": "{\"$ref\": \"#/x\", \"a\": \"\\u00fc\"}"})
    );
}

#[test]
fn pitfall_47_ids_of_calls_have_the_form_that_a_service_takes() {
    let mut options = options();
    options.target.tool_ids = IdRule::Nine;
    let calls: Vec<_> = (0..50).map(|n| json!({"type": "tool_use", "id": format!("toolu_{n:040}"), "name": "f", "input": {}})).collect();
    let results: Vec<_> = calls
        .iter()
        .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "r"}))
        .collect();
    let talk = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]});
    let (sent, _) = asked(Messages, Chat, &talk, &options);
    let messages = sent["messages"].as_array().unwrap();
    let ids: Vec<_> = messages[1]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert!(
        ids.iter()
            .all(|id| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
    );
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let answered: Vec<_> = messages[2..]
        .iter()
        .map(|turn| turn["tool_call_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, answered);
    // One that has the form already stays what it is.
    let talk =
        json!({"messages": [{"role": "assistant", "tool_calls": [called("abcDEF123", "{}")]}]});
    let (sent, _) = asked(Chat, Chat, &talk, &options);
    assert_eq!(sent["messages"][0]["tool_calls"][0]["id"], "abcDEF123");
}

#[test]
fn pitfall_48_tools_that_only_one_service_knows_are_refused_by_name() {
    let tools =
        json!([{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}]);
    let body = json!({"input": "q", "tools": tools}).to_string();
    for to in [Chat, Converse, GenerateContent, Messages] {
        let refused = ask(client(Responses), to, body.as_bytes(), &options());
        let refused = refused.unwrap_err();
        assert!(matches!(refused, TranslateError::Unsupported { target, .. } if target == to));
    }
    let same = ask(client(Responses), Responses, body.as_bytes(), &options()).unwrap();
    let same: Value = serde_json::from_slice(&same.body).unwrap();
    assert_eq!(same["tools"], tools);
}

#[test]
fn pitfall_49_reasoning_of_earlier_turns_is_neither_dropped_nor_invented() {
    let thought = |text: &str| json!({"type": "thinking", "thinking": text, "signature": "s=="});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "r"}]});
    let talk = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [thought("one"), call("c1")]}, result("c1"),
        {"role": "assistant", "content": [thought("two"), call("c2")]}, result("c2"),
        {"role": "assistant", "content": [call("c3")]}, result("c3"),
    ]});
    let (sent, _) = asked(Messages, Chat, &talk, &options());
    let turns = sent["messages"].as_array().unwrap();
    let said: Vec<_> = turns
        .iter()
        .filter(|turn| turn["role"] == "assistant")
        .map(|turn| turn.get("reasoning_content"))
        .collect();
    assert_eq!(said, [Some(&json!("one")), Some(&json!("two")), None]);
    // A service that takes none gets none, and that is named.
    let mut options = options();
    options.target.reasoning = ReasoningName::Absent;
    let (sent, losses) = asked(Messages, Chat, &talk, &options);
    assert!(!sent.to_string().contains("reasoning"), "{sent}");
    assert!(losses.contains(&"reasoning".to_owned()), "{losses:?}");
}

#[test]
fn pitfall_50_reasoning_is_read_under_both_names_and_written_under_the_one_that_is_taken() {
    for name in ["reasoning", "reasoning_content"] {
        let mut message = json!({"role": "assistant", "content": "t"});
        message[name] = json!("hm");
        let body = json!({"choices": [{"message": message, "finish_reason": "stop"}]});
        for to in DIALECTS {
            assert_eq!(whole(Chat, to, body.to_string().as_bytes()).reasoning, "hm");
        }
        let talk = json!({"messages": [message]});
        for (taken, key) in [
            (ReasoningName::Reasoning, "reasoning"),
            (ReasoningName::ReasoningContent, "reasoning_content"),
        ] {
            let mut options = options();
            options.target.reasoning = taken;
            let (sent, _) = asked(Chat, Chat, &talk, &options);
            assert_eq!(sent["messages"][0][key], "hm", "{name} as {key}");
        }
    }
}

#[test]
fn pitfall_51_streamed_reasoning_arrives_under_either_name() {
    for name in ["reasoning", "reasoning_content"] {
        let piece = |text: &str| {
            let mut delta = json!({"content": null});
            delta[name] = json!(text);
            chunk(delta, json!(null))
        };
        let all = [
            piece("h"),
            piece("m"),
            chunk(json!({"content": "t"}), json!(null)),
            end(),
            "[DONE]".to_owned(),
        ];
        for to in DIALECTS {
            let said = streamed(Chat, to, &all, true);
            assert_eq!(
                (&*said.reasoning, &*said.text),
                ("hm", "t"),
                "{name} to {to}"
            );
        }
    }
}

#[test]
fn pitfall_52_text_that_looks_like_reasoning_is_left_where_it_is() {
    let text = "<think>h\u{fc}m</think>t </think><think>";
    for from in Dialect::ALL {
        for to in DIALECTS {
            for said in [
                whole(from, to, &body(from, text, "", &[])),
                streamed(from, to, &stream(from, text, "", &[]), true),
            ] {
                assert_eq!(
                    (&*said.text, &*said.reasoning),
                    (text, ""),
                    "{from} to {to}"
                );
            }
        }
    }
}

#[test]
fn pitfall_53_reasoning_does_not_hide_calls_of_a_stream() {
    let function = json!({"name": "f", "arguments": "{\"a\":1}"});
    let delta = json!({"reasoning_content": "hm", "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]});
    let all = [
        chunk(delta, json!(null)),
        chunk(json!({}), json!("tool_calls")),
        "[DONE]".to_owned(),
    ];
    for to in DIALECTS {
        let said = streamed(Chat, to, &all, true);
        assert_eq!(said.reasoning, "hm");
        assert_eq!(said.arguments(), [("f".to_owned(), json!({"a": 1}))]);
        assert_eq!(said.finish, [reason(to, true)]);
    }
}

#[test]
fn pitfall_54_thinking_goes_back_unchanged_with_its_proofs() {
    let thinking = json!({"type": "thinking", "thinking": " h\u{fc}m\n", "signature": "s+/=="});
    let redacted = json!({"type": "redacted_thinking", "data": "e+/=="});
    let content = json!([thinking, redacted, {"type": "text", "text": "t"}]);
    let talk = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": content}]});
    let (sent, losses) = asked(Messages, Converse, &talk, &options());
    let want = json!([
        {"reasoningContent": {"reasoningText": {"text": " h\u{fc}m\n", "signature": "s+/=="}}},
        {"reasoningContent": {"redactedContent": "e+/=="}},
        {"text": "t"},
    ]);
    assert_eq!((&sent["messages"][1]["content"], losses), (&want, vec![]));
    // Clients of the other dialects hand back what they were given.
    let body =
        json!({"type": "message", "content": content, "stop_reason": "end_turn"}).to_string();
    for to in [Chat, Responses] {
        let answered = answer(Messages, client(to), body.as_bytes(), &options()).unwrap();
        let answered: Value = serde_json::from_slice(&answered.body).unwrap();
        let back = match to {
            Chat => {
                json!({"messages": [{"role": "user", "content": "q"}, answered["choices"][0]["message"]]})
            }
            _ => {
                let mut input = vec![json!({"role": "user", "content": "q"})];
                input.extend(answered["output"].as_array().unwrap().iter().cloned());
                json!({"input": input})
            }
        };
        let (sent, losses) = asked(to, Messages, &back, &options());
        assert_eq!(sent["messages"][1]["content"], content, "{to}: {losses:?}");
    }
}

#[test]
fn pitfall_55_reasoning_that_is_not_shown_keeps_its_proof() {
    let hidden = json!([{"reasoningContent": {"reasoningText": {"text": "", "signature": "s=="}}}, {"text": "t"}]);
    let body = json!({"output": {"message": {"role": "assistant", "content": hidden}}, "stopReason": "end_turn"}).to_string();
    let answered = answer(Converse, client(Messages), body.as_bytes(), &options()).unwrap();
    let answered: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(
        answered["content"][0],
        json!({"type": "thinking", "thinking": "", "signature": "s=="})
    );
    let back = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": answered["content"]}]});
    let (sent, _) = asked(Messages, Converse, &back, &options());
    assert_eq!(sent["messages"][1]["content"], hidden);
    // Who asks for it to be shown is heard where the dialect can say it.
    let wish = json!({"type": "adaptive", "display": "summarized"});
    let body = json!({"max_tokens": 9, "messages": [], "thinking": wish});
    assert_eq!(
        asked(Messages, Messages, &body, &options()).0["thinking"],
        wish
    );
}

#[test]
fn pitfall_56_signatures_of_thoughts_cross_chat_completions() {
    let calls = [("f", json!({"a": 1}))];
    let all = stream(GenerateContent, "", "hm", &calls);
    let streamed = streamed(GenerateContent, Chat, &all, true);
    assert_eq!(streamed.signatures, ["s=="]);
    let answered = answer(
        GenerateContent,
        client(Chat),
        &body(GenerateContent, "", "hm", &calls),
        &options(),
    )
    .unwrap();
    let answered: Value = serde_json::from_slice(&answered.body).unwrap();
    let talk = json!({"messages": [{"role": "user", "content": "q"}, answered["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "call-0", "content": "r"}]});
    let (sent, _) = asked(Chat, GenerateContent, &talk, &options());
    let parts = sent["contents"][1]["parts"].as_array().unwrap();
    let call = parts
        .iter()
        .find(|part| part.get("functionCall").is_some())
        .unwrap();
    assert_eq!(call["thoughtSignature"], "s==", "{sent}");
}

#[test]
fn pitfall_57_a_schema_reaches_every_service() {
    super::scenarios::a_schema();
}

#[test]
fn pitfall_58_a_schema_becomes_no_text_of_the_prompt() {
    let schema = json!({"type": "object", "properties": {"only_here": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let (sent, losses) = asked(
        Chat,
        Converse,
        &question(json!({"response_format": format})),
        &options(),
    );
    let told = sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"].as_str();
    assert_eq!(
        serde_json::from_str::<Value>(told.unwrap()).unwrap(),
        schema
    );
    assert!(sent.get("system").is_none());
    assert_eq!(
        sent["messages"],
        json!([{"role": "user", "content": [{"text": "q"}]}])
    );
    assert!(losses.is_empty());
    // Where a form cannot be enforced, that is named.
    let format = json!({"response_format": {"type": "json_object"}});
    assert_eq!(
        asked(Chat, Converse, &question(format), &options()).1,
        ["json-mode"]
    );
}

#[test]
fn pitfall_59_an_answer_of_reasoning_alone_is_one() {
    let message = json!({"role": "assistant", "content": null, "reasoning": "hm"});
    let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "length"}]});
    for to in DIALECTS {
        let said = whole(Chat, to, body.to_string().as_bytes());
        assert_eq!((&*said.text, &*said.reasoning), ("", "hm"), "{to}");
        assert!(said.errors.is_empty() && said.finish.len() == 1);
    }
}

#[test]
fn pitfall_60_the_limit_of_tokens_has_the_name_that_is_taken() {
    for asked_as in ["max_tokens", "max_completion_tokens"] {
        for (taken, key, other) in [
            (
                TokenLimitName::MaxTokens,
                "max_tokens",
                "max_completion_tokens",
            ),
            (
                TokenLimitName::MaxCompletionTokens,
                "max_completion_tokens",
                "max_tokens",
            ),
        ] {
            let mut options = options();
            options.target.token_limit = taken;
            let mut body = question(json!({}));
            body[asked_as] = json!(7);
            let (sent, losses) = asked(Chat, Chat, &body, &options);
            assert_eq!(sent[key], 7);
            assert!(sent.get(other).is_none() && losses.is_empty());
        }
    }
}

#[test]
fn pitfall_62_members_of_one_client_stop_no_request() {
    let body =
        question(json!({"max_tokens": 9, "context_management": {"edits": []}, "speed": "fast"}));
    for to in [Chat, Converse, GenerateContent, Responses] {
        let (sent, losses) = asked(Messages, to, &body, &options());
        assert!(!sent.to_string().contains("context_management"));
        for name in ["context_management", "speed"] {
            assert!(
                losses.contains(&format!("unknown-member:{name}")),
                "{losses:?}"
            );
        }
    }
    let (same, losses) = asked(Messages, Messages, &body, &options());
    assert_eq!(same["context_management"], json!({"edits": []}));
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn pitfall_63_extras_of_one_service_do_not_reach_another() {
    let details = json!([{"type": "reasoning.text", "text": "hm", "signature": "s=="}]);
    let body = json!({
        "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": true}, "search_domain_filter": ["x"], "min_p": 0.1,
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "prefix": true, "reasoning_details": details}],
    });
    for to in [Converse, GenerateContent, Messages, Responses] {
        let (sent, losses) = asked(Chat, to, &body, &options());
        let sent = sent.to_string();
        for extra in [
            "repetition_penalty",
            "chat_template_kwargs",
            "search_domain_filter",
            "min_p",
            "prefix",
            "reasoning_details",
        ] {
            assert!(!sent.contains(extra), "{to}: {sent}");
        }
        assert!(losses.len() >= 5, "{to}: {losses:?}");
    }
}

#[test]
fn pitfall_64_marks_of_what_to_cache_are_kept_or_named() {
    let mark = json!({"type": "ephemeral"});
    let body = json!({"max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "q", "cache_control": mark}]}]});
    let marks = |to, taken| {
        let mut options = options();
        options.target.cache_control = taken;
        let (sent, losses) = asked(Messages, to, &body, &options);
        let key = if to == Converse {
            "cachePoint"
        } else {
            "cache_control"
        };
        (
            sent.to_string().matches(key).count(),
            losses.contains(&"cache-control".to_owned()),
        )
    };
    assert_eq!(
        (marks(Messages, false), marks(Messages, true)),
        ((3, false), (3, false))
    );
    for to in [Chat, Converse] {
        assert_eq!(
            (marks(to, true), marks(to, false)),
            ((3, false), (0, true)),
            "{to}"
        );
    }
    for to in [GenerateContent, Responses] {
        assert_eq!(marks(to, true), (0, true), "{to}");
    }
}

#[test]
fn pitfall_65_items_of_responses_have_ids_numbers_and_a_life() {
    let calls = [("f", json!({"a": 1})), ("g", json!({}))];
    for from in Dialect::ALL {
        let all = events(from, Responses, &stream(from, "text", "thought", &calls));
        assert_eq!(
            (&all[0]["type"], &all[1]["type"]),
            (&json!("response.created"), &json!("response.in_progress"))
        );
        let mut living: BTreeMap<u64, Value> = BTreeMap::new();
        let mut lived = 0;
        for (number, event) in all.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{from}: {event}");
            let Some(index) = event["output_index"].as_u64() else {
                continue;
            };
            match event["type"].as_str().unwrap() {
                "response.output_item.added" => {
                    assert_eq!(index, lived, "{from}: {event}");
                    assert!(living.insert(index, event["item"]["id"].clone()).is_none());
                }
                "response.output_item.done" => {
                    assert_eq!(living.remove(&index).as_ref(), Some(&event["item"]["id"]));
                    lived += 1;
                }
                kind => {
                    assert_eq!(
                        living.get(&index),
                        Some(&event["item_id"]),
                        "{from}: {event}"
                    );
                    let part = kind.contains("output_text") || kind.contains("content_part");
                    assert_eq!(part, event["content_index"].is_u64(), "{from}: {event}");
                }
            }
        }
        // Reasoning, a text and two calls; one dialect hangs proofs on them that are items of their own here.
        assert!(living.is_empty() && lived >= 4, "{from}: {lived}");
        let ids = all
            .iter()
            .filter(|event| event["type"] == "response.output_item.done");
        let ids: HashSet<_> = ids
            .map(|event| event["item"]["id"].as_str().unwrap())
            .collect();
        assert!(ids.len() as u64 == lived && !ids.contains(""), "{from}");
    }
}

#[test]
fn pitfall_66_the_end_of_a_response_says_everything_once() {
    let calls = [("f", json!({"a": 1}))];
    for from in Dialect::ALL {
        let all = events(from, Responses, &stream(from, "text", "thought", &calls));
        let ends = all
            .iter()
            .filter(|event| event["type"] == "response.completed");
        assert_eq!(ends.count(), 1, "{from}");
        let last = all.last().unwrap();
        assert_eq!(last["type"], "response.completed", "{from}");
        let said = read_whole(Responses, last["response"].to_string().as_bytes());
        assert_eq!(
            (&*said.text, &*said.reasoning),
            ("text", "thought"),
            "{from}"
        );
        assert_eq!(said.arguments(), [("f".to_owned(), json!({"a": 1}))]);
        assert_eq!([said.prompt, said.output], [100, 9]);
    }
}
