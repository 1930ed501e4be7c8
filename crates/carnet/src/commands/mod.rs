//! One file per command; each ends in an exit code of the contract.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bom;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod engine;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod policy;
pub(crate) mod prove;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod simulate;

use crate::backup::Refused;
use crate::exit::Exit;
use crate::out;
use crate::trouble::Troubles;

/// Report what stops a command.
pub(crate) fn failed(troubles: &Troubles) -> Exit {
    out::troubles(troubles);
    Exit::Error
}

/// Report why there is no backup, or why nothing was restored.
pub(crate) fn refused(refused: Refused) -> Exit {
    match refused {
        Refused::Broken(troubles) => {
            out::troubles(&troubles);
            Exit::Bad
        }
        Refused::Failed(troubles) => failed(&troubles),
    }
}

/// Print a value as one JSON line.
pub(crate) fn json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string(value) {
        Ok(text) => {
            out::answer(text);
            Exit::Good
        }
        Err(error) => {
            out::note(format_args!("error: cannot write the answer: {error}"));
            Exit::Error
        }
    }
}
