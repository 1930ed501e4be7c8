//! Copies of databases, also of those that a server is writing, and what can be said of one from outside.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{FILE_MODE, STORE_BUSY_TIME_MAX, StoreError, connect, conversations, keys_schema};

/// Pause before a database that is busy is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// The databases of a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Conversations that are kept.
    Conversations,
    /// Keys, ids of kept responses, and what has been used of limits.
    Keys,
}

impl Database {
    fn schema(self) -> (i32, &'static [&'static str]) {
        match self {
            Self::Conversations => conversations::schema(),
            Self::Keys => keys_schema(),
        }
    }

    /// The version of its schema that this program writes.
    #[must_use]
    pub fn version_known(self) -> usize {
        self.schema().1.len()
    }

    /// Look at a database without changing what is in it: that it is ours, of a version that is known here, and sound.
    /// Returns the version.
    ///
    /// # Errors
    /// When it is none of that, or cannot be read.
    pub fn check(self, path: &Path) -> Result<usize, StoreError> {
        let connection = connect(path)?;
        let version = self.version(&connection, path)?;
        let said: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if said == "ok" {
            Ok(version)
        } else {
            Err(StoreError::Corrupt {
                path: path.to_path_buf(),
                reason: said,
            })
        }
    }

    /// Copy a database as it is at one instant into a new file, whoever writes it meanwhile. Returns the version of its
    /// schema.
    ///
    /// # Errors
    /// When it is not ours, of a later version, or not sound, or cannot be read or written.
    pub fn copy(self, from: &Path, to: &Path) -> Result<usize, StoreError> {
        let source = connect(from)?;
        self.version(&source, from)?;
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(to);
        made.map_err(|source| StoreError::Open {
            path: to.to_path_buf(),
            source,
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut target = Connection::open_with_flags(to, flags)?;
        {
            let backup = Backup::new(&source, &mut target)?;
            let until = Instant::now() + STORE_BUSY_TIME_MAX;
            // All pages at once, that is under one read transaction: in steps, each write of the server would have it
            // begin again.
            loop {
                match backup.step(-1)? {
                    StepResult::Done => break,
                    StepResult::Busy | StepResult::Locked if Instant::now() >= until => {
                        return Err(StoreError::Busy {
                            path: from.to_path_buf(),
                        });
                    }
                    _ => thread::sleep(PAUSE),
                }
            }
        }
        drop(target);
        self.check(to)
    }

    fn version(self, connection: &Connection, path: &Path) -> Result<usize, StoreError> {
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let (owner, migrations) = self.schema();
        if number("application_id")? != owner {
            return Err(StoreError::Foreign {
                path: path.to_path_buf(),
            });
        }
        let found = usize::try_from(number("user_version")?).unwrap_or(usize::MAX);
        let known = migrations.len();
        if found > known {
            return Err(StoreError::Newer {
                path: path.to_path_buf(),
                found,
                known,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    use carnet_limits::KeyTerms;
    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::super::{Conversations, Store};
    use super::*;

    fn create(store: &Store, workload: &str) {
        store
            .create(workload, "", KeyTerms::default(), Timestamp::UNIX_EPOCH)
            .unwrap();
    }

    #[test]
    fn a_copy_has_what_was_written_and_nothing_of_later() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("carnet.db"), folder.path().join("copy"));
        let store = Store::open(&from).unwrap();
        create(&store, "first");
        assert_eq!(Database::Keys.copy(&from, &to).unwrap(), 4);
        create(&store, "second");
        let mut files: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.retain(|file| file.starts_with("copy"));
        assert_eq!(files, ["copy"], "all of it is in one file");
        let copied = Store::open(&to).unwrap().records().unwrap();
        assert_eq!(copied.len(), 1);
        assert_eq!(store.records().unwrap().len(), 2);
    }

    #[test]
    fn a_database_is_copied_while_it_is_written() {
        let folder = TempDir::new().unwrap();
        let from = folder.path().join("carnet.db");
        let (store, stop) = (Store::open(&from).unwrap(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..2_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    create(&store, &format!("w{number}"));
                }
            });
            for round in 0..5 {
                let to = folder.path().join(format!("copy-{round}"));
                let before = store.records().unwrap().len();
                Database::Keys.copy(&from, &to).unwrap();
                let copied = Store::open(&to).unwrap().records().unwrap();
                assert!(copied.len() >= before);
                let names: Vec<_> = copied.iter().map(|key| key.workload.to_string()).collect();
                let whole: Vec<_> = (0..names.len()).map(|n| format!("w{n}")).collect();
                assert_eq!(names.len(), whole.len());
                assert!(whole.iter().all(|name| names.contains(name)), "{names:?}");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn only_sound_databases_of_ours_are_copied() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        drop(Conversations::open(&at("conversations.db")).unwrap());
        drop(Store::open(&at("carnet.db")).unwrap());
        let both = Database::Conversations.check(&at("conversations.db"));
        assert_eq!(both.unwrap(), Database::Conversations.version_known());
        let error = Database::Keys
            .copy(&at("conversations.db"), &at("a"))
            .unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(!at("a").exists());
        let later = Connection::open(at("carnet.db")).unwrap();
        later.pragma_update(None, "user_version", 99).unwrap();
        drop(later);
        let error = Database::Keys.copy(&at("carnet.db"), &at("b")).unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found: 99, .. }),
            "{error}"
        );
        assert!(Database::Keys.check(&at("nowhere.db")).is_err());
        assert!(!at("nowhere.db").exists(), "looking makes nothing");
        let kept = Store::open(&at("keys.db")).unwrap();
        for number in 0..50 {
            create(&kept, &format!("w{number}"));
        }
        drop(kept);
        let mut bytes = fs::read(at("keys.db")).unwrap();
        let middle = bytes.len() / 2;
        for byte in bytes.iter_mut().skip(middle).take(4096) {
            *byte ^= 0x5a;
        }
        fs::write(at("keys.db"), bytes).unwrap();
        assert!(Database::Keys.check(&at("keys.db")).is_err());
    }
}
