//! Finding a string member of a JSON object, one byte at a time and with bounded memory.

use super::{Absence, Framing};
use crate::json::unescape;
use crate::limits::MAX_MODEL_NAME;

/// No key of interest is longer than this, even with every character escaped.
const MAX_KEY: usize = 64;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// The names that the member may have.
    pub(super) keys: &'static [&'static str],
    /// Members of the root that are looked into.
    pub(super) wrappers: &'static [&'static str],
    /// Whether members of the root itself count.
    pub(super) in_root: bool,
}

impl Search {
    /// For the name of the model, as each dialect calls it.
    pub(super) fn model(framing: Framing) -> Self {
        Self {
            keys: &["model", "modelVersion"],
            wrappers: match framing {
                Framing::EventStream => &["message", "response"],
                Framing::Json => &[],
            },
            in_root: true,
        }
    }

    /// For the id of a response. In a stream the events themselves have none, and what they are about has others.
    pub(super) fn response_id(framing: Framing) -> Self {
        let stream = framing == Framing::EventStream;
        Self {
            keys: &["id"],
            wrappers: if stream { &["response"] } else { &[] },
            in_root: !stream,
        }
    }
}

/// A position in one JSON document.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    search: Search,
    /// Open objects and arrays.
    depth: usize,
    /// Open objects whose members are of interest: the root, and a wrapper in it.
    level: usize,
    place: Place,
    string: Option<Text>,
    escape: bool,
    /// What a string of interest has between its quotes.
    text: Vec<u8>,
    overflow: bool,
}

/// What comes next in the innermost object of interest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    AfterValue,
    BeforeKey,
    BeforeValue(Key),
    /// Before the root object.
    Start,
    /// The document has ended, or is none.
    Stopped,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Key {
    Other,
    Wanted,
    Wrapper,
}

/// What the string at hand is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Text {
    Key,
    Other,
    Wanted,
}

impl Text {
    /// How much of it is kept, if anything.
    fn room(self) -> Option<usize> {
        match self {
            Self::Key => Some(MAX_KEY),
            Self::Other => None,
            Self::Wanted => Some(MAX_MODEL_NAME),
        }
    }
}

/// Up to where further bytes change nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Idle {
    No,
    /// To the end of the document.
    ToEnd,
    /// To the next quote or backslash.
    ToQuote,
}

/// What one byte led to.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    Absent(Absence),
    Nothing,
    Text(String),
}

impl Finder {
    pub(super) fn new(search: Search) -> Self {
        Self {
            search,
            depth: 0,
            level: 0,
            place: Place::Start,
            string: None,
            escape: false,
            text: Vec::new(),
            overflow: false,
        }
    }

    /// Makes ready for the next document.
    pub(super) fn restart(&mut self) {
        *self = Self {
            text: std::mem::take(&mut self.text),
            ..Self::new(self.search)
        };
    }

    /// Whether the last byte was the quote before a text that is looked for.
    pub(super) fn opens_wanted(&self) -> bool {
        self.string == Some(Text::Wanted) && self.text.is_empty()
    }

    /// Whether nothing more is looked at.
    pub(super) fn has_stopped(&self) -> bool {
        self.place == Place::Stopped
    }

    pub(super) fn idles(&self) -> Idle {
        match self.string {
            _ if self.has_stopped() => Idle::ToEnd,
            Some(Text::Other) if !self.escape => Idle::ToQuote,
            _ => Idle::No,
        }
    }

    /// Whether a text begins with the next byte that is looked at, and how long it may be to be seen whole.
    pub(super) fn text_begins(&self) -> Option<usize> {
        let begins = self.text.is_empty() && !self.escape && !self.has_stopped();
        self.string.filter(|_| begins).and_then(Text::room)
    }

    /// Reads a whole text that has begun, without escapes, and the quote behind it.
    pub(super) fn text(&mut self, text: &[u8]) -> Found {
        let Some(kind) = self.string.take() else {
            return Found::Nothing;
        };
        self.text.extend_from_slice(text);
        self.string_end(kind)
    }

    pub(super) fn push(&mut self, byte: u8) -> Found {
        if self.place == Place::Stopped {
            return Found::Nothing;
        }
        match self.string {
            Some(text) => self.in_string(text, byte),
            None => self.between_strings(byte),
        }
    }

    fn in_string(&mut self, text: Text, byte: u8) -> Found {
        if byte == b'"' && !self.escape {
            self.string = None;
            return self.string_end(text);
        }
        self.escape = byte == b'\\' && !self.escape;
        let Some(room) = text.room() else {
            return Found::Nothing;
        };
        if self.text.len() < room {
            self.text.push(byte);
        } else {
            self.overflow = true;
        }
        if self.overflow && text == Text::Wanted {
            return self.stop(Absence::TooLong);
        }
        Found::Nothing
    }

    fn string_end(&mut self, text: Text) -> Found {
        let name = std::str::from_utf8(&self.text)
            .ok()
            .and_then(|text| unescape(text).ok());
        match text {
            Text::Key => {
                // A key that was cut off has more characters than these.
                let key = name.map_or(Key::Other, |name| self.key(&name));
                self.place = Place::BeforeValue(key);
                Found::Nothing
            }
            Text::Wanted => match name.map(|name| name.into_owned()) {
                None => self.stop(Absence::NotText),
                // Some services send an empty name first, and the true one in a later event.
                Some(name) if name.is_empty() => Found::Nothing,
                Some(name) => {
                    self.place = Place::Stopped;
                    Found::Text(name)
                }
            },
            Text::Other => Found::Nothing,
        }
    }

    fn key(&self, name: &str) -> Key {
        let in_root = self.level == 1;
        if self.search.keys.contains(&name) && (self.search.in_root || !in_root) {
            Key::Wanted
        } else if in_root && self.search.wrappers.contains(&name) {
            Key::Wrapper
        } else {
            Key::Other
        }
    }

    fn between_strings(&mut self, byte: u8) -> Found {
        let interesting = self.depth == self.level;
        match byte {
            b'{' if self.place == Place::Start => self.enter(),
            // A stream may come as one array: its first object counts.
            b'[' if self.place == Place::Start => {}
            // A byte order mark is forgiven in an answer.
            b' ' | b'\n' | b'\r' | b'\t' | b'\xEF' | b'\xBB' | b'\xBF' => {}
            _ if self.place == Place::Start => return self.stop(Absence::NotJson),
            b'"' => self.string_start(interesting),
            b'{' if interesting && self.place == Place::BeforeValue(Key::Wrapper) => self.enter(),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => return self.close(),
            b',' if interesting => self.place = Place::BeforeKey,
            _ => {}
        }
        Found::Nothing
    }

    fn string_start(&mut self, interesting: bool) {
        let text = match self.place {
            Place::BeforeKey if interesting => Text::Key,
            Place::BeforeValue(Key::Wanted) if interesting => Text::Wanted,
            _ => Text::Other,
        };
        if interesting && text != Text::Key {
            self.place = Place::AfterValue;
        }
        self.string = Some(text);
        self.text.clear();
        self.overflow = false;
    }

    /// Opens an object whose members are of interest.
    fn enter(&mut self) {
        self.depth += 1;
        self.level = self.depth;
        self.place = Place::BeforeKey;
    }

    fn close(&mut self) -> Found {
        self.depth = self.depth.saturating_sub(1);
        self.level = self.level.min(self.depth);
        if self.depth == self.level {
            self.place = Place::AfterValue;
        }
        if self.depth == 0 {
            self.stop(Absence::Ended)
        } else {
            Found::Nothing
        }
    }

    fn stop(&mut self, absence: Absence) -> Found {
        self.place = Place::Stopped;
        Found::Absent(absence)
    }
}
