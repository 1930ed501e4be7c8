//! Bifrost's `config.json`: each key of a provider becomes an upstream, each virtual key a workload.
//!
//! Callers name a model as `provider/model` there, and go on doing so.

use std::collections::BTreeSet;

use super::Import;
use super::cursor::At;
use super::tree::{Node, Value};
use super::upstream::{Model, Workload};

/// How a list says that all are meant.
const ALL: &str = "*";

pub(super) fn read(import: &mut Import<'_>, root: &At<'_>) {
    let virtual_keys = import.mistakes.list(root, "governance.virtual_keys");
    for (name, provider) in import.mistakes.map(root, "providers") {
        let named = named_elsewhere(&virtual_keys, name);
        read_provider(import, name, &provider, &named);
    }
    for (number, key) in virtual_keys.iter().enumerate() {
        read_virtual_key(import, root, key, number.saturating_add(1));
    }
}

/// Models of a provider that virtual keys name.
fn named_elsewhere<'t>(virtual_keys: &[At<'t>], provider: &str) -> BTreeSet<&'t str> {
    let mut named = BTreeSet::new();
    for config in virtual_keys
        .iter()
        .filter_map(|key| key.get("provider_configs"))
    {
        for config in config.items() {
            if config.get("provider").and_then(|at| at.peek()) == Some(provider)
                && let Some(models) = config.get("allowed_models")
            {
                named.extend(models.items().filter_map(|model| model.peek()));
            }
        }
    }
    named.remove(ALL);
    named
}

fn read_provider(import: &mut Import<'_>, name: &str, at: &At<'_>, named: &BTreeSet<&str>) {
    let base = import
        .mistakes
        .text(at, "custom_provider_config.base_provider_type");
    let is_custom = base.is_some();
    let knowledge = import.knowledge;
    let Some(provider) = knowledge.provider(base.map_or(name, |(base, _)| base)) else {
        let why = "which service this provider stands for is not known here";
        return import.leave(at, why, Some("write an upstream for it"));
    };
    if let Some(why) = &provider.refused {
        return import.leave(at, why.as_str(), provider.instead.as_deref());
    }
    let keys = import.mistakes.list(at, "keys");
    if keys.is_empty() {
        return import.leave(at, "without a key it has no models", None);
    }
    for key in keys {
        if key.get("enabled").and_then(|enabled| enabled.peek()) == Some("false") {
            import.leave(&key, "this key is switched off", None);
            continue;
        }
        let mut upstream = import.upstream(provider, &[&key, at]);
        if is_custom {
            upstream.wish = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
            if upstream.base_url == provider.base_url {
                upstream
                    .lacks
                    .push("its address is not in the source".to_owned());
            }
        }
        let mistakes = &mut import.mistakes;
        upstream.first_byte_seconds =
            mistakes.seconds(at, "network_config.default_request_timeout_in_seconds", 1.0);
        upstream.idle_seconds =
            mistakes.seconds(at, "network_config.stream_idle_timeout_in_seconds", 1.0);
        upstream.proxy = proxy(import, at);
        let models = models(import, &key, name, named);
        if models.is_empty() {
            let why = "no model is named for it; here each model is named";
            let instead =
                "name the models that callers need in the upstream that is written as a comment";
            import.report.left(key.place(), why, Some(instead));
            import.offer(upstream, None);
            continue;
        }
        for model in models {
            if provider.takes(&model.upstream_model) {
                import.offer(upstream.clone(), Some(model));
            } else {
                let why = format!(
                    "this model of `{name}` asks for an interface that is not carried over"
                );
                import
                    .report
                    .left(model.place, why, provider.instead.as_deref());
            }
        }
    }
}

/// The proxy, if it is a plain one.
fn proxy(import: &mut Import<'_>, at: &At<'_>) -> Option<String> {
    let config = at.get("proxy_config")?;
    if config.get("type").and_then(|kind| kind.peek()) == Some("none") {
        config.take();
        return None;
    }
    let url = config.get("url").and_then(|url| url.peek());
    let plain = url
        .and_then(super::upstream::address)
        .filter(|(uri, _)| uri.scheme_str() == Some("http"));
    let asks = ["username", "password"]
        .iter()
        .any(|key| config.get(key).is_some());
    match plain {
        Some((_, url)) if !asks => {
            config.take();
            Some(url)
        }
        _ => {
            let why = "only a proxy in plain HTTP, written out and without a password, can be carried over";
            import.leave(&config, why, Some("`proxy` of an upstream"));
            None
        }
    }
}

/// The models of a key, with the names that callers use.
fn models(
    import: &mut Import<'_>,
    key: &At<'_>,
    provider: &str,
    named: &BTreeSet<&str>,
) -> Vec<Model> {
    let aliases = [
        "aliases",
        "azure_key_config.deployments",
        "bedrock_key_config.deployments",
    ];
    let aliases: Vec<(&str, At<'_>)> = aliases
        .iter()
        .flat_map(|path| import.mistakes.map(key, path))
        .collect();
    let served = import.mistakes.text(key, "vllm_key_config.model_name");
    let mut names: Vec<&str> = import.mistakes.texts(key, "models");
    if names.contains(&ALL) {
        names.retain(|name| *name != ALL);
        names.extend(aliases.iter().map(|(name, _)| *name));
        names.extend(named);
    }
    let mut seen = BTreeSet::new();
    let mut models = Vec::new();
    for name in names.into_iter().filter(|name| seen.insert(*name)) {
        let alias = aliases.iter().find(|(alias, _)| *alias == name);
        let own = match alias {
            Some((_, at)) if at.peek().is_some() => import.mistakes.text(at, ""),
            Some((_, at)) => import.mistakes.text(at, "model_id"),
            None => served.clone(),
        };
        models.push(Model {
            name: format!("{provider}/{name}"),
            upstream_model: own.map_or(name, |(own, _)| own).to_owned(),
            place: alias.map_or(key, |(_, at)| at).place(),
        });
    }
    models
}

fn read_virtual_key(import: &mut Import<'_>, root: &At<'_>, key: &At<'_>, number: usize) {
    if key.get("is_active").and_then(|active| active.peek()) == Some("false") {
        return import.leave(key, "this virtual key is switched off", None);
    }
    let secret = key.get("value").and_then(|value| value.peek());
    // A name can be the key itself.
    let mut text = |path: &str| {
        let text = import.mistakes.text(key, path);
        text.map(|(text, _)| text)
            .filter(|text| Some(*text) != secret)
    };
    let (name, id) = (text("name"), text("id"));
    let (team, customer) = (text("team_id"), text("customer_id"));
    let wish = name
        .or(id)
        .map_or_else(|| format!("virtual-key-{number}"), str::to_owned);
    let id = import.callers.unused(&wish);
    let workload = Workload {
        team: team.map(|team| name_of(root, "governance.teams", team)),
        tenant: customer.map(|customer| name_of(root, "governance.customers", customer)),
        id: id.clone(),
    };
    import
        .report
        .carried(key.place(), format!("the workload `{id}`"));
    import.workloads.push(workload);
}

/// The name that a list has for an id.
fn name_of(root: &At<'_>, list: &str, id: &str) -> String {
    let text = |item: &At<'_>, key: &str| item.get(key).and_then(|at| at.peek().map(str::to_owned));
    let list = root.get(list);
    let item = list
        .iter()
        .flat_map(At::items)
        .find(|item| text(item, "id").as_deref() == Some(id));
    item.and_then(|item| text(&item, "name"))
        .unwrap_or_else(|| id.to_owned())
}

/// The tree with values as people write them. The gateway itself writes `env.X` as a map that says where a value comes
/// from.
pub(super) fn with_plain_values(mut node: Node) -> Node {
    node.value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(with_plain_values).collect()),
        Value::Map(entries) => match plain_value(&entries) {
            Some(text) => Value::Text(text),
            None => {
                let entry = |(key, value): (String, Node)| (key, with_plain_values(value));
                Value::Map(entries.into_iter().map(entry).collect())
            }
        },
        other => other,
    };
    node
}

fn plain_value(entries: &[(String, Node)]) -> Option<String> {
    let text = |wanted: &str| {
        let (_, node) = entries.iter().find(|(key, _)| key == wanted)?;
        match &node.value {
            Value::Text(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        }
    };
    let known = |(key, _): &(String, Node)| {
        ["env_var", "from_env", "ref", "type", "value"].contains(&key.as_str())
    };
    let says_whence = text("from_env").or_else(|| text("type")).is_some();
    if !entries.iter().all(known) || !says_whence {
        return None;
    }
    if text("from_env") == Some("true") || text("type") == Some("env") {
        let variable = text("env_var").or_else(|| text("ref"))?;
        let variable = variable.strip_prefix("env.").unwrap_or(variable);
        return Some(format!("env.{variable}"));
    }
    Some(
        text("value")
            .or_else(|| text("ref"))
            .unwrap_or_default()
            .to_owned(),
    )
}
