//! The key that signs the log: made with a log's first start, beside its public half, and never instead of one that is
//! missing.

use carnet_audit::{PublicKey, Signer};

use crate::state::{State, random, write_secret};
use crate::trouble::{Trouble, Troubles};
use crate::world;

/// Names the log in its checkpoints; which log of whom it is says the public key.
const LOG_ORIGIN: &str = "carnet/audit";
const HELP: &str =
    "restore it from your backup: a log that is signed with another key does not verify";

/// The signer of this state's log; the first start makes it.
pub(crate) fn open(state: &State) -> Result<Signer, Troubles> {
    let (file, public) = (state.audit_key(), state.audit_public_key());
    if !file.exists() {
        // A new one would sign nothing that goes on from here, and take the place of the public half that verifies it.
        if state.audit().join("checkpoint").exists() {
            return Err(vec![
                Trouble::new("the key that signs the log is missing", HELP).of(&file),
            ]);
        }
        let secret = random::<32>()?;
        write_secret(&file, &hex::encode(secret))
            .map_err(|error| Trouble::io("write the signing key", &file, &error, HELP))?;
    }
    let signer = read(state)?;
    let key = public_half(&signer)?;
    let text = format!("{key}\n");
    if std::fs::read_to_string(&public).ok().as_deref() != Some(text.as_str()) {
        std::fs::write(&public, text)
            .map_err(|error| Trouble::io("write the public key", &public, &error, HELP))?;
    }
    Ok(signer)
}

/// The signer, which must be there.
pub(crate) fn read(state: &State) -> Result<Signer, Troubles> {
    let file = state.audit_key();
    let text = world::read_text(&file)?;
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret).map_err(|_| {
        vec![Trouble::new(
            format!("the signing key `{}` is damaged", file.display()),
            HELP,
        )]
    })?;
    Signer::new(LOG_ORIGIN, &secret).map_err(|error| vec![Trouble::new(error.to_string(), HELP)])
}

/// What the signer's checkpoints are checked with.
pub(crate) fn public_half(signer: &Signer) -> Result<PublicKey, Troubles> {
    signer
        .public_key()
        .map_err(|error| vec![Trouble::new(error.to_string(), HELP)])
}

/// The public key that lies beside the log.
pub(crate) fn public(state: &State) -> Result<PublicKey, Troubles> {
    public_in(&state.audit_public_key())
}

/// The public key in a file.
pub(crate) fn public_in(file: &std::path::Path) -> Result<PublicKey, Troubles> {
    let text = world::read_text(file)?;
    text.trim()
        .parse()
        .map_err(|error: carnet_audit::KeyError| {
            vec![Trouble::new(
                format!("`{}`: {error}", file.display()),
                "name the log's public key, one line, with --key FILE",
            )]
        })
}
