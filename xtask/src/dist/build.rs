//! The build itself: nothing of the machine or the folder may get into the program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Release;
use crate::exec;

/// Build the program of these sources; returns where it is.
pub(super) fn build(sources: &Path, target: &Path, release: &Release) -> Result<PathBuf> {
    fs::create_dir_all(target)?;
    let words = [
        "build",
        "--locked",
        "--release",
        "--package",
        "carnet",
        "--target",
        &release.triple,
    ];
    let mut cargo = exec::cargo(sources, &words);
    cargo.env("CARGO_TARGET_DIR", target).envs(settings(
        sources,
        target,
        &cargo_home()?,
        release.time,
    ));
    // What somebody has set for himself is not for others.
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    if !exec::succeeds(&mut cargo)? {
        anyhow::bail!("the program could not be built");
    }
    Ok(target.join(&release.triple).join("release/carnet"))
}

/// Variables for cargo, so that paths are told as if everybody built in the same folders.
pub(super) fn settings(
    sources: &Path,
    target: &Path,
    cargo_home: &Path,
    time: u64,
) -> Vec<(&'static str, OsString)> {
    // Of several that fit, the last one counts: the target folder may lie within the sources.
    let places = [
        (sources.to_path_buf(), "/carnet"),
        (cargo_home.join("registry/src"), "/cargo"),
        (target.to_path_buf(), "/target"),
    ];
    let (mut rust, mut c) = (OsString::new(), OsString::new());
    for (from, to) in &places {
        for (flags, flag) in [
            (&mut rust, "--remap-path-prefix="),
            (&mut c, "-ffile-prefix-map="),
        ] {
            if !flags.is_empty() {
                flags.push(" ");
            }
            flags.push(flag);
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
    }
    // Debug information goes with `strip`; what is left of identity is of the contents.
    rust.push(" -C link-arg=-Wl,--build-id=sha1");
    vec![
        ("RUSTFLAGS", rust),
        ("CFLAGS", c.clone()),
        ("CXXFLAGS", c),
        ("SOURCE_DATE_EPOCH", time.to_string().into()),
        ("CARGO_INCREMENTAL", "0".into()),
        ("LC_ALL", "C".into()),
    ]
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cargo"))
}

/// What a program needs of the machine that it runs on, in a line each.
pub(super) fn describe(program: &[u8]) -> Vec<String> {
    match glibc_needed(program) {
        Some((major, minor)) => vec![
            format!(
                "links glibc {major}.{minor} or later and libgcc dynamically, and everything else statically"
            ),
            format!(
                "a program without it comes from the target {}, where that is installed; glibc itself cannot be linked in, since it loads parts for name resolution when it runs",
                super::STATIC
            ),
        ],
        None => vec!["links nothing dynamically".to_owned()],
    }
}

/// The newest version of glibc of which a program asks for a symbol.
fn glibc_needed(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_2.";
    let mut newest = None;
    let mut rest = program;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        rest = rest.get(at + MARK.len()..).unwrap_or_default();
        let digits: String = rest
            .iter()
            .take(4)
            .take_while(|byte| byte.is_ascii_digit())
            .map(|byte| char::from(*byte))
            .collect();
        newest = newest.max(digits.parse().ok().map(|minor| (2, minor)));
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_newest_glibc_is_found() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0";
        assert_eq!(glibc_needed(program), Some((2, 34)));
        assert_eq!(glibc_needed(b"nothing of the kind"), None);
        assert!(describe(program)[0].contains("glibc 2.34"));
    }

    /// A small program with a panic in it, built in two folders with other names.
    #[test]
    fn a_program_is_the_same_from_two_folders() {
        let build = |folder: &str| {
            let home = tempfile::tempdir().unwrap();
            let sources = home.path().join(folder);
            fs::create_dir_all(sources.join("src")).unwrap();
            let manifest = "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
            fs::write(sources.join("Cargo.toml"), manifest).unwrap();
            let program = "fn main() {\n    let numbers: Vec<usize> = std::env::args().map(|a| a.len()).collect();\n    println!(\"{} {}\", file!(), numbers[7]);\n}\n";
            fs::write(sources.join("src/main.rs"), program).unwrap();
            let target = sources.join("target");
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built = Command::new(cargo)
                .args(["build", "--release", "--offline", "--quiet"])
                .current_dir(&sources)
                .env("CARGO_TARGET_DIR", &target)
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .envs(settings(&sources, &target, Path::new("/nowhere"), 1))
                .output()
                .unwrap();
            assert!(built.status.success(), "{built:?}");
            let program = fs::read(target.join("release/small")).unwrap();
            let path = sources.to_string_lossy().into_owned();
            let told = program
                .windows(path.len())
                .any(|window| window == path.as_bytes());
            assert!(!told, "the folder stands in the program");
            program
        };
        assert!(build("one") == build("another"), "the programs differ");
    }
}
