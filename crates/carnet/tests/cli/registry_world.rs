//! A small made-up registry as a folder, and bundles of it.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::sandbox::{GOOD, Sandbox};

/// Source, date and confidence of a claim.
pub(crate) const SAID: &str =
    r#"source = "https://x.example", date = "2025-01-01", confidence = "high""#;
/// A day that is not before any claim of the built-in registry, and not to come.
pub(crate) fn today() -> String {
    day(0)
}

/// Today, or so many days later.
pub(crate) fn day(later: i64) -> String {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::UTC);
    (now.date() + Span::new().days(later)).to_string()
}

fn model(name: &str, producer: &str, status: &str, base: Option<&str>) -> String {
    let base = base.map_or(String::new(), |base| {
        let said = SAID.replace(", ", "\n");
        format!("[[base_model]]\nmodel = \"{base}\"\nrelation = \"finetune\"\n{said}\n")
    });
    format!(
        "name = \"{name}\"\nproducer = {{ value = \"{producer}\", {SAID} }}\nweights = {{ value = \"open\", {SAID} }}\nlineage_status = {{ value = \"{status}\", {SAID} }}\n{base}"
    )
}

impl Sandbox {
    /// Write a registry of two producers and three models, one from the other, into a folder.
    pub(crate) fn world(&self, folder: &str) -> &Self {
        for (id, country) in [("alder", "US"), ("birch", "DE")] {
            self.write(
                &format!("{folder}/producers/{id}.toml"),
                format!("name = \"The {id}\"\ncountry = {{ value = \"{country}\", {SAID} }}\n"),
            );
        }
        self.write(
            &format!("{folder}/models/alder-base.toml"),
            model("Alder Base", "alder", "stated-from-scratch", None)
                + "[[alias]]\nplatform = \"*\"\nid = \"alder-one\"\n",
        )
        .write(
            &format!("{folder}/models/birch-tune.toml"),
            model("Birch Tune", "birch", "derived", Some("alder-base")),
        )
        .write(
            &format!("{folder}/models/birch-deep.toml"),
            model("Birch Deep", "birch", "derived", Some("birch-tune")),
        )
        .write(
            &format!("{folder}/jurisdictions.toml"),
            "[[country]]\ncode = \"US\"\nname = \"A\"\n[[country]]\ncode = \"DE\"\nname = \"B\"\n[[country]]\ncode = \"FR\"\nname = \"C\"\n",
        )
    }

    /// Let the first producer of the small registry sit in another country.
    pub(crate) fn moved(&self, folder: &str) -> &Self {
        let file = format!("{folder}/producers/alder.toml");
        let text = self.read(&file).replace("\"US\"", "\"FR\"");
        self.write(&file, text)
    }

    /// Make the key that signs bundles, once.
    pub(crate) fn bundle_key(&self) -> &Self {
        if !self.path("review.key").exists() {
            self.run("registry bundle-key --out review.key --name review.example")
                .exits(GOOD);
        }
        self
    }

    /// Make a signed bundle of a folder.
    pub(crate) fn bundle(&self, folder: &str, sequence: u64, created: &str) -> PathBuf {
        self.bundle_key();
        let file = format!("{folder}-{sequence}.carnet-registry");
        self.run(&format!(
            "registry bundle {folder} --key review.key --sequence {sequence} --created {created} --out {file}"
        ))
        .exits(GOOD)
        .quietly();
        self.path(&file)
    }

    /// The small registry, its bundle and the key, installed.
    pub(crate) fn installed() -> Self {
        let sandbox = Self::new();
        sandbox.world("facts");
        sandbox.bundle("facts", 1, &today());
        sandbox
            .run("registry update facts-1.carnet-registry --trust review.key.pub --yes")
            .exits(GOOD);
        sandbox
    }
}
