//! The state directory: what lies where, with which permissions.

pub(crate) mod format;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::engine::Settings;
use crate::trouble::{Trouble, Troubles};

/// Only the owner reads and enters.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct State(PathBuf);

impl State {
    /// Where the state is: as given, else `$XDG_STATE_HOME/carnet`, else `~/.local/state/carnet`.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Troubles> {
        if let Some(given) = given {
            return Ok(Self(given.to_path_buf()));
        }
        // The base directory specification wants relative values ignored.
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".local/state")))
            .map(|base| Self(base.join("carnet")))
            .ok_or_else(|| {
                vec![Trouble::new(
                    "neither $XDG_STATE_HOME nor $HOME says where the state may lie",
                    "name a folder with --state DIR",
                )]
            })
    }

    /// Make the directory, for its owner only; refuse one that others can enter, that a later Carnet made, or to which a
    /// backup was restored only in part.
    pub(crate) fn create(&self) -> Result<(), Troubles> {
        let trouble = |error: std::io::Error| {
            Trouble::io(
                "make the state directory",
                &self.0,
                &error,
                "choose another one with --state DIR",
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&self.0)
            .map_err(trouble)?;
        let mode = fs::metadata(&self.0).map_err(trouble)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(vec![Trouble::new(
                format!(
                    "others can enter the state directory `{}` (mode {:03o})",
                    self.0.display(),
                    mode & 0o777
                ),
                format!("keys and records lie there: chmod 700 {}", self.0.display()),
            )]);
        }
        if self.unfinished_restore().exists() {
            return Err(vec![Trouble::new(
                format!(
                    "a backup is being restored to `{}`, or was only in part",
                    self.0.display()
                ),
                "wait until that is done; if it was interrupted, remove what is in that folder and restore again",
            )]);
        }
        self.refuse_newer()
    }

    /// The directory itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The log.
    pub(crate) fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The key that signs the log.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.0.join("audit.key")
    }

    /// The key that verifies the log; this file may be given to anybody.
    pub(crate) fn audit_public_key(&self) -> PathBuf {
        self.0.join("audit.pub")
    }

    /// Targets that are out of service.
    pub(crate) fn suspended(&self) -> PathBuf {
        self.0.join("suspended.json")
    }

    /// Keys of callers, as digests.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("carnet.db")
    }

    /// Conversations that Carnet keeps, sealed.
    pub(crate) fn conversations(&self) -> PathBuf {
        self.0.join("conversations.db")
    }

    /// The key that seals them.
    pub(crate) fn conversations_key(&self) -> PathBuf {
        self.0.join("conversations.key")
    }

    /// The token of the admin listener.
    pub(crate) fn admin_token(&self) -> PathBuf {
        self.0.join("admin.token")
    }

    /// The read-only token for metrics.
    pub(crate) fn metrics_token(&self) -> PathBuf {
        self.0.join("metrics.token")
    }

    /// The socket by which `carnet key` speaks to a running server.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// The socket on which an engine answers.
    pub(crate) fn engine_socket(&self, engine: &Settings) -> PathBuf {
        let (name, digest) = (&engine.name, engine.digest());
        self.0.join(format!("engine-{name}-{digest}.sock"))
    }

    /// Installed bundles.
    pub(crate) fn registry_folder(&self) -> PathBuf {
        self.0.join("registry")
    }

    /// The bundle that is installed.
    pub(crate) fn registry_bundle(&self) -> PathBuf {
        self.registry_folder().join("current.carnet-registry")
    }

    /// The bundle before, to go back to.
    pub(crate) fn registry_previous(&self) -> PathBuf {
        self.registry_folder().join("previous.carnet-registry")
    }

    /// Public keys whose bundles are taken.
    pub(crate) fn registry_keys(&self) -> PathBuf {
        self.0.join("registry-keys")
    }

    /// Make the folders for bundles and their keys.
    pub(crate) fn create_registry(&self) -> Result<(), Troubles> {
        for folder in [self.registry_folder(), self.registry_keys()] {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(&folder);
            made.map_err(|error| {
                let help = "check the state directory";
                Trouble::io("make the folder", &folder, &error, help)
            })?;
        }
        Ok(())
    }

    /// What is being restored, until all of it is in its place.
    pub(crate) fn unfinished_restore(&self) -> PathBuf {
        self.0.join("restore.tmp")
    }

    /// The demo workload's key.
    pub(crate) fn demo_key(&self) -> PathBuf {
        self.0.join("demo.key")
    }
}

/// Random bytes of the system, for secrets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Troubles> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        vec![Trouble::new(
            format!("the system gives no random bytes: {error}"),
            "check /dev/urandom",
        )]
    })?;
    Ok(bytes)
}

/// Write a new secret file that only its owner reads; one that is there already is an error.
pub(crate) fn write_secret(file: &Path, text: &str) -> std::io::Result<()> {
    SecretFile::create(file)?.keep(text)
}

/// A new file that waits for its secret, readable for its owner only. Without one it goes again.
pub(crate) struct SecretFile<'a> {
    path: &'a Path,
    file: File,
    kept: bool,
}

impl<'a> SecretFile<'a> {
    /// Make the file; one that is there already is an error.
    pub(crate) fn create(path: &'a Path) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        Ok(Self {
            path,
            file,
            kept: false,
        })
    }

    /// Write the secret down.
    pub(crate) fn keep(mut self, text: &str) -> std::io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for SecretFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // An empty file that stays would only have to be removed by hand.
            let _ = fs::remove_file(self.path);
        }
    }
}
