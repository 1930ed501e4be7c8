//! The start without a configuration: a demonstration on this machine alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carnet_admin::Store;
use carnet_limits::KeyTerms;
use jiff::Timestamp;

use crate::config::{Draft, Given};
use crate::state::{State, write_secret};
use crate::trouble::{Trouble, Troubles};
use crate::{embedded, out};

/// The configuration of the demonstration.
const CONFIG: &str = include_str!("../assets/demo.toml");
/// What the first start says, with places in braces.
const GREETING: &str = include_str!("../assets/demo.txt");
/// Words for the model that comes with Carnet, and for another.
const OWN: (&str, &str) = (
    "a small reasoning model that comes with it, `carnet-sums`,",
    "A sum that the model reasons through, as a stream:",
);
const OTHER: &str = "A question to your model. If the rules do not know it, fill in the refusal's lines and add --overlay FILE:";

/// The demonstration's configuration, to be checked like any other.
pub(crate) fn draft(given: &Given) -> Result<Draft, Troubles> {
    let file = Path::new("(built-in demonstration)");
    Draft::read(file, CONFIG.to_owned(), PathBuf::new(), given)
}

/// Make the demo workload's key once; its file is readable for the owner only.
pub(crate) fn prepare_key(state: &State, store: &Store, now: Timestamp) -> Result<(), Troubles> {
    let file = state.demo_key();
    if file.exists() {
        return Ok(());
    }
    let (secret, _) = store
        .create(
            "demo",
            "made by the first start without a configuration",
            KeyTerms::default(),
            now,
        )
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    write_secret(&file, secret.expose()).map_err(|error| {
        Trouble::io(
            "write the demo key",
            &file,
            &error,
            "check the state directory",
        )
    })
}

/// Say what was done, and what to try with `model`.
pub(crate) fn announce(
    state: &State,
    given: Option<&Path>,
    data: SocketAddr,
    wanted: &Path,
    model: &str,
) {
    let of_model = format!("`{model}`");
    let (words, question) = match model {
        embedded::MODEL => OWN,
        _ => (of_model.as_str(), OTHER),
    };
    // As it was typed, so that it works from where it was typed.
    let program = std::env::args().next();
    let state_option =
        given.map_or_else(String::new, |state| format!(" --state {}", state.display()));
    let text = GREETING
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{wanted}", &wanted.display().to_string())
        .replace("{key}", &state.demo_key().display().to_string())
        .replace("{data}", &data.to_string())
        .replace("{carnet}", program.as_deref().unwrap_or("carnet"))
        .replace("{state}", &state_option)
        .replace("{model}", words)
        .replace("{question}", question)
        .replace("{name}", model);
    out::raw(&out::plain(&text));
}
