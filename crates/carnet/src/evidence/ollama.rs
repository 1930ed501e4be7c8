//! A manifest of Ollama's store, and the blobs beside it.

use std::path::{Path, PathBuf};

use carnet_inspect::Tree;
use sha2::{Digest, Sha256};

use super::notes::Notes;
use super::place::{self, Place};
use super::{texts, tree, weights};

/// Media types of the layers.
const LAYER: &str = "application/vnd.ollama.image.";
/// Layers that hold weights: the model, adapters over it, encoders beside it.
const WEIGHTS: &[&str] = &["adapter", MODEL, "projector"];
const MODEL: &str = "model";
/// Most layers of one manifest; real ones have about six.
const LAYERS_MAX: usize = 64;
/// The store's own registry and the folder of its own models.
const REGISTRY: &str = "registry.ollama.ai";
const LIBRARY: &str = "library";
/// A registry whose names are repositories of the hub.
const HUBS: &[&str] = &["hf.co", "huggingface.co"];

/// Whether a JSON text is a manifest.
pub(super) fn is_manifest(tree: &Tree) -> bool {
    layers(tree).any(|(kind, _)| kind.starts_with(LAYER))
}

/// Media type and digest of each layer.
fn layers(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let lists = tree.all("layers").filter_map(|layers| match layers {
        Tree::List(items) => Some(items),
        _ => None,
    });
    lists.flatten().filter_map(|layer| {
        let field = |key| layer.all(key).find_map(Tree::text);
        Some((field("mediaType")?, field("digest")?))
    })
}

/// Read a manifest and what it leads to.
pub(super) fn manifest(place: &Place, tree: &Tree, bytes: &[u8], name: &str, notes: &mut Notes) {
    let stored = Stored::of(place.path());
    match stored.as_ref().and_then(Stored::name) {
        Some((value, platform)) => {
            notes.own_name(&value, "the manifest's place in the store", platform, true);
        }
        None => place.names(notes),
    }
    let digest = format!("sha256:{:x}", Sha256::digest(bytes));
    notes.own_name(&digest, "the manifest's digest", "digest", true);
    for (kind, digest) in layers(tree).take(LAYERS_MAX) {
        let Some(kind) = kind
            .strip_prefix(LAYER)
            .filter(|kind| WEIGHTS.contains(kind))
        else {
            continue;
        };
        let Some(hex) = hex(digest) else {
            notes.step(format!(
                "{name} names a {kind} by something that is no SHA-256 digest"
            ));
            continue;
        };
        notes.step(format!("{name} names the {kind} sha256:{hex}, as it was stored; the digest is not computed anew"));
        if kind == MODEL {
            let place = format!("the {kind}'s digest in {name}");
            notes.own_name(&format!("sha256:{hex}"), &place, "digest", false);
        }
        let Some(stored) = &stored else { continue };
        let blob = stored.blob(hex);
        if !blob.exists() {
            notes.step(format!("the {kind} does not lie beside {name}"));
            continue;
        }
        match place::open_within(&blob, &stored.root) {
            Ok(mut opened) => {
                let short: String = hex.chars().take(12).collect();
                weights::gguf(&mut opened, &format!("blob {short}"), notes);
            }
            Err(why) => notes.step(format!("the {kind} is not read: {why}")),
        }
    }
    let digest = tree
        .all("config")
        .flat_map(|config| config.all("digest"))
        .find_map(Tree::text);
    if let (Some(stored), Some(hex)) = (&stored, digest.and_then(hex)) {
        config(stored, hex, name, notes);
    }
}

/// The digest's digits, if it is one.
fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    let digits = hex
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex.len() == 64 && digits).then_some(hex)
}

/// The image's own configuration, which names an architecture.
fn config(stored: &Stored, hex: &str, name: &str, notes: &mut Notes) {
    let blob = stored.blob(hex);
    if !blob.exists() {
        return;
    }
    let shown = format!("{name}'s configuration");
    match place::open_within(&blob, &stored.root) {
        Ok(mut opened) => {
            if let Some(tree) = tree(&mut opened, &shown, notes) {
                texts::config(&tree, &shown, notes);
                for family in tree.all("model_family").flat_map(Tree::texts) {
                    notes.architecture(family, &format!("{shown} model_family"));
                }
            }
        }
        Err(why) => notes.step(format!("{shown} is not read: {why}")),
    }
}

/// The store in which a manifest lies: `ROOT/manifests/REGISTRY/SPACE/NAME/TAG`, with `ROOT/blobs` beside.
struct Stored {
    root: PathBuf,
    parts: Vec<String>,
}

impl Stored {
    fn of(manifest: &Path) -> Option<Self> {
        let folder = manifest
            .ancestors()
            .skip(1)
            .take(8)
            .find(|folder| folder.file_name().is_some_and(|name| name == "manifests"))?;
        let within = manifest.strip_prefix(folder).ok()?;
        let parts = within
            .components()
            .map(|part| part.as_os_str().to_str().map(str::to_owned));
        Some(Self {
            root: folder.parent()?.to_owned(),
            parts: parts.collect::<Option<_>>()?,
        })
    }

    /// The name by which it is run, and the platform whose name that is.
    fn name(&self) -> Option<(String, &'static str)> {
        let [registry, space, name, tag] = self.parts.as_slice() else {
            return None;
        };
        Some(if HUBS.contains(&registry.as_str()) {
            (format!("{space}/{name}"), "huggingface")
        } else if registry == REGISTRY && space == LIBRARY {
            (format!("{name}:{tag}"), "ollama")
        } else {
            (format!("{space}/{name}:{tag}"), "ollama")
        })
    }

    fn blob(&self, hex: &str) -> PathBuf {
        self.root.join("blobs").join(format!("sha256-{hex}"))
    }
}
