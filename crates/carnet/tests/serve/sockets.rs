//! Upstreams on a Unix socket.

use crate::harness::upstream::SocketUpstream;
use crate::harness::{MODEL, PATIENCE, Setup, chat_body, within};

#[tokio::test]
async fn a_server_on_a_unix_socket_is_an_upstream_and_the_record_names_the_socket() {
    // Each with what the configuration adds to the path, and where the request must come in.
    for (suffix, line) in [
        ("", "POST /v1/chat/completions HTTP/1.1"),
        (
            ":/api/openai/",
            "POST /api/openai/chat/completions HTTP/1.1",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("model.sock");
        let mut upstream = SocketUpstream::start(&socket);
        let address = format!("unix:{}", socket.display());
        let gateway = Setup::new(&format!("{address}{suffix}")).start().await;
        let (answer, arrived) = tokio::join!(gateway.chat(chat_body(MODEL, false)), async {
            let arrival = within(PATIENCE, "a request", upstream.arrivals.recv())
                .await
                .unwrap();
            let seen = (arrival.line.clone(), arrival.header("host").join(","));
            arrival.complete().await;
            seen
        });
        assert_eq!(arrived, (line.to_owned(), "localhost".to_owned()));
        assert_eq!(answer.status, 200);
        let record = gateway.record(&answer.record()).await;
        assert_eq!(record["outcome"], "completed", "{record:#}");
        assert_eq!(record["attempts"][0]["origin"], address.as_str());
        assert_eq!(record["attempts"][0]["address"], address.as_str());
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_socket_where_nobody_listens_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Setup::new(&format!("unix:{}/none.sock", folder.path().display()))
        .start()
        .await;
    let answer = gateway.chat(chat_body(MODEL, false)).await;
    let id = answer.record();
    let error = answer.error(502, "upstream_unreachable").await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("`local`") && !message.contains("none.sock"),
        "{message}"
    );
    assert_eq!(gateway.record(&id).await["outcome"], "upstream-error");
    gateway.finish().await;
}
