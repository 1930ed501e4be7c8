//! `carnet registry update`: take a newer registry over from a signed bundle, or go back to the one before.
//!
//! What is in force changes by one rename; whatever happens before it leaves everything as it was.

use std::fs;
use std::io::{IsTerminal, Write as _, stderr, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_provenance::{BundleError, BundleKey, Difference, Refusal, Registry, verify};
use serde::Serialize;

use crate::cli::UpdateArgs;
use crate::commands::registry::difference;
use crate::exit::Exit;
use crate::installed::{self, ENDING, From, InForce, Signed};
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, embedded, out};

/// How an update went, for programs.
#[derive(Serialize)]
struct Answer {
    /// Whether something else is in force now.
    done: bool,
    /// Why the bundle was refused.
    refused: Option<Refused>,
    /// Whether nothing was to be changed.
    dry_run: bool,
    /// What is in force now.
    in_force: Option<From>,
    difference: Option<Difference>,
}

#[derive(Serialize)]
struct Refused {
    code: &'static str,
    message: String,
    help: &'static str,
}

/// A bundle that may be taken.
struct Taken {
    bytes: Vec<u8>,
    signed: Signed,
    registry: Arc<Registry>,
}

/// Why an update does not happen: the bundle is refused, or something else is in the way.
enum Stop {
    Refused(PathBuf, Refusal, Troubles),
    Troubles(Troubles),
}

impl std::convert::From<Troubles> for Stop {
    fn from(troubles: Troubles) -> Self {
        Self::Troubles(troubles)
    }
}

pub(super) fn run(args: &UpdateArgs) -> Result<Exit, Troubles> {
    let state = State::find(args.state.as_deref())?;
    let _locked = if args.dry_run {
        None
    } else {
        state.create()?;
        state.create_registry()?;
        Some(installed::lock(&state)?)
    };
    let result = match &args.source {
        Some(source) => update(args, &state, source),
        None => rollback(args, &state),
    };
    match result {
        Ok(exit) => Ok(exit),
        Err(Stop::Troubles(troubles)) => Err(troubles),
        Err(Stop::Refused(file, refusal, troubles)) => Ok(refuse(args, &file, refusal, &troubles)),
    }
}

fn refuse(args: &UpdateArgs, file: &Path, refusal: Refusal, troubles: &Troubles) -> Exit {
    out::troubles(troubles);
    if args.json {
        let message = troubles.first().map(|first| first.message.clone());
        commands::json(&Answer {
            done: false,
            refused: Some(Refused {
                code: refusal.code(),
                message: message.unwrap_or_default(),
                help: refusal.help(),
            }),
            dry_run: args.dry_run,
            in_force: None,
            difference: None,
        });
    } else {
        out::answer(out::plain(&format!(
            "refused {}: {refusal}; nothing was changed",
            file.display()
        )));
    }
    Exit::Bad
}

fn update(args: &UpdateArgs, state: &State, source: &Path) -> Result<Exit, Stop> {
    let mut keys = installed::keys(state)?;
    let new_key = match &args.trust {
        Some(file) => Some(installed::key(file)?),
        None => None,
    };
    let new_key = new_key.filter(|new| !keys.iter().any(|key| key.text() == new.text()));
    if let Some(key) = &new_key {
        out::note(format_args!(
            "key {}\n  fingerprint {}\n  compare it with what its owner says, by another way than the one it came",
            key.text(),
            key.fingerprint()
        ));
        keys.push(key.clone());
    }
    if keys.is_empty() {
        out::note(
            "note: no key is trusted yet, and none is built in; --trust FILE names the first one",
        );
    }
    let (file, taken) = take(source, &keys)?;
    // A key that signed nothing here has shown nothing, and is not kept.
    let signs = |key: &BundleKey| verify(&taken.bytes, std::slice::from_ref(key)).is_ok();
    let (new_key, idle) = new_key.map_or((None, false), |key| {
        let signs = signs(&key);
        (signs.then_some(key), !signs)
    });
    if idle {
        out::note("note: the key of --trust did not sign this bundle, so it is not kept");
    }
    let current = current(state)?;
    let wrong_day = not_yet(&taken.signed).or_else(|| older(&taken.signed, &current));
    if let Some((refusal, why)) = wrong_day {
        let trouble = Trouble::new(format!("{why} [{refusal}]"), refusal.help()).of(&file);
        return Err(Stop::Refused(file, refusal, vec![trouble]));
    }
    let whole = current.in_force.is_some();
    let before = match current.in_force {
        Some(found) => found,
        None => installed::built_in()?,
    };
    let difference = Difference::between(&before.registry, &taken.registry, clock::today());
    let now = From::Bundle(taken.signed.clone());
    let same = current
        .signed
        .is_some_and(|signed| signed.manifest == taken.signed.manifest);
    if same {
        return Ok(done(
            args,
            "it is installed already",
            false,
            now,
            difference,
        ));
    }
    tell(args, &before.from, &now, &difference);
    if args.dry_run || !agreed(args, new_key.as_ref())? {
        return Ok(done(
            args,
            "nothing was changed",
            false,
            before.from,
            difference,
        ));
    }
    if let Some(key) = &new_key {
        installed::trust(state, key)?;
    }
    // A broken one is nothing to go back to; what was kept before it stays.
    if let Err(troubles) = installed::put(state, &taken.bytes, whole) {
        if let Some(key) = &new_key {
            installed::distrust(state, key);
        }
        return Err(troubles.into());
    }
    Ok(done(args, "installed", true, now, difference))
}

/// The bundle, or the newest good one of a folder.
fn take(source: &Path, keys: &[BundleKey]) -> Result<(PathBuf, Taken), Stop> {
    if !source.is_dir() {
        let taken = open(source, keys)?;
        return Ok((source.to_path_buf(), taken));
    }
    let entries = fs::read_dir(source).map_err(|error| {
        Trouble::io(
            "read the folder",
            source,
            &error,
            "check the path and its permissions",
        )
    })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == ENDING));
    files.sort();
    let mut best: Option<(PathBuf, Taken)> = None;
    let mut refused = None;
    for file in files {
        match open(&file, keys) {
            Ok(taken) => {
                let rank = |taken: &Taken| {
                    (
                        taken.signed.manifest.sequence,
                        taken.signed.manifest.created,
                    )
                };
                if best
                    .as_ref()
                    .is_none_or(|(_, other)| rank(other) < rank(&taken))
                {
                    best = Some((file, taken));
                }
            }
            Err(Stop::Refused(file, refusal, troubles)) => {
                out::troubles(&troubles);
                refused = Some((file, refusal));
            }
            Err(other) => return Err(other),
        }
    }
    match (best, refused) {
        (Some(best), _) => Ok(best),
        (None, Some((file, refusal))) => Err(Stop::Refused(file, refusal, Vec::new())),
        (None, None) => Err(Stop::Troubles(vec![Trouble::new(
            format!("there is no bundle in `{}`", source.display()),
            format!("name a bundle, or a folder with files that end in .{ENDING}"),
        )])),
    }
}

fn open(file: &Path, keys: &[BundleKey]) -> Result<Taken, Stop> {
    let bytes = installed::read(file)?;
    let refused = |error: BundleError| {
        let troubles = installed::of_bundle(file, &error);
        Stop::Refused(file.to_path_buf(), error.refusal(), troubles)
    };
    let (signed, registry) = {
        let bundle = verify(&bytes, keys).map_err(refused)?;
        let signed = Signed {
            manifest: bundle.manifest().clone(),
            signed_by: bundle.signed_by().to_owned(),
        };
        (signed, bundle.registry().map_err(refused)?)
    };
    Ok(Taken {
        bytes,
        signed,
        registry,
    })
}

/// What is there now.
struct Current {
    /// The installed bundle, if it can be read.
    signed: Option<Signed>,
    /// What is in force; none when the installed bundle is broken.
    in_force: Option<InForce>,
}

/// A broken bundle may be replaced: that is how it is mended. Its age can no longer be compared.
fn current(state: &State) -> Result<Current, Troubles> {
    let installed = installed::installed(state).and_then(|bundle| {
        let signed = bundle.map(|bundle| bundle.signed);
        Ok((signed, installed::in_force(Some(state.folder()))?))
    });
    match installed {
        Ok((signed, in_force)) => Ok(Current {
            signed,
            in_force: Some(in_force),
        }),
        Err(troubles) => {
            out::troubles(&troubles);
            out::note("note: the new bundle is compared with the built-in registry instead");
            Ok(Current {
                signed: None,
                in_force: None,
            })
        }
    }
}

/// Why the bundle cannot be of the day that it names: it would count as newer than all that follow. Clocks
/// may be a day apart.
fn not_yet(new: &Signed) -> Option<(Refusal, String)> {
    let (created, today) = (new.manifest.created, clock::today());
    let latest = today.tomorrow().unwrap_or(today);
    let why = || format!("the bundle is of {created}, and this machine's clock says {today}");
    (created > latest).then(|| (Refusal::NotYet, why()))
}

/// Why the new bundle is not newer than what is there.
fn older(new: &Signed, current: &Current) -> Option<(Refusal, String)> {
    let new = &new.manifest;
    let built_in = embedded::date().ok()?;
    if new.created < built_in {
        let why = format!(
            "the bundle is of {}, the built-in registry of {built_in}",
            new.created
        );
        return Some((Refusal::Older, why));
    }
    let there = &current.signed.as_ref()?.manifest;
    if there == new {
        return None;
    }
    let older = new.sequence <= there.sequence || new.created < there.created;
    older.then(|| {
        let why = format!(
            "the bundle has the number {} and is of {}; installed is number {} of {}",
            new.sequence, new.created, there.sequence, there.created
        );
        (Refusal::Older, why)
    })
}

fn tell(args: &UpdateArgs, before: &From, after: &From, difference: &Difference) {
    if args.json {
        return;
    }
    let text = if difference.is_empty() {
        "the facts are the same".to_owned()
    } else {
        difference::effects(difference)
    };
    out::answer(out::plain(&format!(
        "from  {before}\nto    {after}\n{}",
        text.trim_end()
    )));
}

fn done(args: &UpdateArgs, how: &str, done: bool, now: From, difference: Difference) -> Exit {
    if args.json {
        return commands::json(&Answer {
            done,
            refused: None,
            dry_run: args.dry_run,
            in_force: Some(now),
            difference: Some(difference),
        });
    }
    out::answer(out::plain(&format!("{how}; in force: {now}")));
    Exit::Good
}

/// Whether the operator wants it. A first trust is never taken for granted.
fn agreed(args: &UpdateArgs, new_key: Option<&BundleKey>) -> Result<bool, Troubles> {
    if args.yes {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        return match new_key {
            None => Ok(true),
            Some(key) => Err(vec![Trouble::new(
                format!(
                    "the key `{}` is not trusted yet, and nobody can be asked",
                    key.name()
                ),
                format!(
                    "compare the fingerprint {}, then add --yes",
                    key.fingerprint()
                ),
            )]),
        };
    }
    let question = match new_key {
        Some(_) => "Trust this key from now on and install the bundle? [y/N] ",
        None => "Install the bundle? [y/N] ",
    };
    // Nobody is left to be asked when stderr is closed; then the answer is no.
    let asked = stderr().lock().write_all(question.as_bytes());
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    Ok(asked.is_ok() && read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Back to the bundle before, or without one to the built-in registry.
fn rollback(args: &UpdateArgs, state: &State) -> Result<Exit, Stop> {
    let broken = "note: what is installed cannot be read; nothing can be compared with it";
    let before = installed::in_force(Some(state.folder()));
    if fs::symlink_metadata(state.registry_bundle()).is_err() {
        return Err(Stop::Troubles(vec![Trouble::new(
            "there is nothing to go back from: the built-in registry is in force",
            "`carnet registry update FILE` installs a bundle",
        )]));
    }
    let kept = installed::at(&state.registry_previous(), state)?;
    let there = kept.is_some();
    let built_in = embedded::date()?;
    let after = match kept {
        Some(bundle) if bundle.signed.manifest.created >= built_in => bundle.in_force()?,
        _ => installed::built_in()?,
    };
    let (from, difference) = match before {
        Ok(before) => {
            let today = clock::today();
            let difference = Difference::between(&before.registry, &after.registry, today);
            (Some(before.from), Some(difference))
        }
        Err(_) => {
            out::note(broken);
            (None, None)
        }
    };
    if let (Some(from), Some(difference)) = (&from, &difference) {
        tell(args, from, &after.from, difference);
    }
    let stays = args.dry_run || !agreed(args, None)?;
    if !stays {
        installed::back(state, there)?;
    }
    let how = if stays {
        "nothing was changed"
    } else {
        "went back"
    };
    let now = match (stays, from) {
        (true, Some(from)) => from,
        _ => after.from,
    };
    Ok(done(args, how, !stays, now, difference.unwrap_or_default()))
}
