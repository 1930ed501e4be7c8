//! Codes of a fixed number of upper-case letters. Which of them exist is not known here.

/// Declares a code and the error of a text that is none.
macro_rules! letters {
    ($(#[$doc:meta])* $name:ident of $letters:literal, $(#[$error_doc:meta])* $error:ident = $message:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $letters]);

        $(#[$error_doc])*
        #[derive(Debug, thiserror::Error, PartialEq, Eq)]
        #[error($message)]
        pub struct $error(String);

        impl $name {
            /// The code.
            #[must_use]
            pub fn as_str(&self) -> &str {
                // ASCII letters by construction.
                std::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match <[u8; $letters]>::try_from(text.as_bytes()) {
                    Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
                    _ => Err($error(text.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <&str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use letters;
