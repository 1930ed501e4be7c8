//! Connections to upstreams that are kept, and end when they are needed: no request reaches an
//! upstream twice, and a further attempt is a further decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::harness::upstream::{COMPLETION, whole};
use crate::harness::{Answer, Arrival, Gateway, MODEL, Setup, Upstream, chat_body};

/// Callers at once: enough that connections end at every point of the next request's way.
const CALLERS: usize = 16;
/// Requests of each, one after the other.
const EACH: usize = 60;

/// The first request of a test, answered; its connection is still open.
async fn first(gateway: &Gateway, upstream: &mut Upstream) -> Arrival {
    let (answer, arrival) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole("", COMPLETION.as_bytes())).await;
        arrival
    });
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    // By then the connection is back among those that are kept.
    assert_eq!(gateway.record(&id).await["outcome"], "completed");
    arrival
}

/// A request that is answered at the first attempt.
async fn passes(gateway: &Gateway, upstream: &mut Upstream) {
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed", "{record:#}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(record["attempts"][0]["status"], 200, "{record:#}");
}

/// The answer must say that the upstream closed, after a single attempt that reached it.
async fn closed_at_once(gateway: &Gateway, upstream: &Upstream, answer: Answer) {
    assert_eq!(answer.header("x-should-retry"), "true");
    assert_eq!(answer.header("carnet-decision"), "permit");
    let id = answer.record();
    answer.error(502, "upstream_closed").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "upstream-error", "{record:#}");
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{record:#}");
    assert_eq!(attempts[0]["n"], 1, "{record:#}");
    assert_eq!(attempts[0]["error"], "upstream_closed", "{record:#}");
    assert_eq!(
        attempts[0]["address"],
        upstream.address.to_string().as_str()
    );
}

#[tokio::test]
async fn a_connection_that_ended_while_nobody_used_it_is_not_used_again() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut idle = first(&gateway, &mut upstream).await;
    idle.end().await;
    idle.closed().await;
    passes(&gateway, &mut upstream).await;
    assert_eq!(upstream.connections(), 2);
    // And one that lives is.
    passes(&gateway, &mut upstream).await;
    assert_eq!(upstream.connections(), 2);
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_request_that_a_kept_connection_took_is_not_sent_again() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let small = chat_body(MODEL, false);
    // More than all buffers on the way hold: the gateway is still writing when the end comes.
    let large = small.replace("Hello", &"x".repeat(16 << 20));
    let mut connections = 0;
    for (body, read) in [(&small, 1), (&small, 100), (&large, 1), (&large, 1 << 20)] {
        let mut kept = first(&gateway, &mut upstream).await;
        connections += 1;
        let (answer, ()) = tokio::join!(gateway.chat(body.clone()), async {
            kept.read(read).await;
            drop(kept);
        });
        closed_at_once(&gateway, &upstream, answer).await;
        assert_eq!(upstream.connections(), connections, "{read}");
        assert!(upstream.is_untouched());
    }
    // The same when the whole request was read, and the answer begun.
    for beginning in ["", "HTTP/1.1 200 OK\r\n"] {
        first(&gateway, &mut upstream).await.keep();
        connections += 1;
        let (answer, ()) = tokio::join!(gateway.chat(small.clone()), async {
            upstream.next().await.write(beginning).await;
        });
        closed_at_once(&gateway, &upstream, answer).await;
        assert_eq!(upstream.connections(), connections, "{beginning}");
        assert!(upstream.is_untouched());
    }
    passes(&gateway, &mut upstream).await;
    gateway.finish().await;
}

#[tokio::test]
async fn what_an_upstream_sends_unasked_is_no_answer_to_the_next_request() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let planted = COMPLETION.replace("Hi", "planted");
    for _ in 0..10 {
        let (answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            let mut both = whole("", COMPLETION.as_bytes());
            both.extend(whole("", planted.as_bytes()));
            arrival.write(both).await;
            arrival
        });
        assert_eq!(answer.text().await, COMPLETION);
        arrival.closed().await;
    }
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_arrives_twice_whenever_connections_end() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let h2 = gateway.h2(Box::new(gateway.connect().await)).await;
    let gateway = Arc::new(gateway);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (gateway, h2) = (gateway.clone(), h2.clone());
        callers.spawn(async move {
            let mut answered = Vec::new();
            for number in 0..EACH {
                let marker = format!("marker-{caller}-{number}-");
                let body = chat_body(MODEL, false).replace("Hello", &marker);
                let answer = gateway.send_h2(&h2, gateway.chat_request(body)).await;
                let (id, status) = (answer.record(), answer.status);
                if status == 200 {
                    assert_eq!(answer.text().await, COMPLETION);
                } else {
                    answer.error(502, "upstream_closed").await;
                }
                answered.push((id, marker, status == 200));
            }
            answered
        });
    }
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let mut answered = Vec::new();
    while answered.len() < CALLERS * EACH {
        tokio::select! {
            mut arrival = upstream.next() => {
                let marker = arrival.json()["messages"][0]["content"].clone();
                *arrived.entry(marker.as_str().unwrap().to_owned()).or_default() += 1;
                // Nothing is said of closing, and some get no answer at all.
                if !arrived.len().is_multiple_of(7) {
                    arrival.write(whole("", COMPLETION.as_bytes())).await;
                }
            }
            Some(done) = callers.join_next() => answered.extend(done.unwrap()),
        }
    }
    let gateway = Arc::into_inner(gateway).unwrap();
    let records: BTreeMap<String, serde_json::Value> = gateway
        .finish()
        .await
        .into_iter()
        .map(|record| (record["id"].as_str().unwrap().to_owned(), record))
        .collect();
    for (id, marker, completed) in answered {
        let record = &records[&id];
        let times = arrived.get(&marker).copied().unwrap_or_default();
        assert!(times <= 1, "{marker} arrived {times} times: {record:#}");
        let attempts = record["attempts"].as_array().unwrap();
        let (last, unsent) = attempts.split_last().unwrap();
        for attempt in unsent {
            assert_eq!(attempt["error"], "upstream_closed", "{record:#}");
        }
        for (at, attempt) in attempts.iter().enumerate() {
            assert_eq!(attempt["n"], at + 1, "{record:#}");
        }
        if completed {
            assert_eq!(times, 1, "{record:#}");
            assert_eq!(last["status"], 200, "{record:#}");
        } else {
            assert_eq!(record["outcome"], "upstream-error", "{record:#}");
            assert_eq!(last["error"], "upstream_closed", "{record:#}");
        }
    }
}
