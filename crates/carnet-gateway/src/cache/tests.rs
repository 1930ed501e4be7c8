//! What is given again, to whom and for how long, and what it takes of memory.

use std::collections::BTreeSet;
use std::thread;

use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderMap, HeaderValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::key::Key;
use super::whole::is_whole;
use super::*;
use crate::limits::CACHE_WAITING_MAX;

const MIB: usize = 1024 * 1024;
const COMPLETION: &[u8] =
    br#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop"}]}"#;

fn config() -> CacheConfig {
    CacheConfig {
        bytes_max: MIB,
        answer_bytes_max: MIB / 4,
        keep: Duration::from_secs(60),
        wait: Duration::from_secs(30),
        sampled: false,
        workloads: Vec::new(),
        upstreams: Vec::new(),
    }
}

fn cache(config: CacheConfig) -> Arc<Cache> {
    Arc::new(Cache::new(config, None).unwrap())
}

fn asked(body: &[u8]) -> Asked<'_> {
    Asked {
        workload: "app",
        versions: ["c", "p", "r"],
        path: "/chat/completions",
        query: false,
        headers: &[],
        name: "house-model",
        stream: false,
        upstream: "local",
        origin: "http://localhost:1",
        own_name: "own",
        model: None,
        host: None,
        jurisdictions: &[],
        complete: false,
        body,
    }
}

fn wish(said: &[&str]) -> Wish {
    let mut headers = HeaderMap::new();
    for value in said {
        headers.append(CACHE_CONTROL, HeaderValue::from_str(value).unwrap());
    }
    Wish::of(&headers)
}

fn look(cache: &Arc<Cache>, body: &[u8], now: Instant) -> Found {
    cache.look(&asked(body), wish(&[]), true, now)
}

fn lead(cache: &Arc<Cache>, body: &[u8]) -> Lead {
    match look(cache, body, Instant::now()) {
        Found::Ask(Some(lead)) => lead,
        other => panic!("{other:?}"),
    }
}

fn keeping(lead: Lead) -> Keeping {
    let of = Of {
        call: Call::Chat,
        events: false,
        kind: HeaderValue::from_static("application/json"),
        losses: Box::default(),
    };
    Keeping::new(lead, of, None).unwrap()
}

fn given() -> Given {
    Given {
        record: "rec_1".into(),
        reported: (Some("m".into()), None),
    }
}

/// An answer of so many bytes.
fn answer(bytes: usize) -> Vec<u8> {
    let frame = r#"{"choices":[],"text":""}"#.len();
    let text = "x".repeat(bytes.saturating_sub(frame));
    format!(r#"{{"choices":[],"text":"{text}"}}"#).into()
}

/// Have an answer kept; whether it was.
fn keep(cache: &Arc<Cache>, body: &[u8], answer: &[u8]) -> bool {
    let mut keeping = keeping(lead(cache, body));
    answer.chunks(1_000).all(|piece| keeping.looks(piece)) && keeping.keep(given())
}

fn hit(cache: &Arc<Cache>, body: &[u8]) -> Option<Hit> {
    match look(cache, body, Instant::now()) {
        Found::Hit(hit) => Some(hit),
        Found::Ask(_) | Found::Wait(_) => None,
    }
}

fn all(mut again: Again) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| again.piece())
        .map(|piece| piece.to_vec())
        .collect()
}

/// Everything that a key is made of, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    texts: Vec<String>,
    flags: [bool; 3],
    maybe: [Option<String>; 2],
    headers: Vec<(HeaderName, HeaderValue)>,
    jurisdictions: Vec<String>,
    body: Vec<u8>,
}

impl Parts {
    fn key(&self, secret: &Secret) -> Key {
        let text = |at: usize| self.texts[at].as_str();
        secret.key(&Asked {
            workload: text(0),
            versions: [text(1), text(2), text(3)],
            path: text(4),
            query: self.flags[0],
            headers: &self.headers,
            name: text(5),
            stream: self.flags[1],
            upstream: text(6),
            origin: text(7),
            own_name: text(8),
            model: self.maybe[0].as_deref(),
            host: self.maybe[1].as_deref(),
            jurisdictions: &self.jurisdictions,
            complete: self.flags[2],
            body: &self.body,
        })
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    // Few and short, so that parts are often alike and their ends often move.
    let text = || "[ab]{0,3}";
    let header = ("[ab]{1,2}", text()).prop_map(|(name, value)| {
        let name = HeaderName::try_from(name).unwrap();
        (name, HeaderValue::try_from(value).unwrap())
    });
    (
        vec(text(), 9),
        any::<[bool; 3]>(),
        [option::of(text()), option::of(text())],
        vec(header, 0..3),
        vec(text(), 0..3),
        vec(any::<u8>(), 0..4),
    )
        .prop_map(
            |(texts, flags, maybe, headers, jurisdictions, body)| Parts {
                texts,
                flags,
                maybe,
                headers,
                jurisdictions,
                body,
            },
        )
}

proptest! {
    #[test]
    fn two_requests_that_differ_in_any_part_share_no_key(one in parts(), other in parts(), at in 0..18_usize) {
        let secret = Secret::new().unwrap();
        prop_assert_eq!(one.key(&secret), one.clone().key(&secret));
        prop_assert_eq!(one == other, one.key(&secret) == other.key(&secret));
        // And in one part alone.
        let mut near = one.clone();
        match at {
            0..9 => near.texts[at].clone_from(&other.texts[at]),
            9..12 => near.flags[at - 9] = other.flags[at - 9],
            12..14 => near.maybe[at - 12].clone_from(&other.maybe[at - 12]),
            14 => near.headers = other.headers.clone(),
            15 => near.jurisdictions = other.jurisdictions.clone(),
            16 => near.body = other.body.clone(),
            // What ends one part begins the next.
            _ => {
                let moved = near.texts[6].pop();
                near.texts[7].insert_str(0, moved.map(String::from).unwrap_or_default().as_str());
            }
        }
        prop_assert_eq!(one == near, one.key(&secret) == near.key(&secret));
        prop_assert_ne!(one.key(&secret), one.key(&Secret::new().unwrap()));
    }

    #[test]
    fn whatever_happens_the_bytes_are_bounded_and_given_back(
        steps in vec((0..6_u8, 0..12_u8, 1..300_usize), 1..80),
    ) {
        let small = CacheConfig { bytes_max: 64 * 1024, answer_bytes_max: 16 * 1024, ..config() };
        let max = small.bytes_max;
        let cache = cache(small);
        let mut open: Vec<Keeping> = Vec::new();
        let mut given_out: Vec<Again> = Vec::new();
        for (what, body, size) in steps {
            match what {
                0 | 1 => {
                    if let Found::Ask(Some(lead)) = look(&cache, &[body], Instant::now()) {
                        open.push(keeping(lead));
                    }
                }
                2 => open.retain_mut(|one| one.looks(&vec![b'x'; size * 40])),
                3 => {
                    keep_if_new(&cache, &[body], size * 50);
                }
                4 => given_out.extend(hit(&cache, &[body]).map(|hit| Again::new(hit.entry))),
                _ => {
                    open.pop();
                    given_out.pop();
                }
            }
            prop_assert!(cache.standing().bytes <= max, "{:?}", cache.standing());
            prop_assert!(cache.shelf().is_even());
        }
        drop((open, given_out));
        prop_assert_eq!(cache.shelf().flights(), 0);
        cache.close();
        prop_assert_eq!((cache.standing().entries, cache.standing().bytes), (0, 0));
    }
}

fn keep_if_new(cache: &Arc<Cache>, body: &[u8], bytes: usize) {
    if let Found::Ask(Some(lead)) = look(cache, body, Instant::now()) {
        let mut keeping = keeping(lead);
        if keeping.looks(&answer(bytes)) {
            keeping.keep(given());
        }
    }
}

#[test]
fn what_was_answered_is_given_again_byte_for_byte() {
    let cache = cache(config());
    let long = answer(200_000);
    assert!(keep(&cache, b"1", COMPLETION) && keep(&cache, b"2", &long));
    let found = hit(&cache, b"1").unwrap();
    assert_eq!(&*found.entry.record, "rec_1");
    assert_eq!(found.entry.reported().0.as_deref(), Some("m"));
    let again = Again::new(found.entry);
    assert_eq!(again.length(), Some(COMPLETION.len() as u64));
    assert_eq!(all(again), [COMPLETION]);
    let pieces = all(Again::new(hit(&cache, b"2").unwrap().entry));
    assert!(pieces.len() > 1 && pieces.concat() == long);
    assert!(hit(&cache, b"3").is_none());
}

#[test]
fn what_is_read_is_not_evicted_and_counts_until_it_has_been_read() {
    let cache = cache(config());
    for body in 0..3_u8 {
        assert!(keep(&cache, &[body], &answer(200_000)));
    }
    let read = Again::new(hit(&cache, &[0]).unwrap().entry);
    for body in 3..40_u8 {
        assert!(keep(&cache, &[body], &answer(200_000)), "{body}");
        assert!(cache.standing().bytes <= MIB);
    }
    assert!(hit(&cache, &[0]).is_some() && hit(&cache, &[1]).is_none());
    assert!(cache.standing().evicted > 30);
    cache.close();
    let left = cache.standing();
    assert!(left.entries == 0 && left.bytes > 200_000, "{left:?}");
    assert_eq!(all(read).concat(), answer(200_000));
    assert_eq!(cache.standing().bytes, 0);
}

#[test]
fn what_was_used_least_lately_goes_first() {
    let cache = cache(CacheConfig {
        bytes_max: 40_000,
        answer_bytes_max: 10_000,
        ..config()
    });
    for body in 0..3_u8 {
        assert!(keep(&cache, &[body], &answer(7_000)));
    }
    assert!(hit(&cache, &[0]).is_some());
    assert!(keep(&cache, &[3], &answer(7_000)));
    let left: BTreeSet<u8> = (0..4)
        .filter(|body| hit(&cache, &[*body]).is_some())
        .collect();
    assert!(
        left.contains(&0) && left.contains(&3) && !left.contains(&1),
        "{left:?}"
    );
}

#[test]
fn an_answer_that_is_too_long_or_is_not_whole_is_not_kept() {
    let cache = cache(config());
    assert!(!keep(&cache, b"1", &answer(MIB / 4 + 1)));
    assert!(keep(&cache, b"1", &answer(MIB / 4)));
    assert!(!keep(&cache, b"2", &COMPLETION[..COMPLETION.len() - 1]));
    assert!(!keep(&cache, b"3", br#"{"error":{"message":"no"}}"#));
    let of = Of {
        call: Call::Chat,
        events: false,
        kind: HeaderValue::from_static("application/json"),
        losses: Box::default(),
    };
    let announced = Some(MIB as u64);
    assert!(Keeping::new(lead(&cache, b"4"), of, announced).is_none());
    // Each was asked for anew, and nobody waits for it any more.
    assert_eq!(cache.shelf().flights(), 0);
}

#[test]
fn age_and_wishes_say_what_is_given() {
    let cache = cache(config());
    assert!(keep(&cache, b"1", COMPLETION));
    let after = |seconds| Instant::now() + Duration::from_secs(seconds);
    let given = |said: &[&str], seconds| {
        let found = cache.look(&asked(b"1"), wish(said), true, after(seconds));
        matches!(found, Found::Hit(_))
    };
    for (said, seconds, is) in [
        (&[][..], 0, true),
        (&[], 59, true),
        (&["max-age=30"], 29, true),
        (&["max-age=30"], 31, false),
        (&["max-age=0"], 0, false),
        (&["no-cache"], 0, false),
        (&["max-age=x"], 0, false),
        (&["max-age=90, no-cache"], 0, false),
        (&["MAX-AGE=\"90\""], 40, true),
        (&["private", "No-Cache"], 0, false),
        (&["min-fresh=3"], 0, true),
    ] {
        assert_eq!(given(said, seconds), is, "{said:?} {seconds}");
    }
    assert!(wish(&["max-age=1"]).keeps && !wish(&["no-cache, no-store"]).keeps);
    let mut unreadable = HeaderMap::new();
    unreadable.insert(CACHE_CONTROL, HeaderValue::from_bytes(b"\xff").unwrap());
    assert!(!Wish::of(&unreadable).keeps);
    assert_eq!(cache.standing().entries, 1);
    cache.sweep(after(59));
    assert_eq!(cache.standing().entries, 1);
    assert!(!given(&[], 61));
    assert_eq!(cache.standing().entries, 0);
    assert!(keep(&cache, b"1", COMPLETION));
    cache.sweep(after(61));
    assert_eq!(cache.standing(), Standing::default());
}

#[tokio::test]
async fn equal_requests_wait_for_the_first_until_it_is_over() {
    let cache = cache(config());
    let first = lead(&cache, b"1");
    let Found::Wait(second) = look(&cache, b"1", Instant::now()) else {
        panic!("it asks")
    };
    // Who wants a new answer, has waited already, or asks for something else does not wait.
    let fresh = cache.look(&asked(b"1"), wish(&["no-cache"]), true, Instant::now());
    assert!(matches!(fresh, Found::Ask(None)));
    let again = cache.look(&asked(b"1"), wish(&[]), false, Instant::now());
    assert!(matches!(again, Found::Ask(None)));
    let other = look(&cache, b"2", Instant::now());
    assert!(matches!(other, Found::Ask(Some(_))));
    let waiting = tokio::spawn(async move { second.done().await });
    let mut keeping = keeping(first);
    assert!(keeping.looks(COMPLETION) && keeping.keep(given()));
    waiting.await.unwrap();
    assert!(hit(&cache, b"1").is_some());
    // One that comes to nothing lets them go, too.
    let failed = lead(&cache, b"3");
    let Found::Wait(waits) = look(&cache, b"3", Instant::now()) else {
        panic!("it asks")
    };
    drop(failed);
    waits.done().await;
    assert!(matches!(
        look(&cache, b"3", Instant::now()),
        Found::Ask(Some(_))
    ));
}

#[test]
fn only_so_many_wait_for_one() {
    let cache = cache(config());
    let _first = lead(&cache, b"1");
    let mut waiting: Vec<Found> = (0..CACHE_WAITING_MAX)
        .map(|_| look(&cache, b"1", Instant::now()))
        .collect();
    assert!(waiting.iter().all(|one| matches!(one, Found::Wait(_))));
    assert!(matches!(
        look(&cache, b"1", Instant::now()),
        Found::Ask(None)
    ));
    waiting.pop();
    assert!(matches!(look(&cache, b"1", Instant::now()), Found::Wait(_)));
}

#[test]
fn a_closed_cache_gives_and_keeps_nothing_and_shares_its_memory_with_the_next() {
    let before = cache(config());
    assert!(keep(&before, b"1", &answer(200_000)));
    let read = Again::new(hit(&before, b"1").unwrap().entry);
    let mut running = keeping(lead(&before, b"2"));
    assert!(running.looks(COMPLETION));
    let next = Arc::new(Cache::new(config(), Some(&before)).unwrap());
    before.close();
    assert!(!running.keep(given()));
    assert!(matches!(
        look(&before, b"1", Instant::now()),
        Found::Ask(None)
    ));
    // What is still read of the old one has no room in the new one.
    assert!(next.standing().bytes > 200_000);
    for body in 0..40_u8 {
        keep(&next, &[body], &answer(200_000));
        assert!(next.standing().bytes <= MIB);
    }
    next.close();
    drop(read);
    assert_eq!(next.standing().bytes, 0);
}

#[test]
fn many_threads_never_hold_more_than_there_is() {
    let cache = cache(config());
    let workers = (0..4_u8).map(|worker| {
        let cache = cache.clone();
        thread::spawn(move || {
            for round in 0..200_usize {
                let body = [u8::try_from(round % 16).unwrap()];
                if let Found::Ask(Some(lead)) = look(&cache, &body, Instant::now()) {
                    let mut keeping = keeping(lead);
                    let answer = answer(1_000 * (usize::from(worker) + round % 90));
                    if keeping.looks(&answer) {
                        keeping.keep(given());
                    }
                }
                assert!(cache.standing().bytes <= MIB);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.join().unwrap();
    }
    assert!(cache.shelf().is_even());
    assert_eq!(cache.shelf().flights(), 0);
    cache.close();
    assert_eq!(cache.standing().bytes, 0);
}

#[test]
fn only_requests_that_leave_nothing_to_chance_are_taken_unless_told() {
    let strict = cache(config());
    let free = cache(CacheConfig {
        sampled: true,
        ..config()
    });
    for (call, body, is) in [
        (Call::Chat, r#"{"temperature":0}"#, true),
        (Call::Chat, r#"{"temperature":0.0,"n":2}"#, true),
        (Call::Chat, r#"{"temperature":-0e3}"#, true),
        (Call::Chat, r#"{"temperature":1e-9}"#, false),
        (Call::Chat, r#"{"temperature":"0"}"#, false),
        (Call::Chat, r#"{"temperature":null}"#, false),
        (Call::Chat, r#"{"temperature":0,"temperature":1}"#, false),
        (Call::Chat, "{}", false),
        (Call::Chat, r#"{"metadata":{"temperature":0}}"#, false),
        (Call::Embeddings, "{}", true),
        (Call::CountTokens, "{}", true),
        (
            Call::Converse,
            r#"{"inferenceConfig":{"temperature":0}}"#,
            true,
        ),
        (
            Call::GenerateContent,
            r#"{"generationConfig":{"temperature":0}}"#,
            true,
        ),
        (
            Call::GenerateContent,
            r#"{"generation_config":{"temperature":0}}"#,
            true,
        ),
        (
            Call::GenerateContent,
            r#"{"temperature":0,"generationConfig":{"temperature":1}}"#,
            false,
        ),
        (Call::Messages, r#"{"temperature":0}"#, true),
        (Call::Responses, r#"{"temperature":0}"#, true),
    ] {
        assert_eq!(
            strict.takes((call, false), body.as_bytes()),
            is,
            "{call:?} {body}"
        );
        assert!(
            free.takes((call, false), body.as_bytes()),
            "{call:?} {body}"
        );
    }
    for call in [
        Call::Compact,
        Call::ConverseStream,
        Call::StreamGenerateContent,
    ] {
        assert!(
            !free.takes((call, false), br#"{"temperature":0}"#),
            "{call:?}"
        );
    }
    assert!(free.takes((Call::StreamGenerateContent, true), b"{}"));
    let some = cache(CacheConfig {
        workloads: vec!["app".to_owned()],
        upstreams: vec!["local".to_owned()],
        ..config()
    });
    assert!(some.is_for("app", "local") && strict.is_for("any", "other"));
    assert!(!some.is_for("app", "other") && !some.is_for("any", "local"));
}

/// Streams that have come to their end, each with its kind of request.
const STREAMS: [(Call, &str); 5] = [
    (
        Call::Chat,
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n: still\n\ndata: [DONE]\n\n",
    ),
    (
        Call::Completions,
        "data: {\"choices\":[{\"text\":\"a\"}],\"error\":null}\r\n\r\ndata: [DONE]\r\n\r\n",
    ),
    (
        Call::Messages,
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        Call::Responses,
        "event: response.created\ndata: {\"type\":\"response.created\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"error\":null}}\n\n",
    ),
    (
        Call::StreamGenerateContent,
        "data: {\"candidates\":[{\"content\":{}}]}\n\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
    ),
];

#[test]
fn a_stream_is_whole_behind_its_last_event_and_nowhere_before() {
    for (call, stream) in STREAMS {
        assert!(is_whole(call, true, stream.as_bytes()), "{call:?}");
        let shorter = stream.trim_end().len();
        for end in 0..shorter {
            assert!(
                !is_whole(call, true, &stream.as_bytes()[..end]),
                "{call:?} {end}"
            );
        }
        const ERROR: &str = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        for more in [ERROR, "data: {\n\n", "data: {}\n\n"] {
            let after = format!("{stream}{more}");
            assert!(!is_whole(call, true, after.as_bytes()), "{call:?} {more}");
        }
        let before = format!("{ERROR}{stream}");
        assert!(!is_whole(call, true, before.as_bytes()), "{call:?}");
    }
    let failed = "data: {\"choices\":[{\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n";
    assert!(!is_whole(Call::Chat, true, failed.as_bytes()));
    let done = "data: [DONE]\n\n";
    assert!(!is_whole(Call::Messages, true, done.as_bytes()));
    let failed = "data: {\"type\":\"response.failed\",\"response\":{}}\n\n";
    assert!(!is_whole(Call::Responses, true, failed.as_bytes()));
}

#[test]
fn a_whole_answer_says_that_it_is_one() {
    for (call, answer, is) in [
        (Call::Chat, r#"{"choices":[]}"#, true),
        (
            Call::Chat,
            r#"{"choices":[{"finish_reason":"abort"}]}"#,
            false,
        ),
        (Call::Chat, "[]", false),
        (Call::Chat, "", false),
        (Call::Messages, r#"{"type":"message"}"#, true),
        (Call::Messages, r#"{"type":"error","error":{}}"#, false),
        (
            Call::Responses,
            r#"{"status":"completed","error":null}"#,
            true,
        ),
        (Call::Responses, r#"{"status":"incomplete"}"#, true),
        (Call::Responses, r#"{"object":"response"}"#, true),
        (Call::Responses, r#"{"status":"queued"}"#, false),
        (Call::Responses, r#"{"status":"failed"}"#, false),
        (
            Call::GenerateContent,
            r#"{"candidates":[{"finishReason":"STOP"}]}"#,
            true,
        ),
        (Call::GenerateContent, r#"{"promptFeedback":{}}"#, false),
    ] {
        assert_eq!(
            is_whole(call, false, answer.as_bytes()),
            is,
            "{call:?} {answer}"
        );
    }
}

#[test]
fn events_are_given_again_whole() {
    for end in ["\n\n", "\r\n\r\n"] {
        let event = format!(
            "data: {{\"choices\":[{{\"text\":\"{}\"}}]}}{end}",
            "x".repeat(700)
        );
        let long = format!("data: {{\"text\":\"{}\"}}{end}", "y".repeat(50_000));
        let stream = format!("{}{long}{event}data: [DONE]{end}", event.repeat(120));
        let cache = cache(config());
        let of = Of {
            call: Call::Chat,
            events: true,
            kind: HeaderValue::from_static("text/event-stream"),
            losses: Box::new(["a".into()]),
        };
        let mut keeping = Keeping::new(lead(&cache, b"1"), of, None).unwrap();
        for piece in stream.as_bytes().chunks(777) {
            assert!(keeping.looks(piece));
        }
        assert!(keeping.keep(given()));
        let entry = hit(&cache, b"1").unwrap().entry;
        assert_eq!(entry.losses().concat(), "a");
        let again = Again::new(entry);
        assert_eq!(again.length(), None);
        let pieces = all(again);
        assert!(pieces.len() > 3);
        assert!(pieces.iter().all(|piece| piece.ends_with(end.as_bytes())));
        assert_eq!(pieces.concat(), stream.as_bytes());
    }
}
