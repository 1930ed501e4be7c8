//! Finding the string member `model`, in one dialect `modelVersion`, of a JSON object, one byte at a time and with bounded memory.

use super::Absence;
use crate::json::unescape;
use crate::limits::MAX_MODEL_NAME;

/// No key of interest is longer than this, even with every character escaped.
const MAX_KEY: usize = 64;

/// A position in one JSON document.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    /// Whether `response` and `message` are looked into.
    wrappers: bool,
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
    Model,
    Other,
    Wrapper,
}

/// What the string at hand is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Text {
    Key,
    Model,
    Other,
}

/// What one byte led to.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    Absent(Absence),
    Model(String),
    Nothing,
}

impl Finder {
    pub(super) fn new(wrappers: bool) -> Self {
        Self {
            wrappers,
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
            ..Self::new(self.wrappers)
        };
    }

    /// Whether the last byte was the quote before a name of the model.
    pub(super) fn opens_model(&self) -> bool {
        self.string == Some(Text::Model) && self.text.is_empty()
    }

    /// Whether nothing more is looked at.
    pub(super) fn has_stopped(&self) -> bool {
        self.place == Place::Stopped
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
        let room = match text {
            Text::Key => MAX_KEY,
            Text::Model => MAX_MODEL_NAME,
            Text::Other => return Found::Nothing,
        };
        if self.text.len() < room {
            self.text.push(byte);
        } else {
            self.overflow = true;
        }
        if self.overflow && text == Text::Model {
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
                let key = match name.as_deref() {
                    Some("model" | "modelVersion") => Key::Model,
                    Some("message" | "response") if self.wrappers && self.level == 1 => {
                        Key::Wrapper
                    }
                    _ => Key::Other,
                };
                self.place = Place::BeforeValue(key);
                Found::Nothing
            }
            Text::Model => match name.map(|name| name.into_owned()) {
                None => self.stop(Absence::NotText),
                // Some services send an empty name first, and the true one in a later event.
                Some(name) if name.is_empty() => Found::Nothing,
                Some(name) => {
                    self.place = Place::Stopped;
                    Found::Model(name)
                }
            },
            Text::Other => Found::Nothing,
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
            Place::BeforeValue(Key::Model) if interesting => Text::Model,
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
