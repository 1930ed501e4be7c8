//! `cargo xtask dist`: what is handed out. An archive with the program, its bill of materials, the digests of both, and a
//! signature over those; the same bytes from the same commit, on whatever machine and in whatever folder.

mod build;
mod pack;
mod sbom;
mod sums;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::repo::Repo;
use crate::{console, exec};

pub(crate) use sums::{check as verify, key};

/// Where the key may be named instead of on the command line.
const KEY_VARIABLE: &str = "CARNET_DIST_KEY";
/// The target that links everything into the program.
const STATIC: &str = "x86_64-unknown-linux-musl";
/// What lies in the archive beside the program, with its place there.
const BESIDE: [(&str, &str); 7] = [
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("README.md", "README.md"),
    ("crates/carnet/assets/carnet.toml", "carnet.toml"),
    ("packaging/systemd/carnet.service", "systemd/carnet.service"),
    ("packaging/systemd/carnet.socket", "systemd/carnet.socket"),
];

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    /// Folder for what is made. Default: `dist` in the target folder.
    out: Option<PathBuf>,
    /// File with the key that signs.
    key: Option<PathBuf>,
    /// Target triple. Default: the static one if it is installed, else this machine's.
    target: Option<String>,
    /// A program that was built already.
    binary: Option<PathBuf>,
    /// Make everything twice, in two folders, and compare.
    check: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next();
                value.with_context(|| format!("`{word}` needs a value"))
            };
            match word.as_str() {
                "--out" => options.out = Some(value()?.into()),
                "--key" => options.key = Some(value()?.into()),
                "--target" => options.target = Some(value()?.clone()),
                "--binary" => options.binary = Some(value()?.into()),
                "--check" => options.check = true,
                other => bail!(
                    "no option `{other}`; there are --out DIR, --key FILE, --target TRIPLE, --binary FILE and --check"
                ),
            }
        }
        Ok(options)
    }
}

/// What goes into a distribution, apart from the program.
struct Release {
    version: String,
    triple: String,
    /// Seconds since 1970: of the commit, unless `SOURCE_DATE_EPOCH` says another.
    time: u64,
}

impl Release {
    fn name(&self) -> String {
        format!("carnet-{}-{}", self.version, self.triple)
    }
}

/// `cargo xtask dist`.
pub(crate) fn command(repo: &Repo, words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let triple = match &options.target {
        Some(triple) => triple.clone(),
        None => triple()?,
    };
    let release = Release {
        version: version(repo)?,
        triple,
        time: time(repo)?,
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| repo.target().join("dist"));
    let made = make(repo, &release, &options, repo.root(), "one")?;
    if options.check {
        let again = again(repo, &release, &options)?;
        compare(&made, &again)?;
        console::say("made twice, in two folders, and every byte is the same");
    }
    write(&out, &made)?;
    for name in made.keys() {
        console::say(out.join(name).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of a distribution, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Make all files out of the sources in a folder.
fn make(
    repo: &Repo,
    release: &Release,
    options: &Options,
    sources: &Path,
    build: &str,
) -> Result<Files> {
    let program = match &options.binary {
        Some(file) => file.clone(),
        None => build::build(
            sources,
            &repo.target().join("dist-build").join(build),
            release,
        )?,
    };
    let program = fs::read(&program)
        .with_context(|| format!("cannot read the program `{}`", program.display()))?;
    for line in build::describe(&program) {
        console::say(line);
    }
    let bom = sbom::of(sources, release, &program)?;
    let mut entries = vec![
        pack::Entry::program("carnet", program),
        pack::Entry::file("carnet.cdx.json", bom.clone()),
    ];
    for (from, to) in BESIDE {
        let text = fs::read(sources.join(from)).with_context(|| format!("cannot read `{from}`"))?;
        entries.push(pack::Entry::file(to, text));
    }
    let name = release.name();
    let mut files = Files::from([
        (format!("{name}.cdx.json"), bom),
        (
            format!("{name}.tar.gz"),
            pack::pack(&name, entries, release.time)?,
        ),
    ]);
    let sums = sums::of(&files);
    if let Some(key) = signing_key(options)? {
        files.insert("SHA256SUMS.note".to_owned(), sums::sign(&sums, &key)?);
    } else {
        console::say(format_args!(
            "not signed: name a key with --key FILE or {KEY_VARIABLE}; `cargo xtask dist-key` makes one"
        ));
    }
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    Ok(files)
}

fn signing_key(options: &Options) -> Result<Option<String>> {
    let file = match &options.key {
        Some(file) => file.clone(),
        None => match std::env::var_os(KEY_VARIABLE) {
            Some(file) => file.into(),
            None => return Ok(None),
        },
    };
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read the key `{}`", file.display()))?;
    Ok(Some(text))
}

/// Make everything once more, of the commit's own sources in a folder with another name.
fn again(repo: &Repo, release: &Release, options: &Options) -> Result<Files> {
    let elsewhere = repo.target().join("dist-build/sources-of-the-second-build");
    if elsewhere.exists() {
        fs::remove_dir_all(&elsewhere)?;
    }
    fs::create_dir_all(&elsewhere)?;
    let changed = exec::output(git(repo).args(["status", "--porcelain"]))?;
    ensure!(
        changed.trim().is_empty(),
        "there are changes that are not committed, and the second build is made of the commit:\n{changed}"
    );
    let archive = elsewhere.with_extension("tar");
    exec::output(
        git(repo)
            .args(["archive", "--format=tar", "HEAD", "-o"])
            .arg(&archive),
    )?;
    tar::Archive::new(fs::File::open(&archive)?).unpack(&elsewhere)?;
    make(repo, release, options, &elsewhere, "two")
}

/// Name what differs.
fn compare(one: &Files, two: &Files) -> Result<()> {
    ensure!(
        one.keys().eq(two.keys()),
        "the two builds made other files: {:?} and {:?}",
        one.keys(),
        two.keys()
    );
    let different: Vec<&String> = one
        .iter()
        .filter(|(name, bytes)| two.get(*name) != Some(bytes))
        .map(|(name, _)| name)
        .collect();
    ensure!(
        different.is_empty(),
        "the two builds differ in {different:?}; `diffoscope` tells where"
    );
    Ok(())
}

fn write(out: &Path, files: &Files) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make `{}`", out.display()))?;
    for (name, bytes) in files {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn version(repo: &Repo) -> Result<String> {
    let manifest: toml::Table = repo.read("Cargo.toml")?.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|table| table.get("package")?.get("version")?.as_str());
    Ok(version.context("the workspace has no version")?.to_owned())
}

/// The static target if the toolchain has it, else this machine's.
fn triple() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library =
        exec::output(Command::new(&rustc).args(["--print", "target-libdir", "--target", STATIC]))?;
    if Path::new(library.trim()).is_dir() {
        return Ok(STATIC.to_owned());
    }
    let told = exec::output(Command::new(rustc).arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not tell its host")?.to_owned())
}

fn time(repo: &Repo) -> Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text
            .trim()
            .parse()
            .context("SOURCE_DATE_EPOCH is no number of seconds");
    }
    let text = exec::output(git(repo).args(["log", "-1", "--format=%ct"]))?;
    text.trim().parse().context("the commit has no time")
}

fn git(repo: &Repo) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(repo.root());
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let options =
            Options::parse(&words("--out a --key k --check --target t --binary b")).unwrap();
        assert!(options.check);
        assert_eq!(options.out.as_deref(), Some(Path::new("a")));
        assert_eq!(options.target.as_deref(), Some("t"));
        for line in ["--out", "--fast", "carnet"] {
            assert!(Options::parse(&words(line)).is_err(), "{line}");
        }
    }

    /// The whole of it but for the build, twice.
    #[test]
    fn a_distribution_of_a_program_is_the_same_twice_and_signed() {
        let repo = Repo::locate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("program"), b"\x7fELF, more or less").unwrap();
        let (secret, public) = sums::new_key("carnet.example/release").unwrap();
        fs::write(at("key"), secret).unwrap();
        let release = Release {
            version: version(&repo).unwrap(),
            triple: "x86_64-unknown-linux-gnu".to_owned(),
            time: 1_700_000_000,
        };
        let options = Options {
            key: Some(at("key")),
            binary: Some(at("program")),
            ..Options::default()
        };
        let make = || make(&repo, &release, &options, repo.root(), "test").unwrap();
        let (one, two) = (make(), make());
        compare(&one, &two).unwrap();
        let name = release.name();
        let names: Vec<&str> = one.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "SHA256SUMS",
                "SHA256SUMS.note",
                &format!("{name}.cdx.json"),
                &format!("{name}.tar.gz")
            ]
        );
        sums::verify(&one, &public).unwrap();
        let mut bent = one.clone();
        bent.get_mut(&format!("{name}.tar.gz")).unwrap()[100] ^= 1;
        assert!(sums::verify(&bent, &public).is_err());
        assert!(compare(&one, &bent).is_err());
        write(&at("out"), &one).unwrap();
        assert_eq!(fs::read_dir(at("out")).unwrap().count(), 4);
    }
}
