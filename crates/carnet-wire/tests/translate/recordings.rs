//! Real answers of many services, translated into every dialect: what they say must come out, and nothing else.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use bytes::Bytes;
use carnet_wire::carrier::{Carrier, Unpacker};
use carnet_wire::dialect::{ClientDialect, Dialect, TranslateError};
use carnet_wire::json::splice;
use carnet_wire::sniff::{Framing, JsonEnd, ModelRename, Reported, ReportedModel, ReportedUsage};
use carnet_wire::translate::ask;
use serde_json::Value;

use super::reading::{
    Said, client, data, not_run, options, read_stream, read_whole, streamed, whole,
};

struct Exchange {
    id: String,
    dialect: Dialect,
    status: u64,
    request: String,
    answer: String,
    is_stream: bool,
    events: Vec<String>,
}

/// The recorded exchanges in these dialects; none where the recordings are not on this machine.
fn exchanges(test: &str) -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes/normalized");
    let Ok(files) = fs::read_dir(folder) else {
        not_run(test, "the recorded exchanges are not on this machine");
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in files {
        let lines = fs::read_to_string(file.unwrap().path()).unwrap();
        found.extend(lines.lines().filter_map(exchange));
    }
    found
}

fn exchange(line: &str) -> Option<Exchange> {
    let entry: Value = serde_json::from_str(line).unwrap();
    let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dialect = match entry["api"].as_str()? {
        "chat.completions" => Dialect::Chat,
        // The first version has shapes of its own.
        "chat(native)" if entry["path"].as_str()? == "/v2/chat" => Dialect::Cohere,
        "bedrock.converse" | "bedrock.converse-stream" => Dialect::Converse,
        // The others that are carried there have shapes of their own.
        "bedrock.invoke" | "bedrock.invoke-stream" | "models" if is_carried(&entry) => {
            Dialect::Messages
        }
        "gemini.generate" | "gemini.stream" => Dialect::GenerateContent,
        "messages" => Dialect::Messages,
        // The same family has paths that count tokens or fetch and delete what is kept.
        "responses"
            if entry["method"] == "POST" && entry["path"].as_str()?.ends_with("/responses") =>
        {
            Dialect::Responses
        }
        _ => return None,
    };
    // A stream of one family may also come as a list, which no upstream is asked for.
    if entry["response_body"]["text"]
        .as_str()
        .unwrap_or_default()
        .trim_start()
        .starts_with('[')
    {
        return None;
    }
    let answer = field(&entry["response_body"]["text"]);
    // Not every recorder keeps the type of an answer.
    let is_sse = answer.trim_start().starts_with(['e', 'd', ':']);
    // Nor does every recorder say that it has kept binary data as base64.
    let binary = if answer.starts_with("AAAA") {
        answer.clone()
    } else {
        field(&entry["response_body"]["base64"])
    };
    let (answer, events) = match dialect {
        _ if binary.is_empty() => (answer.clone(), data(&answer)),
        Dialect::Messages => {
            let answer = unpacked(&STANDARD.decode(&binary).unwrap());
            (answer.clone(), data(&answer))
        }
        _ => (answer, binary_events(&STANDARD.decode(&binary).unwrap())),
    };
    Some(Exchange {
        id: field(&entry["id"]),
        dialect,
        status: entry["status"].as_u64()?,
        request: field(&entry["request_body"]["text"]),
        answer,
        is_stream: is_sse || !binary.is_empty(),
        events,
    })
}

/// What a caller gets who asks such a service itself for a stream that is one array.
#[test]
fn recorded_arrays_name_their_model_wherever_they_are_cut() {
    let test = "recorded_arrays_name_their_model_wherever_they_are_cut";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes/normalized");
    if !folder.is_dir() {
        not_run(test, "the recorded exchanges are not on this machine");
        return;
    }
    let mut arrays = Vec::new();
    for file in ["gemini.jsonl", "vertex.jsonl"] {
        let lines = fs::read_to_string(folder.join(file)).unwrap();
        for line in lines.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let answer = entry["response_body"]["text"].as_str().unwrap_or_default();
            if entry["api"] == "gemini.stream" && answer.starts_with('[') {
                arrays.push(answer.to_owned());
            }
        }
    }
    assert_eq!(arrays.len(), 2);
    for array in arrays {
        let mut want: Value = serde_json::from_str(&array).unwrap();
        let name = want[0]["modelVersion"].as_str().unwrap().to_owned();
        for part in want.as_array_mut().unwrap() {
            part["modelVersion"] = "mine".into();
        }
        for cut in 1..array.len() {
            let (first, second) = array.as_bytes().split_at(cut);
            let mut reported = ReportedModel::new(Framing::Json);
            let mut rename = ModelRename::new(Framing::Json, "mine");
            let (mut end, mut out) = (JsonEnd::default(), Vec::new());
            for (piece, is_last) in [(first, false), (second, true)] {
                reported.push(piece);
                rename.push(piece, &mut out);
                end.push(piece);
                let missing = !is_last && array[..cut].trim_end().len() < array.trim_end().len();
                assert_eq!(end.is_missing(), missing, "{cut}");
            }
            assert_eq!(reported.push(b""), &Reported::Model(name.clone()));
            assert_eq!(
                serde_json::from_slice::<Value>(&out).unwrap(),
                want,
                "{cut}"
            );
        }
    }
}

/// What was used, as every answer says it, whether it is cut or not.
#[test]
fn recorded_answers_tell_their_usage_as_a_whole_parser_reads_it() {
    let mut told = 0;
    for exchange in exchanges("recorded_answers_tell_their_usage_as_a_whole_parser_reads_it") {
        // Frames were taken apart when they were read.
        let frames = exchange.is_stream && exchange.answer.is_empty();
        if exchange.status != 200 || frames || exchange.dialect == Dialect::Cohere {
            continue;
        }
        let framing = if exchange.is_stream {
            Framing::EventStream
        } else {
            Framing::Json
        };
        let wanted: Vec<Value> = if exchange.is_stream {
            let events = exchange.events.iter();
            events
                .filter_map(|event| serde_json::from_str(event).ok())
                .collect()
        } else {
            serde_json::from_str(&exchange.answer).into_iter().collect()
        };
        let wanted = wanted.iter().fold((0, 0), |sums, part| {
            used(part).map_or(sums, |used| {
                (used.0.unwrap_or(sums.0), used.1.unwrap_or(sums.1))
            })
        });
        for size in [1, 7, usize::MAX] {
            let mut sniff = ReportedUsage::new(exchange.dialect, Some(framing));
            for piece in exchange.answer.as_bytes().chunks(size) {
                sniff.push(piece);
            }
            let found = sniff
                .usage()
                .map(|usage| (usage.prompt_including().0, usage.output()));
            assert_eq!(
                found.unwrap_or_default(),
                wanted,
                "{} by {size}",
                exchange.id
            );
        }
        told += usize::from(wanted != (0, 0));
    }
    assert!(told == 0 || told > 450, "{told}");
}

/// Tokens of prompt and answer that a part of an answer tells, in whatever names.
fn used(part: &Value) -> Option<(Option<u64>, Option<u64>)> {
    let usage = [
        &part["usage"],
        &part["response"]["usage"],
        &part["message"]["usage"],
        &part["usageMetadata"],
    ];
    let usage = usage.into_iter().find(|usage| usage.is_object())?;
    let sum = |names: &[&str]| {
        let counts = names.iter().filter_map(|name| usage[*name].as_u64());
        counts.reduce(|sum, count| sum + count)
    };
    let cached = [
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ];
    let prompt = if usage.get("prompt_tokens").is_some() {
        sum(&["prompt_tokens"])
    } else if usage.get("input_tokens_details").is_some() {
        sum(&["input_tokens"])
    } else {
        sum(&cached)
    };
    let prompt = prompt
        .or_else(|| {
            sum(&[
                "inputTokens",
                "cacheReadInputTokens",
                "cacheWriteInputTokens",
            ])
        })
        .or_else(|| sum(&["promptTokenCount", "toolUsePromptTokenCount"]));
    // Some services count reasoning beside the answer, and only in the total.
    let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64();
    let all = sum(&["total_tokens"]).zip(prompt).zip(reasoning);
    let beside = |said: u64| match all {
        Some(((all, prompt), reasoning)) if all == prompt + said + reasoning => reasoning,
        _ => 0,
    };
    let answer = sum(&["completion_tokens"])
        .map(|said| said + beside(said))
        .or_else(|| sum(&["output_tokens"]))
        .or_else(|| sum(&["outputTokens"]))
        .or_else(|| sum(&["candidatesTokenCount", "thoughtsTokenCount"]));
    Some((prompt, answer))
}

/// Whether what was asked is a body of Messages that a platform carries.
fn is_carried(entry: &Value) -> bool {
    let asked = entry["request_body"]["text"].as_str().unwrap_or_default();
    asked.contains("\"anthropic_version\"") && asked.contains("\"messages\"")
}

/// The events that a binary stream carries, as their own dialect has them.
fn unpacked(stream: &[u8]) -> String {
    let mut unpacker = Unpacker::of(Carrier::BedrockMessages).unwrap();
    let mut out = Vec::new();
    for piece in stream.chunks(13) {
        unpacker.push(piece, &mut out).unwrap();
    }
    unpacker.finish(&mut out).unwrap();
    assert_eq!(unpacker.failed(), None);
    String::from_utf8(out).unwrap()
}

/// What their makers' clients sent is what comes of the same request in its own dialect.
#[test]
fn recorded_requests_are_packed_as_their_clients_do_it() {
    let mut packed = 0;
    for exchange in exchanges("recorded_requests_are_packed_as_their_clients_do_it") {
        let Ok(sent) = serde_json::from_str::<Value>(&exchange.request) else {
            continue;
        };
        let carrier = match sent["anthropic_version"].as_str() {
            Some("bedrock-2023-05-31") => Carrier::BedrockMessages,
            Some("vertex-2023-10-16") => Carrier::VertexMessages,
            _ => continue,
        };
        let mut own = sent.clone();
        let members = own.as_object_mut().unwrap();
        members.remove("anthropic_version");
        members.insert("model".to_owned(), "m".into());
        if carrier == Carrier::BedrockMessages {
            members.insert("stream".to_owned(), true.into());
        }
        let body = Bytes::from(own.to_string());
        let changed = carrier.pack(&body, [].into_iter()).unwrap();
        let got = splice(&body, &changed.edits).concat();
        assert_eq!(
            serde_json::from_slice::<Value>(&got).unwrap(),
            sent,
            "{}",
            exchange.id
        );
        packed += 1;
    }
    assert!(packed == 0 || packed >= 18, "{packed}");
}

#[test]
fn recorded_answers_say_the_same_in_every_dialect() {
    let exchanges = exchanges("recorded_answers_say_the_same_in_every_dialect");
    let mut wrong = Vec::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200) {
        for to in ClientDialect::ALL.map(Dialect::from) {
            let (want, got) = if exchange.is_stream {
                (
                    read_stream_of(exchange),
                    streamed(exchange.dialect, to, &exchange.events, true),
                )
            } else {
                let body = exchange.answer.as_bytes();
                (
                    read_whole(exchange.dialect, body),
                    whole(exchange.dialect, to, body),
                )
            };
            for difference in differences(&want, &got) {
                wrong.push(format!("{} to {to}: {difference}", exchange.id));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        exchanges.len(),
        wrong.join("\n")
    );
}

/// What the recording says.
fn read_stream_of(exchange: &Exchange) -> Said {
    if exchange.dialect != Dialect::Converse {
        return read_stream(exchange.dialect, exchange.answer.as_bytes());
    }
    let mut said = Said::default();
    for event in &exchange.events {
        let (name, data) = event.split_once('\t').unwrap();
        said.converse_event(name, &serde_json::from_str(data).unwrap());
    }
    said
}

/// The events of a binary stream as name and data: each message has its lengths, headers, data and a checksum.
fn binary_events(mut stream: &[u8]) -> Vec<String> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let mut events = Vec::new();
    while !stream.is_empty() {
        let (message, rest) = stream.split_at(number(&stream[..4]));
        let (mut headers, data) = message[12..message.len() - 4].split_at(number(&message[4..8]));
        while !headers.is_empty() {
            // Every header of these streams is a string.
            let name = usize::from(headers[0]) + 1;
            let value = name + 3 + number(&headers[name + 1..name + 3]);
            if matches!(&headers[1..name], b":event-type" | b":exception-type") {
                let name = std::str::from_utf8(&headers[name + 3..value]).unwrap();
                events.push(format!("{name}\t{}", std::str::from_utf8(data).unwrap()));
            }
            headers = &headers[value..];
        }
        stream = rest;
    }
    events
}

fn differences(want: &Said, got: &Said) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, same: bool| {
        if !same {
            found.push(format!("{what}\n  want {want:?}\n  got  {got:?}"));
        }
    };
    check("text", want.text == got.text);
    check("reasoning", want.reasoning == got.reasoning);
    check(
        "signatures",
        want.signatures.concat() == got.signatures.concat(),
    );
    check("calls", want.arguments() == got.arguments());
    check("errors", want.errors == got.errors);
    check("prompt", want.prompt == got.prompt);
    check("cached", want.cached == got.cached);
    check("output", want.output == got.output);
    check(
        "end",
        got.ended == got.errors.is_empty() || !want.errors.is_empty(),
    );
    if want.errors.is_empty() {
        check("one finish reason", got.finish.len() == 1);
    }
    let ids: HashSet<&str> = got.ids().into_iter().collect();
    check(
        "unique ids",
        ids.len() == got.calls.len() && !ids.contains(""),
    );
    let finish = got.finish.first().map(String::as_str).unwrap_or_default();
    let calls = ["tool_calls", "tool_use", "completed with calls"].contains(&finish);
    let cut = [
        "length",
        "max_tokens",
        "max_output_tokens",
        "content_filter",
        "refusal",
        "content_filtered",
        "MAX_TOKENS",
        "SAFETY",
    ]
    .contains(&finish);
    check(
        "a finish reason that agrees",
        calls != got.calls.is_empty() || finish == "STOP" || cut || !got.errors.is_empty(),
    );
    found
}

#[test]
fn recorded_requests_translate_or_say_what_cannot() {
    let exchanges = exchanges("recorded_requests_translate_or_say_what_cannot");
    let mut refused: BTreeMap<String, u32> = BTreeMap::new();
    let mut translated = 0;
    // Not every recorder keeps the request.
    let kept = |exchange: &&Exchange| exchange.status == 200 && !exchange.request.is_empty();
    for exchange in exchanges.iter().filter(kept) {
        // No client speaks it.
        if exchange.dialect == Dialect::Cohere {
            continue;
        }
        for to in Dialect::ALL {
            match ask(
                client(exchange.dialect),
                to,
                exchange.request.as_bytes(),
                &options(),
            ) {
                Ok(asked) => {
                    translated += 1;
                    let body: Value = serde_json::from_slice(&asked.body).unwrap();
                    let key = match to {
                        Dialect::GenerateContent => "contents",
                        Dialect::Responses => "input",
                        _ => "messages",
                    };
                    let said = body[key].as_array().unwrap();
                    assert!(!said.is_empty(), "{}", exchange.id);
                    let before: Value = serde_json::from_str(&exchange.request).unwrap();
                    let named = matches!(to, Dialect::Converse | Dialect::GenerateContent)
                        || body["model"] == before["model"]
                        // The model stands in the address.
                        || before["model"].is_null();
                    assert!(named, "{}", exchange.id);
                }
                Err(error @ TranslateError::Unsupported { .. }) => {
                    assert_ne!(to, exchange.dialect, "{}: {error}", exchange.id);
                    *refused.entry(error.to_string()).or_default() += 1;
                }
                Err(error) => panic!("{}: {error}", exchange.id),
            }
        }
    }
    println!("{translated} translated, refused: {refused:#?}");
    assert!(exchanges.is_empty() || translated > 500);
}
