//! Names that lead to one of several models, and who of them is asked.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::upstream::{COMPLETION, whole};
use crate::harness::{Answer, Gateway, MODEL, OVERLAY, Setup, Upstream, chat_body, with_key};

/// A second host, in another country.
const ELSEWHERE: &str = r#"
[[host]]
id = "elsewhere"
kind = "local"
operator = "me"
country = "FR"
parent_country = "FR"
regions = [{ id = "there", country = "FR" }]
complete = true
egress = "none"
reason = "my other machine"
author = "me"
until = "2099-12-31"
"#;

/// An upstream entry whose one model is priced so, and one that tells nothing.
fn entry(name: &str, upstream: &Upstream, host: &str, more: &str) -> String {
    format!(
        r#"
[[upstream]]
name = "{name}"
base_url = "{}"
platform = "ollama"
host = "{host}"
models = [{{ name = "{name}-model", upstream_model = "{MODEL}"{more} }}, {{ name = "{name}-mystery", upstream_model = "mystery" }}]
"#,
        upstream.base_url()
    )
}

/// A gateway before two upstreams, `one` here and `two` elsewhere, with this pool of their models.
async fn gateway(
    (one, two): (&Upstream, &Upstream),
    (prices, members): ([&str; 2], &str),
    pool: &str,
    routing: &str,
) -> Gateway {
    let entries = entry("one", one, "rack", prices[0]) + &entry("two", two, "elsewhere", prices[1]);
    let pool = format!("{entries}\n[[pool]]\nname = \"either\"\n{pool}\nmembers = [{members}]\n");
    let setup = Setup::with(&pool).routing(&format!("repeats = 9\n{routing}"));
    setup.write("overlay.toml", &format!("{OVERLAY}{ELSEWHERE}"));
    setup.start().await
}

fn member(upstream: &str, more: &str) -> String {
    format!("{{ upstream = \"{upstream}\", model = \"{upstream}-model\"{more} }}")
}

fn both() -> String {
    format!("{}, {}", member("one", ""), member("two", ""))
}

/// Ask the pool, and have whoever is asked answer; who that was, and the record.
async fn asked(gateway: &Gateway, one: &mut Upstream, two: &mut Upstream) -> (String, Value) {
    let answering = async {
        let arrival = tokio::select! {
            arrival = one.next() => arrival,
            arrival = two.next() => arrival,
        };
        assert_eq!(arrival.json()["model"], MODEL, "its own name");
        arrival.complete().await;
    };
    let (answer, ()) = tokio::join!(gateway.chat(chat_body("either", false)), answering);
    assert_eq!(answer.status, 200);
    let id = answer.record();
    let host = answer.header("carnet-host").to_owned();
    assert_eq!(answer.text().await, COMPLETION);
    let record = gateway.record(&id).await;
    assert_eq!(record["requested_model"], "either", "{record:#}");
    assert_eq!(record["host"], host.as_str(), "{record:#}");
    (record["upstream"].as_str().unwrap().to_owned(), record)
}

/// An answer that says that the upstream is unwell.
async fn fails(upstream: &mut Upstream) {
    let mut arrival = upstream.next().await;
    arrival
        .write("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
        .await;
    arrival.keep();
}

async fn names(gateway: &Gateway, path: &str) -> Vec<String> {
    let list = gateway.get(path).await.json().await;
    let models = list["data"].as_array().unwrap();
    let id = |model: &Value| model["id"].as_str().unwrap().to_owned();
    models.iter().map(id).collect()
}

#[tokio::test]
async fn weights_say_how_often_each_is_asked_first() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let members = format!("{}, {}", member("one", ", weight = 3"), member("two", ""));
    let pool = "strategy = \"weighted\"";
    let gateway = gateway((&one, &two), (["", ""], &members), pool, "").await;
    let mut first = 0;
    for _ in 0..60 {
        let (who, _) = asked(&gateway, &mut one, &mut two).await;
        first += usize::from(who == "one");
    }
    // A chance of one in millions that this is not so.
    assert!((28..=58).contains(&first), "{first}");
    gateway.finish().await;

    let none = format!(
        "{}, {}",
        member("one", ", weight = 1"),
        member("two", ", weight = 0")
    );
    let gateway = self::gateway((&one, &two), (["", ""], &none), pool, "").await;
    for _ in 0..9 {
        assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "one");
    }
    // It stands in when the other one fails.
    let (answer, (), ()) = tokio::join!(
        gateway.chat(chat_body("either", false)),
        fails(&mut one),
        two.complete()
    );
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn policy_decides_on_each_and_the_strategy_among_those_that_are_left() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let mystery = "{ upstream = \"one\", model = \"one-mystery\" }";
    for strategy in ["first", "weighted", "least-loaded"] {
        let members = format!("{mystery}, {}", member("two", ""));
        let pool = format!("strategy = \"{strategy}\"");
        let gateway = gateway((&one, &two), (["", ""], &members), &pool, "").await;
        for _ in 0..6 {
            let (who, record) = asked(&gateway, &mut one, &mut two).await;
            assert_eq!(who, "two", "{strategy}");
            assert_eq!(record["attempts"].as_array().unwrap().len(), 1);
        }
        // It is not asked when the other one fails either.
        let (answer, ()) = tokio::join!(gateway.chat(chat_body("either", false)), async {
            for _ in 0..3 {
                fails(&mut two).await;
            }
        });
        assert_eq!(answer.status, 500, "{strategy}");
        assert!(one.is_untouched());
        let all = names(&gateway, "/v1/models").await;
        assert_eq!(all, ["one-model", "two-model", "either"]);
        gateway.finish().await;
    }
    let gateway = gateway((&one, &two), (["", ""], mystery), "", "").await;
    let refused = gateway.chat(chat_body("either", false)).await;
    let error = refused.error(403, "policy_denied").await;
    assert!(error["message"].as_str().unwrap().contains("`either`"));
    assert!(
        !names(&gateway, "/v1/models")
            .await
            .contains(&"either".to_owned())
    );
    let all = names(&gateway, "/v1/models?include=denied").await;
    assert!(all.contains(&"either".to_owned()), "{all:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn the_cheapest_is_asked_and_one_without_a_price_is_not() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let price = |currency: &str, input: &str, output: &str| {
        format!(
            ", price = {{ currency = \"{currency}\", input = \"{input}\", output = \"{output}\" }}"
        )
    };
    let pool = "strategy = \"cheapest\"";
    // What an answer costs counts more than its prompt.
    let prices = [price("USD", "1", "10"), price("USD", "5", "2")];
    let prices = prices.each_ref().map(String::as_str);
    let gateway = gateway((&one, &two), (prices, &both()), pool, "").await;
    let (who, record) = asked(&gateway, &mut one, &mut two).await;
    assert_eq!(who, "two");
    assert_eq!(record.get("detail"), None, "{record:#}");
    let (answer, (), ()) = tokio::join!(
        gateway.chat(chat_body("either", false)),
        fails(&mut two),
        one.complete()
    );
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;

    for other in [String::new(), price("EUR", "0", "0")] {
        let priced = price("USD", "1", "10");
        let prices = [priced.as_str(), &other];
        let gateway = self::gateway((&one, &two), (prices, &both()), pool, "").await;
        let (who, record) = asked(&gateway, &mut one, &mut two).await;
        assert_eq!(who, "one", "{other}");
        assert_eq!(record["detail"], "`two` was passed over: price_unknown");
        // Not even when the other one fails.
        let (answer, ()) = tokio::join!(gateway.chat(chat_body("either", false)), async {
            for _ in 0..3 {
                fails(&mut one).await;
            }
        });
        assert_eq!(answer.status, 500);
        gateway.finish().await;
    }
    let gateway = self::gateway((&one, &two), (["", ""], &both()), pool, "").await;
    let refused = gateway.chat(chat_body("either", false)).await;
    let error = refused.error(403, "price_unknown").await;
    assert!(error["message"].as_str().unwrap().contains("cheapest"));
    assert!(one.is_untouched() && two.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn the_nearest_is_asked_as_the_operator_orders_places() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    for (nearest, who) in [("\"FR\", \"DE\"", "two"), ("\"DE\"", "one")] {
        let pool = format!("strategy = \"nearest\"\nnearest = [{nearest}]");
        let gateway = gateway((&one, &two), (["", ""], &both()), &pool, "").await;
        assert_eq!(asked(&gateway, &mut one, &mut two).await.0, who);
        gateway.finish().await;
    }
    // The same for the offers of a model.
    let entries = entry("one", &one, "rack", "") + &entry("two", &two, "elsewhere", "");
    let entries = entries
        .replace("one-model", "either")
        .replace("two-model", "either");
    let setup = Setup::with(&entries).routing("strategy = \"nearest\"\nnearest = [\"FR\"]");
    setup.write("overlay.toml", &format!("{OVERLAY}{ELSEWHERE}"));
    let gateway = setup.start().await;
    assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "two");
    gateway.finish().await;
}

#[tokio::test]
async fn whoever_has_less_to_do_is_asked() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let pool = "strategy = \"least-loaded\"";
    let gateway = gateway((&one, &two), (["", ""], &both()), pool, "").await;
    // While the first waits, the other one has nothing to do.
    let first = gateway.chat(chat_body("either", false));
    let second = async {
        let (mut busy, slow) = tokio::select! {
            arrival = one.next() => (arrival, "one"),
            arrival = two.next() => (arrival, "two"),
        };
        let other = if slow == "one" { &mut two } else { &mut one };
        let (answer, ()) = tokio::join!(gateway.chat(chat_body("either", false)), other.complete());
        assert_eq!(answer.text().await, COMPLETION);
        sleep(Duration::from_millis(500)).await;
        busy.write(whole("", COMPLETION.as_bytes())).await;
        busy.keep();
        slow
    };
    let (answer, slow) = tokio::join!(first, second);
    assert_eq!(answer.text().await, COMPLETION);
    // And who has been slow is avoided for a while.
    for _ in 0..6 {
        assert_ne!(asked(&gateway, &mut one, &mut two).await.0, slow);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn one_that_fails_again_and_again_is_left_out_until_a_request_finds_it_well() {
    let (mut one, mut two) = (Upstream::start().await, Upstream::start().await);
    let routing = "attempts = 2\nbreaker_failures = 2\nbreaker_seconds = 1";
    let pool = "strategy = \"first\"";
    let gateway = gateway((&one, &two), (["", ""], &both()), pool, routing).await;
    let both_asked = async |one: &mut Upstream, two: &mut Upstream| {
        let (answer, (), ()) = tokio::join!(
            gateway.chat(chat_body("either", false)),
            fails(one),
            two.complete()
        );
        assert_eq!(answer.text().await, COMPLETION);
    };
    both_asked(&mut one, &mut two).await;
    let open = "carnet_target_left_out{upstream=\"one\",model=\"llama3.3:70b\"}";
    assert_eq!(gateway.counter(open).await, 0);
    both_asked(&mut one, &mut two).await;
    assert_eq!(gateway.counter(open).await, 1);
    for _ in 0..3 {
        assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "two");
    }
    // One request finds out that it is not well yet, and then another that it is.
    sleep(Duration::from_millis(1_100)).await;
    both_asked(&mut one, &mut two).await;
    assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "two");
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "one");
    assert_eq!(gateway.counter(open).await, 0);
    assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "one");

    // When all fail, the least bad is still asked.
    for _ in 0..2 {
        let (answer, (), ()) = tokio::join!(
            gateway.chat(chat_body("either", false)),
            fails(&mut one),
            fails(&mut two)
        );
        assert_eq!(answer.status, 500);
    }
    assert_eq!(asked(&gateway, &mut one, &mut two).await.0, "one");
    gateway.finish().await;
}

#[tokio::test]
async fn a_pool_is_no_way_around_a_limit_or_the_terms_of_a_key() {
    let (mut one, two) = (Upstream::start().await, Upstream::start().await);
    let limit =
        "\n[[limit]]\nname = \"few\"\nrequests = 2\nevery = \"day\"\nmodels = [\"one-model\"]\n";
    let members = member("one", "");
    let entries = entry("one", &one, "rack", "") + &entry("two", &two, "elsewhere", "");
    let pool = format!("{entries}\n[[pool]]\nname = \"either\"\nmembers = [{members}]\n{limit}");
    let setup = Setup::with(&pool);
    setup.write("overlay.toml", &format!("{OVERLAY}{ELSEWHERE}"));
    let gateway = setup.start().await;
    for name in ["one-model", "either"] {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(name, false)), one.complete());
        assert_eq!(answer.text().await, COMPLETION);
    }
    for name in ["one-model", "either"] {
        let refused = gateway.chat(chat_body(name, false)).await;
        refused.error(429, "limit_reached").await;
    }
    let ask = async |key: &str, name: &str| -> Answer {
        let request = gateway.chat_request(chat_body(name, false));
        gateway.send(with_key(request, key)).await
    };
    let (_, narrow) = gateway.key_with(&["--model", "one-model"]).await;
    ask(&narrow, "either").await.error(403, "key_scope").await;
    let (_, wide) = gateway.key_with(&["--model", "either"]).await;
    ask(&wide, "one-model").await.error(403, "key_scope").await;
    ask(&wide, "either").await.error(429, "limit_reached").await;
    assert_eq!(json!(one.is_untouched()), true);
    gateway.finish().await;
}
