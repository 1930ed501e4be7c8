//! No bundle and no blob panics, nobody else's signature is ever taken for the trusted one, and facts
//! that pass every question are the same when they are written again.

#![no_main]

use std::sync::LazyLock;

use carnet_provenance::{BundleKey, BundleSigner, Registry, verify};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

static KEY: LazyLock<BundleKey> = LazyLock::new(|| {
    let signer = BundleSigner::new("fuzz.example", &[7; 32]).expect("a good name");
    signer.public_key().expect("its own key")
});

fuzz_target!(|bytes: &[u8]| {
    assert!(verify(bytes, std::slice::from_ref(&KEY)).is_err());
    // As facts that somebody signed: behind the head of a blob that fits them.
    let mut blob = Registry::parse(&[]).expect("nothing is a registry").to_blob();
    blob.truncate(12);
    blob.extend_from_slice(&Sha256::digest(bytes));
    blob.extend_from_slice(bytes);
    if let Ok(registry) = Registry::from_blob(&blob)
        && registry.problems().is_empty()
    {
        let again = Registry::from_blob(&registry.to_blob()).expect("what was written is read");
        assert!(again.problems().is_empty());
    }
});
