//! Platforms that write a name, or an organisation and a name: most OpenAI-compatible services.

use crate::grammar::{Names, Reading};

/// Words after a colon that choose how the model is served.
const VARIANTS: &[&str] = &[
    "beta", "exacto", "extended", "floor", "free", "high", "low", "medium", "nitro", "online",
    "thinking",
];

pub(super) fn read(id: &str, names: Names, reading: &mut Reading) {
    reading.names = names;
    reading.shares_names = true;
    if id.starts_with("ft:") {
        reading.form(id);
        reading.opaque = Some("it is a customer's own fine-tune, which only the customer can name");
        return;
    }
    let id = match id.strip_prefix("@cf/") {
        Some(rest) => {
            reading.form(id);
            reading.step("the prefix `@cf/` names the platform");
            rest
        }
        None => id,
    };
    reading.form(id);
    if let Some((rest, variant)) = id.rsplit_once(':')
        && VARIANTS.contains(&variant)
    {
        reading.step(format!("variant `:{variant}` chooses how it is served"));
        reading.form(rest);
    }
    reading.without_storage();
    namespace(reading);
}

/// Note the organisation in front of the most stripped form.
pub(super) fn namespace(reading: &mut Reading) {
    let organisation = reading
        .forms
        .last()
        .and_then(|form| form.rsplit_once('/'))
        .map(|(before, _)| before);
    let nearest = organisation.and_then(|before| before.rsplit('/').next());
    reading.namespace = nearest.map(str::to_owned);
}
