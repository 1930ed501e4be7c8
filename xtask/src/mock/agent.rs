//! What the mock answers to agents, in the Responses and Messages dialects: a text, or first a call of the tool that
//! runs commands, where the prompt says `call_tool`.

use std::io;

use serde_json::{Value, json};

use super::http::{Conversation, Request};

/// The command that the agent is told to run, and the word that it prints.
const COMMAND: &str = "echo carnet-$((40 + 2))";
/// What tools that run commands are called.
const RUNNERS: [&str; 4] = ["Bash", "exec_command", "shell", "shell_command"];

/// A dialect of agents, if the path is one's.
pub(super) fn speaks(path: &str) -> bool {
    path.ends_with("/responses") || path.ends_with("/messages")
}

/// Answers one turn.
pub(super) fn play(talk: &mut Conversation, request: &Request, body: &Value) -> io::Result<()> {
    let text = String::from_utf8_lossy(&request.body);
    let reported = text.contains("carnet-42");
    let runner = runner(body).filter(|_| text.contains("call_tool") && !reported);
    let answer = if reported {
        "The command printed carnet-42."
    } else {
        "A plain answer."
    };
    let responses = request.path.contains("/responses");
    let turn = Turn {
        model: body.get("model").and_then(Value::as_str).unwrap_or("none"),
        call: runner.map(|name| (name, arguments(name))),
        answer,
    };
    let stream = body.get("stream").and_then(Value::as_bool) == Some(true);
    let events = if responses {
        turn.responses()
    } else {
        turn.messages()
    };
    if !stream {
        let whole = if responses {
            turn.response("completed", turn.output())
        } else {
            turn.message(turn.blocks(), Some(turn.stop_reason()))
        };
        return talk.json(200, &[], &whole);
    }
    talk.head(200, &[("content-type", "text/event-stream")], None)?;
    for event in events {
        let name = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        talk.chunk(format!("event: {name}\ndata: {event}\n\n").as_bytes())?;
    }
    talk.chunk(b"")
}

/// The offered tool that runs commands.
fn runner(body: &Value) -> Option<&str> {
    let tools = body.get("tools")?.as_array()?;
    tools
        .iter()
        .filter_map(|tool| tool.get("name")?.as_str())
        .find(|name| RUNNERS.contains(name))
}

fn arguments(tool: &str) -> Value {
    match tool {
        "Bash" => json!({"command": COMMAND, "description": "Print a word"}),
        "exec_command" => json!({"cmd": COMMAND}),
        "shell" => json!({"command": ["bash", "-c", COMMAND]}),
        _ => json!({"command": COMMAND}),
    }
}

struct Turn<'a> {
    model: &'a str,
    call: Option<(&'a str, Value)>,
    answer: &'a str,
}

impl Turn<'_> {
    fn output(&self) -> Value {
        let item = match &self.call {
            Some((name, arguments)) => json!({
                "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
                "arguments": arguments.to_string(), "status": "completed",
            }),
            None => json!({
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": self.answer, "annotations": []}],
            }),
        };
        json!([item])
    }

    fn response(&self, status: &str, output: Value) -> Value {
        json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": self.model,
            "output": output, "parallel_tool_calls": false, "store": false, "tools": [], "tool_choice": "auto",
            "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8},
        })
    }

    fn responses(&self) -> Vec<Value> {
        let output = self.output();
        let item = output.get(0).cloned().unwrap_or_default();
        let mut events = vec![
            json!({"type": "response.created", "response": self.response("in_progress", json!([]))}),
        ];
        match &self.call {
            Some((name, arguments)) => {
                let arguments = arguments.to_string();
                let begun = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": "", "status": "in_progress"});
                events.push(
                    json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
                );
                events.push(json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": arguments}));
                events.push(json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0, "arguments": arguments}));
            }
            None => {
                let begun = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []});
                let part =
                    |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
                let place = |kind: &str, more: (&str, Value)| {
                    let mut event = json!({"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": 0});
                    if let Some(event) = event.as_object_mut() {
                        event.insert(more.0.to_owned(), more.1);
                    }
                    event
                };
                events.push(
                    json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
                );
                events.push(place("response.content_part.added", ("part", part(""))));
                events.push(place(
                    "response.output_text.delta",
                    ("delta", json!(self.answer)),
                ));
                events.push(place(
                    "response.output_text.done",
                    ("text", json!(self.answer)),
                ));
                events.push(place(
                    "response.content_part.done",
                    ("part", part(self.answer)),
                ));
            }
        }
        events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
        events.push(
            json!({"type": "response.completed", "response": self.response("completed", output)}),
        );
        for (number, event) in events.iter_mut().enumerate() {
            if let Some(event) = event.as_object_mut() {
                event.insert("sequence_number".to_owned(), json!(number));
            }
        }
        events
    }

    fn stop_reason(&self) -> &'static str {
        if self.call.is_some() {
            "tool_use"
        } else {
            "end_turn"
        }
    }

    fn blocks(&self) -> Value {
        match &self.call {
            Some((name, input)) => {
                json!([{"type": "tool_use", "id": "toolu_1", "name": name, "input": input}])
            }
            None => json!([{"type": "text", "text": self.answer}]),
        }
    }

    fn message(&self, content: Value, stop_reason: Option<&str>) -> Value {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 5, "output_tokens": 3},
        })
    }

    fn messages(&self) -> Vec<Value> {
        let (begun, delta) = match &self.call {
            Some((name, input)) => (
                json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}),
                json!({"type": "input_json_delta", "partial_json": input.to_string()}),
            ),
            None => (
                json!({"type": "text", "text": ""}),
                json!({"type": "text_delta", "text": self.answer}),
            ),
        };
        vec![
            json!({"type": "message_start", "message": self.message(json!([]), None)}),
            json!({"type": "content_block_start", "index": 0, "content_block": begun}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": self.stop_reason(), "stop_sequence": null}, "usage": {"output_tokens": 3}}),
            json!({"type": "message_stop"}),
        ]
    }
}
