//! Lines, however they are cut.

use proptest::prelude::*;

use super::*;
use crate::stream::cuts::{cut, cuts, sizes};

/// The lines, and the one without an end.
type Read = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn read(parser: &mut NdjsonParser, chunks: &[&[u8]]) -> Result<Read, TooLong> {
    let mut lines = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        while let Some(line) = parser.next(&mut rest)? {
            lines.push(line.to_vec());
        }
        assert!(rest.is_empty());
    }
    Ok((lines, parser.finish().map(<[u8]>::to_vec)))
}

#[test]
fn lines_are_the_same_however_they_are_cut() {
    let none: &[&str] = &[];
    for (stream, lines, half) in [
        ("", none, None),
        ("{}\n", &["{}"], None),
        ("{}", none, Some("{}")),
        ("{}\r", none, Some("{}")),
        (
            "{\"a\":1}\r\n{\"b\":2}\n",
            &["{\"a\":1}", "{\"b\":2}"],
            None,
        ),
        (
            "\n\r\n \t\n{\"a\":\"é日😀\"}\n\n\n{}\n  ",
            &["{\"a\":\"é日😀\"}", "{}"],
            None,
        ),
        ("a\rb\n\rc\r\r\nd", &["a\rb", "\rc\r"], Some("d")),
        (" a \n", &[" a "], None),
    ] {
        let want = (
            lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            half.map(|half| half.as_bytes().to_vec()),
        );
        for chunks in cuts(stream.as_bytes()) {
            let got = read(&mut NdjsonParser::new(), &chunks);
            assert_eq!(got, Ok(want.clone()), "{stream:?} as {chunks:?}");
        }
    }
}

#[test]
fn a_whole_line_is_lent_from_its_chunk() {
    let chunk: &[u8] = b"{\"a\":1}\n{\"b\":2}\n";
    let mut parser = NdjsonParser::new();
    let mut rest = chunk;
    while let Some(line) = parser.next(&mut rest).unwrap() {
        assert!(chunk.as_ptr_range().contains(&line.as_ptr()));
    }
}

#[test]
fn a_line_over_the_bound_is_an_error_that_stays() {
    let stream = b"1234\n12345678\n123456789\n1\n";
    for chunks in cuts(stream) {
        let mut parser = NdjsonParser::with_limit(8);
        let error = read(&mut parser, &chunks).unwrap_err();
        assert_eq!(error.to_string(), "a line of more than 8 bytes");
        assert_eq!(parser.next(&mut &b"1\n"[..]), Err(error));
    }
    assert_eq!(
        read(&mut NdjsonParser::with_limit(8), &[b"12345678\n"]),
        Ok((vec![b"12345678".to_vec()], None))
    );
}

proptest! {
    #[test]
    fn written_lines_are_read(
        lines in prop::collection::vec("[^\n]{0,20}x", 0..6),
        sizes in sizes(),
    ) {
        let stream: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let want = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let chunks = cut(stream.as_bytes(), &sizes);
        prop_assert_eq!(read(&mut NdjsonParser::new(), &chunks), Ok((want, None)));
    }

    #[test]
    fn any_bytes_read_the_same_however_they_are_cut(
        stream in prop::collection::vec(prop::sample::select(b"\r\n {\xE6\xFFa".to_vec()), 0..60),
        max in 0_usize..20,
        sizes in sizes(),
    ) {
        let whole = read(&mut NdjsonParser::with_limit(max), &[&stream]);
        let chunks = cut(&stream, &sizes);
        let pieces = read(&mut NdjsonParser::with_limit(max), &chunks);
        prop_assert_eq!(whole, pieces);
    }
}
