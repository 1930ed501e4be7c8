//! Tokens of the admin side: made at the first start, kept in a file for their owner alone.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::limits::{SECRET_FILE_BYTES_MAX, TOKEN_LENGTH_MIN};

/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;

/// A token, known by its digest only: it can be recognised, but not shown.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether `text` is this token; takes the same time for every wrong one of its length.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::of(text).0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a token's file cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It cannot be read or made.
    #[error("cannot use the token file `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may read or write it.
    #[error("others can read or write the token file `{}` (mode {mode:03o})", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a token: {0}")]
    Random(getrandom::Error),
    /// What it holds is no token.
    #[error("the token file `{}` holds no token of at least {TOKEN_LENGTH_MIN} visible characters", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

impl SecretError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Io { .. } => {
                "check that the state directory exists and belongs to you".to_owned()
            }
            Self::OpenToOthers { path, .. } => {
                format!(
                    "others may know it: rm {} and start again, which makes a new one",
                    path.display()
                )
            }
            Self::Random(_) => {
                "wait until the system has gathered randomness, then start again".to_owned()
            }
            Self::Unusable { path } => format!(
                "rm {} and start again, which makes a new one",
                path.display()
            ),
        }
    }
}

/// The token in this file; the first start makes it: 32 random bytes in hex, mode 0600.
///
/// # Errors
/// When the file can neither be read nor made, is open to others, or holds no token.
pub fn load_or_create_secret(path: &Path) -> Result<Token, SecretError> {
    let trouble = |source| SecretError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut new = OpenOptions::new();
    match new.write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(file) => create(file, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(trouble(error)),
    }
}

fn create(mut file: File, path: &Path) -> Result<Token, SecretError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SecretError::Random)?;
    let text = hex::encode(bytes);
    let write = file
        .write_all(format!("{text}\n").as_bytes())
        .and_then(|()| file.sync_all());
    write.map_err(|source| SecretError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(Token::of(&text))
}

fn load(path: &Path) -> Result<Token, SecretError> {
    let trouble = |source| SecretError::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(trouble)?;
    let mode = file.metadata().map_err(trouble)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::OpenToOthers {
            path: path.to_path_buf(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(trouble)?;
    // A start that died while it wrote leaves a short file, which must not become a short token.
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    let usable = text.len() >= TOKEN_LENGTH_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
    if usable {
        Ok(Token::of(text))
    } else {
        Err(SecretError::Unusable {
            path: path.to_path_buf(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_start_makes_a_token_and_later_ones_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let made = load_or_create_secret(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(made.is(text.trim()) && !made.is("") && !made.is(&text));
        assert!(load_or_create_secret(&path).unwrap().is(text.trim()));
        assert_eq!(format!("{made:?}"), "Token(…)");
        let other = load_or_create_secret(&folder.path().join("metrics.token")).unwrap();
        assert!(!other.is(text.trim()));
    }

    #[test]
    fn unusable_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        for text in [
            "",
            "\n",
            "short",
            "with blanks with blanks with blanks with blanks",
            "abc\0",
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = load_or_create_secret(&path).unwrap_err();
            assert!(
                matches!(error, SecretError::Unusable { .. }),
                "{text:?}: {error}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            load_or_create_secret(&path).unwrap_err(),
            SecretError::OpenToOthers { mode: 0o644, .. }
        ));
        let nowhere = folder.path().join("none").join("admin.token");
        assert!(matches!(
            load_or_create_secret(&nowhere).unwrap_err(),
            SecretError::Io { .. }
        ));
    }
}
