//! The start without a configuration: a demonstration on this machine alone.

use std::net::SocketAddr;
use std::path::Path;

use carnet_admin::Store;
use jiff::Timestamp;

use crate::config::{self, Config};
use crate::out;
use crate::state::{State, write_secret};
use crate::trouble::{Trouble, Troubles};

/// The configuration of the demonstration.
const CONFIG: &str = include_str!("../assets/demo.toml");
/// What the operator would write to let the local model through.
const OWN_CONFIG: &str = include_str!("../assets/demo-carnet.toml");
const OWN_OVERLAY: &str = include_str!("../assets/demo-overlay.toml");

/// The demonstration's configuration, checked like any other.
pub(crate) fn config() -> Result<Config, Troubles> {
    let file = Path::new("(built-in demonstration)");
    config::parse(CONFIG, Path::new("")).map_err(|problems| {
        problems
            .into_iter()
            .map(|problem| Trouble::config(file, CONFIG, problem))
            .collect()
    })
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
    let key = key.display();
    out::answer(format_args!(
        r#"carnet {} is ready, as a demonstration: there is no `{}`.

It made a key for the workload `demo` ({key}, readable for you only), took the pack `default`
(known model on a known host: permit; anything unknown: deny), and offers one model of a server on
this machine, http://127.0.0.1:11434/v1. Nobody told Carnet whose machine this is, so:

1. A request that is refused, with the reason and the lines that would settle it:

   curl -s http://{data}/v1/chat/completions -H "Authorization: Bearer $(cat {key})" \
     -H "Content-Type: application/json" \
     -d '{{"model":"llama3.3:70b","messages":[{{"role":"user","content":"Hello"}}]}}'

2. A request that is served: write these two files, then start again with `carnet serve`.

   carnet.toml:
{}
   overlay.toml (whose machine it is, in your name):
{}
   curl -s http://{data}/v1/chat/completions -H "Authorization: Bearer $(cat {key})" \
     -H "Content-Type: application/json" \
     -d '{{"model":"llama3.3:70b","messages":[{{"role":"user","content":"Hello"}}]}}'

3. The evidence:

   carnet audit show
   carnet audit verify
"#,
        env!("CARGO_PKG_VERSION"),
        wanted.display(),
        indented(OWN_CONFIG),
        indented(OWN_OVERLAY),
    ));
}

fn indented(text: &str) -> String {
    text.lines()
        .fold(String::new(), |all, line| format!("{all}     {line}\n"))
}
