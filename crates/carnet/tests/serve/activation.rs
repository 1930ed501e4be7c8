//! A socket that a service manager holds: callers wait in its queue while the server is replaced.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::harness::upstream::{COMPLETION, DELTA, DONE, LAST_CHUNK};
use crate::harness::{MODEL, Setup, Upstream, chat_body};

#[tokio::test]
async fn while_the_server_is_replaced_nothing_is_lost() {
    let mut upstream = Upstream::start().await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let mut setup = Setup::new(&upstream.base_url());
    setup.handed = Some(held);
    let mut gateway = setup.start().await;
    assert_eq!(gateway.data, address);
    let (mut running, mut arrival) = tokio::join!(gateway.chat(chat_body(MODEL, true)), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(running.piece().await.unwrap(), DELTA);

    gateway.signal(Signal::TERM);
    arrival.chunk(DONE).await;
    arrival.write(LAST_CHUNK).await;
    assert_eq!(running.text().await, DONE);
    let status = gateway.ended().await;
    assert!(status.success(), "{status}: {}", gateway.stderr());

    // Nobody takes this one yet, and nobody refuses it.
    let waiting = gateway.connect().await;
    gateway.start_again().await;
    assert_eq!(gateway.data, address);
    let request = gateway.chat_request(chat_body(MODEL, false));
    let (answer, ()) = tokio::join!(
        gateway.send_over(Box::new(waiting), request),
        upstream.complete()
    );
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}
