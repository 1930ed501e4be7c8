//! What it costs to translate a conversation of 100 kB, there and back, and a long stream.
//!
//! `cargo bench -p carnet-wire --bench translate`; a conversation may cost at most 250 µs. The figures of a shared
//! machine are upper bounds.

#![expect(missing_docs, reason = "criterion's macro makes a function without")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::hint::black_box;

use carnet_wire::dialect::{ClientDialect, Dialect, Options};
use carnet_wire::translate::{self, Stream};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

const SIZE: usize = 100_000;

/// What an agent has said so far that reads files with tools: long results full of quotes and line breaks, short
/// turns between them.
fn conversation() -> String {
    let tools: Vec<Value> = (0..12)
        .map(|number| {
            json!({"type": "function", "function": {"name": format!("tool_{number}"), "description": "Reads a file.",
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "from": {"type": "integer"}},
                    "required": ["path"]}}})
        })
        .collect();
    let code = "fn main() {\n    println!(\"{}\", 'x');\n}\n// Grüße 😀\n".repeat(24);
    let mut messages = vec![json!({"role": "system", "content": "You are careful.\n".repeat(200)})];
    let mut body = String::new();
    for turn in 0.. {
        messages.push(json!({"role": "user", "content": "And what does the next file say?"}));
        let arguments = json!({"path": format!("src/file_{turn}.rs"), "from": turn}).to_string();
        messages.push(json!({"role": "assistant", "content": "Let me see.", "reasoning_content": "It must be there.",
            "tool_calls": [{"id": format!("call_{turn}"), "type": "function",
                "function": {"name": "tool_1", "arguments": arguments}}]}));
        messages
            .push(json!({"role": "tool", "tool_call_id": format!("call_{turn}"), "content": code}));
        body =
            json!({"model": "m", "messages": messages, "tools": tools, "stream": true}).to_string();
        if body.len() >= SIZE {
            break;
        }
    }
    body
}

fn conversations(c: &mut Criterion) {
    let mut options = Options::default();
    options.target.unsigned_reasoning = true;
    let translated = |from, to, body: &[u8]| translate::ask(from, to, body, &options).unwrap().body;
    let chat = conversation().into_bytes();
    let messages = translated(ClientDialect::Chat, Dialect::Messages, &chat);
    let mut group = c.benchmark_group("conversation");
    for (name, from, to, body) in [
        (
            "chat to messages",
            ClientDialect::Chat,
            Dialect::Messages,
            &chat,
        ),
        (
            "messages to chat",
            ClientDialect::Messages,
            Dialect::Chat,
            &messages,
        ),
    ] {
        group.throughput(Throughput::Bytes(u64::try_from(body.len()).unwrap()));
        group.bench_function(name, |b| b.iter(|| translated(from, to, black_box(body))));
    }
}

fn streams(c: &mut Criterion) {
    let options = Options::default();
    let event = json!({"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": null}]});
    let event = event.to_string();
    let mut group = c.benchmark_group("stream");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one event of chat to messages", |b| {
        let mut stream = Stream::new(Dialect::Chat, ClientDialect::Messages, &options);
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            stream.push("", black_box(event.as_bytes()), &mut out);
        });
    });
}

criterion_group!(benches, conversations, streams);
criterion_main!(benches);
