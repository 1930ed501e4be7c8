//! Where cvc5 is, and which version of it. It is a program of its own and never bundled.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use thiserror::Error;
use tokio::process::Command;
use tokio::time::timeout;

use crate::limits::VERSION_TIME_MAX;
use crate::thread;

/// The solver's name on `PATH`.
const CVC5: &str = "cvc5";

/// A solver that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solver {
    path: PathBuf,
}

/// Why there is no solver to ask.
#[derive(Debug, Error)]
pub enum SolverProblem {
    /// Nothing was found.
    #[error("cvc5, which proves properties, is not installed")]
    Missing,
    /// `$CVC5` names something that is not there.
    #[error("`CVC5` names `{}`, which is no program", path.display())]
    NoProgram {
        /// What it names.
        path: PathBuf,
    },
    /// The program is not cvc5.
    #[error("`{}` does not answer as cvc5 does", path.display())]
    NotCvc5 {
        /// The program.
        path: PathBuf,
    },
    /// The program could not be run.
    #[error("`{}` cannot be run", path.display())]
    NotRun {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl SolverProblem {
    /// How to put it right.
    #[must_use]
    pub fn help(&self) -> &'static str {
        "apt-get install cvc5, or set CVC5 to the path of the program"
    }
}

impl Solver {
    /// Find cvc5: what `$CVC5` names, or else the first of that name on `$PATH`. The caller passes
    /// the values of both.
    ///
    /// # Errors
    /// When it is not there.
    pub fn find(cvc5: Option<&OsStr>, path: Option<&OsStr>) -> Result<Self, SolverProblem> {
        let named = cvc5.filter(|named| !named.is_empty());
        let wanted = Path::new(named.unwrap_or(OsStr::new(CVC5)));
        // As a shell does: a name with a slash is a path, any other is looked for.
        let found = if wanted.components().count() > 1 {
            Some(wanted.to_owned()).filter(|file| is_program(file))
        } else {
            std::env::split_paths(path.unwrap_or_default())
                .map(|folder| folder.join(wanted))
                .find(|file| is_program(file))
        };
        match (found, named) {
            (Some(path), _) => Ok(Self { path }),
            (None, None) => Err(SolverProblem::Missing),
            (None, Some(named)) => Err(SolverProblem::NoProgram { path: named.into() }),
        }
    }

    /// The program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name and version, as in `cvc5 1.0.3`, from its own words.
    ///
    /// # Errors
    /// When it cannot be run or is another program.
    pub fn version(&self) -> Result<String, SolverProblem> {
        let not_run = |source| SolverProblem::NotRun {
            path: self.path.clone(),
            source,
        };
        let asked = thread::block_on(|| async {
            let mut command = Command::new(&self.path);
            command
                .arg("--version")
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            match timeout(VERSION_TIME_MAX, command.output()).await {
                Ok(output) => output,
                Err(elapsed) => Err(elapsed.into()),
            }
        });
        let output = asked.map_err(Into::into).and_then(|output| output);
        let output = output.map_err(not_run)?;
        let words = String::from_utf8_lossy(&output.stdout);
        let version = words
            .lines()
            .find_map(|line| line.split_once("cvc5 version "))
            .map(|(_, version)| version.trim())
            .filter(|version| !version.is_empty());
        match version {
            Some(version) => Ok(format!("{CVC5} {version}")),
            None => Err(SolverProblem::NotCvc5 {
                path: self.path.clone(),
            }),
        }
    }
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
