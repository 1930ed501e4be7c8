//! The access log: a line of JSON for each request, written beside the requests by one thread.
//!
//! It is for convenience. Where lines cannot be written as fast as they come, they are lost and counted; the log of records is what
//! proves. A file that was moved away (by logrotate, for example) is opened again under its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use carnet_gateway::config::AccessLogTo;
use carnet_gateway::limits::ACCESS_LOG_LINES_MAX;
use carnet_gateway::{Ended, Gateway, Onlooker};

use crate::out;
use crate::trouble::{Trouble, Troubles};

/// How often a file is looked for under its name.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is left at the end may take this long.
const END_TIME_MAX: Duration = Duration::from_secs(2);
/// Whoever collects logs is often in the file's group.
const MODE: u32 = 0o640;

/// The running access log.
pub(crate) struct AccessLog {
    closing: Arc<AtomicBool>,
    closed: Receiver<()>,
}

/// The side of requests.
#[derive(Debug)]
struct Queue(SyncSender<Arc<Ended>>);

impl Onlooker for Queue {
    fn ended(&self, ended: &Arc<Ended>) -> bool {
        self.0.try_send(ended.clone()).is_ok()
    }
}

impl AccessLog {
    /// Begin to write, if anywhere.
    pub(crate) fn open(to: &AccessLogTo, gateway: &Arc<Gateway>) -> Result<Option<Self>, Troubles> {
        let place = match to {
            AccessLogTo::Off => return Ok(None),
            AccessLogTo::Stderr => Place::Stderr,
            AccessLogTo::File(path) => Place::file(path).map_err(|error| {
                let help = "make its folder, and let the user that runs Carnet write there";
                Trouble::io("open the access log", path, &error, help)
            })?,
        };
        let (sender, queue) = sync_channel(ACCESS_LOG_LINES_MAX);
        let (told, closed) = sync_channel(1);
        let closing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            place,
            queue,
            closing: closing.clone(),
            gateway: gateway.clone(),
            failing: false,
        };
        let started = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run();
                // Nobody waits any more when it comes too late.
                let _ = told.send(());
            });
        started.map_err(|error| {
            vec![Trouble::new(
                format!("cannot start a thread: {error}"),
                "check the limits of this user (`ulimit -u`)",
            )]
        })?;
        gateway.open_access_log(Box::new(Queue(sender)));
        Ok(Some(Self { closing, closed }))
    }

    /// Write what is left, if that can be done in time.
    pub(crate) fn close(self) {
        self.closing.store(true, Ordering::SeqCst);
        if self.closed.recv_timeout(END_TIME_MAX).is_err() {
            tracing::warn!("the access log could not be written to its end");
        }
    }
}

/// Where lines go.
enum Place {
    Stderr,
    File {
        path: PathBuf,
        file: BufWriter<File>,
        looked: Instant,
    },
}

impl Place {
    fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File {
            path: path.to_owned(),
            file: BufWriter::new(open(path)?),
            looked: Instant::now(),
        })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        match self {
            // In one piece, so that other lines stay whole.
            Self::Stderr => out::lines().write_all(format!("{line}\n").as_bytes()),
            Self::File { file, .. } => writeln!(file, "{line}"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr => Ok(()),
            Self::File { file, .. } => file.flush(),
        }
    }

    /// Open the file again when another, or none, has its name now.
    fn look(&mut self) -> io::Result<()> {
        let Self::File { path, file, looked } = self else {
            return Ok(());
        };
        if looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        *looked = Instant::now();
        let ours = file.get_ref().metadata()?;
        let there = fs::metadata(&*path).ok();
        let same =
            there.is_some_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if !same {
            *file = BufWriter::new(open(path)?);
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

struct Writer {
    place: Place,
    queue: Receiver<Arc<Ended>>,
    closing: Arc<AtomicBool>,
    gateway: Arc<Gateway>,
    /// Whether the last lines could not be written.
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.queue.recv_timeout(LOOK_EVERY / 4) {
                Ok(ended) => self.lines(&ended),
                Err(RecvTimeoutError::Timeout) if self.closing.load(Ordering::SeqCst) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Write a line and those that wait behind it.
    fn lines(&mut self, first: &Ended) {
        let mut count = 1;
        let mut written = self
            .place
            .look()
            .and_then(|()| self.place.write(&first.line()));
        while let Ok(ended) = self.queue.try_recv() {
            count += 1;
            let line = ended.line();
            written = written.and_then(|()| self.place.write(&line));
            if count == ACCESS_LOG_LINES_MAX as u64 {
                break;
            }
        }
        let written = written.and_then(|()| self.place.flush());
        if let Err(error) = &written {
            // Some of them may be there: rather too many are told as lost than too few.
            self.gateway.metrics().access_lines_lost(count);
            if !self.failing {
                tracing::warn!(%error, "the access log cannot be written");
            }
            self.again();
        }
        self.failing = written.is_err();
    }

    /// What could not be written must not be tried again with the next lines.
    fn again(&mut self) {
        if let Place::File { path, file, .. } = &mut self.place
            && let Ok(new) = open(path)
        {
            let broken = std::mem::replace(file, BufWriter::new(new));
            // Without its buffer, which would be written when it is dropped.
            let _ = broken.into_parts();
        }
    }
}
