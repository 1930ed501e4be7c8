//! Writing events of a stream.

/// Writes one event: its name, if the dialect has names, and its data, which is one JSON value.
pub(crate) fn event(out: &mut Vec<u8>, name: Option<&str>, data: impl FnOnce(&mut Vec<u8>)) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    data(out);
    // In valid JSON a line break is white space between tokens; in an event it would end the line.
    if let Some(written) = out.get_mut(start..) {
        for byte in written
            .iter_mut()
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
        {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_however_its_json_is_laid_out() {
        let mut out = Vec::new();
        event(&mut out, Some("ping"), |out| {
            out.extend_from_slice(b"{\r\n \"a\": 1\n}")
        });
        event(&mut out, None, |out| out.extend_from_slice(b"{}"));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "event: ping\ndata: {   \"a\": 1 }\n\ndata: {}\n\n");
    }
}
