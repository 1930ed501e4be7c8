//! Cutting an answer elsewhere never changes the model, the id and the usage that are found in it, nor what comes out
//! under another name or without the usage that was not asked for, nor the texts in it, nor whether its end is missing; and
//! only what is not whole misses it.

#![no_main]

use carnet_wire::dialect::Dialect;
use carnet_wire::form::Usage;
use carnet_wire::sniff::{
    Framing, JsonEnd, ModelRename, Reported, ReportedModel, ReportedUsage, ResponseId, SaidTexts,
    UnaskedUsage,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (bool, u8, u16, &[u8])| {
    let (stream, size, limit, answer) = input;
    let framing = if stream {
        Framing::EventStream
    } else {
        Framing::Json
    };
    let limit = usize::from(limit);
    let whole = in_pieces(framing, limit, answer, answer.len().max(1));
    let pieces = in_pieces(framing, limit, answer, usize::from(size).max(1));
    assert_eq!(whole, pieces);
    let renamed = renamed_in_pieces(framing, answer, answer.len().max(1));
    let pieces = renamed_in_pieces(framing, answer, usize::from(size).max(1));
    assert_eq!(renamed, pieces);
    let id = id_in_pieces(framing, answer, answer.len().max(1));
    let pieces = id_in_pieces(framing, answer, usize::from(size).max(1));
    assert_eq!(id, pieces);
    for dialect in Dialect::ALL {
        for framing in [Some(framing), None] {
            let usage = usage_in_pieces(dialect, framing, answer, answer.len().max(1));
            let pieces = usage_in_pieces(dialect, framing, answer, usize::from(size).max(1));
            assert_eq!(usage, pieces);
            let said = said_in_pieces(dialect, framing, answer, answer.len().max(1));
            let pieces = said_in_pieces(dialect, framing, answer, usize::from(size).max(1));
            assert_eq!(said, pieces);
        }
    }
    let without = without_usage_in_pieces(answer, answer.len().max(1));
    let pieces = without_usage_in_pieces(answer, usize::from(size).max(1));
    assert_eq!(without, pieces);
    // Nothing is added and nothing moved.
    let mut left = answer.iter();
    assert!(without.iter().all(|byte| left.any(|one| one == byte)));
    let missing = end_is_missing(answer, answer.len().max(1));
    assert_eq!(missing, end_is_missing(answer, usize::from(size).max(1)));
    if let Ok(Value::Array(_) | Value::Object(_)) = serde_json::from_slice(answer) {
        assert!(!missing);
        let front = answer.trim_ascii_end();
        let begins = front.trim_ascii_start().len() - 1;
        let torn = &front[..front.len() - 1 - usize::from(size) % begins];
        assert!(end_is_missing(torn, torn.len().max(1)));
    }
    assert_ne!(whole, Reported::Pending);
    assert_ne!(whole, Reported::Model(String::new()));
});

fn in_pieces(framing: Framing, limit: usize, answer: &[u8], size: usize) -> Reported {
    let mut sniff = ReportedModel::with_limit(framing, limit);
    for piece in answer.chunks(size) {
        sniff.push(piece);
    }
    sniff.finish().clone()
}

fn usage_in_pieces(
    dialect: Dialect,
    framing: Option<Framing>,
    answer: &[u8],
    size: usize,
) -> Option<Usage> {
    let mut sniff = ReportedUsage::new(dialect, framing);
    for piece in answer.chunks(size) {
        sniff.push(piece);
    }
    sniff.usage().copied()
}

fn said_in_pieces(
    dialect: Dialect,
    framing: Option<Framing>,
    answer: &[u8],
    size: usize,
) -> Vec<String> {
    let mut sniff = SaidTexts::new(dialect, framing);
    let mut said = Vec::new();
    let mut take = |text: &str| said.push(text.to_owned());
    for piece in answer.chunks(size) {
        sniff.push(piece, &mut take);
    }
    sniff.finish(&mut take);
    said
}

fn without_usage_in_pieces(answer: &[u8], size: usize) -> Vec<u8> {
    let mut filter = UnaskedUsage::new();
    let mut out = Vec::new();
    for piece in answer.chunks(size) {
        filter.push(piece, &mut out);
    }
    filter.finish(&mut out);
    out
}

fn end_is_missing(answer: &[u8], size: usize) -> bool {
    let mut end = JsonEnd::default();
    for piece in answer.chunks(size) {
        end.push(piece);
    }
    end.is_missing()
}

fn id_in_pieces(framing: Framing, answer: &[u8], size: usize) -> Option<String> {
    let mut sniff = ResponseId::new(framing);
    let mut pieces = answer.chunks(size);
    pieces.find_map(|piece| sniff.push(piece).map(str::to_owned))
}

fn renamed_in_pieces(framing: Framing, answer: &[u8], size: usize) -> Vec<u8> {
    let mut rename = ModelRename::new(framing, "m\"");
    let mut out = Vec::new();
    for piece in answer.chunks(size) {
        rename.push(piece, &mut out);
    }
    out
}
