//! Cutting a stream of lines elsewhere changes nothing, and no line has an end in it or is longer than allowed.

#![no_main]

use carnet_wire::stream::TooLong;
use carnet_wire::stream::ndjson::NdjsonParser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (size, max, stream) = input;
    let max = usize::from(max);
    let (lines, error) = read(max, stream, stream.len().max(1));
    let pieces = read(max, stream, usize::from(size).max(1));
    assert_eq!((&lines, error), (&pieces.0, pieces.1));
    for line in &lines {
        assert!(line.len() <= max && !line.contains(&b'\n'));
    }
    if error.is_none() {
        let want: Vec<&[u8]> = stream
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .collect();
        assert_eq!(lines, want);
    }
});

/// The lines, the last without an end among them, and the error behind them if there is one.
fn read(max: usize, stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Option<TooLong>) {
    let mut parser = NdjsonParser::with_limit(max);
    let mut lines = Vec::new();
    for mut rest in stream.chunks(size) {
        loop {
            match parser.next(&mut rest) {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(error) => return (lines, Some(error)),
            }
        }
        assert!(rest.is_empty());
    }
    lines.extend(parser.finish().map(<[u8]>::to_vec));
    (lines, None)
}
