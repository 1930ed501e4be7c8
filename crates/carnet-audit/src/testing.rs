//! Helpers of the tests: a disk that can be filled and broken, a clock that stands still, small logs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::disk::{Disk, RealDisk, put_with};
use crate::scan::used_bytes;
use crate::{
    Intent, Kind, Log, OpenError, Options, Outcome, PublicKey, Record, Recovered, Report, Signer,
    verify,
};

/// The real file system, without waiting for the medium, and with switches to fail by.
#[derive(Debug, Default)]
pub(crate) struct TestDisk {
    /// No room for new segments and files.
    pub(crate) full: AtomicBool,
    /// Writes to the journal fail half way.
    pub(crate) broken: AtomicBool,
    /// Checkpoints cannot be put.
    pub(crate) unsigned: AtomicBool,
    /// How often bytes were brought to the medium.
    pub(crate) syncs: AtomicUsize,
    /// The folders of which the names were brought there, in this order.
    pub(crate) folders: Mutex<Vec<PathBuf>>,
    /// The names that a crash of the machine cannot take away.
    pub(crate) durable: Mutex<BTreeSet<PathBuf>>,
}

impl TestDisk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl Disk for TestDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<File> {
        self.room()?;
        let file = File::create(path)?;
        file.set_len(bytes)?;
        Ok(file)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            RealDisk.write(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::other("the medium failed"));
        }
        RealDisk.write(file, bytes, offset)
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
        let names = names.collect::<io::Result<Vec<PathBuf>>>()?;
        let mut durable = self.durable.lock().unwrap();
        durable.retain(|name| name.parent() != Some(path));
        durable.extend(names);
        self.folders.lock().unwrap().push(path.to_owned());
        Ok(())
    }

    fn put(&self, root: &Path, relative: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        self.room()?;
        if relative == "checkpoint" && self.unsigned.load(Ordering::SeqCst) {
            return Err(io::Error::other("no checkpoint"));
        }
        put_with(root, relative, bytes, |_| Ok(()))
    }
}

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

/// Checkpoints only when they are asked for.
pub(crate) const NEVER: Duration = Duration::from_secs(1_000_000);

pub(crate) fn options() -> Options {
    Options {
        checkpoint_every: NEVER,
        segment_bytes: 1 << 20,
        max_open: 4,
        ..Options::default()
    }
}

pub(crate) fn signer() -> Signer {
    Signer::new("carnet.test/log", &[42; 32]).unwrap()
}

pub(crate) fn key() -> PublicKey {
    signer().public_key().unwrap()
}

pub(crate) fn open_with(dir: &Path, options: Options) -> Result<(Log, Recovered), OpenError> {
    let clock = Arc::new(TestClock::default());
    Log::open_on(
        Arc::new(TestDisk::default()),
        dir,
        signer(),
        options,
        Box::new(move || clock.now()),
    )
}

pub(crate) fn open(dir: &Path) -> (Log, Recovered) {
    open_with(dir, options()).unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn record(id: &str) -> Record {
    Record {
        workload: Some("payments".into()),
        requested_model: Some("some-model".into()),
        ..Record::new(
            Kind::Request,
            id.into(),
            Timestamp::UNIX_EPOCH,
            Outcome::Completed,
        )
    }
}

pub(crate) fn intent(id: &str) -> Intent {
    record(id).intent()
}

/// A decision document with its name.
pub(crate) fn document(text: &str) -> (String, String) {
    let json = format!("{{\"decision\":\"permit\",\"why\":\"{text}\"}}");
    (
        format!("sha256:{}", hex::encode(Sha256::digest(&json))),
        json,
    )
}

/// Write one answered request and wait until it is safe.
pub(crate) fn write(log: &Log, id: &str) {
    block_on(async {
        let mut slot = log.reserve().unwrap();
        slot.intent(&intent(id)).await.unwrap();
        slot.leaf_written(record(id)).await.unwrap();
    });
}

#[track_caller]
pub(crate) fn assert_verifies(dir: &Path) -> Report {
    let report = verify(dir, &key());
    assert!(report.verified(), "{:#?}", report.problems);
    report
}

/// All files below a folder, with their bytes.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                files.push((path, bytes));
            }
        }
    }
    files.sort();
    files
}

/// Segments that are soon full.
pub(crate) fn small_segments() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        ..options()
    }
}

/// Copy a log, without its unused segments and most of the zeros at the end of the others.
pub(crate) fn copy(from: &Path, to: &Path) {
    for (path, mut bytes) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if path.extension().is_some_and(|extension| extension == "wal") {
            let used = used_bytes(&bytes);
            if used == 0 {
                continue;
            }
            bytes.truncate(used + 5000);
        }
        fs::write(target, bytes).unwrap();
    }
}
