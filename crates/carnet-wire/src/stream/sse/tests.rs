//! Events, however they are cut, against a table and against the standard's own way of reading them.

use proptest::prelude::*;

use super::*;
use crate::stream::cuts::{cut, cuts, sizes};

/// A block as one line of text: a comment as `#text`, an event as `name=data`, one without its end with `…` behind.
fn shown(block: Block<'_>) -> String {
    match block {
        Block::Comment(text) => format!("#{}", text.escape_ascii()),
        Block::Event(event) => format!(
            "{}={}{}",
            event.name.escape_ascii(),
            event.data.escape_ascii(),
            if event.complete { "" } else { "…" }
        ),
    }
}

fn read(parser: &mut SseParser, chunks: &[&[u8]]) -> Result<Vec<String>, TooLong> {
    let mut blocks = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        while let Some(block) = parser.next(&mut rest)? {
            blocks.push(shown(block));
        }
        assert!(rest.is_empty());
    }
    let half = parser.finish();
    blocks.extend(half.map(|half| shown(Block::Event(half))));
    Ok(blocks)
}

#[test]
fn events_are_the_same_however_they_are_cut() {
    for (stream, want) in [
        ("", &[][..]),
        ("data: a\n\n", &["=a"]),
        ("data:a\n\ndata:  a\n\n", &["=a", "= a"]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &["=a", "=b"]),
        ("data: a\r\rdata: b\r\r", &["=a", "=b"]),
        (
            "data: a\n\r\ndata: b\r\n\ndata: c\r\n\r",
            &["=a", "=b", "=c"],
        ),
        ("data: a\ndata: b\r\ndata:\rdata: c\n\n", &["=a\\nb\\n\\nc"]),
        ("data\ndata\n\n", &["=\\n"]),
        ("data\n\n", &["="]),
        ("data:\n\n", &["="]),
        (
            "event: start\ndata: {}\n\ndata: [DONE]\n\n",
            &["start={}", "=[DONE]"],
        ),
        ("event: x\nevent: y\ndata: a\n\n", &["y=a"]),
        ("event: x\nevent:\ndata: a\n\n", &["=a"]),
        ("data: a\nevent: late\n\n", &["late=a"]),
        // Without data there is no event, and its name is not the next one's.
        ("event: x\n\ndata: a\n\nid: 7\n\n", &["=a"]),
        (
            "id: 1\nretry: 10\nfoo: bar\nfoo\nData: x\ndata : x\n data: x\ndatas: x\ndat: x\neventdata: x\ndata: a\n\n",
            &["=a"],
        ),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["=a"]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        ("\u{feff}\ndata: a\n\n", &["=a"]),
        ("\u{feff}: c\n", &["#c"]),
        (
            ": keep-alive\n\n:x\n:\ndata: a\n\n:  y\n",
            &["#keep-alive", "#x", "#", "=a", "# y"],
        ),
        (
            "event: x\ndata: a\n: within\ndata: b\n\n",
            &["#within", "x=a\\nb"],
        ),
        (": data: a\n\n", &["#data: a"]),
        ("data: a:b: c\n\n", &["=a:b: c"]),
        ("data: a", &["=a…"]),
        ("data: a\n", &["=a…"]),
        ("event: x\n", &["x=…"]),
        ("dat", &["=…"]),
        ("id: 1", &["=…"]),
        ("data: a\n\n: half a comm", &["=a"]),
        ("\n\n\r\r\n\n", &[]),
    ] {
        for chunks in cuts(stream.as_bytes()) {
            let got = read(&mut SseParser::new(), &chunks).unwrap();
            assert_eq!(got, want, "{stream:?} as {chunks:?}");
        }
    }
}

#[test]
fn characters_and_bytes_are_not_touched_where_a_chunk_cuts_them() {
    let text = "é日本語😀".as_bytes();
    let data = [text, b"\xFF\x00\xE6"].concat();
    let stream = [b"event: \xE6\x97\ndata: ", &data[..], b"\n\n"].concat();
    let want = [format!("\\xe6\\x97={}", data.escape_ascii())];
    for chunks in cuts(&stream) {
        assert_eq!(read(&mut SseParser::new(), &chunks).unwrap(), want);
    }
}

#[test]
fn a_whole_event_of_one_data_line_is_lent_from_its_chunk() {
    let chunk: &[u8] = b"event: x\ndata: abc\n\n: c\nevent: y\r\ndata: def\r\n\r\n";
    let mut parser = SseParser::new();
    let mut rest = chunk;
    let mut lent = 0;
    while let Some(block) = parser.next(&mut rest).unwrap() {
        let parts = match block {
            Block::Comment(text) => [text, text],
            Block::Event(event) => [event.name, event.data],
        };
        for part in parts {
            assert!(chunk.as_ptr_range().contains(&part.as_ptr()), "{block:?}");
        }
        lent += 1;
    }
    assert_eq!(lent, 3);
}

#[test]
fn an_event_is_lent_with_its_last_byte() {
    for stream in ["data: a\n\n", "data: a\r\r", "data: a\n\r", "data: a\r\n\r"] {
        let mut parser = SseParser::new();
        let (last, before) = stream.as_bytes().split_last().unwrap();
        assert_eq!(parser.next(&mut &before[..]), Ok(None));
        let end = [*last];
        assert!(parser.next(&mut &end[..]).unwrap().is_some(), "{stream:?}");
    }
}

#[test]
fn what_is_left_begins_behind_the_event() {
    let mut parser = SseParser::new();
    let mut rest: &[u8] = b"data: a\r\n\r\ndata: b\n\nda";
    assert!(parser.next(&mut rest).unwrap().is_some());
    assert_eq!(rest, b"data: b\n\nda");
    assert!(parser.next(&mut rest).unwrap().is_some());
    assert_eq!(rest, b"da");
}

/// The places, as numbers of bytes, behind which `at_boundary` says yes.
fn boundaries(stream: &[u8]) -> Vec<usize> {
    let at_boundary = |length: &usize| {
        let mut parser = SseParser::new();
        let mut rest = &stream[..*length];
        while parser.next(&mut rest).unwrap().is_some() {}
        parser.at_boundary()
    };
    (0..=stream.len()).filter(at_boundary).collect()
}

#[test]
fn boundaries_lie_between_events() {
    for (stream, want) in [
        ("data: a\n\ndata: b\n\n", vec![0, 9, 18]),
        // A line feed that comes later would end our comment's line, and then an event that is none.
        ("data: a\r\n\r\ndata: b", vec![0, 11]),
        ("data: a\r\rdata: b", vec![0]),
        (": c\n\ndata: a", vec![0, 4, 5]),
        ("id: 1\n\n", vec![0, 7]),
        ("event: x\n: c\ndata: a\n\n", vec![0, 22]),
        ("\u{feff}data: a\n\n", vec![0, 3, 12]),
    ] {
        assert_eq!(boundaries(stream.as_bytes()), want, "{stream:?}");
    }
}

#[test]
fn an_image_in_one_event_is_read() {
    let image = "iVBORw0KGgo".repeat(500_000);
    let stream = format!("event: image\ndata: {image}\n\n");
    for size in [1_400, 65_536, stream.len()] {
        let mut parser = SseParser::new();
        let mut found = 0;
        for chunk in stream.as_bytes().chunks(size) {
            let mut rest = chunk;
            while let Some(block) = parser.next(&mut rest).unwrap() {
                let Block::Event(event) = block else {
                    panic!("{size}: a comment");
                };
                assert!(event.complete && event.name == b"image");
                assert!(event.data == image.as_bytes(), "{size}");
                found += 1;
            }
        }
        assert_eq!(found, 1, "{size}");
    }
}

#[test]
fn an_event_over_the_bound_is_an_error_that_stays() {
    for stream in [
        "data: 123456789\n\n",
        "data: 1234\ndata: 5678\n\n",
        "data: 12345678\ndata\n\n",
        ": 123456789\n\n",
        "data: 1\nevent: 123456789\n\n",
    ] {
        let stream = format!("data: 12345678\n\n{stream}data: 1\n\n");
        for chunks in cuts(stream.as_bytes()) {
            let mut parser = SseParser::with_limit(8);
            let error = read(&mut parser, &chunks).unwrap_err();
            assert_eq!(error.to_string(), "an event of more than 8 bytes");
            assert_eq!(error.code(), "too-long");
            assert_eq!(parser.next(&mut &b"\n\ndata: 1\n\n"[..]), Err(error));
            assert!(!parser.at_boundary());
        }
    }
    let kept = "data: 1234\ndata: 567\nfoo: 1234567890\n: 12345678\n: 12345678\n\n";
    for chunks in cuts(kept.as_bytes()) {
        assert_eq!(
            read(&mut SseParser::with_limit(8), &chunks).unwrap(),
            ["#12345678", "#12345678", "=1234\\n567"]
        );
    }
}

#[test]
fn written_events_look_as_clients_expect() {
    for (name, data, want) in [
        (None, "{}", "data: {}\n\n"),
        (Some("stop"), "{}", "event: stop\ndata: {}\n\n"),
        (None, "", "data: \n\n"),
        (None, " a", "data:  a\n\n"),
        (
            None,
            "a\nb\r\nc\rd\n",
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n",
        ),
        (None, "\r\r\n", "data: \ndata: \ndata: \n\n"),
        (Some("a\ndata: forged\n\n"), "b", "event: a\ndata: b\n\n"),
    ] {
        let mut out = Vec::new();
        write_event(&mut out, name, data.as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}

/// The blocks of a whole stream as the standard describes the reading: lines first, then fields.
fn by_the_standard(stream: &str) -> Vec<String> {
    let text = stream.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut blocks = Vec::new();
    let (mut name, mut data, mut open) = (String::new(), None::<String>, false);
    let mut lines: Vec<&str> = text.split('\n').collect();
    let last = lines.pop().unwrap_or_default();
    // The standard drops what is not ended; a line that is not ended counts here unless it is a comment.
    let ended = lines.len();
    if !last.is_empty() && !last.starts_with(':') {
        lines.push(last);
    }
    for (index, line) in lines.into_iter().enumerate() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let whole = index < ended || line.contains(':');
        match field {
            "" if line.is_empty() => {
                open = false;
                let name = std::mem::take(&mut name);
                blocks.extend(data.take().map(|data| format!("{name}={data}")));
                continue;
            }
            "" => {
                blocks.push(format!("#{value}"));
                continue;
            }
            "data" if whole => {
                data = Some(data.map_or(value.to_owned(), |data| format!("{data}\\n{value}")));
            }
            "event" if whole => name = value.to_owned(),
            _ => {}
        }
        open = true;
    }
    if open {
        blocks.push(format!("{name}={}…", data.unwrap_or_default()));
    }
    blocks
}

fn any_stream() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "data", "data:", "data: ", "event:", "event: ", "id: ", ":", " ", "a", "x", "\n", "\n\n",
        "\r", "\r\n", "\r\n\r\n", "d", "e",
    ]);
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_reads_as_the_standard_reads_it(stream in any_stream(), bom: bool, sizes in sizes()) {
        let stream = if bom { format!("\u{feff}{stream}") } else { stream };
        let chunks = cut(stream.as_bytes(), &sizes);
        let got = read(&mut SseParser::new(), &chunks).unwrap();
        prop_assert_eq!(got, by_the_standard(&stream));
    }

    #[test]
    fn any_bytes_read_the_same_however_they_are_cut(
        stream in prop::collection::vec(prop::sample::select(b"\r\n: dataevent\xEF\xBB\xBF".to_vec()), 0..80),
        max in 0_usize..8,
        sizes in sizes(),
    ) {
        let whole = read(&mut SseParser::with_limit(max), &[&stream]);
        let chunks = cut(&stream, &sizes);
        prop_assert_eq!(whole, read(&mut SseParser::with_limit(max), &chunks));
    }

    #[test]
    fn a_comment_at_a_boundary_changes_no_event(stream in any_stream()) {
        let stream = stream.as_bytes();
        let events = |chunks: &[&[u8]]| {
            let mut blocks = read(&mut SseParser::new(), chunks).unwrap();
            blocks.retain(|block| !block.starts_with('#'));
            blocks
        };
        for at in boundaries(stream) {
            let (before, behind) = stream.split_at(at);
            prop_assert_eq!(events(&[before, KEEP_ALIVE, behind]), events(&[stream]));
            prop_assert!(!(before.ends_with(b"\r") && behind.starts_with(b"\n")));
        }
    }

    #[test]
    fn written_events_are_read(
        events in prop::collection::vec(("[^\r\n]{0,9}", "(.|[\r\n :]){0,20}"), 1..6),
        sizes in sizes(),
    ) {
        let mut stream = Vec::new();
        let mut want = Vec::new();
        for (name, data) in &events {
            stream.extend_from_slice(KEEP_ALIVE);
            write_event(&mut stream, Some(name), data.as_bytes());
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            want.push("#keep-alive".to_owned());
            want.push(format!("{}={}", name.as_bytes().escape_ascii(), lines.as_bytes().escape_ascii()));
        }
        let chunks = cut(&stream, &sizes);
        prop_assert_eq!(read(&mut SseParser::new(), &chunks).unwrap(), want);
    }
}
