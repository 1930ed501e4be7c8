//! The registry as one compact blob: a mark, the version of the form, a digest, the content.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::pool;
use crate::registry::{Entries, Registry};

const MARK: &[u8; 8] = b"CARNETRG";
/// Raised with every change of the stored types.
pub(crate) const FORM: u32 = 5;
const DIGEST_BYTES: usize = 32;

/// Why a blob cannot be used.
#[derive(Debug, Error)]
pub enum BlobError {
    /// It is something else.
    #[error("this is not a registry blob")]
    NotABlob,
    /// It was written by another version of Carnet.
    #[error("the blob has form {found}, this program reads form {FORM}")]
    OtherForm {
        /// Its form.
        found: u32,
    },
    /// Its content does not match its digest.
    #[error("the blob is damaged: its digest does not match")]
    Damaged,
    /// Its content has not the expected structure.
    #[error("the blob cannot be decoded")]
    Undecodable(#[from] postcard::Error),
}

impl Registry {
    /// The registry as a blob.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let content = content(self.entries());
        let mut blob = Vec::with_capacity(content.len().saturating_add(64));
        blob.extend_from_slice(MARK);
        blob.extend_from_slice(&FORM.to_le_bytes());
        blob.extend_from_slice(&Sha256::digest(&content));
        blob.extend_from_slice(&content);
        blob
    }

    /// Read a blob.
    ///
    /// # Errors
    /// When it is not one, of another form, or damaged.
    pub fn from_blob(blob: &[u8]) -> Result<Self, BlobError> {
        let rest = blob
            .strip_prefix(MARK.as_slice())
            .ok_or(BlobError::NotABlob)?;
        let (form, rest) = rest.split_first_chunk::<4>().ok_or(BlobError::NotABlob)?;
        let found = u32::from_le_bytes(*form);
        if found != FORM {
            return Err(BlobError::OtherForm { found });
        }
        let (digest, content) = rest
            .split_first_chunk::<DIGEST_BYTES>()
            .ok_or(BlobError::NotABlob)?;
        if Sha256::digest(content).as_slice() != digest {
            return Err(BlobError::Damaged);
        }
        let mut entries: Entries = pool::during(|| postcard::from_bytes(content))?;
        entries.spell_platforms();
        Ok(Self::with_version(
            entries,
            format!("sha256:{}", hex::encode(digest)),
        ))
    }
}

/// The entries in their stored form.
pub(crate) fn content(entries: &Entries) -> Vec<u8> {
    // Writing plain values to memory cannot fail; were it ever otherwise, the blob would be
    // refused when it is read.
    postcard::to_allocvec(entries).unwrap_or_default()
}

/// The version that names this content.
pub(crate) fn version(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}
