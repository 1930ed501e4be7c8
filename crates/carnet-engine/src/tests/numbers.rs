//! Numbers of whole models: against the reference, packed and unpacked, at once and token by token.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use sha2::{Digest as _, Sha256};

use super::{expected, fixtures, greedy, ids, joined, load};
use crate::gguf::Gguf;
use crate::model::{Cache, Wanted};
use crate::store::Store as _;
use crate::weights;

const PROMPTS: [&str; 3] = [
    "The border",
    "What is the answer?",
    "Über 漢字 🙂\n\n  1234",
];

fn reference(name: &str) -> Vec<Vec<f32>> {
    let path = fixtures().join("logits.safetensors");
    let all = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    all[name].to_vec2().unwrap()
}

/// The largest distance of two lists of rows, of which the second has the last rows only.
fn distance(all: &[Vec<f32>], last: &[Vec<f32>]) -> f32 {
    let rows = all.iter().skip(all.len() - last.len()).zip(last);
    let far = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    };
    rows.map(far).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_the_reference() {
    for model in ["plain", "tied"] {
        let engine = load(model);
        for (index, prompt) in PROMPTS.iter().enumerate() {
            let numbers = engine.logits(&engine.encode(prompt).unwrap()).unwrap();
            let far = distance(&numbers, &reference(&format!("{model}.{index}")));
            assert!(far < 1e-3, "{model} {prompt:?}: {far}");
        }
    }
}

#[test]
fn packed_weights_give_the_numbers_of_their_unpacked_ones() {
    // Products with packed weights round the other side to 8 bits as well, by design.
    for (file, name, bound) in [
        ("f16.gguf", "F16", 1e-3),
        ("q8_0.gguf", "Q8_0", 0.5),
        ("q4_0.gguf", "Q4_0", 0.5),
    ] {
        let engine = load(file);
        let numbers = engine.logits(&engine.encode(PROMPTS[1]).unwrap()).unwrap();
        let far = distance(&numbers, &reference(&format!("{name}.1")));
        assert!(far < bound, "{file}: {far}");
    }
}

#[test]
fn every_packing_unpacks_exactly_as_the_reference() {
    let all: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_value(expected()["unpacked"].clone()).unwrap();
    assert_eq!(all.len(), 3);
    for (kind, tensors) in all {
        let path = fixtures().join(format!("{}.gguf", kind.to_lowercase()));
        let mut gguf = Gguf::open(&path, u64::MAX).unwrap();
        assert_eq!(gguf.names().len(), tensors.len());
        for (name, digest) in tensors {
            let dims = gguf.find(&name).unwrap().unwrap().dims;
            let weight = weights::load(&mut gguf, &name, &dims).unwrap();
            let numbers: Vec<f32> = weight
                .plain()
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            assert_eq!(hex::encode(Sha256::digest(bytes)), digest, "{kind} {name}");
            let Ok([rows, _]) = <[usize; 2]>::try_from(dims) else {
                continue;
            };
            let picked = [0, rows as u32 - 1, 3];
            let indices = Tensor::new(&picked, &Device::Cpu).unwrap();
            let looked_up: Vec<Vec<f32>> = weight.rows(&indices).unwrap().to_vec2().unwrap();
            let plain: Vec<Vec<f32>> = weight.plain().unwrap().to_vec2().unwrap();
            for (row, index) in looked_up.iter().zip(picked) {
                assert_eq!(row, &plain[index as usize], "{kind} {name}");
            }
        }
    }
}

#[test]
fn a_greedy_answer_is_that_of_the_reference() {
    for model in ["plain", "tied"] {
        let engine = load(model);
        for case in expected()["greedy"][model].as_array().unwrap() {
            let prompt = case["prompt"].as_str().unwrap();
            let wanted = ids(&case["ids"]);
            assert_eq!(wanted.len(), 200);
            let mut cache = Cache::default();
            let mut next = engine.encode(prompt).unwrap();
            let mut made = Vec::new();
            while made.len() < wanted.len() {
                let numbers = engine
                    .model
                    .forward(&next, &mut cache, Wanted::Last)
                    .unwrap();
                let numbers: Vec<f32> = numbers.flatten_all().unwrap().to_vec1().unwrap();
                let best = (0u32..).zip(&numbers).max_by(|a, b| a.1.total_cmp(b.1));
                made.push(best.unwrap().0);
                next = vec![*made.last().unwrap()];
            }
            assert_eq!(made, wanted, "{model} {prompt:?}");

            let mut pieces = Vec::new();
            let request = greedy(prompt, 200);
            engine
                .generate(&request, &mut |new| {
                    pieces.extend_from_slice(new);
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(
                joined(&pieces).1,
                case["text"].as_str().unwrap(),
                "{model} {prompt:?}"
            );
        }
    }
}

#[test]
fn a_sequence_in_parts_gives_the_numbers_of_the_whole() {
    // Packed weights meet numbers rounded to 8 bits in parts of few tokens, and exact ones in others.
    for (model, few) in [("plain", 1e-4), ("tied", 1e-4), ("q8_0.gguf", 1.5)] {
        let engine = load(model);
        let text = "The goods cross a border with a carnet. ".repeat(20);
        let ids = engine.encode(&text).unwrap();
        assert!(ids.len() > 200, "{}", ids.len());
        let whole = engine.logits(&ids).unwrap();
        // Parts that end at, before and after the places where the cache grows.
        for parts in [
            vec![1; ids.len()],
            vec![127, 1, 1, 30],
            vec![128, 3],
            vec![ids.len() - 1],
            vec![100, 60],
        ] {
            let bound = if parts == [100, 60] { 1e-4 } else { few };
            let mut cache = Cache::default();
            let mut made = Vec::new();
            let mut rest = ids.as_slice();
            for part in parts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(part.min(rest.len()));
                if !now.is_empty() {
                    let numbers = engine.model.forward(now, &mut cache, Wanted::All).unwrap();
                    made.extend(numbers.to_vec2::<f32>().unwrap());
                }
                rest = later;
            }
            let far = distance(&made, &whole);
            assert!(made.len() == whole.len() && far < bound, "{model}: {far}");
        }
    }
}

#[test]
fn texts_become_the_tokens_of_the_reference_from_either_tokenizer() {
    for (model, name) in [("plain", "plain"), ("tied", "tied"), ("q8_0.gguf", "plain")] {
        let engine = load(model);
        for case in expected()["texts"][name].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            assert_eq!(
                engine.encode(text).unwrap(),
                ids(&case[1]),
                "{model} {text:?}"
            );
        }
    }
    let engine = load("q4_0.gguf");
    let text = "it's\tÜber 漢字 🙂 1234\n\n";
    assert_eq!(engine.decode(&engine.encode(text).unwrap()).unwrap(), text);
}
