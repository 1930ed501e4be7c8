//! The keys, the ids of kept responses and what has been used of limits on disk: one SQLite file in the state directory.
//!
//! Requests never come here; they look keys up in the ring of their generation, and the rest in the gateway's tables. Of a
//! secret and of an id the file holds the SHA-256 digest, so reading the file opens nothing.

mod conversations;
mod copy;
mod counted;
mod keys;
mod state_ids;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_limits::KeyId;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use thiserror::Error;

use crate::limits::{FORMER_SECRETS_MAX, STORE_BUSY_TIME_MAX};

pub use self::conversations::Conversations;
pub use self::copy::Database;
pub use self::keys::Rotation;

/// Marks the file as ours ("carn"), so that no other program's database is taken for it.
const APPLICATION_ID: i32 = 0x6361_726e;
/// Only the owner reads and writes; SQLite gives its side files the same mode.
const FILE_MODE: u32 = 0o600;

/// Each step leads from the version that is its index to the next. Steps are only ever added.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE keys (
        id TEXT NOT NULL PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        workload TEXT NOT NULL,
        note TEXT NOT NULL,
        created TEXT NOT NULL,
        revoked TEXT
    ) STRICT",
    "CREATE TABLE state_ids (
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        workload TEXT NOT NULL,
        requested TEXT NOT NULL,
        upstream TEXT NOT NULL,
        origin TEXT NOT NULL,
        model TEXT NOT NULL,
        until INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX state_ids_until ON state_ids (until)",
    "CREATE TABLE counted (
        name TEXT NOT NULL,
        measure TEXT NOT NULL,
        span TEXT NOT NULL,
        who TEXT NOT NULL,
        start INTEGER NOT NULL,
        used INTEGER NOT NULL,
        before INTEGER NOT NULL,
        PRIMARY KEY (name, measure, span, who)
    ) STRICT, WITHOUT ROWID",
    // Lists are JSON arrays of texts.
    "ALTER TABLE keys ADD COLUMN expires TEXT;
    ALTER TABLE keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE keys ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE keys ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE former_secrets (
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        key TEXT NOT NULL REFERENCES keys (id),
        until TEXT NOT NULL
    ) STRICT;
    CREATE INDEX former_secrets_key ON former_secrets (key)",
];

/// What marks the file, and the steps to its schema.
fn keys_schema() -> (i32, &'static [&'static str]) {
    (APPLICATION_ID, MIGRATIONS)
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

/// Why a database of ours cannot be read or changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process holds the database.
    #[error("another program holds `{}`", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// SQLite reports an error of the database of conversations.
    #[error("the database of conversations: {0}")]
    Conversations(rusqlite::Error),
    /// The file's own structure is broken.
    #[error("`{}` is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A stored key does not say what a key must say.
    #[error("the stored key `{id}` is damaged: its {field} cannot be read")]
    Damaged {
        /// Which key.
        id: String,
        /// Which of its fields.
        field: &'static str,
    },
    /// The database belongs to another program.
    #[error("`{}` is a database, but not one of Carnet's", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The key has ended, and no other end was given.
    #[error("the key `{id}` expired at {expired}")]
    KeyExpired {
        /// Which key.
        id: KeyId,
        /// When.
        expired: Timestamp,
    },
    /// The key was revoked, and that is for good.
    #[error("the key `{id}` is revoked")]
    KeyRevoked {
        /// Which key.
        id: KeyId,
    },
    /// No key has this id.
    #[error("there is no key `{id}`")]
    KeyUnknown {
        /// What was asked for.
        id: KeyId,
    },
    /// A later program wrote the file.
    #[error("`{}` has schema version {found}; this program knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The last version known here.
        known: usize,
    },
    /// The file cannot be opened or made.
    #[error("cannot open `{}`: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error("others can read or write `{}` (mode {mode:03o})", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key: {0}")]
    Random(getrandom::Error),
    /// SQLite reports an error.
    #[error("the key database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// So many former secrets of the key still work that there is no room for another.
    #[error("{} former secrets of the key `{id}` still work", FORMER_SECRETS_MAX)]
    TooManySecrets {
        /// Which key.
        id: KeyId,
    },
}

impl StoreError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Busy { .. } => "try again, and see which program it is (`fuser`)".to_owned(),
            Self::Conversations(_) => {
                "check free space and permissions of the state directory, and that no other program holds conversations.db; \
                 what is kept there can be given up by removing it"
                    .to_owned()
            }
            Self::Corrupt { path, .. } => {
                format!("restore {} from a backup", path.file_name().unwrap_or_default().to_string_lossy())
            }
            Self::Damaged { .. } => "restore carnet.db from a backup".to_owned(),
            Self::Foreign { .. } => "move that file away, or choose another state directory".to_owned(),
            Self::KeyExpired { .. } => "give it a new end as well, for example `--expires 30d`".to_owned(),
            Self::KeyRevoked { .. } => "make a new key with `carnet key create`".to_owned(),
            Self::KeyUnknown { .. } => "`carnet key list` shows all keys with their ids".to_owned(),
            Self::Newer { .. } => "run the newer Carnet that wrote it".to_owned(),
            Self::Open { .. } => "check that the state directory exists and belongs to you".to_owned(),
            Self::OpenToOthers { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Random(_) => "wait until the system has gathered randomness, then try again".to_owned(),
            Self::Sqlite(_) => {
                "check free space and permissions of the state directory, and that no other program holds carnet.db".to_owned()
            }
            Self::TooManySecrets { .. } => "end them with `--now`, or wait until one has ended".to_owned(),
        }
    }
}

impl Store {
    /// Open the database, or make it, and bring its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be used; nothing has been changed in it then.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        prepare_file(path)?;
        let mut connection = connect(path)?;
        migrate(&mut connection, path, keys_schema())?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A revoked key stays revoked when the machine dies right after.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // SQLite undoes what a thread that died had not finished.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(STORE_BUSY_TIME_MAX)?;
    Ok(connection)
}

/// Make the file before SQLite would make it with a mode of its own; refuse one that others can read.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let trouble = |source| StoreError::Open {
        path: path.to_path_buf(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(trouble)?;
    let mode = file.metadata().map_err(trouble)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(StoreError::OpenToOthers {
            path: path.to_path_buf(),
            mode,
        })
    }
}

/// Bring the schema to the last version, in one transaction with the number that says so.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    (application, migrations): (i32, &[&str]),
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let owner = number("application_id")?;
    let version = usize::try_from(number("user_version")?).unwrap_or(usize::MAX);
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = owner == 0 && version == 0 && tables == 0;
    if owner != application && !empty {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
        });
    }
    let known = migrations.len();
    let Some(steps) = migrations.get(version..) else {
        return Err(StoreError::Newer {
            path: path.to_path_buf(),
            found: version,
            known,
        });
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", application)?;
    transaction.pragma_update(
        None,
        "user_version",
        i32::try_from(known).unwrap_or(i32::MAX),
    )?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use carnet_limits::{KeyRecord, KeyRing, KeyTerms, SecretKey};
    use rusqlite::params;
    use tempfile::TempDir;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn create(store: &Store, workload: &str, now: Timestamp) -> (SecretKey, KeyRecord) {
        store
            .create(workload, "", KeyTerms::default(), now)
            .unwrap()
    }

    fn new_store() -> (TempDir, PathBuf, Store) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("carnet.db");
        let store = Store::open(&path).unwrap();
        (folder, path, store)
    }

    #[test]
    fn keys_come_back_as_they_were_made_and_the_secret_is_not_among_them() {
        let (folder, path, store) = new_store();
        let made = at("2026-01-02T03:04:05.678901234Z");
        let (secret, record) = store
            .create("payments", "for « ci »", KeyTerms::default(), made)
            .unwrap();
        create(&store, "search", made);
        drop(store);
        let records = Store::open(&path).unwrap().records().unwrap();
        let workloads: Vec<_> = records.iter().map(|record| &*record.workload).collect();
        assert_eq!(workloads, ["payments", "search"]);
        let found = &records[0];
        assert_eq!(
            (&found.id, found.digest, found.created, found.revoked),
            (&record.id, secret.digest(), made, None)
        );
        assert_eq!(found.note, "for « ci »");
        assert_eq!(
            KeyRing::new(records).find(secret.expose()).unwrap().key.id,
            record.id
        );
        let digits = secret.expose().strip_prefix(carnet_limits::PREFIX).unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(
                !bytes
                    .windows(digits.len())
                    .any(|window| window == digits.as_bytes())
            );
        }
    }

    #[test]
    fn a_revoked_key_stays_revoked_since_the_first_time() {
        let (_folder, path, store) = new_store();
        let (_, record) = create(&store, "payments", at("2026-01-01T00:00:00Z"));
        let first = at("2026-02-01T00:00:00Z");
        assert_eq!(
            store.revoke(&record.id, first).unwrap().revoked,
            Some(first)
        );
        assert_eq!(
            store
                .revoke(&record.id, at("2026-03-01T00:00:00Z"))
                .unwrap()
                .revoked,
            Some(first)
        );
        drop(store);
        assert_eq!(
            Store::open(&path).unwrap().records().unwrap()[0].revoked,
            Some(first)
        );
    }

    #[test]
    fn an_unknown_key_cannot_be_revoked() {
        let (_folder, _, store) = new_store();
        let error = store
            .revoke(&KeyId::from_text("key_x'; --"), Timestamp::UNIX_EPOCH)
            .unwrap_err();
        assert!(matches!(error, StoreError::KeyUnknown { .. }), "{error}");
        assert_eq!(error.to_string(), "there is no key `key_x'; --`");
    }

    #[test]
    fn every_file_is_for_its_owner_alone() {
        let (folder, path, store) = new_store();
        create(&store, "payments", Timestamp::UNIX_EPOCH);
        let files: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap())
            .collect();
        assert!(files.len() > 1, "the write-ahead log is a file of its own");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.path());
        }
        drop(store);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(error.to_string().ends_with("(mode 640)"), "{error}");
        assert!(error.help().starts_with("chmod 600 "));
    }

    #[test]
    fn a_file_without_schema_gets_one_and_a_current_one_is_left_alone() {
        let (_folder, path, store) = new_store();
        create(&store, "payments", Timestamp::UNIX_EPOCH);
        let version = |store: &Store| {
            store
                .connection()
                .pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))
                .unwrap()
        };
        assert_eq!(version(&store), 4);
        drop(store);
        let again = Store::open(&path).unwrap();
        assert_eq!((version(&again), again.records().unwrap().len()), (4, 1));
    }

    #[test]
    fn keys_of_the_first_version_work_on_without_bounds() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("carnet.db");
        let secret = SecretKey::from_random([7; 20]);
        prepare_file(&path).unwrap();
        let mut old = connect(&path).unwrap();
        let first = MIGRATIONS.get(..1).unwrap();
        migrate(&mut old, &path, (APPLICATION_ID, first)).unwrap();
        old.execute(
            "INSERT INTO keys (id, digest, workload, note, created, revoked)
             VALUES ('key_1', ?1, 'payments', '', '2026-01-01T00:00:00Z', NULL),
                    ('key_2', zeroblob(32), 'search', '', '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z')",
            params![secret.digest().as_bytes()],
        )
        .unwrap();
        drop(old);
        let records = Store::open(&path).unwrap().records().unwrap();
        assert!(records[1].revoked.is_some());
        let ring = KeyRing::new(records);
        let found = ring.find(secret.expose()).unwrap();
        assert_eq!((found.key.id.as_str(), found.until), ("key_1", None));
        assert_eq!(found.key.terms, KeyTerms::default());
    }

    #[test]
    fn foreign_newer_and_damaged_databases_are_refused_untouched() {
        let (folder, path, store) = new_store();
        store
            .connection()
            .pragma_update(None, "user_version", 7)
            .unwrap();
        drop(store);
        let error = Store::open(&path).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 7,
                    known: 4,
                    ..
                }
            ),
            "{error}"
        );

        let foreign = folder.path().join("foreign.db");
        let other = Connection::open(&foreign).unwrap();
        other.execute_batch("CREATE TABLE keys (id TEXT)").unwrap();
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            Store::open(&foreign).unwrap_err(),
            StoreError::Foreign { .. }
        ));

        let text = folder.path().join("text.db");
        fs::write(&text, "not a database, ".repeat(100)).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            Store::open(&text).unwrap_err(),
            StoreError::Sqlite(_)
        ));

        let missing = folder.path().join("none").join("carnet.db");
        assert!(matches!(
            Store::open(&missing).unwrap_err(),
            StoreError::Open { .. }
        ));
    }

    #[test]
    fn a_damaged_date_is_an_error_and_never_a_key_that_works() {
        let (_folder, _, store) = new_store();
        let (_, record) = create(&store, "payments", Timestamp::UNIX_EPOCH);
        store
            .connection()
            .execute("UPDATE keys SET revoked = 'soon'", [])
            .unwrap();
        let error = store.records().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the stored key `{}` is damaged: its revocation date cannot be read",
                record.id
            )
        );
    }
}
