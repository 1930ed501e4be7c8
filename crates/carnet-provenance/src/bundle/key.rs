//! The keys of bundles, in signed-note form: `<name>+<id>+<key>`, the private one behind a prefix.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use signed_note::{StandardVerifier, Verifier, key_id, new_ed25519_verifier_key};
use thiserror::Error;

/// Begins a private key, as in Go's notes.
const PRIVATE: &str = "PRIVATE+KEY+";
/// The type of an Ed25519 key in a note.
const ED25519: u8 = 1;

/// Signs bundles. Cannot be printed.
pub struct BundleSigner {
    name: String,
    id: u32,
    key: SigningKey,
}

/// Checks bundles: a public key with its name.
#[derive(Clone)]
pub struct BundleKey {
    text: String,
    name: String,
    fingerprint: String,
    verifier: StandardVerifier,
}

/// A key that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BundleKeyError {
    /// The name has forbidden characters.
    #[error("the name `{0}` is empty, or has a space, a plus or a control character")]
    Name(String),
    /// The text is no private key.
    #[error("not a private key of the form `PRIVATE+KEY+<name>+<id>+<key>`")]
    Private,
    /// The text is no public key.
    #[error("not a public key of the form `<name>+<id>+<key>`")]
    Public,
}

fn checked(name: &str) -> Result<(), BundleKeyError> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(BundleKeyError::Name(name.to_owned()));
    }
    Ok(())
}

impl BundleSigner {
    /// A signer from 32 secret bytes.
    ///
    /// # Errors
    /// When the name cannot stand in a signed note.
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self, BundleKeyError> {
        checked(name)?;
        let key = SigningKey::from_bytes(secret);
        let mut typed = vec![ED25519];
        typed.extend_from_slice(key.verifying_key().as_bytes());
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, &typed),
            key,
        })
    }

    /// The text of the private key, to be kept where nobody else reads it.
    #[must_use]
    pub fn private_text(&self) -> String {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(self.key.as_bytes());
        let (name, id) = (&self.name, self.id);
        format!("{PRIVATE}{name}+{id:08x}+{}", BASE64_STANDARD.encode(typed))
    }

    /// The key to give to whoever is to check bundles.
    ///
    /// # Errors
    /// Never with a signer that [`new`](Self::new) made.
    pub fn public_key(&self) -> Result<BundleKey, BundleKeyError> {
        new_ed25519_verifier_key(&self.name, &self.key.verifying_key()).parse()
    }

    /// The text with a signature under it, as a signed note.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut signature = self.id.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        let signature = BASE64_STANDARD.encode(signature);
        format!("{text}\n\u{2014} {} {signature}\n", self.name)
    }
}

impl FromStr for BundleSigner {
    type Err = BundleKeyError;

    fn from_str(text: &str) -> Result<Self, BundleKeyError> {
        let read = || {
            let rest = text.trim().strip_prefix(PRIVATE)?;
            let (name, rest) = rest.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let typed = BASE64_STANDARD.decode(key).ok()?;
            let (kind, secret) = typed.split_first()?;
            let secret: &[u8; 32] = secret.try_into().ok()?;
            let signer = Self::new(name, secret).ok()?;
            (*kind == ED25519 && u32::from_str_radix(id, 16) == Ok(signer.id)).then_some(signer)
        };
        read().ok_or(BundleKeyError::Private)
    }
}

impl fmt::Debug for BundleSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleSigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl BundleKey {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text, as it stands in a file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the public key: short enough to be compared by voice.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn verifier(&self) -> Box<dyn Verifier> {
        Box::new(self.verifier.clone())
    }
}

impl FromStr for BundleKey {
    type Err = BundleKeyError;

    fn from_str(text: &str) -> Result<Self, BundleKeyError> {
        let text = text.trim();
        let (name, rest) = text.split_once('+').ok_or(BundleKeyError::Public)?;
        let (_, key) = rest.split_once('+').ok_or(BundleKeyError::Public)?;
        checked(name)?;
        let verifier = StandardVerifier::new(text).map_err(|_| BundleKeyError::Public)?;
        let typed = BASE64_STANDARD
            .decode(key)
            .map_err(|_| BundleKeyError::Public)?;
        // Behind the type stands the key itself.
        let bytes = typed.get(1..).unwrap_or_default();
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            fingerprint: format!("sha256:{}", hex::encode(Sha256::digest(bytes))),
            verifier,
        })
    }
}

impl fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleKey({})", self.text)
    }
}
