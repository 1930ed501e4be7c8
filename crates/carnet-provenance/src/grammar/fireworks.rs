//! Fireworks: `accounts/<account>/models/<name>`, with `p` for the point in versions.

use crate::grammar::{Names, Reading, plain};

/// The account under which the service lists its own catalogue.
const CATALOGUE: &str = "fireworks";

pub(super) fn looks_like(id: &str) -> bool {
    id.starts_with("accounts/")
}

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Services;
    let id = match id.split_once('#') {
        Some((model, _)) => {
            reading.form(id);
            reading.step("what follows `#` names a deployment");
            model
        }
        None => id,
    };
    reading.form(id);
    let mut parts = id.split('/');
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some("accounts"), Some(CATALOGUE), Some("models"), Some(name), None) => {
            reading.step("the account is the service's own catalogue");
            reading.form(name);
        }
        (Some("accounts"), ..) => {
            reading.opaque = Some("the account is a customer's, which may give any model any name");
            return;
        }
        _ => plain::namespace(reading),
    }
    reading.without_storage();
}
