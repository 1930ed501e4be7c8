//! The digests of a distribution, as `sha256sum -c` reads them, and a C2SP signed note over them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList, key_id};

use super::Files;
use crate::console;

/// The lines of `SHA256SUMS`.
pub(super) fn of(files: &Files) -> String {
    let line = |(name, bytes): (&String, &Vec<u8>)| {
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{digest}  {name}\n")
    };
    files.iter().map(line).collect()
}

/// The note: these lines, and a signature of Ed25519 under them.
pub(super) fn sign(sums: &str, key: &str) -> Result<Vec<u8>> {
    let signer = StandardSigner::new(key.trim())
        .ok()
        .context("the key is not one of a signed note: `PRIVATE+KEY+<name>+<id>+<key>`")?;
    let mut note = Note::new(sums.as_bytes(), &[])?;
    note.add_sigs(&[&signer])?;
    Ok(note.to_bytes())
}

/// A new key pair under this name: the secret half and the public one.
pub(super) fn new_key(name: &str) -> Result<(String, String)> {
    ensure!(
        signed_note::is_key_name_valid(name),
        "`{name}` cannot be a key's name: no spaces and no `+`, such as carnet.example/release"
    );
    let mut secret = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let public = SigningKey::from_bytes(&secret).verifying_key();
    // Signature type 1 is Ed25519.
    let typed = |key: &[u8; 32]| [&[1], &key[..]].concat();
    let public = typed(public.as_bytes());
    let id = key_id(name, &public);
    let text = |key: &[u8]| format!("{name}+{id:08x}+{}\n", BASE64_STANDARD.encode(key));
    Ok((
        format!("PRIVATE+KEY+{}", text(&typed(&secret))),
        text(&public),
    ))
}

/// `cargo xtask dist-key`: a key pair in two files.
pub(crate) fn key(words: &[String]) -> Result<ExitCode> {
    let (name, out) = match words {
        [a, name, b, out] if a == "--name" && b == "--out" => (name, PathBuf::from(out)),
        _ => bail!("usage: cargo xtask dist-key --name NAME --out FILE"),
    };
    let (secret, public) = new_key(name)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&out)
        .with_context(|| format!("cannot make `{}`", out.display()))?;
    file.write_all(secret.as_bytes())?;
    let mut beside = out.into_os_string();
    beside.push(".pub");
    fs::write(&beside, &public)?;
    console::say(format_args!("public key: {}", public.trim()));
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask dist-verify`: a distribution against the public key of whoever made it.
pub(crate) fn check(words: &[String]) -> Result<ExitCode> {
    let (folder, key) = match words {
        [folder, flag, key] if flag == "--key" => (PathBuf::from(folder), key),
        _ => bail!("usage: cargo xtask dist-verify FOLDER --key FILE.pub"),
    };
    let mut files = Files::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.insert(name.into_owned(), fs::read(&path)?);
        }
    }
    verify(&files, &fs::read_to_string(key)?)?;
    console::say("signed by this key, and every file has its digest");
    Ok(ExitCode::SUCCESS)
}

/// Whether the note is signed by this key, and names every other file with its digest.
pub(super) fn verify(files: &Files, key: &str) -> Result<()> {
    let verifier = StandardVerifier::new(key.trim())
        .ok()
        .context("the key is not one of a signed note: `<name>+<id>+<key>`")?;
    let note = files
        .get("SHA256SUMS.note")
        .context("there is no SHA256SUMS.note")?;
    let note = Note::from_bytes(note).context("SHA256SUMS.note is no signed note")?;
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .context("the note is not signed by this key")?;
    let others: Files = files
        .iter()
        .filter(|(name, _)| !name.starts_with("SHA256SUMS"))
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect();
    let sums = of(&others);
    ensure!(
        note.text() == sums.as_bytes()
            && files
                .get("SHA256SUMS")
                .is_none_or(|own| *own == sums.as_bytes()),
        "the files are not those that were signed:\n{}\nsigned are:\n{}",
        sums,
        String::from_utf8_lossy(note.text())
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let mut files = Files::from([
            ("b".to_owned(), b"two".to_vec()),
            ("a".to_owned(), b"one".to_vec()),
        ]);
        let sums = of(&files);
        files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
        files
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let sums = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a\n3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  b\n";
        assert_eq!(files()["SHA256SUMS"], sums.as_bytes());
    }

    #[test]
    fn only_its_own_key_and_its_own_files_verify() {
        let (secret, public) = new_key("carnet.example/release").unwrap();
        let (_, other) = new_key("carnet.example/release").unwrap();
        let mut files = files();
        let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
        files.insert("SHA256SUMS.note".to_owned(), sign(&sums, &secret).unwrap());
        verify(&files, &public).unwrap();
        assert!(verify(&files, &other).is_err());
        assert!(verify(&files, "text").is_err());
        assert!(sign(&sums, &public).is_err());
        for change in [
            |files: &mut Files| drop(files.insert("a".to_owned(), b"three".to_vec())),
            |files: &mut Files| drop(files.insert("c".to_owned(), b"more".to_vec())),
            |files: &mut Files| drop(files.remove("b")),
            |files: &mut Files| drop(files.insert("SHA256SUMS".to_owned(), Vec::new())),
            |files: &mut Files| drop(files.remove("SHA256SUMS.note")),
        ] {
            let mut changed = files.clone();
            change(&mut changed);
            assert!(verify(&changed, &public).is_err());
        }
        for name in ["", "a b", "a+b"] {
            assert!(new_key(name).is_err());
        }
    }

    #[test]
    fn a_key_goes_into_two_files_and_overwrites_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let words = ["--name", "carnet.example/release", "--out"].map(str::to_owned);
        let words = [&words[..], &[file.display().to_string()]].concat();
        key(&words).unwrap();
        let secret = fs::read_to_string(&file).unwrap();
        assert!(sign("text\n", &secret).is_ok());
        assert!(key(&words).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), secret);
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
