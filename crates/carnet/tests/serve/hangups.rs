//! Callers that go away, and those that stay but do not read.

use tokio::time::timeout;

use crate::harness::upstream::{DELTA, EVENTS};
use crate::harness::{MODEL, ONE_SECOND, Raw, Setup, Upstream, chat_body, within};

#[tokio::test]
async fn a_caller_who_hangs_up_before_the_first_byte_ends_the_request_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_chat(&chat_body(MODEL, false))).await;
    let mut arrival = upstream.next().await;
    drop(raw);
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    gateway.expect_untold(1);
    let record = gateway.only_record().await;
    assert_eq!(record["outcome"], "client-gone", "{record:#}");
    assert_eq!(
        record["attempts"][0]["address"],
        upstream.address.to_string().as_str()
    );
    assert!(record.get("status").is_none(), "{record:#}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_in_mid_stream_ends_the_request_upstream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let id = answer.record();
    answer.hang_up();
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "client-gone", "{record:#}");
    assert_eq!(
        record["attempts"][0]["address"],
        upstream.address.to_string().as_str()
    );
    assert_eq!(record["attempts"][0]["status"], 200);
    assert_eq!(record["bytes_out"], DELTA.len());
    gateway.finish().await;
}

#[tokio::test]
async fn a_caller_who_does_not_read_holds_the_upstream_back_until_it_goes() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_chat(&chat_body(MODEL, true))).await;
    gateway.expect_untold(1);
    let mut arrival = upstream.next().await;
    arrival.write(EVENTS).await;
    let flood = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    // All buffers on the way are full when the gateway takes no more.
    let full = timeout(ONE_SECOND, arrival.write_on(flood.as_bytes()));
    assert!(full.await.is_err(), "an answer is not gathered in memory");
    drop(raw);
    let close = arrival.write_on(flood.as_bytes());
    within(ONE_SECOND, "the close at the upstream", close).await;
    let record = gateway.only_record().await;
    assert_eq!(record["outcome"], "client-gone", "{record:#}");
    gateway.finish().await;
}
