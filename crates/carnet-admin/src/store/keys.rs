//! The part of the store that keeps keys: their digests, and the terms on which they work.

use std::collections::HashMap;

use carnet_limits::{FormerSecret, KeyDigest, KeyId, KeyRecord, KeyTerms, Network, SecretKey};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Store, StoreError};
use crate::limits::FORMER_SECRETS_MAX;

/// How a key gets a new secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// For how long the secret before works on; with zero, no former secret does.
    pub grace: SignedDuration,
    /// The key's new end; without one, it ends as it did.
    pub expires: Option<Timestamp>,
}

impl Store {
    /// Make a key for a workload. The secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the system gives no randomness or the key cannot be stored.
    pub fn create(
        &self,
        workload: &str,
        note: &str,
        terms: KeyTerms,
        now: Timestamp,
    ) -> Result<(SecretKey, KeyRecord), StoreError> {
        let secret = new_secret()?;
        let record = KeyRecord {
            id: KeyId::from_random(random()?),
            digest: secret.digest(),
            former: Box::default(),
            workload: workload.into(),
            note: note.to_owned(),
            created: now,
            revoked: None,
            terms,
        };
        let networks: Vec<String> = record
            .terms
            .networks
            .iter()
            .map(Network::to_string)
            .collect();
        self.connection().execute(
            "INSERT INTO keys (id, digest, workload, note, created, expires, scopes, models, networks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                record.id.as_str(),
                record.digest.as_bytes(),
                workload,
                note,
                now.to_string(),
                record.terms.expires.map(|expires| expires.to_string()),
                list(&record.terms.scopes),
                list(&record.terms.models),
                list(&networks),
            ],
        )?;
        Ok((secret, record))
    }

    /// All keys, revoked ones included, in the order in which they were made.
    ///
    /// # Errors
    /// When a key cannot be read: with one key missing, a revoked one might be taken for unknown.
    pub fn records(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let connection = self.connection();
        let mut former = all_former(&connection)?;
        let mut select =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM keys ORDER BY rowid"))?;
        let mut rows = select.query([])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let mut record = read(row)?;
            if let Some(former) = former.remove(record.id.as_str()) {
                record.former = former.into();
            }
            records.push(record);
        }
        Ok(records)
    }

    /// One key.
    ///
    /// # Errors
    /// [`StoreError::KeyUnknown`] when no key has this id, or what the database says.
    pub fn key(&self, id: &KeyId) -> Result<KeyRecord, StoreError> {
        one(&self.connection(), id)
    }

    /// Revoke a key for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::KeyUnknown`] when no key has this id, or what the database says.
    pub fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<KeyRecord, StoreError> {
        let connection = self.connection();
        connection.execute(
            "UPDATE keys SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL",
            params![id.as_str(), now.to_string()],
        )?;
        one(&connection, id)
    }

    /// Make a new secret for a key. Nothing is stored of it: [`Store::rotated`] does that.
    ///
    /// # Errors
    /// When the key is unknown, revoked or has ended without getting a new end, when too many of its secrets
    /// still work, or when the system gives no randomness.
    pub fn rotate(
        &self,
        id: &KeyId,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(SecretKey, KeyRecord), StoreError> {
        let mut record = self.key(id)?;
        let id = || id.clone();
        if record.revoked.is_some() {
            return Err(StoreError::KeyRevoked { id: id() });
        }
        let ended = record.terms.expires.filter(|expires| *expires <= now);
        if let (Some(expired), None) = (ended, rotation.expires) {
            return Err(StoreError::KeyExpired { id: id(), expired });
        }
        let until = now.checked_add(rotation.grace).unwrap_or(Timestamp::MAX);
        let until = record.terms.expires.map_or(until, |ends| ends.min(until));
        let mut former = std::mem::take(&mut record.former).into_vec();
        former.push(FormerSecret {
            digest: record.digest,
            until,
        });
        if rotation.grace.is_zero() {
            former.clear();
        }
        // Of those whose time is over the last ones are kept, so that who comes with one can be told.
        while former.len() > FORMER_SECRETS_MAX {
            let ended = former.iter().position(|secret| secret.until <= now);
            let ended = ended.ok_or_else(|| StoreError::TooManySecrets { id: id() })?;
            former.remove(ended);
        }
        let secret = new_secret()?;
        record.digest = secret.digest();
        record.former = former.into();
        if rotation.expires.is_some() {
            record.terms.expires = rotation.expires;
        }
        Ok((secret, record))
    }

    /// Store a key with its new secret.
    ///
    /// # Errors
    /// What the database says; then all is as it was.
    pub fn rotated(&self, record: &KeyRecord) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let id = record.id.as_str();
        let changed = transaction.execute(
            "UPDATE keys SET digest = ?2, expires = ?3 WHERE id = ?1 AND revoked IS NULL",
            params![
                id,
                record.digest.as_bytes(),
                record.terms.expires.map(|expires| expires.to_string())
            ],
        )?;
        if changed == 0 {
            return Err(StoreError::KeyRevoked {
                id: record.id.clone(),
            });
        }
        transaction.execute("DELETE FROM former_secrets WHERE key = ?1", params![id])?;
        for former in &record.former {
            transaction.execute(
                "INSERT INTO former_secrets (digest, key, until) VALUES (?1, ?2, ?3)",
                params![former.digest.as_bytes(), id, former.until.to_string()],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }
}

const COLUMNS: &str =
    "id, digest, workload, note, created, revoked, expires, scopes, models, networks";

fn one(connection: &Connection, id: &KeyId) -> Result<KeyRecord, StoreError> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM keys WHERE id = ?1"))?;
    let found = select.query_row(params![id.as_str()], |row| Ok(read(row)));
    let mut record = found
        .optional()?
        .unwrap_or_else(|| Err(StoreError::KeyUnknown { id: id.clone() }))?;
    let mut select = connection.prepare_cached(
        "SELECT key, digest, until FROM former_secrets WHERE key = ?1 ORDER BY rowid",
    )?;
    let mut rows = select.query(params![id.as_str()])?;
    let mut former = Vec::new();
    while let Some(row) = rows.next()? {
        former.push(read_former(row)?.1);
    }
    record.former = former.into();
    Ok(record)
}

/// The former secrets of all keys, oldest first.
fn all_former(connection: &Connection) -> Result<HashMap<String, Vec<FormerSecret>>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT key, digest, until FROM former_secrets ORDER BY rowid")?;
    let mut rows = select.query([])?;
    let mut all: HashMap<String, Vec<FormerSecret>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (key, former) = read_former(row)?;
        all.entry(key).or_default().push(former);
    }
    Ok(all)
}

fn read_former(row: &Row<'_>) -> Result<(String, FormerSecret), StoreError> {
    let key: String = row.get("key")?;
    let until: String = row.get("until")?;
    let former = FormerSecret {
        digest: KeyDigest::from_bytes(row.get("digest")?),
        until: instant(&key, &until, "end of a former secret")?,
    };
    Ok((key, former))
}

fn read(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let id: String = row.get("id")?;
    let optional = |name: &str, field| {
        let text: Option<String> = row.get(name)?;
        text.map(|text| instant(&id, &text, field)).transpose()
    };
    let texts = |name: &str, field| {
        let text: String = row.get(name)?;
        let texts = serde_json::from_str::<Box<[Box<str>]>>(&text);
        texts.map_err(|_| damaged(&id, field))
    };
    let networks = texts("networks", "list of networks")?;
    let networks = networks.iter().map(|text| text.parse::<Network>());
    Ok(KeyRecord {
        digest: KeyDigest::from_bytes(row.get("digest")?),
        former: Box::default(),
        workload: row.get("workload")?,
        note: row.get("note")?,
        created: instant(&id, &row.get::<_, String>("created")?, "creation date")?,
        revoked: optional("revoked", "revocation date")?,
        terms: KeyTerms {
            expires: optional("expires", "expiry date")?,
            scopes: texts("scopes", "list of scopes")?,
            models: texts("models", "list of models")?,
            networks: networks
                .collect::<Result<_, _>>()
                .map_err(|_| damaged(&id, "list of networks"))?,
        },
        id: KeyId::from_text(&id),
    })
}

fn instant(id: &str, text: &str, field: &'static str) -> Result<Timestamp, StoreError> {
    text.parse().map_err(|_| damaged(id, field))
}

fn damaged(id: &str, field: &'static str) -> StoreError {
    StoreError::Damaged {
        id: id.to_owned(),
        field,
    }
}

/// Texts as they are stored.
fn list(texts: &[impl AsRef<str>]) -> String {
    let texts = texts.iter().map(|text| text.as_ref().into());
    serde_json::Value::Array(texts.collect()).to_string()
}

fn new_secret() -> Result<SecretKey, StoreError> {
    Ok(SecretKey::from_random(random()?))
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use carnet_limits::KeyRing;

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn boxed(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    fn new_store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("carnet.db")).unwrap();
        (folder, store)
    }

    fn rotate(store: &Store, id: &KeyId, grace: SignedDuration, now: Timestamp) -> SecretKey {
        let expires = None;
        let (secret, record) = store.rotate(id, &Rotation { grace, expires }, now).unwrap();
        store.rotated(&record).unwrap();
        assert_eq!(store.key(id).unwrap().former, record.former);
        secret
    }

    #[test]
    fn the_terms_of_a_key_come_back_as_they_were_given() {
        let (folder, store) = new_store();
        let terms = KeyTerms {
            expires: Some(at("2027-01-01T00:00:00Z")),
            scopes: boxed(&["inference", "models"]),
            models: boxed(&["a \"quoted\" name", "gpt-*"]),
            networks: ["192.0.2.0/24", "2001:db8::/32"]
                .map(|text| text.parse().unwrap())
                .into(),
        };
        let now = at("2026-01-01T00:00:00Z");
        let (_, made) = store.create("payments", "", terms.clone(), now).unwrap();
        store
            .create("search", "", KeyTerms::default(), now)
            .unwrap();
        drop(store);
        let store = Store::open(&folder.path().join("carnet.db")).unwrap();
        let records = store.records().unwrap();
        assert_eq!((&records[0].id, &records[0].terms), (&made.id, &terms));
        assert_eq!(records[1].terms, KeyTerms::default());
        assert_eq!(store.key(&made.id).unwrap().terms, terms);
    }

    #[test]
    fn a_rotated_key_has_both_secrets_until_the_grace_is_over() {
        let (_folder, store) = new_store();
        let now = at("2026-01-01T00:00:00Z");
        let (first, key) = store
            .create("payments", "n", KeyTerms::default(), now)
            .unwrap();
        let second = rotate(&store, &key.id, HOUR, now);
        let third = rotate(&store, &key.id, HOUR, at("2026-01-01T00:30:00Z"));
        let ring = KeyRing::new(store.records().unwrap());
        for (secret, until) in [
            (&first, Some(at("2026-01-01T01:00:00Z"))),
            (&second, Some(at("2026-01-01T01:30:00Z"))),
            (&third, None),
        ] {
            let found = ring.find(secret.expose()).unwrap();
            assert_eq!((&found.key.id, found.until), (&key.id, until));
            assert_eq!(found.key.note, "n");
        }
        let last = rotate(&store, &key.id, SignedDuration::ZERO, now);
        let ring = KeyRing::new(store.records().unwrap());
        for secret in [&first, &second, &third] {
            assert!(ring.find(secret.expose()).is_err());
        }
        assert_eq!(ring.find(last.expose()).unwrap().until, None);
    }

    #[test]
    fn what_is_not_carried_out_changes_nothing() {
        let (_folder, store) = new_store();
        let now = at("2026-01-01T00:00:00Z");
        let (first, key) = store
            .create("payments", "", KeyTerms::default(), now)
            .unwrap();
        let rotation = Rotation {
            grace: HOUR,
            expires: None,
        };
        let (second, record) = store.rotate(&key.id, &rotation, now).unwrap();
        let ring = KeyRing::new(store.records().unwrap());
        assert!(ring.find(second.expose()).is_err());
        assert_eq!(ring.find(first.expose()).unwrap().until, None);
        store.revoke(&key.id, now).unwrap();
        let refused = store.rotated(&record).unwrap_err();
        assert!(matches!(refused, StoreError::KeyRevoked { .. }));
        assert_eq!(store.key(&key.id).unwrap().digest, first.digest());
    }

    #[test]
    fn a_rotation_never_lets_a_key_outlive_its_end() {
        let (_folder, store) = new_store();
        let now = at("2026-01-01T00:00:00Z");
        let ends = at("2026-01-01T00:10:00Z");
        let terms = KeyTerms {
            expires: Some(ends),
            ..KeyTerms::default()
        };
        let (_, key) = store.create("payments", "", terms, now).unwrap();
        rotate(&store, &key.id, HOUR, now);
        let stored = store.key(&key.id).unwrap();
        assert_eq!(stored.former[0].until, ends);
        assert_eq!(stored.terms.expires, Some(ends));
        let mut rotation = Rotation {
            grace: HOUR,
            expires: None,
        };
        let refused = store.rotate(&key.id, &rotation, ends).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("the key `{}` expired at 2026-01-01T00:10:00Z", key.id)
        );
        rotation.expires = Some(at("2026-02-01T00:00:00Z"));
        let (_, revived) = store.rotate(&key.id, &rotation, ends).unwrap();
        assert_eq!(revived.terms.expires, rotation.expires);
        assert!(revived.former.iter().all(|former| former.until <= ends));
    }

    #[test]
    fn only_so_many_secrets_of_a_key_work() {
        let (_folder, store) = new_store();
        let now = at("2026-01-01T00:00:00Z");
        let (_, key) = store
            .create("payments", "", KeyTerms::default(), now)
            .unwrap();
        for _ in 0..FORMER_SECRETS_MAX {
            rotate(&store, &key.id, HOUR, now);
        }
        let rotation = Rotation {
            grace: HOUR,
            expires: None,
        };
        let refused = store.rotate(&key.id, &rotation, now).unwrap_err();
        assert!(matches!(refused, StoreError::TooManySecrets { .. }));
        rotate(&store, &key.id, HOUR, at("2026-01-01T02:00:00Z"));
        let former = store.key(&key.id).unwrap().former;
        assert_eq!(former.len(), FORMER_SECRETS_MAX);
    }

    #[test]
    fn a_revoked_or_unknown_key_gets_no_new_secret() {
        let (_folder, store) = new_store();
        let now = at("2026-01-01T00:00:00Z");
        let (_, key) = store
            .create("payments", "", KeyTerms::default(), now)
            .unwrap();
        store.revoke(&key.id, now).unwrap();
        let rotation = Rotation {
            grace: HOUR,
            expires: None,
        };
        let refused = store.rotate(&key.id, &rotation, now).unwrap_err();
        assert!(matches!(refused, StoreError::KeyRevoked { .. }));
        let unknown = KeyId::from_text("key_0");
        let refused = store.rotate(&unknown, &rotation, now).unwrap_err();
        assert!(matches!(refused, StoreError::KeyUnknown { .. }));
    }

    #[test]
    fn damaged_terms_are_an_error_and_never_no_bound() {
        for (column, value) in [
            ("networks", "192.0.2.0/24"),
            ("networks", "[\"nowhere\"]"),
            ("scopes", "{}"),
            ("models", "[1]"),
            ("expires", "soon"),
        ] {
            let (_folder, store) = new_store();
            let terms = KeyTerms::default();
            store
                .create("payments", "", terms, Timestamp::UNIX_EPOCH)
                .unwrap();
            let change = format!("UPDATE keys SET {column} = ?1");
            store.connection().execute(&change, params![value]).unwrap();
            let error = store.records().unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
    }
}
