//! RFC 8259 once more, as short as it gets: a slow recursive reading to compare the scan with.

/// Whether the bytes are one JSON object in UTF-8 without a byte order mark, and no key has a lone surrogate.
pub(crate) fn accepts(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    let text = text.trim_matches(SPACE);
    text.starts_with('{') && value(text) == Some("")
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What is left behind the value at the start.
fn value(text: &str) -> Option<&str> {
    match text.chars().next()? {
        '{' => list(&text[1..], '}', |text| {
            let (rest, keeps_unicode) = string(text)?;
            let rest = rest.trim_start_matches(SPACE).strip_prefix(':')?;
            keeps_unicode.then_some(())?;
            value(rest.trim_start_matches(SPACE))
        }),
        '[' => list(&text[1..], ']', value),
        '"' => string(text).map(|(rest, _)| rest),
        '-' | '0'..='9' => number(text),
        _ => ["true", "false", "null"]
            .iter()
            .find_map(|word| text.strip_prefix(word)),
    }
}

fn list<'t>(
    text: &'t str,
    close: char,
    item: impl Fn(&'t str) -> Option<&'t str>,
) -> Option<&'t str> {
    let mut text = text.trim_start_matches(SPACE);
    if let Some(rest) = text.strip_prefix(close) {
        return Some(rest);
    }
    loop {
        text = item(text)?.trim_start_matches(SPACE);
        match text.strip_prefix(',') {
            Some(rest) => text = rest.trim_start_matches(SPACE),
            None => return text.strip_prefix(close),
        }
    }
}

fn number(text: &str) -> Option<&str> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let mut text = match text.strip_prefix('0') {
        Some(rest) => rest,
        None => digits(text)?,
    };
    if let Some(rest) = text.strip_prefix('.') {
        text = digits(rest)?;
    }
    if let Some(rest) = text.strip_prefix(['e', 'E']) {
        text = digits(rest.strip_prefix(['+', '-']).unwrap_or(rest))?;
    }
    Some(text)
}

fn digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

/// What is left behind the string, and whether its surrogates come in pairs.
fn string(text: &str) -> Option<(&str, bool)> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((chars.as_str(), String::from_utf16(&units).is_ok())),
            '\\' => match chars.next()? {
                'u' => {
                    let hex = chars
                        .as_str()
                        .get(..4)
                        .filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()))?;
                    units.push(u16::from_str_radix(hex, 16).ok()?);
                    chars = chars.as_str()[4..].chars();
                }
                c => {
                    "\"\\/bfnrt".find(c)?;
                    units.push(0);
                }
            },
            c if c < ' ' => return None,
            c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
        }
    }
}
