//! Azure: the name on the wire is a deployment's, chosen by the customer. Only the operator's
//! overlay, or an alias of the catalogue, says what stands behind it.

use crate::grammar::{Names, Reading, plain};

/// Words that price lists write in front of names.
const PLACES: &[&str] = &[
    "apac",
    "data-zone",
    "eu",
    "global",
    "global-standard",
    "standard",
    "us",
    "us-gov",
];

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Deployments;
    reading.form(id);
    let mut name = id;
    while let Some((first, rest)) = name.split_once('/') {
        if !PLACES.contains(&first) {
            break;
        }
        reading.step(format!("`{first}/` says where or how it is sold"));
        name = rest;
    }
    reading.form(name);
    plain::namespace(reading);
    reading.step("a deployment's name is the customer's choice");
}
