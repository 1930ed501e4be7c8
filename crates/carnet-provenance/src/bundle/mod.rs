//! Signed bundles: one file that carries a registry from its reviewers to machines without a network.
//!
//! A mark, the form, the length of a signed note, the note, the registry's blob. The note is the
//! manifest: plain lines that say what the blob is, signed as C2SP signed-note describes. Nothing of
//! the blob is decoded before a trusted signature and the blob's digest have been checked.

mod key;
mod manifest;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use signed_note::{Note, NoteError, VerifierList};
use thiserror::Error;

use crate::codes::Refusal;
use crate::problem::Problem;
use crate::registry::Registry;
use crate::registry::blob;

pub use key::{BundleKey, BundleKeyError, BundleSigner};
pub use manifest::{Manifest, NoManifest};

/// Largest bundle that is read, in bytes: a hundred times today's. Decoding takes a multiple of it.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest signed note in a bundle: a manifest has under 1 KiB, a signature line about 150 bytes.
const NOTE_BYTES_MAX: usize = 16 * 1024;
const MARK: &[u8; 8] = b"CARNETRB";
/// Raised with every change of the layout or the manifest.
const FORM: u32 = 1;

/// A bundle whose signature and content have been checked. Its facts have not been read.
#[derive(Clone, Debug)]
pub struct Bundle<'b> {
    manifest: Manifest,
    signed_by: String,
    blob: &'b [u8],
}

/// Why a bundle cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It was signed, but its facts have mistakes.
    #[error("the facts of the bundle have {} mistakes", .0.len())]
    BrokenFacts(Vec<Problem>),
    /// Its content is not what was signed.
    #[error("the content of the bundle is not what was signed")]
    Damaged,
    /// It is something else, or a piece of one.
    #[error("this is not a whole registry bundle: {0}")]
    Malformed(&'static str),
    /// Its facts need another version of Carnet.
    #[error(
        "the bundle's facts have form {found}, this program reads form {}",
        blob::FORM
    )]
    OtherFacts {
        /// Their form.
        found: u32,
    },
    /// Another version of Carnet made it.
    #[error("the bundle has form {found}, this program reads form {FORM}")]
    OtherForm {
        /// Its form.
        found: u32,
    },
    /// It was signed, but cannot be read.
    #[error("the facts of the bundle cannot be decoded: {0}")]
    Undecodable(#[from] blob::BlobError),
    /// No trusted key signed it.
    #[error("no key that is trusted here signed this bundle; it is signed as {}", names(.0))]
    Untrusted(Vec<String>),
    /// A trusted key's name is under it, but not that key's signature.
    #[error("the signature does not fit: the manifest was changed, or somebody else signed it")]
    WrongSignature,
}

fn names(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl BundleError {
    /// The kind of refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::BrokenFacts(_) | Self::Undecodable(_) => Refusal::BrokenFacts,
            Self::Damaged => Refusal::Damaged,
            Self::Malformed(_) => Refusal::Malformed,
            Self::OtherFacts { .. } | Self::OtherForm { .. } => Refusal::OtherForm,
            Self::Untrusted(_) => Refusal::Untrusted,
            Self::WrongSignature => Refusal::WrongSignature,
        }
    }
}

impl BundleSigner {
    /// A bundle of this registry. What the manifest says of the content is filled in here.
    #[must_use]
    pub fn bundle(&self, registry: &Registry, mut manifest: Manifest) -> Vec<u8> {
        let blob = registry.to_blob();
        registry.version().clone_into(&mut manifest.registry);
        manifest.blob_form = blob::FORM;
        manifest.blob_bytes = blob.len();
        manifest.blob_sha256 = hex::encode(Sha256::digest(&blob));
        let note = self.sign(&manifest.to_string());
        let mut bundle = MARK.to_vec();
        bundle.extend_from_slice(&FORM.to_le_bytes());
        // A note is a few lines; its length always fits.
        let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
        bundle.extend_from_slice(&length.to_le_bytes());
        bundle.extend_from_slice(note.as_bytes());
        bundle.extend_from_slice(&blob);
        bundle
    }
}

/// Check a bundle: a trusted signature over the manifest, then the content against the manifest.
///
/// # Errors
/// When it is no bundle, of another form, not signed by one of the keys, or damaged.
pub fn verify<'b>(bytes: &'b [u8], keys: &[BundleKey]) -> Result<Bundle<'b>, BundleError> {
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(BundleError::Malformed("it is too large"));
    }
    let rest = bytes
        .strip_prefix(MARK.as_slice())
        .ok_or(BundleError::Malformed("it does not begin like one"))?;
    let (form, rest) = number(rest)?;
    if form != FORM {
        return Err(BundleError::OtherForm { found: form });
    }
    let (length, rest) = number(rest)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > NOTE_BYTES_MAX {
        return Err(BundleError::Malformed("its manifest is too long"));
    }
    let (note, blob) = rest
        .split_at_checked(length)
        .ok_or(BundleError::Malformed("it ends within its manifest"))?;
    let note =
        Note::from_bytes(note).map_err(|_| BundleError::Malformed("its manifest is no note"))?;
    let signed_by = signer(&note, keys)?;
    let manifest = std::str::from_utf8(note.text())
        .ok()
        .and_then(|text| text.parse::<Manifest>().ok())
        .ok_or(BundleError::Malformed("its manifest cannot be read"))?;
    let same = manifest.blob_bytes == blob.len()
        && manifest.blob_sha256 == hex::encode(Sha256::digest(blob));
    if !same {
        return Err(BundleError::Damaged);
    }
    Ok(Bundle {
        manifest,
        signed_by,
        blob,
    })
}

/// Whether a file begins like a bundle.
#[must_use]
pub fn is_bundle(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), BundleError> {
    let (number, rest) = bytes
        .split_first_chunk::<4>()
        .ok_or(BundleError::Malformed("it ends within its head"))?;
    Ok((u32::from_le_bytes(*number), rest))
}

/// The name of the trusted key that signed the note.
fn signer(note: &Note, keys: &[BundleKey]) -> Result<String, BundleError> {
    let mut known: Vec<&BundleKey> = Vec::new();
    for key in keys {
        // The same key in two files is one key.
        if !known.iter().any(|other| other.text() == key.text()) {
            known.push(key);
        }
    }
    let verifiers = known.iter().map(|key| key.verifier()).collect();
    match note.verify(&VerifierList::new(verifiers)) {
        Ok((verified, _)) => verified
            .first()
            .map(|signature| signature.name().to_owned())
            .ok_or(BundleError::WrongSignature),
        Err(NoteError::UnverifiedNote) => Err(BundleError::Untrusted(signed_as(note))),
        Err(_) => Err(BundleError::WrongSignature),
    }
}

/// Under which names the note is signed, whoever did it.
fn signed_as(note: &Note) -> Vec<String> {
    let text = note.to_bytes();
    let text = String::from_utf8_lossy(&text);
    let name = |line: &str| {
        Some(
            line.strip_prefix("\u{2014} ")?
                .split(' ')
                .next()?
                .to_owned(),
        )
    };
    text.lines().filter_map(name).collect()
}

impl Bundle<'_> {
    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The name of the key that signed it.
    #[must_use]
    pub fn signed_by(&self) -> &str {
        &self.signed_by
    }

    /// The facts, read and checked as files are.
    ///
    /// # Errors
    /// When they are of another form, cannot be decoded, or have mistakes.
    pub fn registry(&self) -> Result<Arc<Registry>, BundleError> {
        if self.manifest.blob_form != blob::FORM {
            return Err(BundleError::OtherFacts {
                found: self.manifest.blob_form,
            });
        }
        let registry = Registry::from_blob(self.blob)?;
        if registry.version() != self.manifest.registry {
            return Err(BundleError::Damaged);
        }
        let problems = registry.problems();
        if problems.is_empty() {
            Ok(Arc::new(registry))
        } else {
            Err(BundleError::BrokenFacts(problems))
        }
    }
}
