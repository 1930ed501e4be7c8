//! Two members of a pool that are asked at the same time.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK, whole};
use crate::harness::{
    Answer, Gateway, MODEL, ONE_SECOND, Setup, Upstream, chat_body, entry, within,
};

/// Time for the second to be asked.
const LATER: Duration = Duration::from_millis(600);

/// A gateway before a pool of the same model at two upstreams, of which the second is asked after 300 ms.
async fn hedged(more: &str, routing: &str) -> (Gateway, Upstream, Upstream) {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let member = |name: &str| format!("{{ upstream = \"{name}\", model = \"{MODEL}\" }}");
    let pool = format!(
        "\n[[pool]]\nname = \"pair\"\nhedge_after_milliseconds = 300\nmembers = [{}, {}]\n",
        member("one"),
        member("two")
    );
    let entries = entry("one", &one.base_url(), more) + &entry("two", &two.base_url(), more);
    let limit = "\n[[limit]]\nname = \"daily\"\ntokens = 5000\nevery = \"day\"\n";
    let setup = Setup::with(&(entries + &pool + limit)).server("reserved_output_tokens = 50");
    let routing = format!("repeats = 9\n{routing}");
    (setup.routing(&routing).start().await, one, two)
}

/// The answer is the standard one; the attempts of its record by upstream, error and whether it was the second.
async fn told(gateway: &Gateway, answer: Answer) -> (Value, Vec<(String, String, bool)>) {
    assert_eq!(answer.status, 200);
    let id = answer.record();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "completed", "{record:#}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attempts = record["attempts"].as_array().unwrap().iter();
    let attempts = attempts.map(|one| {
        let hedge = one["hedge"] == true;
        (text(&one["upstream"]), text(&one["error"]), hedge)
    });
    let attempts = attempts.collect();
    (record, attempts)
}

fn of(all: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
    let owned = |(upstream, error, hedge): &(&str, &str, bool)| {
        ((*upstream).to_owned(), (*error).to_owned(), *hedge)
    };
    all.iter().map(owned).collect()
}

#[tokio::test]
async fn whoever_begins_first_answers_and_the_other_one_is_dropped() {
    let (gateway, mut one, mut two) = hedged("", "").await;
    for second_wins in [true, false] {
        let answering = async {
            let (mut first, mut second) = tokio::join!(one.next(), two.next());
            assert_eq!(first.body.len(), second.body.len());
            let (winner, loser) = if second_wins {
                (&mut second, &mut first)
            } else {
                (&mut first, &mut second)
            };
            winner.begin_stream().await;
            within(ONE_SECOND, "the close at the other", loser.closed()).await;
            winner.chunk(DONE).await;
            winner.write(LAST_CHUNK).await;
        };
        let (mut answer, ()) = tokio::join!(gateway.chat(chat_body("pair", true)), answering);
        assert!(answer.piece().await.unwrap().starts_with(DELTA.as_bytes()));
        let (record, attempts) = told(&gateway, answer).await;
        let wanted = if second_wins {
            [("one", "overtaken", false), ("two", "", true)]
        } else {
            [("one", "", false), ("two", "overtaken", true)]
        };
        assert_eq!(attempts, of(&wanted));
        let winner = if second_wins { "two" } else { "one" };
        assert_eq!(record["upstream"], winner, "{record:#}");
        // The prompt went to both, and both may charge for it.
        let loser = &record["attempts"][usize::from(!second_wins)];
        let prompt = loser["tokens"]["input"].as_u64().unwrap();
        assert!(prompt > 0 && record["tokens"]["input"].as_u64().unwrap() > prompt);
        assert_eq!(record["tokens"]["estimated"], true);
    }
    let overtaken = "carnet_upstream_requests_total{upstream=\"one\",result=\"given-up\"}";
    assert_eq!(gateway.counter(overtaken).await, 1);
    let retries = "carnet_retries_total{upstream=\"one\"}";
    assert_eq!(gateway.counter(retries).await, 2);
    gateway.finish().await;
}

#[tokio::test]
async fn when_one_of_both_fails_the_other_one_answers() {
    let (gateway, mut one, mut two) = hedged("", "breaker_failures = 0").await;
    for first_fails in [true, false] {
        let answering = async {
            let (first, second) = tokio::join!(one.next(), two.next());
            let (failing, well) = if first_fails {
                (first, second)
            } else {
                (second, first)
            };
            if first_fails {
                drop(failing);
            } else {
                let mut failing = failing;
                failing
                    .write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
                    .await;
                failing.keep();
            }
            sleep(Duration::from_millis(200)).await;
            well.complete().await;
        };
        let (answer, ()) = tokio::join!(gateway.chat(chat_body("pair", false)), answering);
        let (record, attempts) = told(&gateway, answer).await;
        let wanted = if first_fails {
            [("one", "upstream_closed", false), ("two", "", true)]
        } else {
            [("one", "", false), ("two", "", true)]
        };
        assert_eq!(attempts, of(&wanted));
        let statuses = [
            &record["attempts"][0]["status"],
            &record["attempts"][1]["status"],
        ];
        let wanted = if first_fails {
            [&Value::Null, &json!(200)]
        } else {
            [&json!(200), &json!(503)]
        };
        assert_eq!(statuses, wanted, "{record:#}");
    }
    // When both fail, a third attempt follows, and its answer is the last.
    let fails = async {
        let (first, second) = tokio::join!(one.next(), two.next());
        drop((first, second));
        tokio::select! {
            arrival = one.next() => arrival.complete().await,
            arrival = two.next() => arrival.complete().await,
        }
    };
    let (answer, ()) = tokio::join!(gateway.chat(chat_body("pair", false)), fails);
    let (_, attempts) = told(&gateway, answer).await;
    assert_eq!(attempts.len(), 3);
    gateway.finish().await;
}

#[tokio::test]
async fn no_second_is_asked_of_what_is_fast_kept_or_beyond_the_budget() {
    let (gateway, mut one, mut two) = hedged("stored_responses = true", "").await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body("pair", false)), one.complete());
    assert_eq!(told(&gateway, answer).await.1, of(&[("one", "", false)]));
    let response = json!({ "id": "resp_1", "object": "response", "model": MODEL, "status": "completed", "output": [] });
    let body = json!({ "model": "pair", "input": "Hello" }).to_string();
    let request = gateway.request(Method::POST, "/v1/responses", body);
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = one.next().await;
        sleep(LATER).await;
        arrival
            .write(whole("", response.to_string().as_bytes()))
            .await;
        arrival.keep();
    });
    assert_eq!(answer.status, 200);
    answer.bytes().await;
    // Another name for the same models has no second.
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let arrival = one.next().await;
        sleep(LATER).await;
        arrival.complete().await;
    });
    assert_eq!(answer.text().await, COMPLETION);
    assert!(two.is_untouched());
    gateway.finish().await;

    for routing in ["retry_percent = 0\nretries_per_second = 0", "attempts = 1"] {
        let (gateway, mut one, mut two) = hedged("", routing).await;
        let (answer, ()) = tokio::join!(gateway.chat(chat_body("pair", false)), async {
            let arrival = one.next().await;
            sleep(LATER).await;
            arrival.complete().await;
        });
        assert_eq!(told(&gateway, answer).await.1, of(&[("one", "", false)]));
        assert!(two.is_untouched());
        gateway.finish().await;
    }
}

#[tokio::test]
async fn who_hangs_up_or_loses_the_key_ends_both() {
    let (gateway, mut one, mut two) = hedged("", "").await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body("pair", false)), async {
        let (mut first, mut second) = tokio::join!(one.next(), two.next());
        gateway.revoke(&gateway.key_id).await;
        let both = async { tokio::join!(first.closed(), second.closed()) };
        within(ONE_SECOND, "the close at both", both).await;
    });
    let id = answer.record();
    answer.error(403, "revoked").await;
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "revoked");
    assert_eq!(
        record["attempts"].as_array().unwrap().len(),
        2,
        "{record:#}"
    );
    gateway.finish().await;
}
