//! The registry in force: the newer of the built-in one and a bundle that the operator installed.
//!
//! An installed bundle is checked anew at every use. One that is damaged, or that no trusted key
//! signed, is an error and never passed over: a silent step back would change decisions unseen.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_provenance::{
    BUNDLE_BYTES_MAX, BundleError, BundleKey, Manifest, Registry, is_bundle, verify,
};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{embedded, world};

/// How files of bundles end.
pub(crate) const ENDING: &str = "carnet-registry";

/// A registry with where it came from.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) registry: Arc<Registry>,
    pub(crate) from: From,
}

/// Where a registry came from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum From {
    /// The program.
    BuiltIn {
        /// The newest date of its claims.
        date: jiff::civil::Date,
    },
    /// A bundle.
    Bundle(Signed),
    /// A file or folder that the operator named.
    Path(PathBuf),
}

/// What a checked bundle says of itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Signed {
    #[serde(flatten)]
    pub(crate) manifest: Manifest,
    pub(crate) signed_by: String,
}

/// A bundle that lies in the state directory, checked.
pub(crate) struct Installed {
    pub(crate) signed: Signed,
    bytes: Vec<u8>,
    file: PathBuf,
    keys: Vec<BundleKey>,
}

/// The registry in force for a state directory, or for the usual one.
pub(crate) fn in_force(state: Option<&Path>) -> Result<InForce, Troubles> {
    // Where nothing says where the state may lie, nothing is installed either.
    let state = match (state, State::find(state)) {
        (_, Ok(state)) => state,
        (None, Err(_)) => return built_in(),
        (Some(_), Err(troubles)) => return Err(troubles),
    };
    match installed(&state)? {
        Some(bundle) if bundle.signed.manifest.created >= embedded::date()? => bundle.in_force(),
        _ => built_in(),
    }
}

/// The registry of the program itself.
pub(crate) fn built_in() -> Result<InForce, Troubles> {
    Ok(InForce {
        registry: Arc::new(embedded::registry()?),
        from: From::BuiltIn {
            date: embedded::date()?,
        },
    })
}

/// The bundle that is installed, if one is; its facts are not read yet.
pub(crate) fn installed(state: &State) -> Result<Option<Installed>, Troubles> {
    at(&state.registry_bundle(), state)
}

/// A bundle at a place in the state directory, if one is there.
pub(crate) fn at(file: &Path, state: &State) -> Result<Option<Installed>, Troubles> {
    match fs::symlink_metadata(file) {
        // A home that is no directory, such as `/dev/null`, holds nothing either.
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
            return Ok(None);
        }
        // Any other reason why it cannot be looked at is told when it is read.
        _ => {}
    }
    let bytes = read(file)?;
    let keys = keys(state)?;
    let signed = match verify(&bytes, &keys) {
        Ok(bundle) => Signed {
            manifest: bundle.manifest().clone(),
            signed_by: bundle.signed_by().to_owned(),
        },
        Err(error) => return Err(broken(file, &error)),
    };
    Ok(Some(Installed {
        signed,
        bytes,
        file: file.to_path_buf(),
        keys,
    }))
}

impl Installed {
    /// Its facts, which are now in force.
    pub(crate) fn in_force(self) -> Result<InForce, Troubles> {
        let facts = verify(&self.bytes, &self.keys).and_then(|bundle| bundle.registry());
        Ok(InForce {
            registry: facts.map_err(|error| broken(&self.file, &error))?,
            from: From::Bundle(self.signed),
        })
    }
}

/// A bundle in the state directory cannot be used, and nothing goes on without it.
fn broken(file: &Path, error: &BundleError) -> Troubles {
    // The one before is read only on the way back.
    let previous = file.file_stem().is_some_and(|stem| stem == "previous");
    let (what, help) = if previous {
        (
            "the registry before",
            "install a bundle with `carnet registry update FILE`; or remove this file, and going back leads to the built-in registry",
        )
    } else {
        (
            "the installed registry",
            "install it again with `carnet registry update FILE`, or go back with `carnet registry update --rollback`",
        )
    };
    let mut troubles = of_bundle(file, error);
    if let Some(first) = troubles.first_mut() {
        first.message = format!("{what} cannot be used: {}", first.message);
        first.help = Some(help.to_owned());
    }
    troubles
}

/// What is wrong with a bundle: the refusal first, then each mistake of its facts.
pub(crate) fn of_bundle(file: &Path, error: &BundleError) -> Troubles {
    let refusal = error.refusal();
    let mut troubles = vec![Trouble::new(format!("{error} [{refusal}]"), refusal.help()).of(file)];
    if let BundleError::BrokenFacts(problems) = error {
        troubles.extend(problems.iter().cloned().map(Trouble::from));
    }
    troubles
}

/// The keys that the operator trusts: each file `*.pub` in the folder holds one.
pub(crate) fn keys(state: &State) -> Result<Vec<BundleKey>, Troubles> {
    let folder = state.registry_keys();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let help = "check the path and its permissions";
            return Err(Trouble::io("read the folder", &folder, &error, help));
        }
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "pub"));
    files.sort();
    files.iter().map(|file| key(file)).collect()
}

/// The public key in a file.
pub(crate) fn key(file: &Path) -> Result<BundleKey, Troubles> {
    world::read_text(file)?.parse().map_err(|error| {
        vec![
            Trouble::new(
                format!("{error}"),
                "name the file that ends in .pub, as `carnet registry bundle-key` writes it",
            )
            .of(file),
        ]
    })
}

/// The bytes of a bundle or blob.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Troubles> {
    world::read_bounded(file, BUNDLE_BYTES_MAX as u64)
}

/// The registry at a path, whatever form it has there: folder, bundle or blob.
pub(crate) fn open(
    path: &Path,
    state: Option<&Path>,
    trust: Option<&Path>,
) -> Result<InForce, Troubles> {
    if path.is_dir() {
        return Ok(InForce {
            registry: world::registry(Some(path))?,
            from: From::Path(path.to_path_buf()),
        });
    }
    let bytes = read(path)?;
    if is_bundle(&bytes) {
        let mut known = match State::find(state) {
            Ok(state) => keys(&state)?,
            Err(_) => Vec::new(),
        };
        if let Some(file) = trust {
            known.push(key(file)?);
        }
        let opened = verify(&bytes, &known).and_then(|bundle| {
            let signed = Signed {
                manifest: bundle.manifest().clone(),
                signed_by: bundle.signed_by().to_owned(),
            };
            Ok((bundle.registry()?, signed))
        });
        let (registry, signed) = opened.map_err(|error| of_bundle(path, &error))?;
        return Ok(InForce {
            registry,
            from: From::Bundle(signed),
        });
    }
    let registry = Registry::from_blob(&bytes).map_err(|error| {
        vec![
            Trouble::new(
                error.to_string(),
                "name a registry folder, a bundle or a blob of this version of Carnet",
            )
            .of(path),
        ]
    })?;
    let problems = registry.problems();
    if !problems.is_empty() {
        return Err(problems.into_iter().map(Trouble::from).collect());
    }
    Ok(InForce {
        registry: Arc::new(registry),
        from: From::Path(path.to_path_buf()),
    })
}

/// One update at a time: what is compared with must still be there when it is replaced.
pub(crate) fn lock(state: &State) -> Result<fs::File, Troubles> {
    let folder = state.registry_folder();
    let locked = fs::File::open(&folder).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.map_err(|error| Trouble::io("lock it", &folder, &error, "check the state directory"))
}

/// Keep a key under its fingerprint, so that no name replaces another's key.
pub(crate) fn trust(state: &State, key: &BundleKey) -> Result<(), Troubles> {
    world::write(
        &key_file(state, key),
        format!("{}\n", key.text()).as_bytes(),
    )
}

/// Trust a key no more, when what it was trusted for did not come about.
pub(crate) fn distrust(state: &State, key: &BundleKey) {
    // A key that stays can only do what the operator has agreed to.
    let _ = fs::remove_file(key_file(state, key));
}

fn key_file(state: &State, key: &BundleKey) -> PathBuf {
    let digest = key.fingerprint().trim_start_matches("sha256:");
    let short = digest.get(..16).unwrap_or(digest);
    state.registry_keys().join(format!("{short}.pub"))
}

/// Put a bundle in force. A crash leaves the old one or the new one, whole.
pub(crate) fn put(state: &State, bytes: &[u8], keep: bool) -> Result<(), Troubles> {
    let (current, previous) = (state.registry_bundle(), state.registry_previous());
    let temporary = state.registry_folder().join("next.tmp");
    let trouble = |error: std::io::Error| {
        Trouble::io(
            "install the bundle",
            &current,
            &error,
            "check the state directory and its disk",
        )
    };
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if keep && current.exists() {
            let kept = state.registry_folder().join("previous.tmp");
            remove(&kept)?;
            fs::hard_link(&current, &kept).or_else(|_| fs::copy(&current, &kept).map(drop))?;
            fs::rename(&kept, &previous)?;
        }
        fs::rename(&temporary, &current)?;
        fs::File::open(state.registry_folder())?.sync_all()
    };
    write().map_err(trouble)
}

fn remove(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Go back to the bundle before, or where there is none to the built-in registry.
pub(crate) fn back(state: &State, there: bool) -> Result<(), Troubles> {
    let (current, previous) = (state.registry_bundle(), state.registry_previous());
    let moved = if there {
        fs::rename(&previous, &current)
    } else {
        fs::remove_file(&current)
    };
    let synced = moved.and_then(|()| fs::File::open(state.registry_folder())?.sync_all());
    synced.map_err(|error| Trouble::io("go back", &current, &error, "check the state directory"))
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn { date } => write!(f, "built in, newest claim of {date}"),
            Self::Bundle(signed) => write!(
                f,
                "bundle {} of {}, signed by {}",
                signed.manifest.sequence, signed.manifest.created, signed.signed_by
            ),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}
