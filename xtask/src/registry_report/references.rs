//! Agreement with models.dev: each pair says that a name at a provider is the model of another name.
//!
//! The pairs were read in its repository, `providers/<provider>/models/<id>.toml`, key `base_model`, each
//! at the commit that stands beside it (github.com/anomalyco/models.dev, MIT licence).

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::console;
use crate::registry_report::ask::{self, Name};
use crate::registry_report::{is_hinted, judge, share, targets, text};
use crate::repo::Repo;
use crate::totals::Totals;

const PAIRS: &str = include_str!("references.jsonl");

/// One line of the pairs.
#[derive(Deserialize)]
struct Pair {
    provider: String,
    id: String,
    base_model: String,
    /// Why the pair is not one of the same model, where it is known to be wrong.
    wrong: Option<String>,
}

impl Pair {
    fn name(&self) -> Name<'_> {
        Name {
            id: &self.id,
            platform: Some(&self.provider),
        }
    }

    /// The model's own name: behind the maker's it may be one of the maker's service, which can move.
    fn model(&self) -> Name<'_> {
        let name = self.base_model.split_once('/').map(|(_, name)| name);
        Name {
            id: name.unwrap_or(&self.base_model),
            platform: None,
        }
    }
}

pub(super) fn run(repo: &Repo) -> Result<Totals> {
    let pairs: Vec<Pair> = PAIRS
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the pairs are no JSON Lines")?;
    let (wrong, right): (Vec<&Pair>, Vec<&Pair>) =
        pairs.iter().partition(|pair| pair.wrong.is_some());
    let names: Vec<Name<'_>> = right.iter().map(|pair| pair.name()).collect();
    let models: Vec<Name<'_>> = right.iter().map(|pair| pair.model()).collect();
    let (names, models) = (
        ask::resolve(repo, &names, None)?,
        ask::resolve(repo, &models, None)?,
    );
    console::head("the references of models.dev");
    let mut agreed = 0;
    for ((pair, name), model) in right.iter().zip(&names).zip(&models) {
        if meant(name).iter().any(|one| meant(model).contains(one)) {
            agreed += 1;
        } else {
            console::say(format_args!(
                "  {} {}: {:?}, but {} is {:?}",
                pair.provider,
                pair.id,
                meant(name),
                pair.base_model,
                meant(model)
            ));
        }
    }
    for pair in wrong {
        console::say(format_args!(
            "  not counted: {} {} as {}: {}",
            pair.provider,
            pair.id,
            pair.base_model,
            pair.wrong.as_deref().unwrap_or_default()
        ));
    }
    let mut totals = Totals::default();
    let (found, shown) = share(agreed, right.len());
    judge(&mut totals, &targets::AGREED, found, &shown);
    Ok(totals)
}

/// The models that a name stands for; several, when it moves.
fn meant(answer: &Value) -> Vec<&str> {
    if is_hinted(answer) {
        return Vec::new();
    }
    let candidates = answer.get("candidates").and_then(Value::as_array);
    let candidates = candidates.into_iter().flatten();
    candidates
        .filter_map(|one| text(one, "model"))
        .chain(text(answer, "canonical"))
        .collect()
}
