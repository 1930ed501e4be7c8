//! A config of Portkey: each target that names a provider becomes an upstream.
//!
//! Callers name the model in their requests there, so a target has one only where it overrides theirs. What a target
//! does not say, the targets around it say.

use super::Import;
use super::cursor::At;
use super::tree::{Node, Value};
use super::upstream::Model;

pub(super) fn read(import: &mut Import<'_>, root: &At<'_>) {
    read_target(import, &[root]);
}

/// A target behind the ones around it, from the inside out.
fn read_target(import: &mut Import<'_>, around: &[&At<'_>]) {
    let Some(target) = around.first() else {
        return;
    };
    let targets = import.mistakes.list(target, "targets");
    if targets.is_empty() {
        return read_provider(import, target, around);
    }
    for inner in targets {
        let mut around = around.to_vec();
        around.insert(0, &inner);
        read_target(import, &around);
    }
}

fn read_provider(import: &mut Import<'_>, target: &At<'_>, around: &[&At<'_>]) {
    let Some((name, place)) = import.mistakes.text(target, "provider") else {
        let why = "which service it stands for is known to the other gateway's console alone";
        return import.leave(
            target,
            why,
            Some("write an upstream with the service's address and key"),
        );
    };
    if name.starts_with('@') {
        let why = "which service this name of a catalogue stands for is known to the other gateway's console alone";
        return import.leave(
            target,
            why,
            Some("write an upstream with the service's address and key"),
        );
    }
    let knowledge = import.knowledge;
    let Some(provider) = knowledge.provider(name) else {
        let why = "which service this provider stands for is not known here";
        return import.leave(target, why, Some("write an upstream for it"));
    };
    if let Some(why) = &provider.refused {
        return import.leave(target, why.as_str(), provider.instead.as_deref());
    }
    let mut upstream = import.upstream(provider, around);
    let timeout = around.iter().find(|at| at.get("request_timeout").is_some());
    // In milliseconds.
    upstream.first_byte_seconds =
        timeout.and_then(|at| import.mistakes.seconds(at, "request_timeout", 1000.0));
    let model = [
        "override_params.model",
        "deployment_id",
        "azure_deployment_name",
    ]
    .iter()
    .find_map(|path| around.iter().find_map(|at| import.mistakes.text(at, path)));
    let Some((model, model_place)) = model else {
        let why = "callers name the model; here each model is named";
        let instead =
            "name the models that callers need in the upstream that is written as a comment";
        import.report.left(place, why, Some(instead));
        return import.offer(upstream, None);
    };
    if model.starts_with('@') || !provider.takes(model) {
        let why = format!("this model of `{name}` asks for an interface that is not carried over");
        return import.leave(target, why, provider.instead.as_deref());
    }
    let model = Model {
        name: model.to_owned(),
        upstream_model: model.to_owned(),
        place: model_place,
    };
    import.offer(upstream, Some(model));
}

/// The tree with keys as the documentation writes them; the gateway takes `apiKey` for `api_key`.
pub(super) fn in_snake_case(mut node: Node) -> Node {
    node.value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(in_snake_case).collect()),
        Value::Map(entries) => {
            let entry = |(key, value): (String, Node)| (snake_case(&key), in_snake_case(value));
            Value::Map(entries.into_iter().map(entry).collect())
        }
        other => other,
    };
    node
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len());
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
