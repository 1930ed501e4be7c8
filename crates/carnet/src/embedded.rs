//! What is built into the binary: the registry and the example packs.

use carnet_policy::PackSource;
use carnet_provenance::Registry;
use jiff::civil::Date;

use crate::trouble::{Trouble, Troubles};

macro_rules! model_file {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../models/carnet-sums/", $name)),
        )
    };
}

const REGISTRY_DATE: &str = include_str!(concat!(env!("OUT_DIR"), "/registry.date"));
static REGISTRY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/registry.blob"));

include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The name of the model that comes with Carnet, in the registry and for callers.
pub(crate) const MODEL: &str = "carnet-sums";

/// The files of that model.
pub(crate) static MODEL_FILES: [(&str, &[u8]); 5] = [
    model_file!("config.json"),
    model_file!("generation_config.json"),
    model_file!("model.safetensors"),
    model_file!("tokenizer.json"),
    model_file!("tokenizer_config.json"),
];

/// The built-in registry.
pub(crate) fn registry() -> Result<Registry, Troubles> {
    Registry::from_blob(REGISTRY).map_err(|error| {
        vec![Trouble::new(
            format!("the built-in registry cannot be read: {error}"),
            "the program is damaged; install it again",
        )]
    })
}

/// The newest date of a claim of the built-in registry: how it is compared with bundles.
pub(crate) fn date() -> Result<Date, Troubles> {
    REGISTRY_DATE.parse().map_err(|error| {
        vec![Trouble::new(
            format!("the built-in registry has no date: {error}"),
            "the program is damaged; install it again",
        )]
    })
}

/// Names of the built-in packs.
pub(crate) fn pack_names() -> impl Iterator<Item = &'static str> {
    PACKS.iter().map(|(name, _)| *name)
}

/// A built-in pack.
pub(crate) fn pack(name: &str) -> Option<PackSource> {
    let (name, files) = PACKS.iter().find(|(known, _)| *known == name)?;
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    Some(PackSource::new(*name, files))
}
