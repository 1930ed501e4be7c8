//! Answers: how they end, what is counted, what is held back, and that they repeat.

use std::ops::ControlFlow;

use super::{greedy, joined, load};
use crate::tokens::Detokeniser;
use crate::{Chat, Code, Effort, Engine, Finish, Input, Message, Piece, Request, Sampling, Usage};

fn run(engine: &Engine, request: &Request) -> (String, String, Finish, Usage) {
    let mut pieces = Vec::new();
    let (finish, usage) = engine
        .generate(request, &mut |new| {
            pieces.extend_from_slice(new);
            ControlFlow::Continue(())
        })
        .unwrap();
    let (reasoning, content) = joined(&pieces);
    (reasoning, content, finish, usage)
}

fn ask(content: &str) -> Input {
    let message = Message {
        role: "user".into(),
        content: content.into(),
        fields: Vec::new(),
    };
    Input::Chat(Chat {
        messages: vec![message],
        ..Chat::default()
    })
}

#[test]
fn an_answer_ends_at_its_length_and_is_counted() {
    let engine = load("plain");
    let (_, content, finish, usage) = run(&engine, &greedy("The border", 7));
    assert!(!content.is_empty());
    let counted = Usage {
        prompt_tokens: 2,
        completion_tokens: 7,
        reasoning_tokens: 0,
    };
    assert_eq!((finish, usage), (Finish::Length, counted));
}

#[test]
fn an_answer_ends_at_the_end_of_the_context() {
    let engine = load("plain");
    let request = Request {
        max_tokens: None,
        ..greedy(&"1".repeat(engine.context_tokens() - 3), 1)
    };
    let (_, _, finish, usage) = run(&engine, &request);
    assert_eq!((finish, usage.completion_tokens), (Finish::Length, 3));

    let request = greedy(&"1".repeat(engine.context_tokens()), 1);
    let refused = engine.start(&request).map(drop).map_err(|e| e.code);
    assert_eq!(refused, Err(Code::PromptTooLong));
}

#[test]
fn an_answer_ends_with_the_token_that_ends_it() {
    let mut engine = load("plain");
    let whole = run(&engine, &greedy("The border", 30)).1;
    let prompt = engine.encode("The border").unwrap();
    let mut ids = prompt.clone();
    for _ in 0..10 {
        let last = engine.logits(&ids).unwrap().pop().unwrap();
        let best = (0u32..).zip(&last).max_by(|a, b| a.1.total_cmp(b.1));
        ids.push(best.unwrap().0);
    }
    let end = ids[prompt.len() + 9];
    let first = ids[prompt.len()..]
        .iter()
        .position(|id| *id == end)
        .unwrap();
    engine.ends.insert(end);
    let (_, content, finish, usage) = run(&engine, &greedy("The border", 30));
    assert_eq!((finish, usage.completion_tokens), (Finish::Stop, first + 1));
    assert!(
        whole.starts_with(content.trim_end_matches('\u{fffd}')),
        "{content:?} {whole:?}"
    );
}

#[test]
fn a_stop_string_ends_the_answer_wherever_tokens_are_cut() {
    let engine = load("plain");
    let whole = run(&engine, &greedy("The border", 60)).1;
    let letters: Vec<char> = whole.chars().collect();
    for start in [0, 3, 10, 17] {
        for len in [1, 2, 5] {
            let stop: String = letters[start..start + len].iter().collect();
            let request = Request {
                stop: vec!["never there".into(), stop.clone()],
                ..greedy("The border", 60)
            };
            let (_, content, finish, usage) = run(&engine, &request);
            let (before, _) = whole.split_once(&stop).unwrap();
            assert_eq!(
                (content.as_str(), finish),
                (before, Finish::Stop),
                "{stop:?}"
            );
            assert!(usage.completion_tokens < 60);
        }
    }
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let engine = load("plain");
    let sampled = |seed| {
        let request = Request {
            seed,
            sampling: Some(Sampling {
                temperature: 1.3,
                top_p: 0.95,
                top_k: 0,
            }),
            ..greedy("The border", 40)
        };
        run(&engine, &request)
    };
    assert_eq!(sampled(11), sampled(11));
    assert_ne!(sampled(11).1, sampled(12).1);
}

#[test]
fn a_caller_who_hangs_up_is_not_worked_for() {
    let engine = load("plain");
    let mut calls = 0;
    let long = "1".repeat(300);
    let (finish, usage) = engine
        .generate(&greedy(&long, 50), &mut |_| {
            calls += 1;
            if calls == 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    // 300 tokens of prompt take three steps, of which the third makes a token too.
    assert_eq!(
        (finish, usage.completion_tokens, calls),
        (Finish::Cancelled, 3, 5)
    );
}

#[test]
fn reasoning_that_is_used_up_is_closed_and_the_answer_begins() {
    let engine = load("tied");
    assert!(engine.reasons());
    for budget in [0, 1, 5, 20] {
        let request = Request {
            reasoning_tokens_max: Some(budget),
            max_tokens: Some(60),
            sampling: greedy("", 1).sampling,
            ..Request::new(ask("Why?"))
        };
        let (reasoning, content, finish, usage) = run(&engine, &request);
        // The marker and the line ends around it are counted too.
        let closing = engine.encode("\n</think>").unwrap().len();
        assert_eq!(usage.reasoning_tokens, budget + closing, "{budget}");
        assert_eq!((finish, usage.completion_tokens), (Finish::Length, 60));
        // A single token may be half a character, which is dropped with the close.
        assert_eq!(reasoning.is_empty(), budget < 5, "{budget}: {reasoning:?}");
        assert!(!content.is_empty());
        for text in [&reasoning, &content] {
            assert!(!text.contains("think>"), "{text:?}");
        }
    }
    assert!(Effort::Low.tokens() < Effort::Medium.tokens());
    assert!(Effort::Medium.tokens() < Effort::High.tokens());
}

#[test]
fn reasoning_without_end_is_all_reasoning() {
    let engine = load("tied");
    let request = Request {
        max_tokens: Some(20),
        sampling: greedy("", 1).sampling,
        ..Request::new(ask("Why?"))
    };
    let (reasoning, content, finish, usage) = run(&engine, &request);
    assert!(!reasoning.is_empty() && content.is_empty());
    assert_eq!((finish, usage.reasoning_tokens), (Finish::Length, 20));
}

#[test]
fn a_prompt_that_closes_reasoning_gets_an_answer_at_once() {
    let engine = load("tied");
    let Input::Chat(chat) = ask("Why?") else {
        unreachable!()
    };
    let request = Request {
        max_tokens: Some(20),
        sampling: greedy("", 1).sampling,
        ..Request::new(Input::Chat(Chat {
            variables: vec![("enable_thinking".into(), "false".into())],
            ..chat
        }))
    };
    let (reasoning, content, _, usage) = run(&engine, &request);
    assert!(reasoning.is_empty() && !content.is_empty());
    assert_eq!(usage.reasoning_tokens, 0);
}

#[test]
fn characters_are_given_out_whole() {
    let engine = load("plain");
    let text = "aß漢🙂e\u{301} 🏳️‍🌈\n";
    let ids = engine.encode(text).unwrap();
    assert!(ids.len() > text.chars().count());
    let mut detokeniser = Detokeniser::default();
    let mut pieces = Vec::new();
    for id in &ids {
        pieces.push(detokeniser.push(*id, &engine.tokens).unwrap());
    }
    assert!(
        pieces.iter().all(|piece| !piece.contains('\u{fffd}')),
        "{pieces:?}"
    );
    assert_eq!(pieces.concat(), engine.decode(&ids).unwrap());

    // Cut within the last character: what is there is marked as broken at the end.
    let cut = engine.encode("ab🙂").unwrap();
    let mut detokeniser = Detokeniser::default();
    let mut text = String::new();
    for id in &cut[..cut.len() - 1] {
        text += &detokeniser.push(*id, &engine.tokens).unwrap();
    }
    assert_eq!(text, "ab");
    assert_eq!(detokeniser.finish(&engine.tokens).unwrap(), "\u{fffd}");

    // Bytes that never become a character do not hold back what follows for long.
    let broken = [engine.encode("🙂").unwrap()[1]; 40];
    let mut detokeniser = Detokeniser::default();
    let given: Vec<String> = broken
        .iter()
        .map(|id| detokeniser.push(*id, &engine.tokens).unwrap())
        .collect();
    let mut text = given.concat();
    assert!(text.chars().count() >= 32, "{given:?}");
    text += &detokeniser
        .push(engine.encode("a").unwrap()[0], &engine.tokens)
        .unwrap();
    assert_eq!(text, "\u{fffd}".repeat(40) + "a");
}

#[test]
fn special_tokens_are_no_text() {
    let engine = load("plain");
    let mut generation = engine.start(&greedy("The border", 10)).unwrap();
    generation.step().unwrap();
    let special = engine.encode("<|im_start|>").unwrap();
    assert_eq!(special.len(), 1);
    assert_eq!(generation.text(special[0]).unwrap(), Vec::<Piece>::new());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let engine = load("plain");
    let base = || greedy("x", 5);
    let cases = [
        Request {
            max_tokens: Some(0),
            ..base()
        },
        Request {
            input: Input::Text(String::new()),
            ..base()
        },
        Request {
            stop: vec![String::new()],
            ..base()
        },
        Request {
            sampling: Some(Sampling {
                temperature: -1.0,
                ..Sampling::default()
            }),
            ..base()
        },
        Request {
            input: Input::Chat(Chat::default()),
            ..base()
        },
        Request {
            input: Input::Text("x".repeat(5 << 20)),
            ..base()
        },
    ];
    for request in cases {
        let refused = engine.start(&request).map(drop).map_err(|e| e.code);
        assert_eq!(refused, Err(Code::SettingInvalid));
    }
    for ids in [&[][..], &[320]] {
        let refused = engine.logits(ids).map(drop).map_err(|e| e.code);
        assert_eq!(refused, Err(Code::SettingInvalid));
    }
}
