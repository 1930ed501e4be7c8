//! The version of a state directory: read before anything in it is used, and brought up step by step.
//!
//! It says what lies where. Each database has the version of its own schema besides, and the log that of its records.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use carnet_admin::{Conversations, Store};

use super::State;
use crate::trouble::{Trouble, Troubles};
use crate::world;

/// The version that this program writes.
pub(crate) const FORMAT: u32 = 2;
/// The version before any was written down.
const UNMARKED: u32 = 1;
/// The file that names it.
pub(crate) const FILE: &str = "format";
/// What stands before the number.
const WORD: &str = "carnet-state";

/// Each step leads from the version that is its place (from 1) to the next. A step may be interrupted at any point and is
/// then done again, since the number is written last. Steps are only ever added.
const STEPS: &[Step] = &[bring_databases_up];

/// What leads from one version to the next.
type Step = fn(&State) -> Result<(), Troubles>;

impl State {
    /// The version of what lies here; none where nothing does.
    pub(crate) fn format(&self) -> Result<Option<u32>, Troubles> {
        let file = self.format_file();
        if let Some(number) = read(&file)? {
            return Ok(Some(number));
        }
        let old = [self.audit(), self.database(), self.conversations()];
        Ok(old.iter().any(|path| path.exists()).then_some(UNMARKED))
    }

    /// Refuse what a later program wrote: it may mean something else by it.
    pub(crate) fn refuse_newer(&self) -> Result<(), Troubles> {
        match self.format()? {
            Some(found) if found > FORMAT => {
                Err(newer(&self.folder().display().to_string(), found))
            }
            _ => Ok(()),
        }
    }

    /// Bring it to the version of this program. For whoever holds the state's lock, before anything else is opened.
    pub(crate) fn bring_up(&self) -> Result<(), Troubles> {
        self.refuse_newer()?;
        let found = self.format()?;
        if found == Some(FORMAT) {
            return Ok(());
        }
        if let Some(found) = found {
            let done = usize::try_from(found.saturating_sub(UNMARKED)).unwrap_or(usize::MAX);
            for step in STEPS.iter().skip(done) {
                step(self)?;
            }
            tracing::info!(
                from = found,
                to = FORMAT,
                "the state directory was brought up"
            );
        }
        // Last: until it is there, the steps are done again.
        let file = self.format_file();
        world::write(&file, format!("{WORD} {FORMAT}\n").as_bytes())?;
        let synced = fs::File::open(self.folder()).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Trouble::io("write it", &file, &error, "check the disk"))
    }

    /// The file that names the version.
    pub(crate) fn format_file(&self) -> PathBuf {
        self.folder().join(FILE)
    }
}

/// Why something of a later version is left alone.
pub(crate) fn newer(what: &str, found: u32) -> Troubles {
    vec![Trouble::new(
        format!(
            "`{what}` was made by a newer Carnet: its state has version {found}, and this program knows versions up to {FORMAT}"
        ),
        "run that Carnet or a later one; to go back to this one, restore a backup that it made",
    )]
}

/// The number in a file, if that is there.
pub(crate) fn read(file: &Path) -> Result<Option<u32>, Troubles> {
    match fs::symlink_metadata(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        _ => {}
    }
    let text = world::read_text(file)?;
    let number = text
        .trim()
        .strip_prefix(WORD)
        .and_then(|number| number.trim().parse().ok())
        .filter(|number| *number >= UNMARKED);
    number.map(Some).ok_or_else(|| {
        vec![
            Trouble::new(
                "the version of the state cannot be read",
                format!("restore a backup, or if nothing else there is damaged, write `{WORD} {FORMAT}` into it"),
            )
            .of(file),
        ]
    })
}

/// 1 to 2: the databases get the schemas of today, each in one transaction.
fn bring_databases_up(state: &State) -> Result<(), Troubles> {
    let trouble =
        |error: carnet_admin::StoreError| vec![Trouble::new(error.to_string(), error.help())];
    if state.database().exists() {
        drop(Store::open(&state.database()).map_err(trouble)?);
    }
    if state.conversations().exists() {
        drop(Conversations::open(&state.conversations()).map_err(trouble)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State(folder.path().to_path_buf());
        (folder, state)
    }

    #[test]
    fn a_fresh_directory_gets_the_version_of_today_and_a_step_leads_from_each_other_one() {
        assert_eq!(STEPS.len(), (FORMAT - UNMARKED) as usize);
        let (_folder, state) = state();
        assert_eq!(state.format().unwrap(), None);
        state.bring_up().unwrap();
        assert_eq!(state.format().unwrap(), Some(FORMAT));
        assert!(!state.database().exists(), "nothing else is made");
        state.bring_up().unwrap();
    }

    #[test]
    fn what_was_made_before_versions_is_the_first() {
        let (_folder, state) = state();
        drop(Store::open(&state.database()).unwrap());
        assert_eq!(state.format().unwrap(), Some(UNMARKED));
        state.bring_up().unwrap();
        assert_eq!(state.format().unwrap(), Some(FORMAT));
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_as_it_was() {
        let (_folder, state) = state();
        fs::write(state.database(), "no database".repeat(100)).unwrap();
        assert!(state.bring_up().is_err());
        assert_eq!(state.format().unwrap(), Some(UNMARKED));
        assert!(!state.format_file().exists());
    }

    #[test]
    fn newer_and_unreadable_versions_are_refused() {
        let (_folder, state) = state();
        for (text, complaint) in [
            ("carnet-state 3\n", "was made by a newer Carnet"),
            ("carnet-state 4294967295", "state has version 4294967295"),
            ("carnet-state 0", "cannot be read"),
            ("carnet-state -1", "cannot be read"),
            ("carnet-state", "cannot be read"),
            ("2", "cannot be read"),
            ("", "cannot be read"),
        ] {
            fs::write(state.format_file(), text).unwrap();
            let troubles = state.bring_up().unwrap_err();
            assert!(
                troubles[0].message.contains(complaint),
                "{text:?}: {troubles:?}"
            );
            assert_eq!(fs::read_to_string(state.format_file()).unwrap(), text);
        }
    }
}
