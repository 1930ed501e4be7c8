//! LiteLLM's `config.yaml`: each deployment of `model_list` becomes a model of an upstream.
//!
//! Which provider a model belongs to stands before its first slash or in `custom_llm_provider`.

use super::Import;
use super::cursor::At;
use super::upstream::Model;

/// What is asked of a deployment when it does not say.
const MODE: &str = "chat";
/// Modes whose requests go through.
const MODES: &[&str] = &[MODE, "completion", "embedding", "responses"];

pub(super) fn read(import: &mut Import<'_>, root: &At<'_>) {
    for deployment in import.mistakes.list(root, "model_list") {
        read_deployment(import, &deployment);
    }
    for (alias, group) in import
        .mistakes
        .map(root, "router_settings.model_group_alias")
    {
        read_alias(import, alias, &group);
    }
}

fn read_deployment(import: &mut Import<'_>, deployment: &At<'_>) {
    let name = import.mistakes.text(deployment, "model_name");
    let params = deployment.get("litellm_params");
    let model = params
        .as_ref()
        .and_then(|params| import.mistakes.text(params, "model"));
    let (Some((name, place)), Some(params), Some((model, _))) = (name, params, model) else {
        let why = "a deployment needs `model_name` and `litellm_params.model`";
        return import.leave(deployment, why, None);
    };
    if name.contains('*') || model.contains('*') {
        let why = "it stands for all models of a provider; here each model is named";
        return import.leave(
            deployment,
            why,
            Some("list the models that callers need at an upstream"),
        );
    }
    let mode = import.mistakes.text(deployment, "model_info.mode");
    let mode = mode.map_or(MODE, |(mode, _)| mode);
    if !MODES.contains(&mode) {
        let why = "requests of this mode do not go through here";
        return import.leave(deployment, why, None);
    }
    let given = import.mistakes.text(&params, "custom_llm_provider");
    let (provider, own) = match (given, model.split_once('/')) {
        (Some((provider, _)), Some((first, own))) if first == provider => (Some(provider), own),
        (Some((provider, _)), _) => (Some(provider), model),
        (None, Some((provider, own))) => (Some(provider), own),
        (None, None) => (None, model),
    };
    let knowledge = import.knowledge;
    let known = match provider {
        Some(provider) => knowledge.provider(provider),
        None => knowledge.provider_of_bare(model),
    };
    let Some(provider) = known else {
        let why = "which service this model belongs to is not known here";
        return import.leave(deployment, why, Some("write an upstream for it"));
    };
    if let Some(why) = &provider.refused {
        return import.leave(deployment, why.as_str(), provider.instead.as_deref());
    }
    let provider = knowledge.interface(provider, own);
    if !provider.takes(own) {
        let why = format!(
            "this model of `{}` asks for an interface that is not carried over",
            provider.name
        );
        return import.leave(deployment, why, provider.instead.as_deref());
    }
    let mut upstream = import.upstream(provider, &[&params]);
    upstream.first_byte_seconds = import.mistakes.seconds(&params, "timeout", 1.0);
    let model = Model {
        name: name.to_owned(),
        upstream_model: provider.own_id(own).to_owned(),
        place,
    };
    import.offer(upstream, Some(model));
}

/// A further name for all deployments of a group.
fn read_alias(import: &mut Import<'_>, alias: &str, group: &At<'_>) {
    let place = group.place();
    let path = if group.peek().is_some() { "" } else { "model" };
    let Some((target, _)) = import.mistakes.text(group, path) else {
        return import.leave(group, "an alias needs the name of a group", None);
    };
    let mut found = false;
    for entry in &mut import.entries {
        let target = entry.models.iter().find(|model| model.name == target);
        let upstream_model = target.map(|model| model.upstream_model.clone());
        found |= upstream_model.is_some();
        let is_new = entry.models.iter().all(|model| model.name != alias);
        entry.models.extend(
            upstream_model
                .filter(|_| is_new)
                .map(|upstream_model| Model {
                    name: alias.to_owned(),
                    upstream_model,
                    place: place.clone(),
                }),
        );
    }
    if !found {
        import.leave(
            group,
            "no deployment that was carried over has this name",
            None,
        );
    }
}
