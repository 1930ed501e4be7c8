//! A message of a caller over a WebSocket is refused, or becomes a body that is as strictly JSON as the message was; and what
//! an answer said can stand in a further request.

#![no_main]

use bytes::Bytes;
use carnet_wire::json::{self, Kind, Scan, Watch};
use carnet_wire::limits::MAX_DEPTH;
use carnet_wire::responses::kept::{self, Page};
use carnet_wire::responses::socket::{self, Create};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (&[u8], &[u8], u16)| {
    let (message, answer, status) = input;
    let message = Bytes::copy_from_slice(message);
    if let Ok(create) = Create::read(&message) {
        let items = create.items();
        for continued in [None, Some(&items[..])] {
            let body = create.body(continued);
            let scan = strict(&body);
            let first = |path| scan.first(path).map(|hit| &body[hit.value.clone()]);
            assert_eq!(first(0), Some(&b"true"[..]));
            assert_eq!((first(1), first(2)), (None, None));
            if continued.is_some() && create.previous().is_some() {
                assert_eq!(first(3), None);
                assert_eq!(scan.first(4).unwrap().kind, Kind::Array);
            }
        }
    }
    if let Some((_, items)) = socket::completed_event(answer).and_then(|event| socket::said(&event)) {
        strict(&[br#"{"input":["#, &items[..], b"]}"].concat());
    }
    if let Some(response) = kept::given_by(answer) {
        strict(response);
    }
    let after = kept::given(answer);
    let page = Page {
        after,
        limit: Some(usize::from(status)),
        ..Page::default()
    };
    if let Ok(list) = page.of(answer) {
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert!(list["data"].as_array().unwrap().len() <= usize::from(status));
    }
    let error = socket::error_event(status, answer, None);
    let error: Value = serde_json::from_slice(&error).unwrap();
    assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string());
});

fn strict(body: &[u8]) -> Scan {
    let paths = ["stream", "type", "generate", "previous_response_id", "input"];
    json::scan(body, &Watch::new(paths).unwrap(), MAX_DEPTH).unwrap()
}
