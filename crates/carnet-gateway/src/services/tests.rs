//! Facts become the words of a translation, and changes that leave everything else as it is.

use carnet_policy::Api;
use carnet_wire::json::{Watch, splice};

use super::*;
use crate::limits::JSON_DEPTH_MAX;

fn edit(path: &str, action: EditAction, from: Option<&str>, to: Option<&str>) -> WireEdit {
    let said = serde_json::json!({
        "path": path, "action": action, "from": from, "to": to, "models": [], "api": "chat-completions",
        "why": "it is refused", "evidence": { "source": "s", "date": null, "confidence": "high" },
    });
    serde_json::from_str(&said.to_string()).unwrap()
}

fn fixed(edit: &WireEdit, body: &str) -> String {
    let mut paths: Vec<String> = Vec::new();
    let facts = WireFacts {
        tool_ids: Some(ToolIds::Nine),
        ..WireFacts::default()
    };
    let fix = Fix::new(edit, &facts, |path| {
        let known = paths.iter().position(|known| known == path);
        known.unwrap_or_else(|| {
            paths.push(path.to_owned());
            paths.len() - 1
        })
    });
    let watch = Watch::new(&paths).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let scan = json::scan(&body, &watch, JSON_DEPTH_MAX).unwrap();
    let edits: Vec<Edit> = scan
        .hits
        .iter()
        .enumerate()
        .filter(|(_, hit)| hit.path == fix.path)
        .filter_map(|(index, hit)| fix.does.edit(&body, &scan.hits, index, hit))
        .collect();
    String::from_utf8(splice(&body, &edits).concat()).unwrap()
}

#[test]
fn only_what_would_be_refused_is_changed() {
    let limit = edit("a", EditAction::Rename, None, Some("b"));
    let inside = edit("m[].a", EditAction::Rename, None, Some("b"));
    let role = edit("m[].role", EditAction::Replace, Some("x"), Some("y"));
    let gone = edit("m[].a", EditAction::Remove, None, None);
    let id = edit("m[].id", EditAction::ToolId, None, None);
    for (edit, body, want) in [
        (&limit, r#"{ "a" : 1, "c":2}"#, r#"{ "b":1, "c":2}"#),
        (&limit, r#"{"c":2,"a":{"a":1}}"#, r#"{"c":2,"b":{"a":1}}"#),
        // A key stands once.
        (&limit, r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        (&limit, r#"{"b":2,"a":1}"#, r#"{"b":2}"#),
        (
            &inside,
            r#"{"m":[{"a":1},{"b":1,"a":2},{"b":3}],"a":4}"#,
            r#"{"m":[{"b":1},{"b":1},{"b":3}],"a":4}"#,
        ),
        (
            &role,
            r#"{"m":[{"role":"x"},{"role":"\u0078"},{"role":"z"},{"role":null}]}"#,
            r#"{"m":[{"role":"y"},{"role":"y"},{"role":"z"},{"role":null}]}"#,
        ),
        (
            &gone,
            r#"{"m":[{"a":1,"c":2},{"c":2,"a":1},{"a":1}]}"#,
            r#"{"m":[{"c":2},{"c":2},{}]}"#,
        ),
        (
            &id,
            r#"{"m":[{"id":"abcDEF123"},{"id":7}]}"#,
            r#"{"m":[{"id":"abcDEF123"},{"id":7}]}"#,
        ),
    ] {
        assert_eq!(fixed(edit, body), want, "{body}");
    }
    let call = fixed(&id, r#"{"m":[{"id":"call_1"},{"id":"call_1"}]}"#);
    let call: serde_json::Value = serde_json::from_str(&call).unwrap();
    assert_eq!(call["m"][0]["id"].as_str().unwrap().len(), 9);
    assert_eq!(call["m"][0], call["m"][1]);
}

#[test]
fn facts_are_the_words_of_a_translation_and_nothing_is_the_usual() {
    assert_eq!(options(&WireFacts::default()), Options::default());
    let strict = WireFacts {
        strict: Some(true),
        ..WireFacts::default()
    };
    assert_eq!(options(&strict).target.reasoning, ReasoningName::Absent);
    let named = WireFacts {
        reasoning: Some(ReasoningBack::Reasoning),
        token_limit: Some(TokenLimit::MaxCompletionTokens),
        ..strict
    };
    let target = options(&named).target;
    assert_eq!(target.reasoning, ReasoningName::Reasoning);
    assert_eq!(target.token_limit, TokenLimitName::MaxCompletionTokens);
}

/// Hosts as this repository has them.
fn registry() -> Registry {
    use std::fs;
    use std::path::Path;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry");
    let mut files = Vec::new();
    for folder in ["", "fields", "hosts", "producers", "lists"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let name = path.strip_prefix(&root).unwrap();
                files.push(carnet_provenance::SourceFile {
                    path: name.to_string_lossy().into_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    Registry::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_registrys_own_facts_can_be_used() {
    let registry = registry();
    let apis = |word: &str| Api::ALL.iter().any(|api| api.as_str() == word);
    let mut named = 0;
    for host in registry.hosts() {
        let facts = host.wire.of("", "2026-11-26".parse().unwrap());
        let words = facts.apis.iter().flatten();
        assert!(words.clone().all(|word| apis(word)), "{}", host.id);
        named += usize::from(facts.apis.is_some());
        for edit in &host.wire.edits {
            assert!(apis(&edit.api), "{}: {}", host.id, edit.api);
            assert!(
                Watch::new([&edit.path]).is_ok(),
                "{}: {}",
                host.id,
                edit.path
            );
        }
        let Some(url) = facts.base_url else {
            continue;
        };
        // A key goes to its own host, or stays on the machine.
        let url: http::Uri = url.replace("{region}", "us-east-1").parse().unwrap();
        let name = url.host().unwrap();
        if name == "127.0.0.1" {
            assert_eq!(host.kind, carnet_provenance::HostKind::Local, "{}", host.id);
        } else {
            assert_eq!(url.scheme_str(), Some("https"), "{}", host.id);
            let owner = registry.host_for_origin(name).map(|owner| &owner.id);
            assert_eq!(owner, Some(&host.id));
        }
    }
    assert!(named >= 25, "{named}");
}
