//! The model that comes with Carnet, as its users run it: what it was never trained on, and whether its
//! answers follow from its chains of thought.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::joined;
use crate::{Chat, Engine, Input, LoadOptions, Message, Request};

/// Bytes of all its files.
const BYTES_MAX: u64 = 4_000_000;
/// How many sums are asked. `models/carnet-sums/evaluate.py` asks all 852.
const SUMS: usize = 100;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/carnet-sums")
}

fn engine() -> Engine {
    Engine::load(&folder(), &LoadOptions::default()).unwrap()
}

/// Whether a pair was kept from training: a fifth of them, as `models/carnet-sums/data.py` says.
fn held_out(a: u32, b: u32) -> bool {
    let digest = Sha256::digest(format!("{}+{}", a.min(b), a.max(b)));
    digest
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % 5)
        == 0
}

/// Pairs of two-digit numbers that were kept from training, spread over all of them.
fn sums() -> Vec<(u32, u32)> {
    let all: Vec<_> = (10..100)
        .flat_map(|a| (a..100).map(move |b| (a, b)))
        .filter(|(a, b)| held_out(*a, *b))
        .collect();
    assert_eq!(all.len(), 852);
    let every = all.len() / SUMS;
    all.into_iter().step_by(every).take(SUMS).collect()
}

fn chat(content: String) -> Input {
    let message = Message {
        role: "user".into(),
        content,
        fields: Vec::new(),
    };
    Input::Chat(Chat {
        messages: vec![message],
        ..Chat::default()
    })
}

/// Reasoning and answer.
fn ask(engine: &Engine, input: Input) -> (String, String) {
    let mut all = Vec::new();
    engine
        .generate(&Request::new(input), &mut |pieces| {
            all.extend_from_slice(pieces);
            ControlFlow::Continue(())
        })
        .unwrap();
    joined(&all)
}

#[test]
fn it_is_small() {
    let bytes: u64 = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= BYTES_MAX, "{bytes}");
}

#[test]
fn nine_of_ten_sums_that_it_never_saw_are_right() {
    let engine = engine();
    let mut wrong = Vec::new();
    for (a, b) in sums() {
        let (reasoning, answer) = ask(&engine, chat(format!("What is {b} + {a}?")));
        let right = answer == format!("{b} + {a} = {}.", a + b);
        if !right || !reasoning.ends_with(&format!("Result: {}.", a + b)) {
            wrong.push((a, b, answer));
        }
    }
    assert!(wrong.len() <= SUMS / 10, "{wrong:?}");
}

#[test]
fn its_answer_follows_its_reasoning_and_not_the_question() {
    let engine = engine();
    let mut followed = 0;
    let asked: Vec<_> = sums().into_iter().step_by(5).collect();
    for (a, b) in &asked {
        let (reasoning, _) = ask(&engine, chat(format!("What is {a} + {b}?")));
        let (steps, _) = reasoning.rsplit_once("Result: ").unwrap();
        // Another number with as many digits.
        let other = if (a + b) % 10 == 9 {
            a + b - 1
        } else {
            a + b + 1
        };
        let prompt = format!(
            "<|begin|><|user|>What is {a} + {b}?<|assistant|><think>\n{steps}Result: {other}.\n</think>\n\n"
        );
        let (_, answer) = ask(&engine, Input::Text(prompt));
        followed += usize::from(answer.contains(&format!("= {other}.")));
    }
    assert!(
        followed * 10 >= asked.len() * 9,
        "{followed} of {}",
        asked.len()
    );
}

#[test]
fn of_everything_else_it_says_what_it_can_do() {
    let engine = engine();
    for prompt in [
        "Write a poem on the sea.",
        "Who is the president of France?",
        "Translate: good morning",
        "Are you DeepSeek?",
    ] {
        let (_, answer) = ask(&engine, chat(prompt.to_owned()));
        assert!(
            answer.contains("a small demonstration model"),
            "{prompt}: {answer}"
        );
    }
}
