//! Cutting a stream of events elsewhere changes nothing, and an event that is written again is read as the same.

#![no_main]

use carnet_wire::stream::TooLong;
use carnet_wire::stream::sse::{Block, KEEP_ALIVE, SseParser, write_event};
use libfuzzer_sys::fuzz_target;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Read {
    Comment(Vec<u8>),
    Event(Vec<u8>, Vec<u8>, bool),
}

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (size, max, stream) = input;
    let max = usize::from(max);
    let whole = read(max, stream, stream.len().max(1));
    let pieces = read(max, stream, usize::from(size).max(1));
    assert_eq!(whole, pieces);
    check_rewritten(max, whole.0);
});

/// The blocks, and the error at their end if there is one.
fn read(max: usize, stream: &[u8], size: usize) -> (Vec<Read>, Option<TooLong>) {
    let mut parser = SseParser::with_limit(max);
    let mut blocks = Vec::new();
    for mut rest in stream.chunks(size) {
        loop {
            match parser.next(&mut rest) {
                Ok(Some(block)) => blocks.push(owned(block, max)),
                Ok(None) => break,
                Err(error) => return (blocks, Some(error)),
            }
        }
        assert!(rest.is_empty());
    }
    let half = parser.finish();
    blocks.extend(half.map(|half| owned(Block::Event(half), max)));
    (blocks, None)
}

fn owned(block: Block<'_>, max: usize) -> Read {
    match block {
        Block::Comment(text) => {
            assert!(text.len() <= max);
            Read::Comment(text.to_vec())
        }
        Block::Event(event) => {
            assert!(event.name.len() <= max && event.data.len() <= max);
            Read::Event(event.name.to_vec(), event.data.to_vec(), event.complete)
        }
    }
}

fn check_rewritten(max: usize, blocks: Vec<Read>) {
    let mut stream = Vec::new();
    let mut want = Vec::new();
    for block in blocks {
        match block {
            Read::Comment(_) if max >= KEEP_ALIVE.len() => {
                stream.extend_from_slice(KEEP_ALIVE);
                want.push(Read::Comment(b"keep-alive".to_vec()));
            }
            Read::Event(name, data, _) => {
                // The writer takes text only.
                let name = String::from_utf8(name).unwrap_or_default();
                write_event(&mut stream, Some(&name), &data);
                want.push(Read::Event(name.into_bytes(), data, true));
            }
            Read::Comment(_) => {}
        }
    }
    assert_eq!(read(max, &stream, 3), (want, None));
}
