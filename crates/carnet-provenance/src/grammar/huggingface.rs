//! Hugging Face: `organisation/repository`, under which anybody may upload anything.

use crate::grammar::{Names, Reading, plain};

const SITES: &[&str] = &[
    "https://huggingface.co/",
    "huggingface.co/",
    "https://hf.co/",
    "hf.co/",
];

pub(super) fn looks_like(id: &str) -> bool {
    SITES.iter().any(|site| id.starts_with(site))
}

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Namespaced;
    let mut name = id;
    for site in SITES {
        name = name.strip_prefix(site).unwrap_or(name);
    }
    reading.form(name);
    if let Some((repository, revision)) = name.split_once('@') {
        if !is_makers(revision) {
            reading.names = Names::Anybodys;
            reading.step(format!(
                "anybody may propose `@{revision}`: it says nothing of the repository's own weights"
            ));
            return;
        }
        reading.step(format!("`@{revision}` is a state of the repository"));
        name = repository;
        reading.form(name);
    }
    // A provider or a file's quantisation may follow the repository.
    if let Some((repository, tail)) = name.split_once(':') {
        reading.step(format!(
            "`{tail}` after the repository says which copy or server"
        ));
        reading.form(repository);
    }
    reading.without_storage();
    plain::namespace(reading);
    if reading.namespace.is_none() {
        // A repository of no organisation is a name that anybody may give.
        reading.names = Names::Anybodys;
    }
}

/// Whether a revision is one that only the repository's owner can make: its main line, or a commit.
fn is_makers(revision: &str) -> bool {
    let commit = revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    revision == "main" || commit
}
