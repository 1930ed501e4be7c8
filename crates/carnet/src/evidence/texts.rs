//! Texts beside weights: model cards and configurations.

use carnet_inspect::limits::MAX_FRONT_MATTER;
use carnet_inspect::{Tree, card as format};
use carnet_provenance::Relation;

use super::notes::{self, Notes};
use super::place::Opened;

/// Bytes of a card that are looked at: its front matter with both fences.
const CARD_BYTES: usize = MAX_FRONT_MATTER + 4096;
/// Size from which a card is no card that people read.
const CARD_LARGE: u64 = 16 * 1024 * 1024;

/// The front matter of a model card.
pub(super) fn card(opened: &mut Opened, name: &str, notes: &mut Notes) {
    let bytes = match opened.head(CARD_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            notes.step(format!("{name} is not read: {error}"));
            return;
        }
    };
    if opened.len > CARD_LARGE {
        let len = opened.len;
        notes.step(format!(
            "{name} has {len} bytes: only its front matter is looked at, up to {CARD_BYTES} bytes"
        ));
    }
    let whole = u64::try_from(bytes.len()).is_ok_and(|read| read >= opened.len);
    // A character may be cut at the end of what is looked at; the front matter ends before.
    let head = String::from_utf8_lossy(&bytes);
    let tree = match format::read(&head, whole) {
        Ok(Some(tree)) => tree,
        Ok(None) => {
            notes.step(format!("{name} has no front matter"));
            return;
        }
        Err(finding) => {
            notes.step(format!("{name} is not read: {}", notes::told(&finding)));
            return;
        }
    };
    twice(&tree, name, &["base_model", "base_model_relation"], notes);
    if texts(&tree, "library_name").any(|library| library == "peft") {
        notes.adapter();
    }
    let relation = relation(&tree, name, notes);
    for base in texts(&tree, "base_model") {
        notes.base(base, &format!("{name} base_model"), relation);
    }
    for tag in texts(&tree, "tags") {
        tagged(tag, name, notes);
    }
    for own in texts(&tree, "model_name") {
        notes.own_name(own, &format!("{name} model_name"), "file", false);
    }
    for key in ["model_creator", "quantized_by"] {
        for maker in texts(&tree, key) {
            notes.maker(maker, &format!("{name} {key}"));
        }
    }
    let named = texts(&tree, "license_name").next();
    for licence in texts(&tree, "license") {
        let (licence, key) = match named {
            Some(named) if licence == "other" => (named, "license_name"),
            _ => (licence, "license"),
        };
        notes.licence(licence, &format!("{name} {key}"));
    }
}

fn texts<'t>(tree: &'t Tree, key: &'t str) -> impl Iterator<Item = &'t str> {
    tree.all(key).flat_map(Tree::texts)
}

/// Readers differ on which of two equal keys counts, so both do.
fn twice(tree: &Tree, name: &str, keys: &[&str], notes: &mut Notes) {
    for key in keys {
        let count = tree.all(key).count();
        if count > 1 {
            notes.step(format!(
                "{name} says `{key}` {count} times: all of them count"
            ));
        }
    }
}

fn relation(tree: &Tree, name: &str, notes: &mut Notes) -> Option<Relation> {
    let stated = texts(tree, "base_model_relation").next()?;
    let known = relation_named(stated);
    if known.is_none() {
        let short: String = stated.chars().take(64).collect();
        notes.step(format!("{name} says an unknown relation, `{short}`"));
    }
    known
}

fn relation_named(word: &str) -> Option<Relation> {
    [
        Relation::Adapter,
        Relation::Finetune,
        Relation::Merge,
        Relation::Quantized,
    ]
    .into_iter()
    .find(|relation| relation.as_str() == word)
}

/// The hub's own marks: `base_model:ID` and `base_model:RELATION:ID`.
fn tagged(tag: &str, name: &str, notes: &mut Notes) {
    let Some(rest) = tag.strip_prefix("base_model:") else {
        return;
    };
    let place = format!("{name} tags");
    match rest.split_once(':') {
        Some((relation, base)) => notes.base(base, &place, relation_named(relation)),
        None => notes.base(rest, &place, None),
    }
}

/// A configuration of weights.
pub(super) fn config(tree: &Tree, name: &str, notes: &mut Notes) {
    for key in ["model_type", "architectures"] {
        for value in texts(tree, key) {
            notes.architecture(value, &format!("{name} {key}"));
        }
    }
    if tree
        .all("quantization_config")
        .any(|value| matches!(value, Tree::Map(_)))
    {
        notes.quantized();
    }
    let key = "_name_or_path";
    twice(tree, name, &[key], notes);
    let place = format!("{name} {key}");
    for value in texts(tree, key) {
        // Where the weights were loaded from before they were saved: themselves, or their base.
        if notes.goes_by(value) {
            notes.own_name(value, &place, "huggingface", false);
        } else {
            notes.base(value, &place, None);
        }
    }
}

/// The configuration of an adapter.
pub(super) fn adapter(tree: &Tree, name: &str, notes: &mut Notes) {
    notes.adapter();
    let key = "base_model_name_or_path";
    twice(tree, name, &[key], notes);
    for base in texts(tree, key) {
        notes.base(base, &format!("{name} {key}"), Some(Relation::Adapter));
    }
    if let Some(kind) = texts(tree, "peft_type").next() {
        let short: String = kind.chars().take(64).collect();
        notes.step(format!(
            "{name} peft_type `{short}`: weights that only work beside a base's"
        ));
    }
}
