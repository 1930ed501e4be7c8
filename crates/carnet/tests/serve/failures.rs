//! Upstreams that refuse, stall, break off or send elsewhere.

use tokio::net::TcpListener;

use crate::harness::upstream::{COMPLETION, DELTA, whole};
use crate::harness::{Answer, Gateway, MODEL, Setup, Upstream, chat_body, entry, json_body};

/// A stream that has brought its first event, and what the upstream goes on with.
async fn streaming(
    gateway: &Gateway,
    upstream: &mut Upstream,
) -> (Answer, crate::harness::Arrival) {
    let (mut answer, arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    (answer, arrival)
}

/// The answer must be this error, once tried, and recorded with this outcome.
async fn fails(gateway: &Gateway, answer: Answer, status: u16, code: &str, outcome: &str) {
    let id = answer.record();
    let error = answer.error(status, code).await;
    assert_eq!(error["record"], id.as_str());
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], outcome, "{record:#}");
    assert_eq!(record["status"], status, "{record:#}");
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{record:#}");
    assert_eq!(attempts[0]["error"], code, "{record:#}");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_without_its_address() {
    // A port that was free a moment ago and that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = Setup::new(&format!("http://{address}/v1")).start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let id = answer.record();
    let error = answer.error(502, "upstream_unreachable").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("`local`") && !message.contains(&address.to_string()),
        "{message}"
    );
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "upstream-error");
    assert_eq!(record["attempts"][0]["error"], "upstream_unreachable");
    gateway.finish().await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    let gateway = Setup::new("http://no-such-host.invalid/v1").start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    fails(
        &gateway,
        answer,
        502,
        "upstream_unreachable",
        "upstream-error",
    )
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_before_any_byte() {
    let mut upstream = Upstream::start().await;
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut found = None;
    for name in [
        own.trim(),
        "ip6-localhost",
        "ip6-loopback",
        "localhost.localdomain",
        "localhost.",
    ] {
        let addresses = tokio::net::lookup_host((name, 0)).await;
        if addresses.is_ok_and(|mut all| all.any(|one| one.ip().is_loopback())) {
            found = Some(name.to_owned());
            break;
        }
    }
    let Some(name) = found else {
        println!("not run: no name but `localhost` leads to a loopback address here");
        return;
    };
    let base_url = format!("http://{name}:{}/v1", upstream.address.port());
    let gateway = Setup::new(&base_url).start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    fails(
        &gateway,
        answer,
        502,
        "upstream_address_refused",
        "upstream-error",
    )
    .await;
    assert_eq!(upstream.connections(), 0);
    gateway.finish().await;

    let allowed = entry("local", &base_url, "private_addresses = true");
    let gateway = Setup::with(&allowed).start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut upstream = Upstream::start().await;
    let mut elsewhere = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            let head = format!(
                "HTTP/1.1 {status}\r\nlocation: {}/chat/completions\r\ncontent-length: 0\r\n\r\n",
                elsewhere.base_url()
            );
            arrival.write(head).await;
        });
        assert_eq!(answer.header("location"), "");
        fails(&gateway, answer, 502, "upstream_redirect", "upstream-error").await;
    }
    assert!(elsewhere.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_begin_is_given_up() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::with(&entry(
        "local",
        &upstream.base_url(),
        "first_byte_seconds = 1",
    ));
    let gateway = setup.start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        upstream.next().await.closed().await;
    });
    fails(&gateway, answer, 504, "upstream_timeout", "timeout").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_counts_as_connecting() {
    // Accepts and says nothing: the client waits for the server's part of the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}/v1", listener.local_addr().unwrap());
    let setup = Setup::with(&entry("local", &base_url, "connect_seconds = 1"));
    let gateway = setup.start().await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    fails(
        &gateway,
        answer,
        502,
        "upstream_unreachable",
        "upstream-error",
    )
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_07_an_upstream_that_falls_silent_is_given_up() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::with(&entry("local", &upstream.base_url(), "idle_seconds = 1"));
    let gateway = setup.start().await;
    let (answer, mut arrival) = streaming(&gateway, &mut upstream).await;
    let id = answer.record();
    let (rest, ()) = tokio::join!(answer.text(), arrival.closed());
    let events = json_body(&rest);
    assert_eq!(events.len(), 1, "{rest}");
    assert_eq!(events[0]["error"]["code"], "upstream_timeout");
    assert_eq!(gateway.record(&id).await["outcome"], "timeout");
    gateway.finish().await;
}

#[tokio::test]
async fn pitfall_09_an_upstream_that_breaks_off_is_told_in_the_stream() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (answer, arrival) = streaming(&gateway, &mut upstream).await;
    let id = answer.record();
    drop(arrival);
    let rest = answer.text().await;
    let events = json_body(&rest);
    assert_eq!(events.len(), 1, "{rest}");
    assert_eq!(events[0]["error"]["code"], "upstream_closed");
    let record = gateway.record(&id).await;
    assert_eq!(record["outcome"], "upstream-error");
    assert_eq!(
        record["attempts"][0]["address"],
        upstream.address.to_string().as_str()
    );
    gateway.finish().await;
}

#[tokio::test]
async fn an_event_torn_in_the_middle_does_not_swallow_the_error() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (mut answer, mut arrival) = streaming(&gateway, &mut upstream).await;
    let torn = "data: {\"choices\":[{\"del";
    arrival.chunk(torn).await;
    let mut all = answer.piece().await.unwrap().to_vec();
    drop(arrival);
    all.extend(answer.bytes().await);
    let text = String::from_utf8(all).unwrap();
    assert!(text.starts_with(&format!("{torn}\n\ndata: ")), "{text}");
    let events = json_body(&text);
    assert_eq!(events.len(), 1, "the error stands in a line of its own");
    assert_eq!(events[0]["error"]["code"], "upstream_closed");
    gateway.finish().await;
}

#[tokio::test]
async fn an_upstream_that_closes_instead_of_answering_is_not_asked_twice() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for beginning in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-type: a\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            upstream.next().await.write(beginning).await;
        });
        fails(&gateway, answer, 502, "upstream_closed", "upstream-error").await;
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_a_further_permit_and_no_answer() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    for _ in 0..30 {
        // The answer says nothing of closing, yet the connection ends with it.
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            arrival.write(whole("", COMPLETION.as_bytes())).await;
        });
        assert_eq!(answer.status, 200);
        let id = answer.record();
        assert_eq!(answer.text().await, COMPLETION);
        let record = gateway.record(&id).await;
        let attempts = record["attempts"].as_array().unwrap();
        let (last, before) = attempts.split_last().unwrap();
        assert_eq!(last["status"], 200, "{record:#}");
        for attempt in before {
            assert_eq!(attempt["error"], "upstream_closed", "{record:#}");
        }
        for (at, attempt) in attempts.iter().enumerate() {
            assert_eq!(attempt["n"], at + 1, "{record:#}");
        }
    }
    gateway.finish().await;
}

/// Without a length only the end of the connection says where an answer ends.
#[tokio::test]
async fn an_answer_that_ends_with_its_connection_in_the_middle_is_told_from_a_whole_one() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close\r\n\r\n";
    let named = COMPLETION.find("\"choices\"").unwrap();
    for (body, whole) in [
        (COMPLETION, true),
        (&COMPLETION[..COMPLETION.len() - 1], false),
        (&COMPLETION[..named], false),
        (&COMPLETION[..1], false),
    ] {
        let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let mut arrival = upstream.next().await;
            arrival.write([head, body].concat()).await;
        });
        let id = answer.record();
        if whole {
            assert_eq!(answer.text().await, body);
            assert_eq!(gateway.record(&id).await["outcome"], "completed");
        } else if body.len() == 1 {
            // Nothing of it was passed on yet.
            answer.error(502, "upstream_closed").await;
            assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
        } else {
            let (came, _) = answer.try_bytes().await.unwrap_err();
            assert_eq!(String::from_utf8_lossy(&came), body);
            assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
        }
    }
    // A text that is no JSON is not looked at.
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
        let mut arrival = upstream.next().await;
        let head = head.replace("application/json", "text/plain");
        arrival.write([&head, "{ and so on"].concat()).await;
    });
    let id = answer.record();
    assert_eq!(answer.text().await, "{ and so on");
    assert_eq!(gateway.record(&id).await["outcome"], "completed");
    gateway.finish().await;
}
