//! What passes is not copied: memory is counted while bodies and streams go through what looks at them and edits them.

#![cfg(test)]

use std::hint::black_box;

use allocation_counter::measure;
use bytes::Bytes;
use carnet_wire::json::{self, Edit, Watch};
use carnet_wire::sniff::{Framing, JsonEnd, Reported, ReportedModel};
use carnet_wire::stream::aws::{Header, HeaderValue, MessageEnds, write_message};
use carnet_wire::stream::sse::{Block, SseParser};

const KIB: usize = 1024;
const DEPTH_MAX: usize = 128;
const CHUNKS: usize = 1000;

fn chat(text: usize) -> Bytes {
    let text = "a long prompt, ".repeat(text / 15);
    format!(
        r#"{{"model":"small","store":true,"messages":[{{"role":"user","content":"{text}"}}],"stream":true}}"#
    )
    .into()
}

/// The segments of a body with another model, without one member and with a further one, and the memory that took.
fn edited(body: &Bytes, watch: &Watch) -> (Vec<Bytes>, u64) {
    let mut segments = Vec::with_capacity(8);
    let used = measure(|| {
        let scan = json::scan(body, watch, DEPTH_MAX).unwrap();
        let hit = |path| scan.first(watch.index(path).unwrap()).unwrap();
        let edits = [
            Edit::replace(hit("model"), Bytes::from_static(b"\"large\"")),
            Edit::remove(hit("store")),
            Edit {
                range: 1..1,
                with: Bytes::from_static(b"\"n\":1,"),
            },
        ];
        segments.extend(json::splice(body, &edits));
    });
    (segments, used.bytes_total)
}

#[test]
fn an_edited_body_is_its_own_bytes_and_costs_the_same_however_long_it_is() {
    let watch = Watch::new(["model", "store", "messages[].role"]).unwrap();
    let (short, long) = (chat(KIB), chat(8 * KIB * KIB));
    let (_, cost) = edited(&short, &watch);
    let (segments, same) = edited(&long, &watch);
    assert_eq!(same, cost);
    assert!(cost < 4 * KIB as u64, "{cost}");
    let inside = long.as_ptr_range();
    let lent: usize = segments
        .iter()
        .filter(|segment| inside.contains(&segment.as_ptr()))
        .map(Bytes::len)
        .sum();
    assert!(long.len() - lent < 64, "{lent} of {}", long.len());
    let (text, wanted) = (segments.concat(), r#"{"n":1,"model":"large","messages":"#);
    assert!(text.starts_with(wanted.as_bytes()));
}

#[test]
fn a_body_that_needs_no_change_is_the_one_segment() {
    let watch = Watch::new(["model", "store"]).unwrap();
    let body = chat(KIB * KIB);
    let mut whole = None;
    let used = measure(|| {
        black_box(json::scan(&body, &watch, DEPTH_MAX).unwrap());
        whole = json::splice(&body, &[]).pop();
    });
    assert!(used.bytes_total < 4 * KIB as u64, "{used:?}");
    let whole = whole.unwrap();
    assert_eq!((whole.as_ptr(), whole.len()), (body.as_ptr(), body.len()));
}

#[test]
fn chunks_of_a_stream_pass_without_memory() {
    let event = |text: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        )
    };
    let (first, next) = (event("Once"), event(" upon a time"));
    let mut model = ReportedModel::new(Framing::EventStream);
    let mut parser = SseParser::new();
    model.push(first.as_bytes());
    let mut events = 0;
    let used = measure(|| {
        for _ in 0..CHUNKS {
            model.push(next.as_bytes());
            let mut rest = next.as_bytes();
            while let Ok(Some(block)) = parser.next(&mut rest) {
                events += usize::from(matches!(block, Block::Event(_)));
            }
        }
    });
    assert_eq!((used.count_total, events), (0, CHUNKS));
    assert_eq!(model.reported(), &Reported::Model("m".to_owned()));
}

#[test]
fn neither_do_pieces_of_a_whole_answer_nor_binary_frames() {
    let piece = format!("\"{}\",", "text ".repeat(KIB));
    let mut frame = Vec::new();
    let kind = [Header {
        name: ":event-type",
        value: HeaderValue::String("contentBlockDelta"),
    }];
    write_message(&mut frame, &kind, piece.as_bytes()).unwrap();
    let (mut end, mut ends) = (JsonEnd::default(), MessageEnds::default());
    end.push(b"[");
    let used = measure(|| {
        for _ in 0..CHUNKS {
            end.push(piece.as_bytes());
            ends.push(&frame);
        }
    });
    assert_eq!(used.count_total, 0);
    assert!(end.is_missing() && ends.at_end());
}

#[test]
fn incident_names_that_a_caller_makes_up_lie_in_no_table() {
    let watch = Watch::new(["model", "messages[].role", "tools[].type"]).unwrap();
    // Of one length and nearly one text, twice over and with depth: bad for a table of names, and for a list of them.
    let body = |names: usize| {
        let one = |n: usize| format!("\"aaaaaaaaaaaaaaaa{n:08}\":{{\"b\":[{n}]}},");
        let names: String = (0..names).map(one).collect();
        format!("{{{names}\"tools\":[{{{names}\"x\":1}}],\"messages\":[],\"model\":\"m\"}}")
    };
    let cost = |names: usize| {
        let body = body(names);
        measure(|| {
            let scan = json::scan(body.as_bytes(), &watch, DEPTH_MAX).unwrap();
            assert!(scan.first(watch.index("model").unwrap()).is_some());
        })
    };
    let (few, many) = (cost(10), cost(20_000));
    assert_eq!(
        (many.count_total, many.bytes_total),
        (few.count_total, few.bytes_total)
    );
}
