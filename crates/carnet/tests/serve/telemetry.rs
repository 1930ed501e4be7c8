//! Telemetry: spans at a collector, the trace at the upstream, and no request that waits for either.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::harness::certificates::Authority;
use crate::harness::upstream::{COMPLETION, whole};
use crate::harness::{
    Arrival, DENIED, Gateway, MODEL, RENAMED, Setup, Upstream, chat_body, entry, until,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A gateway that tells this collector, with further lines of the section.
fn told(upstream: &Upstream, collector: &str, more: &str) -> Setup {
    let entry = entry("local", &upstream.base_url(), "");
    Setup::with(&format!(
        "{entry}\n[telemetry]\nendpoint = \"{collector}\"\n{more}\n"
    ))
}

fn at(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A request in the caller's trace; what the upstream was told of it.
async fn traced(gateway: &Gateway, upstream: &mut Upstream, model: &str) -> (String, Arrival) {
    let mut request = gateway.chat_request(chat_body(model, false));
    for (name, value) in [("traceparent", PARENT), ("tracestate", "a=1,b=2")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (answer, arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole("connection: close\r\n", COMPLETION.as_bytes()))
            .await;
        arrival.end().await;
        arrival
    });
    let id = answer.record();
    assert_eq!(answer.text().await, COMPLETION);
    (id, arrival)
}

/// Fields of a message of which each is a text, a message or a number, by their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                found.push((tag >> 3, varint(&mut bytes).to_string().into_bytes()));
                continue;
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut bytes) as usize,
        };
        found.push((tag >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

fn all(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    let of = fields(message).into_iter();
    of.filter(|(found, _)| *found == number)
        .map(|(_, value)| value)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: BTreeMap<String, String>,
}

fn spans(request: &[u8]) -> Vec<Span> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let of_resource = all(request, 1);
    let of_scope = of_resource.iter().flat_map(|resource| all(resource, 2));
    let spans = of_scope.flat_map(|scope| all(&scope, 2));
    let span = |span: Vec<u8>| Span {
        trace: hex(&all(&span, 1)[0]),
        id: hex(&all(&span, 2)[0]),
        parent: all(&span, 4).first().map(|id| hex(id)).unwrap_or_default(),
        name: text(&all(&span, 5)[0]),
        attributes: all(&span, 9)
            .iter()
            .map(|pair| {
                let value = &fields(&all(pair, 2)[0])[0].1;
                (text(&all(pair, 1)[0]), text(value))
            })
            .collect(),
    };
    spans.map(span).collect()
}

/// The next message at the collector, which is taken.
async fn message(collector: &mut Upstream) -> Arrival {
    let mut arrival = collector.next().await;
    arrival.write(whole("connection: close\r\n", b"")).await;
    arrival.end().await;
    arrival
}

#[tokio::test]
async fn a_request_goes_on_in_its_callers_trace() {
    let (mut upstream, mut collector) = (Upstream::start().await, Upstream::start().await);
    let more = "metrics_seconds = 0\nservice_name = \"border\"\nheaders = [{ name = \"x-team\", value = { env = \"TEAM\" } }]";
    let gateway = told(&upstream, &at(collector.address), more)
        .variable("TEAM", "a-secret-of-the-team")
        .start()
        .await;
    let (id, arrival) = traced(&gateway, &mut upstream, RENAMED).await;
    let [parent] = arrival.header("traceparent")[..] else {
        panic!("{:?}", arrival.headers);
    };
    assert_eq!(arrival.header("tracestate"), ["a=1,b=2"]);
    let told = message(&mut collector).await;
    assert_eq!(told.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(told.header("content-type"), ["application/x-protobuf"]);
    assert_eq!(told.header("x-team"), ["a-secret-of-the-team"]);
    let spans = spans(&told.body);
    let [server, client] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!((&*server.trace, &*client.trace), (TRACE, TRACE));
    assert_eq!(
        (&*server.parent, &client.parent),
        ("00f067aa0ba902b7", &server.id)
    );
    // The upstream's spans are below that of the attempt.
    assert_eq!(parent, format!("00-{TRACE}-{}-01", client.id));
    assert_eq!(server.name, "POST /v1/chat/completions");
    assert_eq!(client.name, format!("chat {MODEL}"));
    let port = upstream.address.port().to_string();
    for (span, key, value) in [
        (server, "gen_ai.operation.name", "chat"),
        (server, "gen_ai.request.model", RENAMED),
        (server, "gen_ai.response.model", MODEL),
        (server, "carnet.decision", "permit"),
        (server, "carnet.record.id", &*id),
        (server, "carnet.workload", "app"),
        (server, "http.response.status_code", "200"),
        (client, "gen_ai.request.model", MODEL),
        (client, "gen_ai.provider.name", "rack"),
        (client, "server.address", "127.0.0.1"),
        (client, "server.port", &*port),
        (client, "carnet.target.upstream", "local"),
    ] {
        assert_eq!(
            span.attributes.get(key).map(String::as_str),
            Some(value),
            "{key} {span:#?}"
        );
    }
    let body = String::from_utf8_lossy(&told.body).into_owned();
    for planted in ["Hello", "\"Hi\"", &gateway.key, "a-secret-of"] {
        assert!(!body.contains(planted), "{planted}");
    }
    assert!(body.contains("border"));
    // A denial has a span of its own and none below it.
    let denied = gateway.chat(chat_body(DENIED, false)).await;
    denied.error(403, "policy_denied").await;
    let told = message(&mut collector).await;
    let spans = self::spans(&told.body);
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(
        (&*spans[0].parent, &*spans[0].attributes["carnet.decision"]),
        ("", "deny")
    );
    assert_ne!(spans[0].trace, TRACE);
    until("the counter", async || {
        let sent = gateway
            .counter("carnet_telemetry_spans_total{result=\"sent\"}")
            .await;
        (sent == 3).then_some(())
    })
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn without_telemetry_traces_go_nowhere() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (_, arrival) = traced(&gateway, &mut upstream, MODEL).await;
    for name in ["traceparent", "tracestate"] {
        assert_eq!(arrival.header(name), Vec::<&str>::new());
    }
    gateway.finish().await;
}

#[tokio::test]
async fn upstreams_are_told_nothing_where_that_is_not_wanted() {
    let (mut upstream, mut collector) = (Upstream::start().await, Upstream::start().await);
    let more = "propagate = false\nmetrics_seconds = 0\nsample = 0";
    let gateway = told(&upstream, &at(collector.address), more).start().await;
    let (_, arrival) = traced(&gateway, &mut upstream, MODEL).await;
    assert_eq!(arrival.header("traceparent"), Vec::<&str>::new());
    // The caller's trace is sampled; one that begins here is not.
    let told = message(&mut collector).await;
    assert_eq!(spans(&told.body).len(), 2);
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    answer.bytes().await;
    gateway.finish().await;
    assert!(collector.is_untouched());
}

#[tokio::test]
async fn a_collector_that_is_away_hinders_no_request() {
    let mut upstream = Upstream::start().await;
    // A port that was free a moment ago.
    let away = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let gateway = told(&upstream, &at(away), "").start().await;
    for _ in 0..3 {
        traced(&gateway, &mut upstream, MODEL).await;
    }
    until("lost spans", async || {
        let lost = gateway
            .counter("carnet_telemetry_spans_total{result=\"lost\"}")
            .await;
        (lost == 6).then_some(())
    })
    .await;
    assert!(
        gateway
            .stderr()
            .contains("the collector takes no telemetry")
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_collector_over_tls_is_checked_against_its_authority() {
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let mut upstream = Upstream::start().await;
    let mut collector = Upstream::tls(authority.server(&identity, false)).await;
    let place = format!("https://localhost:{}", collector.address.port());
    for ca in ["", "ca_file = \"ca.pem\""] {
        let setup = told(&upstream, &place, &format!("metrics_seconds = 0\n{ca}"));
        setup.write("ca.pem", &authority.pem());
        let gateway = setup.start().await;
        traced(&gateway, &mut upstream, MODEL).await;
        if ca.is_empty() {
            until("lost spans", async || {
                let lost = gateway
                    .counter("carnet_telemetry_spans_total{result=\"lost\"}")
                    .await;
                (lost == 2).then_some(())
            })
            .await;
            assert!(collector.is_untouched());
        } else {
            assert_eq!(spans(&message(&mut collector).await.body).len(), 2);
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn what_is_left_is_told_at_the_end_with_the_measures() {
    let (mut upstream, mut collector) = (Upstream::start().await, Upstream::start().await);
    let mut gateway = told(&upstream, &at(collector.address), "metrics_seconds = 3600")
        .start()
        .await;
    traced(&gateway, &mut upstream, MODEL).await;
    gateway.signal(Signal::TERM);
    let mut paths = Vec::new();
    for _ in 0..2 {
        let told = message(&mut collector).await;
        if told.line.contains("/v1/metrics") {
            let body = String::from_utf8_lossy(&told.body).into_owned();
            assert!(body.contains("gen_ai.client.operation.duration"), "{body}");
        }
        paths.push(told.line);
    }
    paths.sort();
    assert_eq!(
        paths,
        ["POST /v1/metrics HTTP/1.1", "POST /v1/traces HTTP/1.1"]
    );
    assert!(gateway.ended().await.success());
    gateway.check_log().await;
}

#[tokio::test]
async fn settings_that_cannot_be_are_told_with_their_lines() {
    let setup = Setup::new("http://127.0.0.1:1/v1");
    let wrong = r#"
[telemetry]
endpoint = "http://127.0.0.1:4318/v1/traces"
sample = 1.5
headers = [{ name = "content-type", value = { env = "HOME" } }]
"#;
    setup.write("carnet.toml", &(setup.config() + wrong));
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carnet"));
    let checked = command
        .args(["config", "check"])
        .arg(setup.path("carnet.toml"))
        .output();
    let checked = checked.await.unwrap();
    let text = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(2), "{text}");
    for said in [
        "is not the address of a collector",
        "`sample` is 1.5",
        "is not a header that can be set",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}
