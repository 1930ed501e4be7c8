//! OpenRouter: `vendor/model:variant`, `~vendor/model-latest`, and its own routers.

use crate::grammar::{Names, Reading, plain};

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.shares_names = true;
    reading.form(id);
    if id.starts_with('~') {
        // A floating name: only an alias with its dates says what answers.
        reading.names = Names::Anybodys;
        reading.step("`~` marks a name that moves");
        return;
    }
    reading.names = Names::Services;
    if let Some((rest, variant)) = id.split_once(':') {
        reading.step(format!("variant `:{variant}` chooses how it is served"));
        reading.form(rest);
    }
    plain::namespace(reading);
}
