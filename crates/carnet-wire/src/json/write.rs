//! Writing JSON member by member into a buffer. Objects and arrays close themselves when they go out of scope.

use super::token::{Text, escape_into};

/// An object that is being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// A member whose value is valid JSON already.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key).extend_from_slice(value.as_bytes());
    }

    pub(crate) fn raw_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.raw(key, value);
        }
    }

    pub(crate) fn text(&mut self, key: &str, value: &Text<'_>) {
        write_text(self.key(key), value);
    }

    pub(crate) fn text_if(&mut self, key: &str, value: Option<&Text<'_>>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A string of our own, which may need escapes.
    pub(crate) fn str(&mut self, key: &str, value: &str) {
        write_str(self.key(key), value);
    }

    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    pub(crate) fn bool_if(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.bool(key, value);
        }
    }

    pub(crate) fn count(&mut self, key: &str, value: u64) {
        write_count(self.key(key), value);
    }

    pub(crate) fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    pub(crate) fn object(&mut self, key: &str) -> Object<'_> {
        Object::open(self.key(key))
    }

    pub(crate) fn array(&mut self, key: &str) -> Array<'_> {
        Array::open(self.key(key))
    }

    /// Writes a key with its colon; the value is for the caller to write. The key needs no escapes, or is escaped.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.out
            .extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// An array that is being written.
pub(crate) struct Array<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Array<'o> {
    pub(crate) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, first: true }
    }

    pub(crate) fn raw(&mut self, value: &str) {
        self.element().extend_from_slice(value.as_bytes());
    }

    pub(crate) fn text(&mut self, value: &Text<'_>) {
        write_text(self.element(), value);
    }

    pub(crate) fn object(&mut self) -> Object<'_> {
        Object::open(self.element())
    }

    /// Begins an element; the value is for the caller to write.
    pub(crate) fn element(&mut self) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

pub(crate) fn write_text(out: &mut Vec<u8>, value: &Text<'_>) {
    out.push(b'"');
    out.extend_from_slice(value.token().as_bytes());
    out.push(b'"');
}

pub(crate) fn write_str(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    escape_into(value, out);
    out.push(b'"');
}

pub(crate) fn write_count(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_parted_by_commas() {
        let mut out = Vec::new();
        {
            let mut object = Object::open(&mut out);
            object.str("a", "\"");
            object.count("b", 7);
            object.raw_if("no", None);
            object.bool("c", true);
            object.null("d");
            let mut array = object.array("e");
            array.raw("1");
            array.object().text("f", &Text::new("\n"));
            drop(array);
            drop(object.array("g"));
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"\"","b":7,"c":true,"d":null,"e":[1,{"f":"\n"}],"g":[]}"#
        );
    }
}
