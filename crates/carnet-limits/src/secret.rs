//! The form of a key: `sk-carnet-` + 40 hex digits of randomness + 8 hex digits of checksum.
//!
//! The checksum is no secret: it lets a secret scanner tell a real key from a look-alike without
//! asking anybody, and lets a mistyped key be told from a revoked one.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::terms::KeyTerms;

/// What every key begins with, so that scanners can find leaked ones.
pub const PREFIX: &str = "sk-carnet-";
/// 160 random bits: beyond guessing, and a whole number of hex digits.
const RANDOM_BYTES: usize = 20;
const RANDOM_DIGITS: usize = RANDOM_BYTES * 2;
/// 32 bits of checksum: a typing slip passes once in four thousand million.
const CHECKSUM_DIGITS: usize = 8;
pub(crate) const KEY_LENGTH: usize = PREFIX.len() + RANDOM_DIGITS + CHECKSUM_DIGITS;

/// A key's secret text. Cannot be printed by accident: neither `Debug` nor `Display` shows it.
pub struct SecretKey(Zeroizing<String>);

/// The SHA-256 digest of a key's whole text: all that is ever stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub(crate) [u8; 32]);

/// A key's public name, as records and lists show it (`key_` + 16 hex digits).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyId(Arc<str>);

/// What is known of a key: everything but the secret.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Public name.
    pub id: KeyId,
    /// Digest of the secret.
    pub digest: KeyDigest,
    /// The secrets that it had before and that worked on for some time, oldest first.
    pub former: Box<[FormerSecret]>,
    /// The workload that a request with this key speaks for.
    pub workload: Arc<str>,
    /// The operator's own remark.
    pub note: String,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it no longer works.
    pub revoked: Option<Timestamp>,
    /// Until when, for what and from where it works.
    pub terms: KeyTerms,
}

/// A secret in whose place a key has got another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerSecret {
    /// Its digest.
    pub digest: KeyDigest,
    /// From when it no longer works.
    pub until: Timestamp,
}

/// A text that cannot be a key of ours.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a well-formed key")]
pub struct MalformedKey;

impl SecretKey {
    /// Make a key from fresh random bytes.
    #[must_use]
    pub fn from_random(random: [u8; RANDOM_BYTES]) -> Self {
        let digits = Zeroizing::new(hex::encode(random));
        let text = format!("{PREFIX}{}{}", *digits, checksum(&digits));
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the one moment in which it is handed over.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest under which the key is stored and found.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl KeyDigest {
    /// Digest of a key's text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The 32 bytes, as a store keeps them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest read back from a store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

impl KeyId {
    /// Name a key from fresh random bytes, unrelated to its secret.
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Self {
        Self(format!("key_{}", hex::encode(random)).into())
    }

    /// A name read back from a store or typed by an operator; any text, it is only compared.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, to be shared without a copy.
    #[must_use]
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` has the form and checksum of a key.
pub(crate) fn check(text: &str) -> Result<(), MalformedKey> {
    if text.len() != KEY_LENGTH {
        return Err(MalformedKey);
    }
    let digits = text.strip_prefix(PREFIX).ok_or(MalformedKey)?;
    let (random, sum) = digits.split_at_checked(RANDOM_DIGITS).ok_or(MalformedKey)?;
    if sum == checksum(random) {
        Ok(())
    } else {
        Err(MalformedKey)
    }
}

fn checksum(random_digits: &str) -> String {
    let digest = Sha256::new()
        .chain_update(PREFIX)
        .chain_update(random_digits)
        .finalize();
    let mut text = hex::encode(digest);
    text.truncate(CHECKSUM_DIGITS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_is_well_formed_and_never_printed() {
        let key = SecretKey::from_random([0xab; 20]);
        assert_eq!(check(key.expose()), Ok(()));
        assert!(!format!("{key:?}{:?}", key.digest()).contains("abab"));
    }

    #[test]
    fn malformed_keys_are_refused() {
        let good = SecretKey::from_random([1; 20]);
        let mut typo = good.expose().to_owned();
        typo.replace_range(20..21, "f");
        for bad in [
            "",
            "sk-carnet-",
            "sk-proj-abc",
            &typo,
            &format!("{} ", good.expose()),
            &"é".repeat(29),
        ] {
            assert_eq!(check(bad), Err(MalformedKey), "{bad}");
        }
    }
}
