//! The Unix socket in the state directory. Who can open it owns the state; that is the credential.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket};

use crate::limits::SOCKET_BACKLOG;

/// Ending of the file beside the socket whose lock says that a process works with the state.
const LOCK_ENDING: &str = "lock";
/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;

/// Why the state cannot be had, or its socket not be opened.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another process works with this state.
    #[error("another process already works with this state and holds `{}`", lock.display())]
    InUse {
        /// The locked file.
        lock: PathBuf,
    },
    /// A file cannot be made or removed.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else stands where the socket belongs.
    #[error("`{}` is in the way: it is not a socket", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
}

impl SocketError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::InUse { .. } => {
                "stop the other `carnet serve`, or give this one a state directory of its own with --state DIR"
            }
            Self::Io { .. } => {
                "check that the state directory belongs to you; a socket's whole path may have at most 107 bytes"
            }
            Self::NotASocket { .. } => "move that file away",
        }
    }
}

/// The sole right to change the state from this process. A server has it while it runs; a command
/// that writes the store itself has it meanwhile. It ends with the process, however that ends.
#[derive(Debug)]
pub struct StateLock {
    // The lock lives as long as the open file.
    _file: File,
}

impl StateLock {
    /// Take the right to the state to which this socket belongs; whether there is a socket does not matter.
    ///
    /// # Errors
    /// [`SocketError::InUse`] when another process has it.
    pub fn take(socket: &Path) -> Result<Self, SocketError> {
        let path = socket.with_extension(LOCK_ENDING);
        let trouble = |source| SocketError::Io {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(trouble)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(SocketError::InUse { lock: path }),
            Err(fs::TryLockError::Error(source)) => Err(trouble(source)),
        }
    }
}

/// The open socket. Callers queue from now on and are answered once it is served.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    place: Place,
}

/// The socket's file, removed in the end; the lock goes last, so that no new server's file is hit.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    _lock: StateLock,
}

impl AdminSocket {
    /// Take the state and open its socket, for the owner alone. To be called before the keys are
    /// read, so that no command changes them in between. Needs a running tokio runtime.
    ///
    /// # Errors
    /// When another process has the state, or the socket cannot be made.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let lock = StateLock::take(path)?;
        remove_stale(path)?;
        let path = path.to_path_buf();
        let listener = listen(&path).map_err(|source| SocketError::Io {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            listener,
            place: Place { path, _lock: lock },
        })
    }

    /// The listener, and what must be dropped when it is no longer served.
    pub(crate) fn into_parts(self) -> (UnixListener, impl Drop) {
        (self.listener, self.place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket could not be removed; the next start does it");
        }
    }
}

/// We hold the lock, so a socket that is there was left by a process that died.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let trouble = |source| SocketError::Io {
        path: path.to_path_buf(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(trouble),
        Ok(_) => Err(SocketError::NotASocket {
            path: path.to_path_buf(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(trouble(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Until it listens nobody gets in, whatever mode it was made with.
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))?;
    socket.listen(SOCKET_BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_goes_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(
            (mode(&path), mode(&folder.path().join("admin.lock"))),
            (0o600, 0o600)
        );
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_server_is_left_alone_and_a_dead_ones_socket_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        // A process that dies closes its socket and leaves the file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let living = AdminSocket::bind(&path).unwrap();
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(matches!(
            StateLock::take(&path).unwrap_err(),
            SocketError::InUse { .. }
        ));
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(living);
        AdminSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "a note").unwrap();
        assert!(matches!(
            AdminSocket::bind(&path).unwrap_err(),
            SocketError::NotASocket { .. }
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a note");
        let long = folder.path().join("x".repeat(120));
        let error = AdminSocket::bind(&long).unwrap_err();
        assert!(
            matches!(error, SocketError::Io { .. }) && error.help().contains("107 bytes"),
            "{error}"
        );
    }
}
