//! A key that is revoked stops working, and so does what runs with it.

use tokio::time::timeout;

use crate::harness::upstream::{DELTA, DONE, EVENTS, LAST_CHUNK};
use crate::harness::{MODEL, ONE_SECOND, Raw, Setup, Upstream, chat_body, json_body, within};

#[tokio::test]
async fn a_revoked_key_cuts_its_running_stream_within_a_second() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    let (mut answer, mut arrival) = (answer, arrival);
    let id = answer.record();
    assert_eq!(answer.piece().await.unwrap(), DELTA);

    gateway.revoke(&gateway.key_id).await;
    let rest = within(ONE_SECOND, "the cut", answer.text()).await;
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    let events = json_body(&rest);
    assert_eq!(events.len(), 1, "{rest}");
    assert_eq!(events[0]["error"]["code"], "revoked");
    assert_eq!(events[0]["error"]["record"], id.as_str());

    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(401, "invalid_api_key").await;
    assert!(upstream.is_untouched());
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "revoked");
    assert_eq!(record["key_id"], gateway.key_id.as_str());
    gateway.finish().await;
}

#[tokio::test]
async fn with_drain_a_running_stream_goes_on_and_the_next_request_is_refused() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url()).server(r#"on_revoke = "drain""#);
    let gateway = setup.start().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);

    gateway.revoke(&gateway.key_id).await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(401, "invalid_api_key").await;
    let id = answer.record();
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, DONE);
    assert_eq!(gateway.record(&id).await["outcome"], "completed");
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_revoked_before_the_first_byte_ends_the_wait() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        gateway.revoke(&gateway.key_id).await;
        within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    });
    let id = answer.record();
    answer.error(403, "revoked").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "revoked");
    assert_eq!(record["attempts"][0]["error"], "revoked");
    let address = upstream.address.to_string();
    assert_eq!(record["attempts"][0]["address"], address.as_str());
    gateway.finish().await;
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_cannot_be_taken_for_a_whole_one() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"model\":\"llama3.3:70b\",";
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        arrival.write(head).await;
        arrival
    });
    let begun = answer.piece().await.unwrap();
    assert!(begun.ends_with(b"70b\","), "{begun:?}");
    let id = answer.record();
    gateway.revoke(&gateway.key_id).await;
    let torn = within(ONE_SECOND, "the cut", answer.try_bytes()).await;
    assert!(torn.is_err(), "{torn:?}");
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    assert_eq!(gateway.record(&id).await["outcome"], "revoked");
    gateway.finish().await;
}

#[tokio::test]
async fn revoking_one_key_leaves_the_others_alone() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (other, _) = gateway.new_key().await;
    let (mut answer, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    gateway.revoke(&other).await;
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(answer.text().await, DONE);
    gateway.finish().await;
}

#[tokio::test]
async fn a_revoked_key_ends_an_answer_whose_caller_does_not_read() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let mut raw = Raw::connect(&gateway).await;
    raw.write(gateway.raw_chat(&chat_body(MODEL, true))).await;
    gateway.expect_untold(1);
    let mut arrival = upstream.next().await;
    arrival.write(EVENTS).await;
    let flood = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let full = timeout(ONE_SECOND, arrival.write_on(flood.as_bytes()));
    assert!(full.await.is_err(), "the caller was to read nothing");

    gateway.revoke(&gateway.key_id).await;
    let close = arrival.write_on(flood.as_bytes());
    within(ONE_SECOND, "the close at the upstream", close).await;
    let record = gateway.only_record().await;
    assert_eq!(record["outcome"], "revoked", "{record:#}");
    drop(raw);
    gateway.finish().await;
}
