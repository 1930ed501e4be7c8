//! The start without a configuration: a demonstration on this machine alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carnet_admin::Store;
use jiff::Timestamp;

use crate::config::Draft;
use crate::out;
use crate::state::{State, write_secret};
use crate::trouble::{Trouble, Troubles};

/// The configuration of the demonstration.
const CONFIG: &str = include_str!("../assets/demo.toml");
/// What the operator would write to let the local model through.
const OWN_CONFIG: &str = include_str!("../assets/demo-carnet.toml");
/// What the first start says, with places in braces.
const GREETING: &str = include_str!("../assets/demo.txt");
const OWN_OVERLAY: &str = include_str!("../assets/demo-overlay.toml");

/// The demonstration's configuration, to be checked like any other.
pub(crate) fn draft() -> Result<Draft, Troubles> {
    let file = Path::new("(built-in demonstration)");
    Draft::read(file, CONFIG.to_owned(), PathBuf::new())
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

/// Say what was done, and what to try.
pub(crate) fn announce(state: &State, data: SocketAddr, wanted: &Path) {
    let key = state.demo_key();
    let text = GREETING
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{wanted}", &wanted.display().to_string())
        .replace("{key}", &key.display().to_string())
        .replace("{data}", &data.to_string())
        .replace("{config}", indented(OWN_CONFIG).trim_end())
        .replace("{overlay}", indented(OWN_OVERLAY).trim_end());
    out::raw(&text);
}

fn indented(text: &str) -> String {
    text.lines()
        .fold(String::new(), |all, line| format!("{all}     {line}\n"))
}
