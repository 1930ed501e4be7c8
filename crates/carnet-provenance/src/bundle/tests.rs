//! Bundles: made, checked, and refused whenever a byte is not as it was signed.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::fixture::{files, registry};
use crate::registry::Entries;

fn signer() -> BundleSigner {
    BundleSigner::new("review.example", &[7; 32]).unwrap()
}

pub(super) fn key() -> BundleKey {
    signer().public_key().unwrap()
}

fn manifest() -> Manifest {
    Manifest::new(3, date(2026, 1, 1), Some("sha256:00".to_owned()))
}

fn bundle() -> Vec<u8> {
    signer().bundle(&registry(), manifest())
}

/// A bundle of these records, signed as if they had been checked.
pub(super) fn signed(registry: &Registry, change: impl FnOnce(&mut Entries)) -> Vec<u8> {
    let blob = registry.to_blob();
    let mut entries = Registry::from_blob(&blob).unwrap().into_entries();
    change(&mut entries);
    signer().bundle(&Registry::new(entries), manifest())
}

#[test]
fn a_bundle_carries_the_registry() {
    let bytes = bundle();
    let bundle = verify(&bytes, &[key()]).unwrap();
    assert_eq!(bundle.signed_by(), "review.example");
    assert_eq!(bundle.manifest().sequence, 3);
    assert_eq!(bundle.manifest().previous.as_deref(), Some("sha256:00"));
    let again = bundle.registry().unwrap();
    assert_eq!(again.version(), registry().version());
    assert_eq!(bundle.manifest().registry, registry().version());
    // Equal facts make equal bundles.
    assert_eq!(bytes, self::bundle());
    assert!(is_bundle(&bytes) && !is_bundle(&registry().to_blob()));
}

#[test]
fn only_a_trusted_key_counts() {
    let bytes = bundle();
    let other = BundleSigner::new("review.example", &[8; 32]).unwrap();
    let renamed = BundleSigner::new("else.example", &[7; 32]).unwrap();
    for keys in [
        vec![],
        vec![other.public_key().unwrap()],
        vec![renamed.public_key().unwrap()],
    ] {
        let error = verify(&bytes, &keys).unwrap_err();
        assert_eq!(error.refusal(), Refusal::Untrusted, "{error}");
        assert!(error.to_string().contains("`review.example`"), "{error}");
    }
    let keys = [other.public_key().unwrap(), key(), key()];
    assert!(verify(&bytes, &keys).is_ok());
}

#[test]
fn no_byte_can_change_and_none_can_be_missing() {
    let bytes = bundle();
    let head = 16 + 700;
    let keys = [key()];
    for at in (0..bytes.len()).filter(|at| *at < head || at % 97 == 0 || at + 50 > bytes.len()) {
        for mask in [1, 128] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            assert!(verify(&changed, &keys).is_err(), "byte {at}");
        }
        assert!(verify(&bytes[..at], &keys).is_err(), "cut at {at}");
    }
    let mut longer = bytes;
    longer.push(0);
    let error = verify(&longer, &keys).unwrap_err();
    assert_eq!(error.refusal(), Refusal::Damaged);
}

#[test]
fn another_form_is_told_as_such() {
    let mut bytes = bundle();
    bytes[8] = 9;
    let error = verify(&bytes, &[key()]).unwrap_err();
    assert_eq!(error.refusal(), Refusal::OtherForm);
    // Facts of a later form, properly signed.
    let mut manifest = manifest();
    let blob = registry().to_blob();
    manifest.registry = registry().version().to_owned();
    manifest.blob_form = blob::FORM + 1;
    manifest.blob_bytes = blob.len();
    manifest.blob_sha256 = hex::encode(Sha256::digest(&blob));
    let note = signer().sign(&manifest.to_string());
    let mut bytes = MARK.to_vec();
    bytes.extend(FORM.to_le_bytes());
    bytes.extend(u32::try_from(note.len()).unwrap().to_le_bytes());
    bytes.extend(note.as_bytes());
    bytes.extend(&blob);
    let bundle = verify(&bytes, &[key()]).unwrap();
    assert_eq!(bundle.registry().unwrap_err().refusal(), Refusal::OtherForm);
}

fn broken(change: impl FnOnce(&mut Entries)) -> Vec<String> {
    let bytes = signed(&registry(), change);
    match verify(&bytes, &[key()]).unwrap().registry() {
        Err(BundleError::BrokenFacts(problems)) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn facts_that_the_reader_would_refuse_are_refused_when_signed_too() {
    let said = |found: Vec<String>, wanted: &str| {
        let found_it = found.iter().any(|line| line.contains(wanted));
        assert!(found_it, "{wanted} in {found:#?}");
    };
    said(
        broken(|entries| {
            let base = entries.models["birch-1776"].base_models[0].clone();
            let model = entries.models.get_mut("alder-base").unwrap();
            model.base_models = vec![base];
            model.lineage_status.0[0].value = crate::LineageStatus::Derived;
            model.base_models[0].model = "birch-1776".into();
        }),
        "descends from itself",
    );
    said(
        broken(|entries| {
            let model = entries.models.get_mut("alder-r1").unwrap();
            model.producer.0[0].evidence.source = " ".into();
        }),
        "models/alder-r1.toml:1:1: `producer.source` is empty",
    );
    said(
        broken(|entries| {
            let model = entries.models.get_mut("alder-r1").unwrap();
            model.lineage_status.0[0].evidence.date = None;
        }),
        "`lineage_status` has no date",
    );
    said(
        broken(|entries| {
            let alias = entries.models["alder-r1"].aliases[0].clone();
            entries
                .models
                .get_mut("birch-70b")
                .unwrap()
                .aliases
                .push(alias);
        }),
        "is also claimed by",
    );
    said(
        broken(|entries| drop(entries.hosts.remove("cloud"))),
        "prices/cloud.toml:1:1: there is no host `cloud`",
    );
    said(
        broken(|entries| {
            let prices = entries.prices.get_mut("cloud").unwrap();
            prices.iter_mut().for_each(|price| price.valid.to = None);
        }),
        "`birch` has two prices on the same days",
    );
    said(
        broken(|entries| {
            let price = &mut entries.prices.get_mut("cloud").unwrap()[0];
            price.figures.output = None;
        }),
        "price of `alder.r1-v1:0`: `output` and `output_above` need each other",
    );
    said(
        broken(|entries| {
            let price = &mut entries.prices.get_mut("cloud").unwrap()[0];
            price.long_prompts.as_mut().unwrap().above = 0;
        }),
        "price of `alder.r1-v1:0`: `above` is 0",
    );
    said(
        broken(|entries| {
            let price = &mut entries.prices.get_mut("cloud").unwrap()[0];
            price.evidence.date = None;
            price.note = Some("\u{202e}".to_owned());
        }),
        "`note` has control characters",
    );
    said(
        broken(|entries| drop(entries.producers.remove("alder"))),
        "there is no producer `alder`",
    );
    said(
        broken(|entries| {
            entries.hosts.get_mut("cloud").unwrap().origins = vec!["*".to_owned()];
        }),
        "`*` is not a host name",
    );
    said(
        broken(|entries| {
            entries.producers.get_mut("alder").unwrap().name = "A\u{1b}[2J".to_owned();
        }),
        "control characters",
    );
    said(
        broken(|entries| {
            let model = entries.models.remove("hidden-1").unwrap();
            entries.models.insert("other".into(), model);
        }),
        "`hidden-1` cannot be the id here",
    );
    said(
        broken(|entries| {
            entries
                .hosts
                .get_mut("cloud")
                .unwrap()
                .regions_known
                .0
                .clear();
        }),
        "has no source",
    );
    said(
        broken(|entries| {
            let model = entries.models.get_mut("hidden-1").unwrap();
            let mut again = model.weights.0[0].clone();
            again.value = crate::Weights::Open;
            model.weights.0.push(again);
        }),
        "two claims of `weights`",
    );
    said(
        broken(|entries| {
            let model = entries.models.get_mut("birch-1776").unwrap();
            model.base_models.clear();
        }),
        "no [[base_model]] is named",
    );
}

#[test]
fn a_platform_that_another_version_spelled_otherwise_is_no_mistake() {
    let bytes = signed(&registry(), |entries| {
        let model = entries.models.get_mut("alder-r1").unwrap();
        for alias in &mut model.aliases {
            alias.platform = format!("{}_AI", alias.platform);
        }
    });
    let keys = [key()];
    let again = verify(&bytes, &keys).unwrap().registry().unwrap();
    let aliases = &again.model("alder-r1").unwrap().aliases;
    let platforms: Vec<&str> = aliases.iter().map(|one| one.platform.as_str()).collect();
    assert_eq!(platforms, ["bedrock", "openrouter"]);
}

#[test]
fn what_the_reader_takes_passes_the_same_questions() {
    assert_eq!(registry().problems(), []);
    assert_eq!(crate::Registry::parse(&files()).unwrap().problems(), []);
}

#[test]
fn keys_are_texts_that_can_be_read_again() {
    let text = signer().private_text();
    let again: BundleSigner = text.parse().unwrap();
    assert_eq!(again.private_text(), text);
    assert_eq!(again.public_key().unwrap().text(), key().text());
    assert!(!format!("{again:?}").contains("7777"));
    assert!(key().fingerprint().starts_with("sha256:"));
    for bad in [
        "",
        "x",
        "PRIVATE+KEY+a+00000000+AQ==",
        key().text(),
        &text.replace("review", "revise"),
    ] {
        assert_eq!(
            bad.parse::<BundleSigner>().err(),
            Some(BundleKeyError::Private)
        );
    }
    for bad in ["", "a", "a+b", "a+b+c", &text, "a b+00000000+AQ=="] {
        assert!(bad.parse::<BundleKey>().is_err(), "{bad}");
    }
    for name in ["", "a b", "a+b", "a\n"] {
        assert!(BundleSigner::new(name, &[1; 32]).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn bytes_from_anywhere_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&bytes, &[key()]).is_err());
        let mut marked = MARK.to_vec();
        marked.extend(FORM.to_le_bytes());
        marked.extend(&bytes);
        prop_assert!(verify(&marked, &[key()]).is_err());
    }

    /// Whatever a trusted but careless or hostile signer packs, decoding ends in an answer.
    #[test]
    fn content_from_anywhere_is_refused_without_harm(
        at in 0_usize..4_000,
        with in proptest::collection::vec(any::<u8>(), 1..16),
    ) {
        let blob = registry().to_blob();
        let mut content = blob[44..].to_vec();
        let at = at % content.len();
        for (offset, byte) in with.iter().enumerate() {
            if let Some(place) = content.get_mut(at + offset) {
                *place = *byte;
            }
        }
        let mut changed = blob[..12].to_vec();
        changed.extend(Sha256::digest(&content));
        changed.extend(&content);
        if let Ok(registry) = Registry::from_blob(&changed) {
            let _ = registry.problems();
        }
    }
}
