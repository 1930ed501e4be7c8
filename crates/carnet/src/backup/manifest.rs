//! What an archive says of itself, as its first entry.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refused;
use super::contents::{Kind, kind};
use crate::state::format;
use crate::trouble::Trouble;

/// The form of archives that this program writes.
const ARCHIVE: u32 = 1;
/// Longest manifest: two million files, which a log of half a thousand million records has.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The archive's form.
    pub(crate) format: u32,
    /// The program that made it.
    pub(crate) carnet: String,
    /// Version of the state in it.
    pub(crate) state: u32,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// Whether secrets are in it.
    pub(crate) keys: bool,
    /// Its files, by name in strictly ascending order.
    pub(crate) files: Vec<Listed>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Its place inside the state directory.
    pub(crate) name: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its digest, in hex.
    pub(crate) sha256: String,
}

/// What stays the same in every form.
#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    carnet: String,
}

impl Manifest {
    /// One for these files, made by this program.
    pub(crate) fn new(state: u32, created: Timestamp, keys: bool, files: Vec<Listed>) -> Self {
        Self {
            format: ARCHIVE,
            carnet: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            created,
            keys,
            files,
        }
    }

    /// Read one, and refuse what is newer than this program or names what no state has.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let unreadable =
            || Refused::broken("the manifest of the archive cannot be read", DAMAGED_HELP);
        let head: Head = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        if head.format > ARCHIVE {
            let (found, by) = (head.format, head.carnet);
            let message = format!(
                "the archive was made by a newer Carnet ({by}): it has form {found}, and this program knows forms up to {ARCHIVE}"
            );
            let help = "restore it with that Carnet or a later one";
            return Err(Refused::Failed(vec![Trouble::new(message, help)]));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        if manifest.state > format::FORMAT {
            return Err(format::newer("the archive", manifest.state).into());
        }
        let mut before = "";
        for file in &manifest.files {
            let name = &*file.name;
            let known = match kind(name) {
                None => false,
                Some(Kind::Secret) => manifest.keys,
                Some(_) => true,
            };
            if !known || name <= before {
                return Err(Refused::broken(
                    format!("the archive names `{name}`, which does not belong there"),
                    "nothing of it is restored: take another backup",
                ));
            }
            before = name;
        }
        Ok(manifest)
    }

    /// Bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        let all = self.files.iter().map(|file| file.bytes);
        all.fold(0, u64::saturating_add)
    }
}

/// What to do about an archive that is not whole.
pub(crate) const DAMAGED_HELP: &str =
    "nothing of it was restored: take another backup, or another copy of this one";

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(names: &[&str]) -> Manifest {
        let files = names.iter().map(|name| Listed {
            name: (*name).to_owned(),
            bytes: 1,
            sha256: "0".repeat(64),
        });
        Manifest::new(format::FORMAT, Timestamp::UNIX_EPOCH, true, files.collect())
    }

    fn parse(manifest: &Manifest) -> Result<Manifest, Refused> {
        Manifest::parse(&serde_json::to_vec(manifest).unwrap())
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let written = manifest(&["audit.key", "audit/checkpoint", "carnet.db"]);
        assert_eq!(parse(&written).unwrap(), written);
        assert_eq!(written.bytes(), 3);
    }

    #[test]
    fn names_that_do_not_belong_are_refused() {
        for names in [
            &["../audit.key"][..],
            &["/etc/passwd"],
            &["carnet.toml"],
            &["audit.key", "audit.key"],
            &["carnet.db", "audit.key"],
        ] {
            assert!(
                matches!(parse(&manifest(names)), Err(Refused::Broken(_))),
                "{names:?}"
            );
        }
        let mut without = manifest(&["audit.key"]);
        without.keys = false;
        assert!(matches!(parse(&without), Err(Refused::Broken(_))));
    }

    #[test]
    fn newer_ones_are_refused_whatever_else_they_say() {
        let newer = br#"{"format":2,"carnet":"9.9.9","shape":"another"}"#;
        let Err(Refused::Failed(troubles)) = Manifest::parse(newer) else {
            panic!("taken");
        };
        assert!(troubles[0].message.contains("a newer Carnet (9.9.9)"));
        let mut state = manifest(&[]);
        state.state = format::FORMAT + 1;
        assert!(matches!(parse(&state), Err(Refused::Failed(_))));
        for text in [&b""[..], b"{}", b"[]", br#"{"format":1}"#, b"\xff"] {
            assert!(matches!(Manifest::parse(text), Err(Refused::Broken(_))));
        }
    }
}
