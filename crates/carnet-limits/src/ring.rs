//! All keys of one generation, found by digest in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::secret::{KEY_LENGTH, KeyDigest, KeyId, KeyRecord, check};

/// One key in the ring. Requests hold it for as long as they run.
pub type KeyEntry = Arc<KeyRecord>;

/// An immutable set of keys. A change makes a new ring, so a reader never waits.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_digest: HashMap<[u8; 8], Vec<KeyEntry>>,
    by_id: HashMap<KeyId, KeyEntry>,
}

/// Why a presented key opens nothing. Callers are told the same for all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyRefused {
    /// Wrong length, prefix or checksum.
    #[error("the key is not well-formed")]
    Malformed,
    /// It worked once.
    #[error("the key was revoked")]
    Revoked,
    /// Well-formed, but not ours.
    #[error("the key is not known")]
    Unknown,
}

impl KeyRing {
    /// Build the ring from all stored keys.
    #[must_use]
    pub fn new(records: Vec<KeyRecord>) -> Self {
        let mut ring = Self::default();
        for record in records {
            let entry = Arc::new(record);
            ring.by_digest
                .entry(slot(&entry.digest))
                .or_default()
                .push(entry.clone());
            ring.by_id.insert(entry.id.clone(), entry);
        }
        ring
    }

    /// Find the key with this text.
    ///
    /// The table is indexed by a piece of the digest, which an outsider cannot steer without
    /// knowing a preimage; the digests themselves are compared in constant time.
    ///
    /// # Errors
    /// [`KeyRefused`] when no valid key has this text.
    pub fn find(&self, text: &str) -> Result<&KeyEntry, KeyRefused> {
        if text.len() != KEY_LENGTH {
            return Err(KeyRefused::Malformed);
        }
        let digest = KeyDigest::of(text);
        let found = self.by_digest.get(&slot(&digest)).and_then(|entries| {
            entries
                .iter()
                .find(|entry| entry.digest.0.ct_eq(&digest.0).into())
        });
        match found {
            Some(found) if found.revoked.is_some() => Err(KeyRefused::Revoked),
            Some(found) => Ok(found),
            // What is known is well-formed; only of the rest it has to be asked.
            None if check(text).is_err() => Err(KeyRefused::Malformed),
            None => Err(KeyRefused::Unknown),
        }
    }

    /// The key with this public name.
    #[must_use]
    pub fn by_id(&self, id: &KeyId) -> Option<&KeyEntry> {
        self.by_id.get(id)
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyEntry> {
        self.by_id.values()
    }

    /// How many keys there are, revoked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// The part of a digest that indexes the table.
fn slot(digest: &KeyDigest) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SecretKey;

    fn record(random: [u8; 20], revoked: bool) -> (SecretKey, KeyRecord) {
        let secret = SecretKey::from_random(random);
        let record = KeyRecord {
            id: KeyId::from_random([random[0]; 8]),
            digest: secret.digest(),
            workload: format!("workload-{}", random[0]).into(),
            note: String::new(),
            created: Timestamp::UNIX_EPOCH,
            revoked: revoked.then_some(Timestamp::UNIX_EPOCH),
        };
        (secret, record)
    }

    #[test]
    fn a_revoked_and_an_unknown_key_open_nothing() {
        let (good, good_record) = record([1; 20], false);
        let (gone, gone_record) = record([2; 20], true);
        let (stranger, _) = record([3; 20], false);
        let ring = KeyRing::new(vec![good_record, gone_record]);
        assert_eq!(&*ring.find(good.expose()).unwrap().workload, "workload-1");
        assert_eq!(ring.find(gone.expose()).unwrap_err(), KeyRefused::Revoked);
        assert_eq!(
            ring.find(stranger.expose()).unwrap_err(),
            KeyRefused::Unknown
        );
        assert_eq!(ring.find("Bearer x").unwrap_err(), KeyRefused::Malformed);
    }

    proptest! {
        #[test]
        fn every_key_finds_itself_and_no_altered_key_finds_any(randoms in prop::collection::btree_set(any::<[u8; 20]>(), 1..20), at in 10usize..58, with in "[0-9a-f]") {
            let pairs: Vec<_> = randoms.into_iter().map(|random| record(random, false)).collect();
            let ring = KeyRing::new(pairs.iter().map(|(_, record)| record.clone()).collect());
            for (secret, record) in &pairs {
                prop_assert_eq!(ring.find(secret.expose()).unwrap().digest, record.digest);
                let mut altered = secret.expose().to_owned();
                altered.replace_range(at..=at, &with);
                if altered != secret.expose() {
                    prop_assert!(ring.find(&altered).is_err());
                }
            }
        }
    }
}
