//! The key that signs checkpoints, and its public half in signed-note form.
//!
//! Parsing and checking of notes is `signed_note`'s; the signer is our own, since that crate's takes
//! the secret as text, which would leave a copy behind.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use signed_note::{
    Note, NoteError, StandardVerifier, VerifierList, key_id, new_ed25519_verifier_key,
};
use thiserror::Error;
use tlog_tiles::{Checkpoint, Hash};

/// Signs checkpoints under one origin line. Cannot be printed.
pub struct Signer {
    origin: String,
    id: u32,
    key: SigningKey,
}

/// Checks checkpoints: the public key, as `<origin>+<id>+<key>`.
#[derive(Clone)]
pub struct PublicKey {
    text: String,
    origin: String,
    verifier: StandardVerifier,
}

/// A key or an origin that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The origin line has forbidden characters.
    #[error("origin `{0}` is empty, or has a space, a plus or a control character")]
    Origin(String),
    /// The text is no verifier key.
    #[error("not a verifier key of the form `<origin>+<id>+<key>`")]
    Verifier,
}

/// A checkpoint that must not be trusted.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CheckpointError {
    #[error("not a checkpoint")]
    Malformed,
    #[error("signed for `{0}`, not for this log")]
    Origin(String),
    #[error("not signed by this key")]
    Unsigned,
    #[error("the signature does not fit the text")]
    WrongSignature,
}

impl Signer {
    /// A signer from 32 secret bytes; keeping those is the caller's business.
    ///
    /// # Errors
    ///
    /// When the origin cannot be a key name of a signed note.
    pub fn new(origin: &str, secret: &[u8; 32]) -> Result<Self, KeyError> {
        let plain = |character: char| {
            !character.is_whitespace() && !character.is_control() && character != '+'
        };
        if origin.is_empty() || !origin.chars().all(plain) {
            return Err(KeyError::Origin(origin.to_owned()));
        }
        let key = SigningKey::from_bytes(secret);
        // Signature type 1 is Ed25519.
        let mut typed = vec![1];
        typed.extend_from_slice(key.verifying_key().as_bytes());
        Ok(Self {
            origin: origin.to_owned(),
            id: key_id(origin, &typed),
            key,
        })
    }

    /// The key to give to whoever is to check the log.
    ///
    /// # Errors
    ///
    /// Never with a signer that [`new`](Self::new) made.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        new_ed25519_verifier_key(&self.origin, &self.key.verifying_key()).parse()
    }

    /// The signed note that says: the log has this size and this root.
    pub(crate) fn checkpoint(&self, size: u64, root: Hash) -> Vec<u8> {
        let text = format!(
            "{}\n{size}\n{}\n",
            self.origin,
            BASE64_STANDARD.encode(root.0)
        );
        let mut signature = self.id.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n\u{2014} {} {}\n",
            self.origin,
            BASE64_STANDARD.encode(signature)
        )
        .into_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Origin line of the checkpoints that it checks.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Read a signed checkpoint.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let note = Note::from_bytes(bytes).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        note.verify(&known).map_err(|error| match error {
            NoteError::InvalidSignature { .. } => CheckpointError::WrongSignature,
            _ => CheckpointError::Unsigned,
        })?;
        let checkpoint = parse(&note)?;
        if checkpoint.origin() != self.origin {
            return Err(CheckpointError::Origin(checkpoint.origin().to_owned()));
        }
        Ok(checkpoint)
    }
}

/// The text of a checkpoint, whoever signed it: good for looking on, not for trust.
pub(crate) fn unchecked(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    parse(&Note::from_bytes(bytes).map_err(|_| CheckpointError::Malformed)?)
}

fn parse(note: &Note) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let verifier = StandardVerifier::new(text).map_err(|_| KeyError::Verifier)?;
        let (origin, _) = text.split_once('+').ok_or(KeyError::Verifier)?;
        Ok(Self {
            text: text.to_owned(),
            origin: origin.to_owned(),
            verifier,
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::empty_root;

    #[test]
    fn a_checkpoint_opens_with_its_own_key_only() {
        let signer = Signer::new("carnet.example/log", &[7; 32]).unwrap();
        let key = signer.public_key().unwrap();
        let bytes = signer.checkpoint(0, empty_root());
        let checkpoint = key.open(&bytes).unwrap();
        assert_eq!(
            (checkpoint.origin(), checkpoint.size()),
            ("carnet.example/log", 0)
        );
        assert_eq!(
            key.to_string().parse::<PublicKey>().unwrap().to_string(),
            key.to_string()
        );

        let other = Signer::new("carnet.example/log", &[8; 32])
            .unwrap()
            .public_key()
            .unwrap();
        assert_eq!(other.open(&bytes), Err(CheckpointError::Unsigned));
    }

    #[test]
    fn no_byte_of_a_checkpoint_can_change() {
        let signer = Signer::new("carnet.example/log", &[7; 32]).unwrap();
        let key = signer.public_key().unwrap();
        let bytes = signer.checkpoint(123_456, empty_root());
        for at in 0..bytes.len() {
            for other in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = bytes.clone();
                changed[at] ^= other;
                assert!(key.open(&changed).is_err(), "byte {at} changed by {other}");
            }
        }
    }

    #[test]
    fn bad_origins_and_keys_are_refused() {
        for origin in ["", "a b", "a+b", "a\nb"] {
            assert_eq!(
                Signer::new(origin, &[1; 32]).err(),
                Some(KeyError::Origin(origin.to_owned()))
            );
        }
        for key in [
            "",
            "a+b",
            "a+00000000+AAAA",
            "carnet.example/log+ffffffff+AQ==",
        ] {
            assert_eq!(
                key.parse::<PublicKey>().err(),
                Some(KeyError::Verifier),
                "{key}"
            );
        }
    }
}
