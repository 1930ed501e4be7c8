//! Which files of a state directory belong in a backup. Whatever has no kind here is neither copied nor restored.

use carnet_admin::Database;
use carnet_audit::is_log_file;

use crate::state::format;

/// The log's folder.
pub(crate) const LOG: &str = "audit";
/// What a damaged journal was before it was repaired.
const DAMAGED: &str = "audit.damaged";
/// Longest name of a key's file: with its folder it fits into one header of a tar file.
const KEY_NAME_BYTES_MAX: usize = 80;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Copied as one consistent instant of its database.
    Database(Database),
    /// Part of the log, copied as a whole.
    Log,
    /// Copied as it is.
    Plain,
    /// The same, and whoever has it can sign, open or use something.
    Secret,
}

/// What the file with this name inside the state directory is.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    match name {
        "carnet.db" => return Some(Kind::Database(Database::Keys)),
        "conversations.db" => return Some(Kind::Database(Database::Conversations)),
        "admin.token" | "audit.key" | "conversations.key" | "demo.key" | "metrics.token" => {
            return Some(Kind::Secret);
        }
        "audit.pub"
        | format::FILE
        | "registry/current.carnet-registry"
        | "registry/previous.carnet-registry"
        | "suspended.json" => return Some(Kind::Plain),
        _ => {}
    }
    let (folder, file) = name.split_once('/')?;
    match folder {
        LOG if is_log_file(file) => Some(Kind::Log),
        DAMAGED if is_log_file(&format!("journal/{file}")) => Some(Kind::Plain),
        "registry-keys" if is_key_name(file) => Some(Kind::Plain),
        _ => None,
    }
}

fn is_key_name(file: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' ');
    file.len() <= KEY_NAME_BYTES_MAX
        && file.ends_with(".pub")
        && !file.starts_with('.')
        && file.bytes().all(plain)
}

/// Folders whose files may have a kind.
pub(crate) fn is_folder(name: &str) -> bool {
    matches!(name, LOG | DAMAGED | "registry" | "registry-keys")
}

/// Whether a name in the state directory is there for a running process only, so that nobody misses it in a backup.
pub(crate) fn is_transient(name: &str) -> bool {
    const ENDINGS: [&str; 6] = [
        ".db-journal",
        ".db-shm",
        ".db-wal",
        ".lock",
        ".sock",
        ".tmp",
    ];
    name == LOST_AND_FOUND
        || name.starts_with("engine-")
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// What a file system puts into its topmost folder by itself.
pub(crate) const LOST_AND_FOUND: &str = "lost+found";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::state::State;

    #[test]
    fn everything_that_the_state_directory_has_is_known_here() {
        let state = State::find(Some(Path::new("state"))).unwrap();
        let name = |path: std::path::PathBuf| {
            let inside = path.strip_prefix("state").unwrap();
            inside.to_str().unwrap().to_owned()
        };
        for (path, expected) in [
            (state.audit().join("checkpoint"), Kind::Log),
            (state.audit().join("tile/entries/000"), Kind::Log),
            (state.audit().join("journal/0000000000.wal"), Kind::Log),
            (state.audit_key(), Kind::Secret),
            (state.audit_public_key(), Kind::Plain),
            (state.suspended(), Kind::Plain),
            (state.database(), Kind::Database(Database::Keys)),
            (
                state.conversations(),
                Kind::Database(Database::Conversations),
            ),
            (state.conversations_key(), Kind::Secret),
            (state.admin_token(), Kind::Secret),
            (state.metrics_token(), Kind::Secret),
            (state.demo_key(), Kind::Secret),
            (state.registry_bundle(), Kind::Plain),
            (state.registry_previous(), Kind::Plain),
            (
                state.registry_keys().join("0123456789abcdef.pub"),
                Kind::Plain,
            ),
            (state.format_file(), Kind::Plain),
        ] {
            let name = name(path);
            assert_eq!(kind(&name), Some(expected), "{name}");
            assert!(!is_transient(&name), "{name}");
        }
        for path in [state.socket(), state.unfinished_restore()] {
            let name = name(path);
            assert!(kind(&name).is_none() && is_transient(&name), "{name}");
        }
    }

    #[test]
    fn no_other_name_has_a_kind() {
        for name in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../audit.key",
            "audit",
            "audit/",
            "audit/../audit.key",
            "audit/./checkpoint",
            "audit/journal/lock",
            "audit/journal//0000000000.wal",
            "audit/journal/0.wal",
            "audit/tile/0/1",
            "audit/tile/0/../0/000",
            "audit/tmp/next",
            "audit.damaged/checkpoint",
            "audit.damaged/../x.wal",
            "admin.sock",
            "carnet.db-wal",
            "carnet.toml",
            "registry/next.tmp",
            "registry-keys/.pub",
            "registry-keys/..pub",
            "registry-keys/a/b.pub",
            "registry-keys/a",
            "registry-keys/../a.pub",
            "Audit.key",
            "audit.key\0",
            "state/audit.key",
        ] {
            assert_eq!(kind(name), None, "{name:?}");
        }
    }
}
