//! Whole models against what reference implementations compute, and files that must not load.

mod answers;
mod chats;
mod loading;
mod numbers;
mod shipped;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Engine, Input, LoadOptions, Piece, Request, Sampling};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn load(name: &str) -> Engine {
    Engine::load(&fixtures().join(name), &LoadOptions::default()).unwrap()
}

fn expected() -> Value {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn greedy(prompt: &str, max_tokens: usize) -> Request {
    Request {
        sampling: Some(Sampling {
            temperature: 0.0,
            ..Sampling::default()
        }),
        max_tokens: Some(max_tokens),
        ..Request::new(Input::Text(prompt.to_owned()))
    }
}

/// Reasoning and content.
fn joined(pieces: &[Piece]) -> (String, String) {
    let (mut reasoning, mut content) = (String::new(), String::new());
    for piece in pieces {
        match piece {
            Piece::Content(text) => content.push_str(text),
            Piece::Reasoning(text) => reasoning.push_str(text),
        }
    }
    (reasoning, content)
}
