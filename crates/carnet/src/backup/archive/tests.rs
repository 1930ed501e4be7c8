//! An archive there and back, and everything that a hostile or broken one may be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::state::format::FORMAT;

const TEXTS: [(&str, &str); 3] = [
    ("audit.pub", "public"),
    ("registry-keys/ab.pub", ""),
    ("suspended.json", "[]"),
];

fn manifest() -> Manifest {
    let files = TEXTS.iter().map(|(name, text)| Listed {
        name: (*name).to_owned(),
        bytes: text.len() as u64,
        sha256: hex::encode(Sha256::digest(text)),
    });
    Manifest::new(FORMAT, Timestamp::UNIX_EPOCH, true, files.collect())
}

/// An archive with these entries behind a manifest.
fn packed(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    let mut tar = Builder::new(encoder);
    let mut add = |kind, name: &str, text: &[u8]| {
        let mut header = header("x", text.len() as u64, 0).unwrap();
        header.set_entry_type(kind);
        // As somebody would who means no good: the library itself writes no such names.
        let field = &mut header.as_ustar_mut().unwrap().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name.as_bytes());
        if kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, text).unwrap();
    };
    let text = serde_json::to_vec(&manifest()).unwrap();
    add(EntryType::Regular, MANIFEST, &text);
    for (kind, name, text) in entries {
        add(*kind, name, text.as_bytes());
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn good() -> Vec<(EntryType, &'static str, &'static str)> {
    vec![
        (EntryType::Regular, "state/audit.pub", "public"),
        (EntryType::Regular, "state/registry-keys/ab.pub", ""),
        (EntryType::Regular, "state/suspended.json", "[]"),
    ]
}

fn unpack(bytes: &[u8]) -> (TempDir, Result<Manifest, Refused>) {
    let folder = TempDir::new().unwrap();
    let read = read(bytes, folder.path(), |_| Ok(()));
    (folder, read)
}

/// What is wrong with an archive that is broken.
#[track_caller]
fn broken(bytes: &[u8]) -> String {
    match unpack(bytes).1 {
        Err(Refused::Broken(troubles)) => troubles[0].message.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read() {
    let from = TempDir::new().unwrap();
    for (name, text) in TEXTS {
        let path = from.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut bytes = Vec::new();
    write(from.path(), &manifest(), &mut bytes).unwrap();
    let (to, read) = unpack(&bytes);
    assert_eq!(read.unwrap(), manifest());
    for (name, text) in TEXTS {
        let path = to.path().join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(unpack(&packed(&good())).1.is_ok(), "the hand-made one too");
    fs::write(from.path().join("audit.pub"), "changed").unwrap();
    assert!(write(from.path(), &manifest(), io::sink()).is_err());
}

#[test]
fn no_entry_may_be_another_than_the_next_of_the_manifest() {
    let file = EntryType::Regular;
    type Change = fn(&mut Vec<(EntryType, &'static str, &'static str)>);
    let changes: [(Change, &str); 10] = [
        (|all| all[0].1 = "state/../audit.pub", "does not belong"),
        (|all| all[0].1 = "/audit.pub", "does not belong"),
        (|all| all[0].1 = "audit.pub", "does not belong"),
        (|all| all[0].0 = EntryType::Symlink, "does not belong"),
        (|all| all[0].0 = EntryType::Link, "does not belong"),
        (|all| all[1].0 = EntryType::Directory, "does not belong"),
        (|all| all.swap(0, 2), "does not belong"),
        (|all| all[0].2 = "publiC", "not what its manifest says"),
        (|all| all[0].2 = "public!", "not what its manifest says"),
        (|all| all.truncate(2), "ends before `suspended.json`"),
    ];
    for (change, complaint) in changes {
        let mut all = good();
        change(&mut all);
        let said = broken(&packed(&all));
        assert!(said.contains(complaint), "{all:?}: {said}");
    }
    for more in [
        (file, "state/audit.key", "key"),
        (file, "state/suspended.json", "[]"),
        (
            EntryType::XHeader,
            "state/suspended.json",
            "20 path=../../x\n",
        ),
        (EntryType::GNULongName, "././@LongLink", "../../x"),
    ] {
        for place in [0, 3] {
            let mut all = good();
            all.insert(place, more);
            assert!(broken(&packed(&all)).contains("does not belong"));
        }
    }
}

#[test]
fn no_byte_may_be_missing_or_changed() {
    let whole = packed(&good());
    for length in 4..whole.len() {
        broken(&whole[..length]);
    }
    for at in 4..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        // A bit of a header that says nothing here may be another one; then what is read is the same.
        if let Ok(read) = unpack(&changed).1 {
            assert_eq!(read, manifest(), "byte {at}");
        }
    }
    let mut longer = whole;
    longer.extend_from_slice(b"more");
    broken(&longer);
}

#[test]
fn other_files_are_no_backups() {
    for bytes in [&b""[..], b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"text"] {
        let Err(Refused::Failed(troubles)) = unpack(bytes).1 else {
            panic!("taken");
        };
        assert!(troubles[0].message.contains("no backup of Carnet"));
    }
    let empty = zstd::stream::encode_all(&b""[..], 1).unwrap();
    assert!(broken(&empty).contains("manifest.json"));
}
