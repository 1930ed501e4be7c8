//! A kept conversation in its sealed form: AES-256-GCM under a key of its own, made by HKDF-SHA256 (RFC 5869) from the
//! key of the server, the workload and the id of the response.
//!
//! The id is written down nowhere, so whoever has the database and the key of the server still has to know it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::Conversation;
use crate::state_ids::StateDigest;

/// Names this form of sealing; another one gets another name.
const LABEL: &[u8] = b"carnet conversation 1";

/// The key of the server.
pub(crate) struct MasterKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// What every key made here has.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

impl MasterKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The key of one conversation.
    fn key(&self, workload: &str, id: &str) -> Result<RandomizedNonceKey, Unspecified> {
        let prk = Salt::new(HKDF_SHA256, LABEL).extract(&self.0[..]);
        // The length keeps two pairs apart that read the same one after the other.
        let length = (workload.len() as u64).to_le_bytes();
        let info = [&length[..], workload.as_bytes(), id.as_bytes()];
        let mut key = Zeroizing::new([0; 32]);
        prk.expand(&info, Length)?.fill(&mut key[..])?;
        RandomizedNonceKey::new(&AES_256_GCM, &key[..])
    }

    /// The sealed form of a conversation.
    pub(crate) fn seal(&self, kept: &Conversation) -> Result<Vec<u8>, Unspecified> {
        let key = self.key(&kept.workload, &kept.id)?;
        let digest = StateDigest::of(&kept.workload, &kept.id);
        let mut text = kept.to_bytes();
        let nonce = key.seal_in_place_append_tag(Aad::from(digest.as_bytes()), &mut text)?;
        text.splice(0..0, nonce.as_ref().iter().copied());
        Ok(text)
    }

    /// The conversation in a sealed form, if it is that of this workload and id.
    pub(crate) fn open(
        &self,
        (workload, id): (&str, &str),
        mut sealed: Vec<u8>,
    ) -> Option<Conversation> {
        let key = self.key(workload, id).ok()?;
        let digest = StateDigest::of(workload, id);
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = key.open_in_place(nonce, Aad::from(digest.as_bytes()), text);
        let length = text.ok()?.len();
        sealed.truncate(NONCE_LEN.saturating_add(length));
        Conversation::of_bytes((workload, id), Bytes::from(sealed).slice(NONCE_LEN..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Conversation {
        Conversation {
            workload: "one".into(),
            id: "resp_1".into(),
            requested: "m".into(),
            input: r#"{"role":"user","content":"planted"}"#.into(),
            response: r#"{"id":"resp_1","output":[]}"#.into(),
        }
    }

    #[test]
    fn what_was_sealed_is_opened_for_its_workload_and_id_alone() {
        let key = MasterKey::new([7; 32]);
        let sealed = key.seal(&kept()).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"planted"));
        assert_eq!(key.open(("one", "resp_1"), sealed.clone()), Some(kept()));
        for (workload, id) in [
            ("two", "resp_1"),
            ("one", "resp_2"),
            ("oneresp", "_1"),
            ("", "oneresp_1"),
            ("one", ""),
        ] {
            assert_eq!(key.open((workload, id), sealed.clone()), None);
        }
        let other = MasterKey::new([8; 32]);
        assert_eq!(other.open(("one", "resp_1"), sealed.clone()), None);
        assert_ne!(
            key.seal(&kept()).unwrap(),
            sealed,
            "each has a nonce of its own"
        );
    }

    #[test]
    fn no_byte_of_it_can_be_changed_and_none_taken_away() {
        let key = MasterKey::new([7; 32]);
        let sealed = key.seal(&kept()).unwrap();
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(key.open(("one", "resp_1"), flipped), None, "{at}");
            assert_eq!(key.open(("one", "resp_1"), sealed[..at].to_vec()), None);
        }
    }
}
