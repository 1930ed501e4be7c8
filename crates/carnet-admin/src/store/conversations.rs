//! Conversations on disk: a second SQLite file in the state directory, which is there only where they are kept.
//!
//! It holds sealed bytes under digests of workload and id. What goes is overwritten with zeros (`secure_delete`), and the
//! write-ahead log, which may still have it, is emptied.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_gateway::{
    ConversationBounds, ConversationStore, SealedConversation, StateDigest, StoreFailed,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{StoreError, connect, migrate, prepare_file};

/// Marks the file as ours ("carc"), and as another one than that of the keys.
const APPLICATION_ID: i32 = 0x6361_7263;

/// Each step leads from the version that is its index to the next. Steps are only ever added.
const MIGRATIONS: &[&str] = &["CREATE TABLE conversations (
        number INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        workload TEXT NOT NULL,
        made INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE INDEX conversations_made ON conversations (made);
    CREATE INDEX conversations_size ON conversations (workload, number, bytes)"];

/// What marks the file, and the steps to its schema.
pub(super) fn schema() -> (i32, &'static [&'static str]) {
    (APPLICATION_ID, MIGRATIONS)
}

/// See the module.
#[derive(Debug)]
pub struct Conversations {
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    held: Held,
    /// Whether something is gone of which a file may still have bytes.
    unwiped: bool,
}

/// How many bytes are there. Counted once, so that no write has to look at every row to keep within the bounds.
#[derive(Clone, Debug, Default)]
struct Held {
    of: HashMap<String, i64>,
    all: i64,
}

impl Held {
    fn count(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut held = Self::default();
        let mut sums = connection
            .prepare("SELECT workload, sum(bytes) AS held FROM conversations GROUP BY workload HAVING held > 0")?;
        let mut rows = sums.query([])?;
        while let Some(row) = rows.next()? {
            held.add(&row.get::<_, String>("workload")?, row.get("held")?);
        }
        Ok(held)
    }

    fn add(&mut self, workload: &str, bytes: i64) {
        self.all = self.all.saturating_add(bytes);
        if let Some(of) = self.of.get_mut(workload) {
            *of = of.saturating_add(bytes);
        } else {
            self.of.insert(workload.to_owned(), bytes);
        }
    }

    fn take(&mut self, workload: &str, bytes: i64) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(of) = self.of.get_mut(workload) {
            *of = of.saturating_sub(bytes);
            if *of <= 0 {
                self.of.remove(workload);
            }
        }
    }

    /// A workload that has more than this.
    fn over(&self, max: i64) -> Option<String> {
        let mut all = self.of.iter();
        all.find(|(_, bytes)| **bytes > max)
            .map(|(workload, _)| workload.clone())
    }
}

impl Conversations {
    /// Open the database, or make it, and bring its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be used; nothing has been changed in it then.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        prepare_file(path)?;
        Self::opened(path).map_err(|error| match error {
            StoreError::Sqlite(error) => StoreError::Conversations(error),
            other => other,
        })
    }

    fn opened(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        // Takes hold only before there is a table: room that is no longer used goes back to the system.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "secure_delete", true)?;
        migrate(&mut connection, path, schema())?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let open = Open {
            held: Held::count(&connection)?,
            connection,
            // The last process may not have come to it.
            unwiped: true,
        };
        Ok(Self {
            open: Mutex::new(open),
        })
    }

    fn open_now(&self) -> MutexGuard<'_, Open> {
        // SQLite undoes what a thread that died had not finished.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConversationStore for Conversations {
    fn find(&self, digest: &StateDigest, since: Timestamp) -> Result<Option<Vec<u8>>, StoreFailed> {
        let open = self.open_now();
        let mut select = open.connection.prepare_cached(
            "SELECT sealed FROM conversations WHERE digest = ?1 AND made > ?2 AND bytes > 0",
        )?;
        let found = select.query_row(params![digest.as_bytes(), since.as_second()], |row| {
            row.get("sealed")
        });
        Ok(found.optional()?)
    }

    fn note(
        &self,
        sealed: &[SealedConversation],
        bounds: ConversationBounds,
    ) -> Result<usize, StoreFailed> {
        let mut open = self.open_now();
        // What is not committed was not counted.
        let mut held = open.held.clone();
        let transaction = open.connection.transaction()?;
        let again = insert(&transaction, sealed, &mut held)?;
        let gone = forget(&transaction, bounds, &mut held)?;
        transaction.commit()?;
        open.held = held;
        open.unwiped |= again + gone > 0;
        // What was written is written all the same, and the next call tries again.
        if let Err(error) = open.wipe() {
            tracing::warn!(%error, "removed conversations are not overwritten yet");
        }
        Ok(again)
    }

    fn remove(&self, digest: &StateDigest) -> Result<bool, StoreFailed> {
        let mut open = self.open_now();
        let gone: Option<(String, i64)> = open
            .connection
            .prepare_cached(
                "DELETE FROM conversations WHERE digest = ?1 RETURNING workload, bytes",
            )?
            .query_row(params![digest.as_bytes()], |row| {
                Ok((row.get("workload")?, row.get("bytes")?))
            })
            .optional()?;
        if let Some((workload, bytes)) = &gone {
            open.held.take(workload, *bytes);
            open.unwiped = true;
        }
        open.wipe()?;
        Ok(gone.is_some())
    }
}

impl Open {
    /// Have no file hold what is gone.
    fn wipe(&mut self) -> Result<(), StoreFailed> {
        if !self.unwiped {
            return Ok(());
        }
        // A row for each page that goes back to the system.
        let mut vacuum = self
            .connection
            .prepare_cached("PRAGMA incremental_vacuum")?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        drop(vacuum);
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: i64 = self
            .connection
            .query_row(checkpoint, [], |row| row.get(0))?;
        if busy != 0 {
            let why = "another program reads the database, so what was removed may still stand in its log";
            return Err(why.into());
        }
        self.unwiped = false;
        Ok(())
    }
}

/// How many had a digest that was known.
fn insert(
    transaction: &Transaction<'_>,
    sealed: &[SealedConversation],
    held: &mut Held,
) -> Result<usize, rusqlite::Error> {
    let mut known =
        transaction.prepare_cached("SELECT bytes FROM conversations WHERE digest = ?1")?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO conversations (digest, workload, made, bytes, sealed) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (digest) DO UPDATE SET made = excluded.made, bytes = 0, sealed = x''",
    )?;
    let mut again = 0;
    for one in sealed {
        let bytes = i64::try_from(one.sealed.len()).unwrap_or(i64::MAX);
        let before = known.query_row(params![one.digest.as_bytes()], |row| row.get("bytes"));
        match before.optional()? {
            None => held.add(&one.workload, bytes),
            Some(before) => {
                again += 1;
                held.take(&one.workload, before);
            }
        }
        insert.execute(params![
            one.digest.as_bytes(),
            &*one.workload,
            one.made.as_second(),
            bytes,
            &one.sealed,
        ])?;
    }
    Ok(again)
}

/// Have go what is beyond the bounds, the oldest first; how many were.
fn forget(
    transaction: &Transaction<'_>,
    bounds: ConversationBounds,
    held: &mut Held,
) -> Result<usize, rusqlite::Error> {
    let max = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut gone = 0;
    let mut take = |row: &Row<'_>, held: &mut Held| {
        gone += 1;
        held.take(&row.get::<_, String>("workload")?, row.get("bytes")?);
        Ok::<_, rusqlite::Error>(())
    };
    let mut old = transaction
        .prepare_cached("DELETE FROM conversations WHERE made <= ?1 RETURNING workload, bytes")?;
    let mut rows = old.query(params![bounds.since.as_second()])?;
    while let Some(row) = rows.next()? {
        take(row, held)?;
    }
    let mut of_workload = transaction.prepare_cached(
        "DELETE FROM conversations WHERE number = (SELECT min(number) FROM conversations WHERE workload = ?1)
         RETURNING workload, bytes",
    )?;
    while let Some(workload) = held.over(max(bounds.workload_bytes_max)) {
        of_workload.query_row(params![workload], |row| take(row, held))?;
    }
    let mut of_all = transaction.prepare_cached(
        "DELETE FROM conversations WHERE number = (SELECT min(number) FROM conversations) RETURNING workload, bytes",
    )?;
    while held.all > max(bounds.bytes_max) {
        of_all.query_row([], |row| take(row, held))?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    const BOUNDS: ConversationBounds = ConversationBounds {
        since: Timestamp::UNIX_EPOCH,
        workload_bytes_max: 1_000_000,
        bytes_max: 10_000_000,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn digest(number: u8) -> StateDigest {
        StateDigest::from_bytes([number; 32])
    }

    fn sealed(number: u8, workload: &str, made: i64, bytes: usize) -> SealedConversation {
        SealedConversation {
            digest: digest(number),
            workload: workload.into(),
            made: at(made),
            sealed: vec![number; bytes],
        }
    }

    fn new_store() -> (TempDir, Conversations) {
        let folder = TempDir::new().unwrap();
        let store = Conversations::open(&folder.path().join("conversations.db")).unwrap();
        (folder, store)
    }

    /// Which of the first digests are found.
    fn found(store: &Conversations) -> Vec<u8> {
        let is = |number: &u8| {
            let found = store.find(&digest(*number), Timestamp::UNIX_EPOCH).unwrap();
            found.is_some()
        };
        (1..20).filter(is).collect()
    }

    #[test]
    fn what_is_counted_is_what_is_there() {
        let (folder, store) = new_store();
        let path = folder.path().join("conversations.db");
        let counted = |store: &Conversations| {
            let open = store.open_now();
            let now = Held::count(&open.connection).unwrap();
            assert_eq!((&now.of, now.all), (&open.held.of, open.held.all));
            now.all
        };
        let all = [
            sealed(1, "a", 10, 100),
            sealed(2, "b", 20, 50),
            sealed(3, "a", 30, 100),
        ];
        store.note(&all, BOUNDS).unwrap();
        assert_eq!(counted(&store), 250);
        store.note(&[sealed(2, "b", 40, 70)], BOUNDS).unwrap();
        assert_eq!(
            counted(&store),
            200,
            "of two with one digest neither is kept"
        );
        store.remove(&digest(1)).unwrap();
        assert_eq!(counted(&store), 100);
        let small = ConversationBounds {
            workload_bytes_max: 120,
            ..BOUNDS
        };
        store.note(&[sealed(4, "a", 50, 90)], small).unwrap();
        assert_eq!((counted(&store), found(&store)), (90, vec![4]));
        let few = ConversationBounds {
            bytes_max: 100,
            ..BOUNDS
        };
        store.note(&[sealed(5, "c", 60, 80)], few).unwrap();
        assert_eq!((counted(&store), found(&store)), (80, vec![5]));
        drop(store);
        assert_eq!(counted(&Conversations::open(&path).unwrap()), 80);
    }

    #[test]
    fn what_was_written_is_found_until_its_time_is_over() {
        let (folder, store) = new_store();
        let both = [sealed(1, "a", 10, 100), sealed(2, "b", 20, 100)];
        assert_eq!(store.note(&both, BOUNDS).unwrap(), 0);
        drop(store);
        let store = Conversations::open(&folder.path().join("conversations.db")).unwrap();
        assert_eq!(store.find(&digest(1), at(9)).unwrap(), Some(vec![1; 100]));
        assert_eq!(store.find(&digest(1), at(10)).unwrap(), None);
        let later = ConversationBounds {
            since: at(10),
            ..BOUNDS
        };
        store.note(&[], later).unwrap();
        assert_eq!(found(&store), [2]);
    }

    #[test]
    fn the_oldest_go_where_there_is_too_much() {
        let (_folder, store) = new_store();
        let bounds = ConversationBounds {
            workload_bytes_max: 250,
            bytes_max: 400,
            ..BOUNDS
        };
        let of_one: Vec<_> = (1..=3).map(|number| sealed(number, "a", 10, 100)).collect();
        store.note(&of_one, bounds).unwrap();
        assert_eq!(found(&store), [2, 3], "of one workload");
        let of_other: Vec<_> = (4..=5).map(|number| sealed(number, "b", 10, 100)).collect();
        store.note(&of_other, bounds).unwrap();
        assert_eq!(found(&store), [2, 3, 4, 5]);
        store.note(&[sealed(6, "c", 10, 150)], bounds).unwrap();
        assert_eq!(found(&store), [4, 5, 6], "of all");
    }

    #[test]
    fn a_digest_that_comes_again_is_found_no_more() {
        let (_folder, store) = new_store();
        store.note(&[sealed(1, "a", 10, 100)], BOUNDS).unwrap();
        assert_eq!(store.note(&[sealed(1, "a", 20, 90)], BOUNDS).unwrap(), 1);
        assert_eq!(found(&store), [0; 0]);
        assert_eq!(store.note(&[sealed(1, "a", 30, 90)], BOUNDS).unwrap(), 1);
        assert_eq!(found(&store), [0; 0]);
        assert!(store.remove(&digest(1)).unwrap());
    }

    #[test]
    fn no_file_holds_what_is_gone() {
        let (folder, store) = new_store();
        let holds = |number: u8| {
            let files = fs::read_dir(folder.path()).unwrap();
            let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            files.iter().any(|file| {
                let bytes = fs::read(file).unwrap();
                bytes.windows(64).any(|part| part == [number; 64])
            })
        };
        // Some lie within a page, some over many.
        for (number, bytes) in [(0xa1, 500), (0xa2, 90_000), (0xa3, 200), (0xa4, 40_000)] {
            let one = sealed(number, "a", i64::from(number), bytes);
            store.note(&[one], BOUNDS).unwrap();
            assert!(holds(number));
        }
        assert!(store.remove(&digest(0xa1)).unwrap());
        assert!(store.remove(&digest(0xa2)).unwrap());
        assert!(!store.remove(&digest(0xa2)).unwrap());
        assert!(!holds(0xa1) && !holds(0xa2));
        assert!(holds(0xa3) && holds(0xa4));
        let later = ConversationBounds {
            since: at(0xa3),
            ..BOUNDS
        };
        store.note(&[], later).unwrap();
        assert!(!holds(0xa3) && holds(0xa4));
        store.note(&[sealed(0xa4, "a", 0xff, 100)], BOUNDS).unwrap();
        assert!(!holds(0xa4));
    }

    #[test]
    fn what_cannot_be_wiped_yet_is_said_and_wiped_later() {
        let (folder, store) = new_store();
        store.note(&[sealed(1, "a", 10, 500)], BOUNDS).unwrap();
        let path = folder.path().join("conversations.db");
        let reader = Connection::open(&path).unwrap();
        store
            .open_now()
            .connection
            .busy_timeout(std::time::Duration::ZERO)
            .unwrap();
        let count = "SELECT count(*) FROM conversations";
        reader.execute_batch("BEGIN").unwrap();
        let before: i64 = reader.query_row(count, [], |row| row.get(0)).unwrap();
        let error = store.remove(&digest(1)).unwrap_err();
        assert!(
            error.to_string().starts_with("another program reads"),
            "{error}"
        );
        assert_eq!((before, found(&store)), (1, Vec::new()));
        let log = || {
            fs::metadata(folder.path().join("conversations.db-wal"))
                .unwrap()
                .len()
        };
        assert_ne!(log(), 0);
        assert_eq!(store.note(&[], BOUNDS).unwrap(), 0, "writing goes on");
        reader.execute_batch("COMMIT").unwrap();
        store.note(&[], BOUNDS).unwrap();
        assert_eq!(log(), 0);
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_no_other_database_is_taken_for_it() {
        let (folder, store) = new_store();
        store.note(&[sealed(1, "a", 10, 100)], BOUNDS).unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let keys = folder.path().join("carnet.db");
        drop(super::super::Store::open(&keys).unwrap());
        let error = Conversations::open(&keys).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        let text = folder.path().join("text.db");
        fs::write(&text, "not a database, ".repeat(100)).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Conversations::open(&text).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the database of conversations: ")
        );
    }
}
