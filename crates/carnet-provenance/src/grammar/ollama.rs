//! Ollama: `name:tag`, `user/name:tag`. A tag moves, and `-cloud` leaves the machine.

use crate::grammar::{Names, Reading, huggingface};

/// The host behind `-cloud` tags.
const CLOUD: &str = "ollama-cloud";

pub(super) fn read(id: &str, reading: &mut Reading) {
    let id = id.strip_prefix("registry.ollama.ai/").unwrap_or(id);
    let id = id.strip_prefix("library/").unwrap_or(id);
    if huggingface::looks_like(id) {
        reading.step("the model is pulled from a repository");
        huggingface::read(id, reading);
        reading.names = Names::Anybodys;
        return;
    }
    let at = id.rfind('/').map_or(0, |at| at.saturating_add(1));
    let (path, last) = id.split_at_checked(at).unwrap_or(("", id));
    let (name, tag) = match last.split_once(':') {
        Some((_, tag)) => (
            id.get(..id.len().saturating_sub(tag.len().saturating_add(1))),
            tag,
        ),
        None => (Some(id), "latest"),
    };
    let name = name.unwrap_or(id);
    reading.form(id);
    if path.contains(['.', ':']) {
        reading.step("another registry stands in front: what it serves under a name is its own");
        reading.names = Names::Anybodys;
        return;
    }
    reading.form(&format!("{name}:{tag}"));
    let tag = local_tag(name, tag, reading);
    reading.without_storage();
    if let Some((user, _)) = name.split_once('/') {
        reading.step(format!("`{user}/` is a user's own name space"));
        reading.names = Names::Anybodys;
        reading.namespace = Some(user.to_owned());
    } else if tag == "latest"
        || tag == "cloud"
        || !reading.forms.last().is_some_and(|form| form.contains(':'))
    {
        reading.step("a bare name moves: only an alias says what it stands for");
        reading.form(name);
        reading.names = Names::Anybodys;
    } else {
        reading.names = Names::Services;
    }
}

/// The tag without its cloud mark; the mark decides where the prompt goes.
fn local_tag<'a>(name: &str, tag: &'a str, reading: &mut Reading) -> &'a str {
    let rest = if tag == "cloud" {
        Some("cloud")
    } else {
        tag.strip_suffix("-cloud")
    };
    let Some(rest) = rest else { return tag };
    reading.step("`-cloud` leaves the machine under a local name");
    reading.host = Some(CLOUD);
    if rest != "cloud" {
        reading.form(&format!("{name}:{rest}"));
    }
    rest
}
