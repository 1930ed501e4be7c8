//! Reads Rust source as far as the checks need it: words and literals, without comments and tests.
//!
//! It is no parser: it knows where comments, literals and `#[cfg(test)]` items begin and end.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier, a keyword or a number.
    Word,
    /// The inside of a string or byte string.
    Text,
    /// One character of punctuation.
    Mark,
}

/// A piece of source with its line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is(&self, mark: &str) -> bool {
        self.kind != Kind::Text && self.text == mark
    }
}

/// The tokens of a file, comments left out.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, token) = piece(rest, first);
        let (piece, after) = rest.split_at_checked(length.max(1)).unwrap_or((rest, ""));
        if let Some((kind, text)) = token {
            found.push(Token { kind, text, line });
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    found
}

/// Length of the piece that `rest` begins with, and the token that it is, if it is one.
fn piece(rest: &str, first: char) -> (usize, Option<(Kind, &str)>) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some((length, text)) = string(rest) {
        return (length, Some((Kind::Text, text)));
    }
    if first == '\'' {
        return (char_or_lifetime(rest), None);
    }
    if first.is_alphanumeric() || first == '_' {
        let length = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        return (length, rest.get(..length).map(|text| (Kind::Word, text)));
    }
    let length = first.len_utf8();
    let mark = rest.get(..length).filter(|_| !first.is_whitespace());
    (length, mark.map(|text| (Kind::Mark, text)))
}

/// Length of a block comment; Rust nests them.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match tail.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    rest.len()
}

/// A string literal of any kind at the start of `rest`: its length and its inside.
fn string(rest: &str) -> Option<(usize, &str)> {
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let head = rest.get(..prefix.min(2))?;
    let mut tail = rest.get(head.len()..)?;
    let mut start = head.len();
    if head.ends_with('r') {
        let hashes = tail.len() - tail.trim_start_matches('#').len();
        tail = tail.get(hashes..)?.strip_prefix('"')?;
        start += hashes + 1;
        let end = tail.find(&format!("\"{}", "#".repeat(hashes)))?;
        return Some((start + end + 1 + hashes, tail.get(..end)?));
    }
    tail = tail.strip_prefix('"')?;
    start += 1;
    let mut escaped = false;
    for (at, c) in tail.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((start + at + 1, tail.get(..at)?)),
            _ => {}
        }
    }
    None
}

/// Length of a character literal, or of a lifetime's quote.
fn char_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            chars
                .find(|(_, c)| *c == '\'')
                .map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The tokens that are compiled into the product: items marked `#[cfg(test)]` or `#[test]` left out.
pub(crate) fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        match attribute(rest) {
            Some(length) if is_test(rest.get(..length).unwrap_or_default()) => {
                rest = after_item(rest.get(length..).unwrap_or_default());
            }
            _ => {
                kept.push(*first);
                rest = after;
            }
        }
    }
    kept
}

/// Number of tokens of the attribute that `tokens` begins with.
fn attribute(tokens: &[Token<'_>]) -> Option<usize> {
    let [hash, open, ..] = tokens else {
        return None;
    };
    if !hash.is("#") || !open.is("[") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is("[") {
            depth += 1;
        } else if token.is("]") {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

fn is_test(attribute: &[Token<'_>]) -> bool {
    let says = |word: &str| attribute.iter().any(|token| token.is(word));
    says("test") && !says("not") && (says("cfg") || attribute.len() == 4)
}

/// The names of the functions that are marked as tests, whoever runs them.
pub(crate) fn test_names<'t, 'a>(
    tokens: &'t [Token<'a>],
) -> impl Iterator<Item = &'a str> + use<'t, 'a> {
    let named = |at: usize| {
        let rest = tokens.get(at..)?;
        let marks = rest.get(..attribute(rest)?)?;
        // Before what its runner is told: `#[test]`, `#[tokio::test(flavor = "…")]`.
        let path = marks.iter().take_while(|token| !token.is("("));
        path.filter(|token| token.kind == Kind::Word)
            .last()
            .filter(|last| last.is("test"))?;
        let mut item = rest.get(marks.len()..)?;
        while let Some(further) = attribute(item) {
            item = item.get(further..)?;
        }
        let at = item.iter().take(3).position(|token| token.is("fn"))?;
        Some(item.get(at + 1)?.text)
    };
    (0..tokens.len()).filter_map(named)
}

/// What follows the item that `tokens` begins with.
fn after_item<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if ["{", "(", "["].iter().any(|mark| token.is(mark)) {
            depth += 1;
        } else if ["}", ")", "]"].iter().any(|mark| token.is(mark)) {
            depth = depth.saturating_sub(1);
            if depth == 0 && token.is("}") {
                return tokens.get(at + 1..).unwrap_or_default();
            }
        } else if depth == 0 && token.is(";") {
            return tokens.get(at + 1..).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        without_tests(&tokens(source))
            .iter()
            .filter(|t| t.kind != Kind::Mark)
            .map(|t| t.text.to_owned())
            .collect()
    }

    #[test]
    fn comments_are_left_out_and_literals_kept() {
        let source = "// one\n/* two /* three */ four */ let a = \"fi\\\"ve\"; r#\"s\"ix\"# b\"seven\" '\"' 'x 'a' end";
        assert_eq!(
            words(source),
            ["let", "a", "fi\\\"ve", "s\"ix", "seven", "x", "end"]
        );
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let source = "/*\n\n*/ \"a\nb\" // c\nlast";
        let found = tokens(source);
        assert_eq!(found.iter().map(|t| t.line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn test_items_are_left_out() {
        let source = "fn a() {} #[cfg(test)] mod tests { fn b() { c } } #[cfg(test)] #[path = \"x\"] mod d; #[test] fn e() {} fn f() {} #[cfg(not(test))] fn g() {}";
        assert_eq!(
            words(source),
            ["fn", "a", "fn", "f", "cfg", "not", "test", "fn", "g"]
        );
    }

    #[test]
    fn tests_are_found_by_their_marks() {
        let source = "#[cfg(test)] mod a { #[test] fn b() {} #[tokio::test(flavor = \"x\")] #[should_panic] async fn c() {} fn d() {} } \
                      #[cfg(test)] fn e() {} // #[test] fn f() {}";
        let tokens = tokens(source);
        assert_eq!(test_names(&tokens).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn prefixes_that_are_words_stay_words() {
        assert_eq!(
            words("br brr crate r b cab"),
            ["br", "brr", "crate", "r", "b", "cab"]
        );
    }
}
