//! Whatever is read as an answer, whole or in events, is written as JSON in the dialect of every client, and a stream
//! always ends, also one that is a JSON array.

#![no_main]

use carnet_wire::dialect::{ClientDialect, Dialect, Options};
use carnet_wire::stream::aws::AwsDecoder;
use carnet_wire::translate::{self, State, Stream};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

/// Names of events where the framing gives them.
const NAMES: [&str; 7] = [
    "contentBlockDelta",
    "contentBlockStart",
    "contentBlockStop",
    "messageStart",
    "messageStop",
    "metadata",
    "throttlingException",
];

fuzz_target!(|body: &[u8]| {
    for from in Dialect::ALL {
        for to in ClientDialect::ALL {
            if let Ok(answered) = translate::answer(from, to, body, &Options::default()) {
                serde_json::from_slice::<IgnoredAny>(&answered.body).expect("an answer is JSON");
            }
            let (_, failure) = translate::failure(from, to, 500, body);
            serde_json::from_slice::<IgnoredAny>(&failure).expect("an error is JSON");
            stream(from, to, body);
        }
        array(from, body);
    }
});

/// The stream of a client that reads it as one array.
fn array(from: Dialect, body: &[u8]) {
    let mut options = Options::default();
    options.caller.stream_as_array = true;
    let out = streamed(from, ClientDialect::GenerateContent, body, &options);
    serde_json::from_slice::<Vec<IgnoredAny>>(&out).expect("the stream is an array");
}

fn stream(from: Dialect, to: ClientDialect, body: &[u8]) {
    let out = streamed(from, to, body, &Options::default());
    if to == ClientDialect::Converse {
        messages(&out);
        return;
    }
    for line in out.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b"data: ") {
            Some(b"[DONE]") => {}
            Some(data) => {
                serde_json::from_slice::<IgnoredAny>(data).expect("an event is JSON");
            }
            None => assert!(line.is_empty() || line.starts_with(b"event: ")),
        }
    }
}

/// Each line is an event; its first byte chooses the name.
fn streamed(from: Dialect, to: ClientDialect, body: &[u8], options: &Options) -> Vec<u8> {
    let mut stream = Stream::new(from, to, options);
    let mut out = Vec::new();
    for event in body.split(|byte| *byte == b'\n') {
        let (name, data) = event
            .split_first()
            .map_or((0, event), |(name, data)| (*name, data));
        let data = if name == b'{' { event } else { data };
        stream.push(NAMES[usize::from(name) % NAMES.len()], data, &mut out);
    }
    stream.finish(&mut out);
    assert_ne!(stream.state(), State::Open);
    out
}

fn messages(mut stream: &[u8]) {
    let mut decoder = AwsDecoder::new();
    while let Some(message) = decoder.next(&mut stream).expect("a message is whole") {
        serde_json::from_slice::<IgnoredAny>(message.payload).expect("a message is JSON");
    }
    decoder.finish().expect("no message is cut off");
}
