//! Provider keys: read by reference, sent to one origin, never printed.

use std::fmt;

use carnet_provenance::KeyStyle;
use http::HeaderValue;
use http::header::HeaderName;
use zeroize::Zeroizing;

/// A secret text. Neither `Debug` nor `Display` shows it, and its memory is wiped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Take over a secret; surrounding white space (a file's last newline) is no part of it.
    #[must_use]
    pub fn new(text: String) -> Self {
        let whole = Zeroizing::new(text);
        Self(Zeroizing::new(whole.trim().to_owned()))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for what is made of it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The same as the whole value of a header. `None` when it cannot stand in one.
    pub(super) fn value(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The header that carries it; marked sensitive, so that no layer logs or indexes it. `None`
    /// when the text cannot stand in a header.
    pub(crate) fn header(&self, style: KeyStyle) -> Option<(HeaderName, HeaderValue)> {
        let (name, mut value) = match style {
            KeyStyle::ApiKey => ("api-key", HeaderValue::from_str(&self.0).ok()?),
            KeyStyle::Bearer => {
                let text = Zeroizing::new(format!("Bearer {}", *self.0));
                ("authorization", HeaderValue::from_str(&text).ok()?)
            }
            KeyStyle::XGoogApiKey => ("x-goog-api-key", HeaderValue::from_str(&self.0).ok()?),
            // It never travels.
            KeyStyle::AwsSigV4 | KeyStyle::GoogleServiceAccount => return None,
            KeyStyle::XApiKey => ("x-api-key", HeaderValue::from_str(&self.0).ok()?),
        };
        value.set_sensitive(true);
        Some((HeaderName::from_static(name), value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("sk-very-secret\n".to_owned());
        let (_, value) = secret.header(KeyStyle::Bearer).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer sk-very-secret");
        assert!(!format!("{secret:?}{value:?}").contains("very"));
        assert!(
            Secret::new("two\nlines".to_owned())
                .header(KeyStyle::ApiKey)
                .is_none()
        );
    }
}
