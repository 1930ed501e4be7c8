//! `carnet registry bundle` and `bundle-key`: for whoever reviews facts and hands them on.

use std::path::{Path, PathBuf};

use carnet_provenance::{BundleKey, BundleSigner, Manifest, verify};
use serde::Serialize;

use crate::cli::{BundleArgs, BundleKeyArgs};
use crate::exit::Exit;
use crate::state::write_secret;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, installed, out, world};

#[derive(Serialize)]
struct Made<'m> {
    file: &'m Path,
    bytes: usize,
    key: &'m str,
    fingerprint: &'m str,
    #[serde(flatten)]
    manifest: &'m Manifest,
}

#[derive(Serialize)]
struct KeyMade<'m> {
    private: &'m Path,
    public: &'m Path,
    key: &'m str,
    fingerprint: &'m str,
}

pub(super) fn run(args: &BundleArgs) -> Result<Exit, Troubles> {
    let registry = world::registry(Some(&args.folder))?;
    let signer = signer(&args.key)?;
    let key = public(&signer)?;
    let created = args.created.unwrap_or_else(clock::today);
    if let Some(newest) = registry.newest()
        && created < newest
    {
        return Err(vec![Trouble::new(
            format!("the bundle would be of {created}, but a claim in it is of {newest}"),
            "mend the claim's date, or the clock, or --created",
        )]);
    }
    let previous = match &args.previous {
        Some(file) => Some(previous(file, &key, args.sequence)?),
        None => None,
    };
    let bytes = signer.bundle(&registry, Manifest::new(args.sequence, created, previous));
    // What was made is what everybody else will take, or nothing is written.
    let bundle = verify(&bytes, std::slice::from_ref(&key));
    let bundle = bundle.and_then(|bundle| bundle.registry().map(|_| bundle));
    let bundle = bundle.map_err(|error| installed::of_bundle(&args.out, &error))?;
    world::write(&args.out, &bytes)?;
    let made = Made {
        file: &args.out,
        bytes: bytes.len(),
        key: key.name(),
        fingerprint: key.fingerprint(),
        manifest: bundle.manifest(),
    };
    if args.json {
        return Ok(commands::json(&made));
    }
    out::answer(format_args!(
        "wrote {}: bundle {} of {}, {} bytes\n  registry  {}\n  signed by {} ({})",
        args.out.display(),
        args.sequence,
        created,
        made.bytes,
        made.manifest.registry,
        made.key,
        made.fingerprint
    ));
    Ok(Exit::Good)
}

/// The version of the bundle before, which must be of the same series.
fn previous(file: &Path, key: &BundleKey, sequence: u64) -> Result<String, Troubles> {
    let bytes = installed::read(file)?;
    let bundle = verify(&bytes, std::slice::from_ref(key));
    let bundle = bundle.map_err(|error| installed::of_bundle(file, &error))?;
    let before = bundle.manifest();
    if before.sequence >= sequence {
        return Err(vec![Trouble::new(
            format!(
                "the bundle before has the number {}, this one {sequence}",
                before.sequence
            ),
            "give the new bundle a higher --sequence",
        )]);
    }
    Ok(before.registry.clone())
}

pub(super) fn key(args: &BundleKeyArgs) -> Result<Exit, Troubles> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| {
        vec![Trouble::new(
            format!("the system gives no random bytes: {error}"),
            "check /dev/urandom",
        )]
    })?;
    let signer = BundleSigner::new(&args.name, &secret).map_err(|error| {
        vec![Trouble::new(
            error.to_string(),
            "choose another --name, such as facts.example.org",
        )]
    })?;
    let key = public(&signer)?;
    let mut beside = args.out.clone().into_os_string();
    beside.push(".pub");
    let beside = PathBuf::from(beside);
    let help = "a key that is there already is not replaced; name another file";
    if beside.exists() && !args.out.exists() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(Trouble::io("write the public key", &beside, &there, help));
    }
    write_secret(&args.out, &format!("{}\n", signer.private_text()))
        .map_err(|error| Trouble::io("write the private key", &args.out, &error, help))?;
    world::write(&beside, format!("{}\n", key.text()).as_bytes())?;
    let made = KeyMade {
        private: &args.out,
        public: &beside,
        key: key.text(),
        fingerprint: key.fingerprint(),
    };
    if args.json {
        return Ok(commands::json(&made));
    }
    out::answer(format_args!(
        "wrote {} (keep it secret) and {}\n  {}\n  fingerprint {}",
        args.out.display(),
        beside.display(),
        key.text(),
        key.fingerprint()
    ));
    Ok(Exit::Good)
}

fn signer(file: &Path) -> Result<BundleSigner, Troubles> {
    world::read_text(file)?.parse().map_err(|error| {
        vec![Trouble::new(format!("{error}"), "`carnet registry bundle-key` makes one").of(file)]
    })
}

fn public(signer: &BundleSigner) -> Result<BundleKey, Troubles> {
    signer.public_key().map_err(|error| {
        vec![Trouble::new(
            error.to_string(),
            "make a new key with `carnet registry bundle-key`",
        )]
    })
}
