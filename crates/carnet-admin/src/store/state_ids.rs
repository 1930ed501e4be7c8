//! The part of the store that keeps which response was made where, by digest.

use carnet_gateway::{StateChange, StateDigest, StateId, StateTarget};
use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError};

impl Store {
    /// The ids of kept responses that are still known, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn state_ids(&self, now: Timestamp) -> Result<Vec<StateId>, StoreError> {
        let connection = self.connection();
        let mut select = connection.prepare(
            "SELECT digest, workload, requested, upstream, origin, model, until FROM state_ids
             WHERE until > ?1 ORDER BY rowid",
        )?;
        let rows = select.query_map(params![now.as_second()], |row| {
            let text = |name| row.get::<_, String>(name).map(Into::into);
            Ok(StateId {
                digest: StateDigest::from_bytes(row.get("digest")?),
                workload: text("workload")?,
                target: StateTarget {
                    requested: text("requested")?,
                    upstream: text("upstream")?,
                    origin: text("origin")?,
                    model: text("model")?,
                },
                until: Timestamp::from_second(row.get("until")?).unwrap_or(now),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Write down what became of ids, in this order, and forget those whose time is over.
    ///
    /// # Errors
    /// What the database says; then nothing of it is written.
    pub fn note_state_ids(
        &self,
        changes: &[StateChange],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO state_ids (digest, workload, requested, upstream, origin, model, until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let mut delete =
                transaction.prepare_cached("DELETE FROM state_ids WHERE digest = ?1")?;
            for change in changes {
                match change {
                    StateChange::Gone(digest) => delete.execute(params![digest.as_bytes()])?,
                    StateChange::Made(id) => insert.execute(params![
                        id.digest.as_bytes(),
                        &*id.workload,
                        &*id.target.requested,
                        &*id.target.upstream,
                        &*id.target.origin,
                        &*id.target.model,
                        id.until.as_second(),
                    ])?,
                };
            }
            let mut old = transaction.prepare_cached("DELETE FROM state_ids WHERE until <= ?1")?;
            old.execute(params![now.as_second()])?;
        }
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8, until: i64) -> StateId {
        StateId {
            digest: StateDigest::from_bytes([number; 32]),
            workload: "app".into(),
            target: StateTarget {
                requested: "m".into(),
                upstream: "u".into(),
                origin: "https://x.example".into(),
                model: "own".into(),
            },
            until: Timestamp::from_second(until).unwrap(),
        }
    }

    #[test]
    fn ids_come_back_in_their_order_until_they_are_gone_or_too_old() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("carnet.db");
        let store = Store::open(&path).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let made = |number, until| StateChange::Made(id(number, until));
        let changes = [made(3, 50), made(1, 30), made(2, 40), made(9, 5)];
        store.note_state_ids(&changes, at(1)).unwrap();
        store
            .note_state_ids(&[StateChange::Gone(id(2, 0).digest), made(3, 60)], at(10))
            .unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.state_ids(at(10)).unwrap(), [id(1, 30), id(3, 60)]);
        assert_eq!(store.state_ids(at(1)).unwrap(), [id(1, 30), id(3, 60)]);
        assert_eq!(store.state_ids(at(30)).unwrap(), [id(3, 60)]);
        assert_eq!(store.state_ids(at(60)).unwrap(), []);
    }
}
