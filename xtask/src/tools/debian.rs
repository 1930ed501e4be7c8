//! Programs out of Debian's packages, downloaded and unpacked without root.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{anew, stamp, stamped};
use crate::console;
use crate::exec;
use crate::repo::Repo;

/// Besides the two programs, the one library of theirs that a plain system lacks.
const PEERS: &[&str] = &["nginx", "wrk", "libluajit-5.1-2"];

/// The solver and those of its libraries that a plain system lacks.
const CVC5: &[&str] = &[
    "cvc5",
    "libantlr3c-3.4-0",
    "libcln6",
    "libcryptominisat5-5.11",
    "libcvc5-1",
    "libcvc5parser1",
    "libgmp10",
];

/// What traces system calls, with the library that a plain system lacks.
const STRACE: &[&str] = &["strace", "libunwind8"];

/// What the benchmark compares with and drives.
pub(crate) struct BenchPeers {
    pub(crate) nginx: PathBuf,
    pub(crate) wrk: PathBuf,
    /// Folders to search for their libraries.
    pub(crate) libraries: Vec<PathBuf>,
}

/// What counts instructions.
pub(crate) struct Valgrind {
    pub(crate) valgrind: PathBuf,
    /// Tells a running one what to do.
    pub(crate) vgdb: PathBuf,
    /// Where its tools are, if not where it was built for.
    pub(crate) tools: Option<PathBuf>,
}

/// What reads the product's metrics and judges the rules over them.
pub(crate) struct Prometheus {
    pub(crate) prometheus: PathBuf,
    pub(crate) promtool: PathBuf,
}

/// nginx and wrk from the system where both are there, else unpacked.
pub(super) fn peers(repo: &Repo) -> Result<Option<BenchPeers>> {
    if let (Some(nginx), Some(wrk)) = (on_path("nginx"), on_path("wrk")) {
        return Ok(Some(BenchPeers {
            nginx,
            wrk,
            libraries: Vec::new(),
        }));
    }
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        return Ok(None);
    }
    let root = unpack(repo, "peers", PEERS)?;
    Ok(Some(BenchPeers {
        nginx: root.join("usr/sbin/nginx"),
        wrk: root.join("usr/bin/wrk"),
        libraries: libraries(&root).into(),
    }))
}

/// Where unpacked packages have their libraries.
fn libraries(root: &Path) -> [PathBuf; 2] {
    let triple = format!("{}-linux-gnu", env::consts::ARCH);
    ["usr/lib", "lib"].map(|folder| root.join(folder).join(&triple))
}

/// cvc5 as `$CVC5` or the system has it, else unpacked, behind a script that finds its libraries.
pub(super) fn cvc5(repo: &Repo) -> Result<Option<PathBuf>> {
    let named = env::var_os("CVC5").filter(|named| !named.is_empty());
    if let Some(found) = named.map(PathBuf::from).or_else(|| on_path("cvc5")) {
        return Ok(Some(found));
    }
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        return Ok(None);
    }
    let root = unpack(repo, "cvc5", CVC5)?;
    script(&root, "cvc5", &libraries(&root)).map(Some)
}

/// A script that starts an unpacked program where it finds its libraries.
fn script(root: &Path, program: &str, libraries: &[PathBuf]) -> Result<PathBuf> {
    let libraries = env::join_paths(libraries)?;
    // `exec`, so that who kills the script kills the program.
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        libraries.display(),
        root.join("usr/bin").join(program).display(),
    );
    let path = root.join(program);
    fs::write(&path, script)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// strace from the system where it is there, else unpacked.
pub(super) fn strace(repo: &Repo) -> Result<Option<PathBuf>> {
    if let Some(found) = on_path("strace") {
        return Ok(Some(found));
    }
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        return Ok(None);
    }
    let root = unpack(repo, "strace", STRACE)?;
    script(&root, "strace", &libraries(&root)).map(Some)
}

/// valgrind from the system where it is there, else unpacked.
pub(super) fn valgrind(repo: &Repo) -> Result<Option<Valgrind>> {
    if let (Some(valgrind), Some(vgdb)) = (on_path("valgrind"), on_path("vgdb")) {
        return Ok(Some(Valgrind {
            valgrind,
            vgdb,
            tools: None,
        }));
    }
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        return Ok(None);
    }
    let root = unpack(repo, "valgrind", &["valgrind"])?;
    Ok(Some(Valgrind {
        // What Debian has in its place looks for debug symbols, which counting does not need.
        valgrind: root.join("usr/bin/valgrind.bin"),
        vgdb: root.join("usr/bin/vgdb"),
        tools: Some(root.join("usr/libexec/valgrind")),
    }))
}

/// Prometheus with its tool from the system where both are there, else unpacked.
pub(super) fn prometheus(repo: &Repo) -> Result<Option<Prometheus>> {
    if let (Some(prometheus), Some(promtool)) = (on_path("prometheus"), on_path("promtool")) {
        return Ok(Some(Prometheus {
            prometheus,
            promtool,
        }));
    }
    if on_path("apt-get").is_none() || on_path("dpkg").is_none() {
        return Ok(None);
    }
    let root = unpack(repo, "prometheus", &["prometheus"])?;
    Ok(Some(Prometheus {
        prometheus: root.join("usr/bin/prometheus"),
        promtool: root.join("usr/bin/promtool"),
    }))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(sbin)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Downloads packages and unpacks them into one folder; their install scripts are not run.
pub(super) fn unpack(repo: &Repo, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = repo.tools().join("debian").join(name);
    let root = folder.join("root");
    let versions = packages.join(" ");
    if stamped(&folder, &versions) {
        return Ok(root);
    }
    console::say(format_args!("  fetching from Debian: {versions} …"));
    anew(&folder)?;
    download(repo, &folder, packages)?;
    for entry in fs::read_dir(&folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|ending| ending == "deb") {
            exec::output(Command::new("dpkg").arg("-x").arg(&file).arg(&root))?;
        }
    }
    stamp(&folder, &versions)?;
    Ok(root)
}

/// With the system's package lists, or else with lists of our own: a fresh machine has none.
fn download(repo: &Repo, folder: &Path, packages: &[&str]) -> Result<()> {
    let fetch = |own: &[String]| {
        let mut apt = Command::new("apt-get");
        exec::output(
            apt.args(own)
                .args(["-qq", "download"])
                .args(packages)
                .current_dir(folder),
        )
    };
    if fetch(&[]).is_ok() {
        return Ok(());
    }
    let state = repo.tools().join("debian/lists");
    for inside in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(state.join(inside))?;
    }
    let own = [
        "-o".to_owned(),
        format!("Dir::State::Lists={}", state.join("lists").display()),
        "-o".to_owned(),
        format!("Dir::Cache={}", state.join("cache").display()),
    ];
    exec::output(Command::new("apt-get").args(&own).args(["-qq", "update"]))?;
    fetch(&own)
        .map(|_| ())
        .context("Debian's packages cannot be downloaded")
}
