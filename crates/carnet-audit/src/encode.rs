//! Bounded encoding: whatever a record holds, its bytes fit the room that was reserved for them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::limits::{INTENT_BYTES_MAX, LEAF_BYTES_MAX, PART_BYTES_MAX};
use crate::line::Write;
use crate::record::{
    Attempt, Cached, Detection, DocumentKind, DocumentPart, Intent, Record, Spend, Version,
};

/// Bytes of a text that are kept when a record is too long.
const CLIPPED_TEXT_BYTES: usize = 88;
/// Bytes of `detail` that are kept.
const CLIPPED_DETAIL_BYTES: usize = 320;
/// Bytes that are kept of the name of a coding; those that are decoded are shorter.
const CLIPPED_CODING_BYTES: usize = 8;
/// Bytes of a detection's kind or confidence, or of a result of the cache; those of this program are shorter.
const CLIPPED_WORD_BYTES: usize = 16;
/// Detections that are kept.
const CLIPPED_DETECTIONS: usize = 4;
/// Bytes that are kept of a cost; none that is real is longer.
const CLIPPED_COST_BYTES: usize = 21;
/// Bytes that are kept of the code of a currency: all.
const CLIPPED_CURRENCY_BYTES: usize = 3;
/// Rules that are kept.
const CLIPPED_RULES: usize = 8;
/// Attempts that are kept, the last ones: they say how it ended.
const CLIPPED_ATTEMPTS: usize = 3;

/// Append the record's leaf, at most [`LEAF_BYTES_MAX`] bytes.
pub(crate) fn record(record: &Record, into: &mut Vec<u8>) {
    if fits(record, into, LEAF_BYTES_MAX) || fits(&clip_record(record), into, LEAF_BYTES_MAX) {
        return;
    }
    // Out of reach by the constants above (a test shows it); still, a leaf must never be missing.
    let mut bare = Record::new(record.kind, clip(&record.id), record.time, record.outcome);
    bare.clipped = true;
    fits(&bare, into, LEAF_BYTES_MAX);
}

/// Append the intent's bytes, at most [`INTENT_BYTES_MAX`].
pub(crate) fn intent(intent: &Intent, into: &mut Vec<u8>) {
    if !fits(intent, into, INTENT_BYTES_MAX) {
        fits(&clip_intent(intent), into, INTENT_BYTES_MAX);
    }
}

/// The leaves that hold a decision document.
pub(crate) fn document(id: &Arc<str>, text: &str) -> Vec<Vec<u8>> {
    let pieces = split(text);
    let parts = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let mut leaves = Vec::with_capacity(pieces.len());
    for (number, piece) in (1..).zip(pieces) {
        let part = DocumentPart {
            v: Version,
            kind: DocumentKind::Decision,
            id: clip(id),
            part: number,
            parts,
            text: piece.to_owned(),
        };
        let mut bytes = Vec::with_capacity(piece.len() + piece.len() / 4 + 160);
        if serde_json::to_writer(&mut bytes, &part).is_ok() {
            leaves.push(bytes);
        }
    }
    leaves
}

fn fits(line: &impl Write, into: &mut Vec<u8>, max: usize) -> bool {
    let start = into.len();
    line.write(into);
    if into.len() - start <= max {
        return true;
    }
    into.truncate(start);
    false
}

/// Cut a text so that each piece, escaped, is at most [`PART_BYTES_MAX`] bytes.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut escaped) = (0, 0);
    for (at, character) in text.char_indices() {
        let bytes = escaped_bytes(character);
        if escaped + bytes > PART_BYTES_MAX {
            pieces.extend(text.get(start..at));
            (start, escaped) = (at, 0);
        }
        escaped += bytes;
    }
    pieces.extend(text.get(start..));
    pieces
}

fn escaped_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

fn clip_record(record: &Record) -> Record {
    let first_kept = record.attempts.len().saturating_sub(CLIPPED_ATTEMPTS);
    Record {
        id: clip(&record.id),
        workload: clip_some(record.workload.as_ref()),
        key_id: clip_some(record.key_id.as_ref()),
        api: clip_some(record.api.as_ref()),
        requested_model: clip_some(record.requested_model.as_ref()),
        resolved_model: clip_some(record.resolved_model.as_ref()),
        reported_model: clip_some(record.reported_model.as_ref()),
        answering_model: clip_some(record.answering_model.as_ref()),
        upstream: clip_some(record.upstream.as_ref()),
        host: clip_some(record.host.as_ref()),
        decision_doc: clip_some(record.decision_doc.as_ref()),
        rules: record.rules.iter().take(CLIPPED_RULES).map(clip).collect(),
        translated_to: clip_some(record.translated_to.as_ref()),
        losses: Vec::new(),
        edits: Vec::new(),
        policy_version: clip_some(record.policy_version.as_ref()),
        registry_version: clip_some(record.registry_version.as_ref()),
        config_version: clip_some(record.config_version.as_ref()),
        attempts: record
            .attempts
            .iter()
            .skip(first_kept)
            .map(clip_attempt)
            .collect(),
        detections: clip_detections(&record.detections),
        detail: record
            .detail
            .as_ref()
            .map(|detail| clip_to(detail, CLIPPED_DETAIL_BYTES)),
        spend: record.spend.as_deref().map(clip_spend),
        cache: record.cache.as_deref().map(clip_cached),
        clipped: true,
        ..*record
    }
}

/// The surest, with their texts, which are short and the program's own; never more than fit.
fn clip_detections(detections: &[Detection]) -> Vec<Detection> {
    let own = |text: &Cow<'static, str>| text.len() <= CLIPPED_WORD_BYTES;
    let mut kept: Vec<Detection> = detections
        .iter()
        .filter(|detection| own(&detection.kind) && own(&detection.confidence))
        .cloned()
        .collect();
    let place = |detection: &Detection| match &*detection.confidence {
        "high" => 0,
        "medium" => 1,
        _ => 2,
    };
    kept.sort_by_key(place);
    kept.truncate(CLIPPED_DETECTIONS);
    kept
}

fn clip_attempt(attempt: &Attempt) -> Attempt {
    Attempt {
        upstream: clip(&attempt.upstream),
        origin: clip(&attempt.origin),
        address: clip_some(attempt.address.as_ref()),
        server_name: clip_some(attempt.server_name.as_ref()),
        certificate_sha256: clip_some(attempt.certificate_sha256.as_ref()),
        proxy: clip_some(attempt.proxy.as_ref()),
        content_encoding: attempt
            .content_encoding
            .as_ref()
            .map(|name| clip_to(name, CLIPPED_CODING_BYTES)),
        error: clip_some(attempt.error.as_ref()),
        model: None,
        decision_doc: clip_some(attempt.decision_doc.as_ref()),
        tokens: None,
        ..*attempt
    }
}

/// What it cost is kept; what had been reserved of money, and whose price it was, is not.
fn clip_spend(spend: &Spend) -> Box<Spend> {
    let short = |text: &Option<Arc<str>>, max| text.as_ref().map(|text| clip_to(text, max));
    Box::new(Spend {
        reserved_cost: None,
        cost: short(&spend.cost, CLIPPED_COST_BYTES),
        currency: short(&spend.currency, CLIPPED_CURRENCY_BYTES),
        price: None,
        ..*spend
    })
}

fn clip_cached(cached: &Cached) -> Box<Cached> {
    Box::new(Cached {
        result: String::from(&*clip_to(&cached.result, CLIPPED_WORD_BYTES)).into(),
        record: clip_some(cached.record.as_ref()),
        age_seconds: cached.age_seconds,
    })
}

fn clip_intent(intent: &Intent) -> Intent {
    Intent {
        id: clip(&intent.id),
        workload: clip_some(intent.workload.as_ref()),
        key_id: clip_some(intent.key_id.as_ref()),
        api: clip_some(intent.api.as_ref()),
        requested_model: clip_some(intent.requested_model.as_ref()),
        resolved_model: clip_some(intent.resolved_model.as_ref()),
        upstream: clip_some(intent.upstream.as_ref()),
        host: clip_some(intent.host.as_ref()),
        decision_doc: clip_some(intent.decision_doc.as_ref()),
        rules: intent.rules.iter().take(4).map(clip).collect(),
        policy_version: clip_some(intent.policy_version.as_ref()),
        registry_version: clip_some(intent.registry_version.as_ref()),
        config_version: clip_some(intent.config_version.as_ref()),
        ..*intent
    }
}

fn clip_some(text: Option<&Arc<str>>) -> Option<Arc<str>> {
    text.map(clip)
}

fn clip(text: &Arc<str>) -> Arc<str> {
    clip_to(text, CLIPPED_TEXT_BYTES)
}

/// At most `max` bytes, none of which grows when it is escaped.
fn clip_to(text: &str, max: usize) -> Arc<str> {
    let mut kept = String::with_capacity(max);
    for character in text.chars() {
        let plain = if escaped_bytes(character) == character.len_utf8() {
            character
        } else {
            '?'
        };
        if kept.len() + plain.len_utf8() > max {
            break;
        }
        kept.push(plain);
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Kind, Leaf, Outcome, Ruling, Spend, Timings, Tokens};
    use jiff::Timestamp;

    fn monstrous() -> Record {
        let text: Arc<str> = "\u{1}\"\\ü".repeat(900).into();
        let some = Some(text.clone());
        let attempt = Attempt {
            n: u32::MAX,
            upstream: text.clone(),
            origin: text.clone(),
            address: some.clone(),
            server_name: some.clone(),
            certificate_sha256: some.clone(),
            proxy: some.clone(),
            status: Some(u16::MAX),
            content_encoding: some.clone(),
            error: some.clone(),
            unsent: true,
            hedge: true,
            model: some.clone(),
            decision_doc: some.clone(),
            tokens: None,
            started_us: u64::MAX,
            duration_us: u64::MAX,
        };
        let timings = Timings {
            decided_us: Some(u64::MAX),
            first_byte_us: Some(u64::MAX),
            total_us: u64::MAX,
        };
        let detection = Detection {
            kind: "k".repeat(CLIPPED_WORD_BYTES).into(),
            confidence: "medium".into(),
            count: u32::MAX,
        };
        Record {
            v: Version,
            kind: Kind::Strangers,
            id: text.clone(),
            time: Timestamp::MIN,
            workload: some.clone(),
            key_id: some.clone(),
            api: some.clone(),
            stream: true,
            translated_to: some.clone(),
            losses: vec![text.clone(); 40],
            edits: vec![String::from(&*text).into(); 40],
            requested_model: some.clone(),
            resolved_model: some.clone(),
            reported_model: some.clone(),
            answering_model: some.clone(),
            upstream: some.clone(),
            host: some.clone(),
            decision: Some(Ruling::ReportDeny),
            decision_doc: some.clone(),
            rules: vec![text.clone(); 40],
            policy_version: some.clone(),
            registry_version: some.clone(),
            config_version: some.clone(),
            attempts: vec![attempt; 40],
            bytes_in: u64::MAX,
            bytes_out: u64::MAX,
            detections: vec![detection; 40],
            tokens: Some(Tokens {
                input: u64::MAX,
                cache_read: u64::MAX,
                cache_write: u64::MAX,
                output: u64::MAX,
                reasoning: u64::MAX,
                estimated: true,
            }),
            spend: Some(Box::new(Spend {
                reserved: u64::MAX,
                reserved_cost: some.clone(),
                cost: some.clone(),
                currency: some.clone(),
                price: some.clone(),
                over: true,
            })),
            cache: Some(Box::new(Cached {
                result: String::from(&*text).into(),
                record: some.clone(),
                age_seconds: Some(u64::MAX),
            })),
            outcome: Outcome::UpstreamError,
            status: Some(u16::MAX),
            timings: Some(timings),
            count: Some(u64::MAX),
            detail: some,
            clipped: false,
        }
    }

    #[test]
    fn a_monstrous_record_is_clipped_and_keeps_its_last_attempts() {
        let mut bytes = Vec::new();
        record(&monstrous(), &mut bytes);
        assert!(bytes.len() <= LEAF_BYTES_MAX, "{}", bytes.len());
        let Leaf::Record(read) = Leaf::parse(&bytes).unwrap() else {
            panic!("not a record")
        };
        assert!(read.clipped);
        assert_eq!(read.attempts.len(), CLIPPED_ATTEMPTS);
        assert_eq!(read.detections.len(), CLIPPED_DETECTIONS);
        assert_eq!(read.timings, monstrous().timings);
    }

    #[test]
    fn of_many_detections_the_surest_are_kept() {
        let detection = |confidence: &'static str, count| Detection {
            kind: "iban".into(),
            confidence: confidence.into(),
            count,
        };
        let mut all = vec![detection("low", 1); 9];
        all.extend([detection("medium", 2), detection("high", 3)]);
        let kept = clip_detections(&all).into_iter();
        let counts: Vec<u32> = kept.map(|detection| detection.count).collect();
        assert_eq!(counts, [3, 2, 1, 1]);
    }

    #[test]
    fn a_monstrous_intent_is_clipped() {
        let mut bytes = Vec::new();
        intent(&monstrous().intent(), &mut bytes);
        assert!(
            !bytes.is_empty() && bytes.len() <= INTENT_BYTES_MAX,
            "{}",
            bytes.len()
        );
        let read: Intent = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.decision, Some(Ruling::ReportDeny));
    }

    #[test]
    fn documents_come_back_byte_for_byte() {
        for text in ["{}".to_owned(), "\u{1}\"ü".repeat(40_000), String::new()] {
            let id: Arc<str> = "sha256:00".into();
            let mut whole = String::new();
            for leaf in document(&id, &text) {
                assert!(leaf.len() <= crate::limits::PAYLOAD_BYTES_MAX);
                let Leaf::Document(part) = Leaf::parse(&leaf).unwrap() else {
                    panic!("not a part")
                };
                whole.push_str(&part.text);
            }
            assert_eq!(whole, text);
        }
    }

    #[test]
    fn words_are_told_as_they_are_written() {
        fn all<T: serde::Serialize>(words: &[T], told: impl Fn(&T) -> &'static str) {
            for word in words {
                assert_eq!(
                    serde_json::to_string(word).unwrap(),
                    format!("\"{}\"", told(word))
                );
            }
        }
        all(Kind::ALL, |kind| kind.as_str());
        all(Outcome::ALL, |outcome| outcome.as_str());
        all(Ruling::ALL, |ruling| ruling.as_str());
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = Vec::new();
        record(
            &Record::new(
                Kind::Start,
                "r".into(),
                Timestamp::UNIX_EPOCH,
                Outcome::Completed,
            ),
            &mut bytes,
        );
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"kind":"start","id":"r","time":"1970-01-01T00:00:00Z","outcome":"completed"}"#
        );
        assert!(Leaf::parse(text.replace("\"v\":1", "\"v\":2").as_bytes()).is_err());
    }
}
