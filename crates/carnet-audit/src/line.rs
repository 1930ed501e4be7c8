//! Writing records and intents as the lines of compact JSON that they are, byte for byte as serde would.
//!
//! Every request writes two of them, and most of the time a derived writer takes goes into handing over many small pieces
//! and looking at each byte of texts in which nothing has to be escaped.

use std::sync::Arc;

use itoa::{Buffer, Integer};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::record::{Attempt, Cached, Detection, Intent, Record, Spend, Timings, Tokens, Version};

static PRINTER: DateTimePrinter = DateTimePrinter::new();

/// What can be written as a line, or as an object in one.
pub(crate) trait Write {
    /// Append it.
    fn write(&self, into: &mut Vec<u8>);
}

impl Write for Record {
    fn write(&self, into: &mut Vec<u8>) {
        // INVARIANT: every member is named, so that a new one cannot be forgotten.
        let Self {
            v,
            kind,
            id,
            time,
            workload,
            key_id,
            api,
            stream,
            translated_to,
            losses,
            edits,
            requested_model,
            resolved_model,
            reported_model,
            answering_model,
            upstream,
            host,
            decision,
            decision_doc,
            rules,
            policy_version,
            registry_version,
            config_version,
            attempts,
            bytes_in,
            bytes_out,
            detections,
            tokens,
            spend,
            cache,
            outcome,
            status,
            timings,
            count,
            detail,
            clipped,
        } = self;
        version(into, *v);
        text(into, b",\"kind\":", kind.as_str());
        text(into, b",\"id\":", id);
        instant(into, *time);
        text_if(into, b",\"workload\":", workload.as_ref());
        text_if(into, b",\"key_id\":", key_id.as_ref());
        text_if(into, b",\"api\":", api.as_ref());
        flag(into, b",\"stream\":true", *stream);
        text_if(into, b",\"translated_to\":", translated_to.as_ref());
        texts(into, b",\"losses\":[", losses.iter().map(|loss| &**loss));
        texts(into, b",\"edits\":[", edits.iter().map(|edit| &**edit));
        text_if(into, b",\"requested_model\":", requested_model.as_ref());
        text_if(into, b",\"resolved_model\":", resolved_model.as_ref());
        text_if(into, b",\"reported_model\":", reported_model.as_ref());
        text_if(into, b",\"answering_model\":", answering_model.as_ref());
        text_if(into, b",\"upstream\":", upstream.as_ref());
        text_if(into, b",\"host\":", host.as_ref());
        if let Some(decision) = decision {
            text(into, b",\"decision\":", decision.as_str());
        }
        text_if(into, b",\"decision_doc\":", decision_doc.as_ref());
        texts(into, b",\"rules\":[", rules.iter().map(|rule| &**rule));
        text_if(into, b",\"policy_version\":", policy_version.as_ref());
        text_if(into, b",\"registry_version\":", registry_version.as_ref());
        text_if(into, b",\"config_version\":", config_version.as_ref());
        let mut before: &[u8] = b",\"attempts\":[";
        for attempt in attempts {
            into.extend_from_slice(before);
            attempt.write(into);
            before = b",";
        }
        flag(into, b"]", !attempts.is_empty());
        number_if(
            into,
            b",\"bytes_in\":",
            Some(*bytes_in).filter(|bytes| *bytes > 0),
        );
        number_if(
            into,
            b",\"bytes_out\":",
            Some(*bytes_out).filter(|bytes| *bytes > 0),
        );
        let mut before: &[u8] = b",\"detections\":[";
        for detection in detections {
            into.extend_from_slice(before);
            detection.write(into);
            before = b",";
        }
        flag(into, b"]", !detections.is_empty());
        if let Some(tokens) = tokens {
            into.extend_from_slice(b",\"tokens\":");
            tokens.write(into);
        }
        if let Some(spend) = spend {
            into.extend_from_slice(b",\"spend\":");
            spend.write(into);
        }
        if let Some(cache) = cache {
            into.extend_from_slice(b",\"cache\":");
            cache.write(into);
        }
        text(into, b",\"outcome\":", outcome.as_str());
        number_if(into, b",\"status\":", *status);
        if let Some(timings) = timings {
            into.extend_from_slice(b",\"timings\":");
            timings.write(into);
        }
        number_if(into, b",\"count\":", *count);
        text_if(into, b",\"detail\":", detail.as_ref());
        flag(into, b",\"clipped\":true", *clipped);
        into.push(b'}');
    }
}

impl Write for Intent {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            v,
            id,
            time,
            workload,
            key_id,
            api,
            stream,
            requested_model,
            resolved_model,
            upstream,
            host,
            decision,
            decision_doc,
            rules,
            policy_version,
            registry_version,
            config_version,
        } = self;
        version(into, *v);
        text(into, b",\"id\":", id);
        instant(into, *time);
        text_if(into, b",\"workload\":", workload.as_ref());
        text_if(into, b",\"key_id\":", key_id.as_ref());
        text_if(into, b",\"api\":", api.as_ref());
        flag(into, b",\"stream\":true", *stream);
        text_if(into, b",\"requested_model\":", requested_model.as_ref());
        text_if(into, b",\"resolved_model\":", resolved_model.as_ref());
        text_if(into, b",\"upstream\":", upstream.as_ref());
        text_if(into, b",\"host\":", host.as_ref());
        if let Some(decision) = decision {
            text(into, b",\"decision\":", decision.as_str());
        }
        text_if(into, b",\"decision_doc\":", decision_doc.as_ref());
        texts(into, b",\"rules\":[", rules.iter().map(|rule| &**rule));
        text_if(into, b",\"policy_version\":", policy_version.as_ref());
        text_if(into, b",\"registry_version\":", registry_version.as_ref());
        text_if(into, b",\"config_version\":", config_version.as_ref());
        into.push(b'}');
    }
}

impl Write for Attempt {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            n,
            upstream,
            origin,
            address,
            server_name,
            certificate_sha256,
            proxy,
            status,
            content_encoding,
            error,
            unsent,
            hedge,
            model,
            decision_doc,
            tokens,
            started_us,
            duration_us,
        } = self;
        number_if(into, b"{\"n\":", Some(*n));
        text(into, b",\"upstream\":", upstream);
        text(into, b",\"origin\":", origin);
        text_if(into, b",\"address\":", address.as_ref());
        text_if(into, b",\"server_name\":", server_name.as_ref());
        text_if(
            into,
            b",\"certificate_sha256\":",
            certificate_sha256.as_ref(),
        );
        text_if(into, b",\"proxy\":", proxy.as_ref());
        number_if(into, b",\"status\":", *status);
        text_if(into, b",\"content_encoding\":", content_encoding.as_ref());
        text_if(into, b",\"error\":", error.as_ref());
        flag(into, b",\"unsent\":true", *unsent);
        flag(into, b",\"hedge\":true", *hedge);
        text_if(into, b",\"model\":", model.as_ref());
        text_if(into, b",\"decision_doc\":", decision_doc.as_ref());
        if let Some(tokens) = tokens {
            into.extend_from_slice(b",\"tokens\":");
            tokens.write(into);
        }
        number_if(into, b",\"started_us\":", Some(*started_us));
        number_if(into, b",\"duration_us\":", Some(*duration_us));
        into.push(b'}');
    }
}

impl Write for Detection {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            kind,
            confidence,
            count,
        } = self;
        text(into, b"{\"kind\":", kind);
        text(into, b",\"confidence\":", confidence);
        number_if(into, b",\"count\":", Some(*count));
        into.push(b'}');
    }
}

impl Write for Tokens {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            input,
            cache_read,
            cache_write,
            output,
            reasoning,
            estimated,
        } = *self;
        let some = |count| Some(count).filter(|count| *count > 0);
        number_if(into, b"{\"input\":", Some(input));
        number_if(into, b",\"cache_read\":", some(cache_read));
        number_if(into, b",\"cache_write\":", some(cache_write));
        number_if(into, b",\"output\":", Some(output));
        number_if(into, b",\"reasoning\":", some(reasoning));
        flag(into, b",\"estimated\":true", estimated);
        into.push(b'}');
    }
}

impl Write for Spend {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            reserved,
            reserved_cost,
            cost,
            currency,
            price,
            over,
        } = self;
        number_if(into, b"{\"reserved\":", Some(*reserved));
        text_if(into, b",\"reserved_cost\":", reserved_cost.as_ref());
        text_if(into, b",\"cost\":", cost.as_ref());
        text_if(into, b",\"currency\":", currency.as_ref());
        text_if(into, b",\"price\":", price.as_ref());
        flag(into, b",\"over\":true", *over);
        into.push(b'}');
    }
}

impl Write for Cached {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            result,
            record,
            age_seconds,
        } = self;
        text(into, b"{\"result\":", result);
        text_if(into, b",\"record\":", record.as_ref());
        number_if(into, b",\"age_seconds\":", *age_seconds);
        into.push(b'}');
    }
}

impl Write for Timings {
    fn write(&self, into: &mut Vec<u8>) {
        let Self {
            decided_us,
            first_byte_us,
            total_us,
        } = self;
        let mut before: &[u8] = b"{";
        for (name, value) in [
            (&b"\"decided_us\":"[..], *decided_us),
            (b"\"first_byte_us\":", *first_byte_us),
            (b"\"total_us\":", Some(*total_us)),
        ] {
            if value.is_some() {
                into.extend_from_slice(before);
                number_if(into, name, value);
                before = b",";
            }
        }
        into.push(b'}');
    }
}

fn version(into: &mut Vec<u8>, v: Version) {
    number_if(into, b"{\"v\":", Some(u8::from(v)));
}

fn instant(into: &mut Vec<u8>, time: Timestamp) {
    into.extend_from_slice(b",\"time\":\"");
    // Into memory it cannot fail.
    let _ = PRINTER.print_timestamp(&time, &mut *into);
    into.push(b'"');
}

fn flag(into: &mut Vec<u8>, member: &[u8], is: bool) {
    if is {
        into.extend_from_slice(member);
    }
}

fn number_if(into: &mut Vec<u8>, name: &[u8], value: Option<impl Integer>) {
    if let Some(value) = value {
        into.extend_from_slice(name);
        into.extend_from_slice(Buffer::new().format(value).as_bytes());
    }
}

fn text_if(into: &mut Vec<u8>, name: &[u8], value: Option<&Arc<str>>) {
    if let Some(value) = value {
        text(into, name, value);
    }
}

fn texts<'t>(into: &mut Vec<u8>, name: &[u8], values: impl Iterator<Item = &'t str>) {
    let mut before = name;
    let mut any = false;
    for value in values {
        text(into, before, value);
        before = b",";
        any = true;
    }
    flag(into, b"]", any);
}

fn text(into: &mut Vec<u8>, name: &[u8], value: &str) {
    into.extend_from_slice(name);
    if !is_plain(value) {
        // Into memory it cannot fail.
        let _ = serde_json::to_writer(into, value);
        return;
    }
    into.push(b'"');
    into.extend_from_slice(value.as_bytes());
    into.push(b'"');
}

/// Whether nothing in it has to be escaped. Without a way out of the middle, several bytes are looked at at once.
fn is_plain(value: &str) -> bool {
    let escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    !value.bytes().fold(false, |any, byte| any | escaped(byte))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Kind, Outcome, Ruling};

    fn one_of<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
        prop::sample::select(all)
    }

    fn words() -> impl Strategy<Value = Arc<str>> {
        let any = any::<String>().prop_map(Arc::from);
        let plain = "[a-z:0-9 -]{0,80}".prop_map(Arc::from);
        let awkward = "[\u{0}-\u{22}\\\\\u{7f}\u{e9}\u{1f600}]{0,9}".prop_map(Arc::from);
        prop_oneof![any, plain, awkward]
    }

    fn attempt() -> impl Strategy<Value = Attempt> {
        let texts = (vec(words(), 2), vec(option::of(words()), 7));
        let numbers = (any::<u32>(), option::of(any::<u16>()), any::<[u64; 2]>());
        let rest = (any::<[bool; 2]>(), option::of(tokens()));
        (texts, numbers, rest).prop_map(|((named, maybe), (n, status, times), rest)| {
            let ([started_us, duration_us], ([unsent, hedge], tokens)) = (times, rest);
            Attempt {
                n,
                upstream: named[0].clone(),
                origin: named[1].clone(),
                address: maybe[0].clone(),
                server_name: maybe[1].clone(),
                certificate_sha256: maybe[2].clone(),
                proxy: maybe[3].clone(),
                status,
                content_encoding: maybe[4].clone(),
                error: maybe[5].clone(),
                unsent,
                hedge,
                model: maybe[6].clone(),
                decision_doc: maybe[5].clone(),
                tokens,
                started_us,
                duration_us,
            }
        })
    }

    fn timings() -> impl Strategy<Value = Timings> {
        (
            option::of(any::<u64>()),
            option::of(any::<u64>()),
            any::<u64>(),
        )
            .prop_map(|(decided_us, first_byte_us, total_us)| Timings {
                decided_us,
                first_byte_us,
                total_us,
            })
    }

    fn tokens() -> impl Strategy<Value = Tokens> {
        let count = || prop_oneof![Just(0), any::<u64>()];
        let counts = [count(), count(), count(), count(), count()];
        (counts, any::<bool>()).prop_map(
            |([input, cache_read, cache_write, output, reasoning], estimated)| Tokens {
                input,
                cache_read,
                cache_write,
                output,
                reasoning,
                estimated,
            },
        )
    }

    fn detection() -> impl Strategy<Value = Detection> {
        (words(), words(), any::<u32>()).prop_map(|(kind, confidence, count)| Detection {
            kind: kind.to_string().into(),
            confidence: confidence.to_string().into(),
            count,
        })
    }

    fn spend() -> impl Strategy<Value = Spend> {
        let texts = vec(option::of(words()), 4);
        (any::<u64>(), texts, any::<bool>()).prop_map(|(reserved, some, over)| Spend {
            reserved,
            reserved_cost: some[0].clone(),
            cost: some[1].clone(),
            currency: some[2].clone(),
            price: some[3].clone(),
            over,
        })
    }

    fn cached() -> impl Strategy<Value = Cached> {
        let rest = (option::of(words()), option::of(any::<u64>()));
        (words(), rest).prop_map(|(result, (record, age_seconds))| Cached {
            result: result.to_string().into(),
            record,
            age_seconds,
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        let heads = (
            one_of(Kind::ALL),
            words(),
            -377_705_023_201i64..=253_402_207_200,
            0..1_000_000_000,
        );
        let lists = (
            vec(words(), 0..3),
            vec(words(), 0..3),
            vec(words(), 0..3),
            vec(attempt(), 0..3),
            vec(detection(), 0..3),
        );
        let numbers = (
            0..3u64,
            any::<u64>(),
            option::of(any::<u16>()),
            option::of(any::<u64>()),
        );
        let ends = (
            one_of(Outcome::ALL),
            option::of(one_of(Ruling::ALL)),
            option::of(timings()),
            (
                option::of(tokens()),
                option::of(spend().prop_map(Box::new)),
                option::of(cached().prop_map(Box::new)),
            ),
            any::<[bool; 2]>(),
        );
        (heads, vec(option::of(words()), 15), lists, numbers, ends).prop_map(
            |(
                (kind, id, second, nanosecond),
                some,
                (losses, edits, rules, attempts, detections),
                numbers,
                ends,
            )| {
                let (bytes_in, bytes_out, status, count) = numbers;
                let (outcome, decision, timings, (tokens, spend, cache), [stream, clipped]) = ends;
                Record {
                    v: Version,
                    kind,
                    id,
                    time: Timestamp::new(second, nanosecond).unwrap(),
                    workload: some[0].clone(),
                    key_id: some[1].clone(),
                    api: some[2].clone(),
                    stream,
                    translated_to: some[3].clone(),
                    losses,
                    edits: edits
                        .iter()
                        .map(|edit| String::from(&**edit).into())
                        .collect(),
                    requested_model: some[4].clone(),
                    resolved_model: some[5].clone(),
                    reported_model: some[6].clone(),
                    answering_model: some[7].clone(),
                    upstream: some[8].clone(),
                    host: some[9].clone(),
                    decision,
                    decision_doc: some[10].clone(),
                    rules,
                    policy_version: some[11].clone(),
                    registry_version: some[12].clone(),
                    config_version: some[13].clone(),
                    attempts,
                    bytes_in,
                    bytes_out,
                    detections,
                    tokens,
                    spend,
                    cache,
                    outcome,
                    status,
                    timings,
                    count,
                    detail: some[14].clone(),
                    clipped,
                }
            },
        )
    }

    fn written(line: &impl Write) -> String {
        let mut into = Vec::new();
        line.write(&mut into);
        String::from_utf8(into).unwrap()
    }

    proptest! {
        #[test]
        fn lines_are_what_serde_writes(record in record()) {
            prop_assert_eq!(written(&record), serde_json::to_string(&record).unwrap());
            let intent = record.intent();
            prop_assert_eq!(written(&intent), serde_json::to_string(&intent).unwrap());
        }
    }
}
