//! Cutting a stream of messages elsewhere changes nothing, and a message that is read is written with the same bytes.

#![no_main]

use carnet_wire::stream::aws::{AwsDecoder, AwsError, write_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<(&[u8], &[u8])>, &[u8])| {
    let (size, messages, tail) = input;
    let mut stream = Vec::new();
    for (headers, payload) in messages {
        add_message(&mut stream, headers, payload);
    }
    stream.extend_from_slice(tail);
    let whole = read(&stream, stream.len().max(1));
    assert_eq!(whole, read(&stream, usize::from(size).max(1)));
    let (written, end) = whole;
    assert_eq!(stream.get(..written.len()), Some(&written[..]));
    match end {
        Ok(()) => assert_eq!(stream, written),
        Err(error) => {
            assert!(error.offset >= written.len() && error.offset <= stream.len());
            assert!(!error.to_string().is_empty());
        }
    }
});

/// What was read, written again, and the error at its end if there is one.
fn read(stream: &[u8], size: usize) -> (Vec<u8>, Result<(), AwsError>) {
    let mut decoder = AwsDecoder::new();
    let mut written = Vec::new();
    for mut rest in stream.chunks(size) {
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(message)) => {
                    write_message(&mut written, &message.headers, message.payload)
                        .expect("what was read can be written");
                }
                Ok(None) => break,
                Err(error) => return (written, Err(error)),
            }
        }
        assert!(rest.is_empty());
    }
    (written, decoder.finish())
}

/// A message of any bytes with the right lengths and checksums, because no chance finds them.
fn add_message(stream: &mut Vec<u8>, headers: &[u8], payload: &[u8]) {
    let mut message = Vec::new();
    for length in [16 + headers.len() + payload.len(), headers.len()] {
        let length = u32::try_from(length).expect("inputs are short");
        message.extend_from_slice(&length.to_be_bytes());
    }
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    stream.extend_from_slice(&message);
}
