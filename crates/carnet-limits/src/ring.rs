//! All keys of one generation, found by digest in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::secret::{KEY_LENGTH, KeyDigest, KeyId, KeyRecord, check};

/// One key in the ring. Requests hold it for as long as they run.
pub type KeyEntry = Arc<KeyRecord>;

/// An immutable set of keys. A change makes a new ring, so a reader never waits.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_digest: HashMap<[u8; 8], SmallVec<[Secret; 1]>>,
    by_id: HashMap<KeyId, KeyEntry>,
}

/// One secret that opens a key.
#[derive(Debug)]
struct Secret {
    digest: KeyDigest,
    /// When the secret or the key ends, whichever is first.
    until: Option<Timestamp>,
    key: KeyEntry,
}

/// What a secret opens.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The key.
    pub key: &'a KeyEntry,
    /// Digest of the secret that was presented.
    pub digest: &'a KeyDigest,
    /// From when it opens nothing: whoever lets a caller in compares this with the clock.
    pub until: Option<Timestamp>,
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
        Self::of(records.into_iter().map(Arc::new))
    }

    /// The same ring with this key as it now is, or with this one more.
    #[must_use]
    pub fn with(&self, changed: KeyRecord) -> Self {
        let changed = Arc::new(changed);
        let others = self.iter().filter(|key| key.id != changed.id);
        Self::of(others.chain([&changed]).cloned())
    }

    fn of(entries: impl Iterator<Item = KeyEntry>) -> Self {
        let mut ring = Self::default();
        for key in entries {
            let expires = key.terms.expires;
            ring.open_with(key.digest, expires, &key);
            for former in &key.former {
                let until = expires.map_or(former.until, |expires| expires.min(former.until));
                ring.open_with(former.digest, Some(until), &key);
            }
            ring.by_id.insert(key.id.clone(), key);
        }
        ring
    }

    fn open_with(&mut self, digest: KeyDigest, until: Option<Timestamp>, key: &KeyEntry) {
        let secret = Secret {
            digest,
            until,
            key: key.clone(),
        };
        let secrets = self.by_digest.entry(slot(&digest)).or_default();
        secrets.push(secret);
    }

    /// Find the key that has or had this text as its secret.
    ///
    /// The table is indexed by a piece of the digest, which an outsider cannot steer without
    /// knowing a preimage; the digests themselves are compared in constant time.
    ///
    /// # Errors
    /// [`KeyRefused`] when no key has this text, or one that was revoked.
    pub fn find(&self, text: &str) -> Result<Found<'_>, KeyRefused> {
        if text.len() != KEY_LENGTH {
            return Err(KeyRefused::Malformed);
        }
        let digest = KeyDigest::of(text);
        let found = self.by_digest.get(&slot(&digest)).and_then(|secrets| {
            secrets
                .iter()
                .find(|secret| secret.digest.0.ct_eq(&digest.0).into())
        });
        match found {
            Some(found) if found.key.revoked.is_some() => Err(KeyRefused::Revoked),
            Some(Secret { digest, until, key }) => Ok(Found {
                key,
                digest,
                until: *until,
            }),
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
    use crate::secret::{FormerSecret, SecretKey};
    use crate::terms::KeyTerms;

    fn record(random: [u8; 20], revoked: bool) -> (SecretKey, KeyRecord) {
        let secret = SecretKey::from_random(random);
        let record = KeyRecord {
            id: KeyId::from_random([random[0]; 8]),
            digest: secret.digest(),
            former: Box::default(),
            workload: format!("workload-{}", random[0]).into(),
            note: String::new(),
            created: Timestamp::UNIX_EPOCH,
            revoked: revoked.then_some(Timestamp::UNIX_EPOCH),
            terms: KeyTerms::default(),
        };
        (secret, record)
    }

    #[test]
    fn a_revoked_and_an_unknown_key_open_nothing() {
        let (good, good_record) = record([1; 20], false);
        let (gone, gone_record) = record([2; 20], true);
        let (stranger, _) = record([3; 20], false);
        let ring = KeyRing::new(vec![good_record, gone_record]);
        let found = ring.find(good.expose()).unwrap();
        assert_eq!((&*found.key.workload, found.until), ("workload-1", None));
        assert_eq!(ring.find(gone.expose()).unwrap_err(), KeyRefused::Revoked);
        assert_eq!(
            ring.find(stranger.expose()).unwrap_err(),
            KeyRefused::Unknown
        );
        assert_eq!(ring.find("Bearer x").unwrap_err(), KeyRefused::Malformed);
    }

    #[test]
    fn a_key_is_open_to_its_former_secrets_until_they_or_the_key_end() {
        let (new, mut key) = record([1; 20], false);
        let at = |second| Timestamp::from_second(second).unwrap();
        let former = [(2, 100), (3, 300)].map(|(random, until)| {
            let secret = SecretKey::from_random([random; 20]);
            let digest = secret.digest();
            let until = at(until);
            (secret, FormerSecret { digest, until })
        });
        key.former = former.iter().map(|(_, former)| former.clone()).collect();
        let (other, mut changed) = record([4; 20], false);
        let ring = KeyRing::new(vec![key.clone(), changed.clone()]);
        let until = |ring: &KeyRing, secret: &SecretKey| {
            let found = ring.find(secret.expose()).unwrap();
            assert_eq!((&found.key.id, *found.digest), (&key.id, secret.digest()));
            found.until
        };
        assert_eq!(until(&ring, &new), None);
        assert_eq!(until(&ring, &former[0].0), Some(at(100)));
        key.terms.expires = Some(at(200));
        let ring = ring.with(key.clone());
        assert_eq!(until(&ring, &new), Some(at(200)));
        assert_eq!(until(&ring, &former[0].0), Some(at(100)));
        assert_eq!(until(&ring, &former[1].0), Some(at(200)));
        changed.revoked = Some(at(1));
        let ring = ring.with(changed);
        assert_eq!(ring.len(), 2);
        assert_eq!(ring.find(other.expose()).unwrap_err(), KeyRefused::Revoked);
        let (_, next) = record([5; 20], false);
        assert_eq!(ring.with(next).len(), 3);
        key.former = Box::default();
        let refused = ring.with(key).find(former[0].0.expose()).map(|_| ());
        assert_eq!(refused.unwrap_err(), KeyRefused::Unknown);
    }

    proptest! {
        #[test]
        fn every_key_finds_itself_and_no_altered_key_finds_any(randoms in prop::collection::btree_set(any::<[u8; 20]>(), 1..20), at in 10usize..58, with in "[0-9a-f]") {
            let pairs: Vec<_> = randoms.into_iter().map(|random| record(random, false)).collect();
            let ring = KeyRing::new(pairs.iter().map(|(_, record)| record.clone()).collect());
            for (secret, record) in &pairs {
                prop_assert_eq!(*ring.find(secret.expose()).unwrap().digest, record.digest);
                let mut altered = secret.expose().to_owned();
                altered.replace_range(at..=at, &with);
                if altered != secret.expose() {
                    prop_assert!(ring.find(&altered).is_err());
                }
            }
        }
    }
}
