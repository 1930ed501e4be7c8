//! Azure: the name on the wire is a deployment's, chosen by the customer. Only the operator's
//! overlay, or an alias of the catalogue, says what stands behind it.

use crate::grammar::{Names, Reading};

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Anybodys;
    reading.form(id);
    if let Some((_, name)) = id.rsplit_once('/') {
        reading.form(name);
    }
    reading.step("a deployment's name is the customer's choice");
}
