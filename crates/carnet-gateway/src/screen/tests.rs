//! The registry's own tables of routing fields: what they stop, and that ordinary requests pass.

use std::fs;
use std::path::Path;

use carnet_provenance::{Registry, SourceFile};
use carnet_wire::json::Watch;

use super::*;
use crate::limits::JSON_DEPTH_MAX;

/// The tables alone, or with the hosts and what those refer to.
fn registry(folders: &[&str]) -> Registry {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry");
    let mut files = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let name = path.strip_prefix(&root).unwrap();
                files.push(SourceFile {
                    path: name.to_string_lossy().into_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    Registry::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn dialects() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry/fields");
    fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// The paths in a body whose values are not harmless, and the top-level keys that a router would refuse.
fn stopped(registry: &Registry, dialect: &str, body: &str) -> (Vec<String>, Vec<String>) {
    let rules = registry.fields(None, dialect);
    assert_ne!(rules.known, [""; 0], "{dialect}");
    let paths = rules.fields.iter().map(|rule| &rule.path);
    let watch = Watch::new(paths).unwrap().with_known(&rules.known);
    let body = Bytes::copy_from_slice(body.as_bytes());
    let scan = json::scan(&body, &watch, JSON_DEPTH_MAX)
        .unwrap_or_else(|why| panic!("{dialect}: {why}: {body:?}"));
    let paths = scan
        .hits
        .iter()
        .filter(|hit| !is_harmless(&body, hit, &rules.fields[hit.path]))
        .map(|hit| rules.fields[hit.path].path.clone())
        .collect();
    let unknown = scan.unknown(&body).map(|key| key.into_owned()).collect();
    (paths, unknown)
}

#[test]
fn the_fields_of_all_hosts_can_be_watched_together_in_each_dialect() {
    let registry = registry(&["", "fields", "hosts", "producers", "lists"]);
    assert_ne!(registry.hosts().count(), 0);
    for dialect in dialects() {
        let mut paths = Vec::new();
        for host in registry.hosts() {
            let rules = registry.fields(Some(&host.id), &dialect);
            paths.extend(rules.fields.into_iter().map(|rule| rule.path));
        }
        paths.sort_unstable();
        paths.dedup();
        let watched = Watch::new(&paths);
        assert!(watched.is_ok(), "{dialect}: {:?}", watched.err());
    }
}

/// A host's entries hold in every dialect, and a word can be a routing field in one and the prompt in another.
#[test]
fn no_host_refuses_the_prompt_itself() {
    let registry = registry(&["", "fields", "hosts", "producers", "lists"]);
    for (dialect, prompt) in [
        ("openai-chat", "messages"),
        ("openai-responses", "input"),
        ("anthropic-messages", "messages"),
        ("openai-completions", "prompt"),
        ("openai-embeddings", "input"),
        ("gemini-generate", "contents"),
        ("bedrock-converse", "messages"),
    ] {
        for host in registry.hosts() {
            let rules = registry.fields(Some(&host.id), dialect);
            assert!(rules.known.iter().any(|known| known == prompt), "{dialect}");
            assert!(
                rules.fields.iter().all(|rule| rule.path != prompt),
                "{dialect} at {}",
                host.id
            );
        }
    }
}

#[test]
fn ordinary_requests_of_each_dialect_pass() {
    let registry = registry(&["fields"]);
    for (dialect, body) in [
        (
            "openai-chat",
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},
            {"type":"file","file":{"filename":"a.pdf","file_data":"AA"}}]},{"role":"assistant","content":null,"audio":null}],
            "tools":[{"type":"function","function":{"name":"f"}}],"store":false}"#,
        ),
        (
            "openai-responses",
            r#"{"model":"m","input":"hi","store":false,"previous_response_id":null,"include":["reasoning.encrypted_content"]}"#,
        ),
        (
            "openai-responses",
            r#"{"model":"m","store":false,"stream":true,"reasoning":{"effort":"low"},"text":{"format":{"type":"text"}},
            "tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"},{"type":"apply_patch"},{"type":"shell"},
            {"type":"shell","environment":{"type":"local"}},{"type":"namespace","tools":[{"type":"function"}]}],
            "input":[{"role":"user","content":"hi"},{"type":"message","role":"user","content":[{"type":"input_text","text":"a"},
            {"type":"input_image","image_url":"data:image/png;base64,AA"},{"type":"input_file","file_data":"AA"}]},
            {"type":"reasoning","encrypted_content":"x","summary":[]},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"1","output":"ok"},
            {"type":"function_call_output","call_id":"2","output":[{"type":"input_text","text":"ok"}]},
            {"type":"computer_call_output","call_id":"3","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AA"}}]}"#,
        ),
        (
            "anthropic-messages",
            r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],
            "tools":[{"name":"f","input_schema":{}},{"type":"custom","name":"g"},{"type":"bash_20250124","name":"bash"}],
            "metadata":{"user_id":"u"},"thinking":{"type":"adaptive"},
            "messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"ok"},
            {"type":"tool_result","tool_use_id":"2","content":[{"type":"image","source":{"type":"base64","data":"AA"}}]},
            {"type":"document","source":{"type":"content","content":"text"}},
            {"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"base64"}}]}},
            {"type":"search_result","source":"https://a.example","content":[{"type":"text","text":"t"}]},
            {"type":"web_search_tool_result","tool_use_id":"3","content":{"type":"web_search_tool_result_error"}}]}]}"#,
        ),
        (
            "openai-completions",
            r#"{"model":"m","prompt":["a","b"],"max_tokens":3,"best_of":1,"suffix":"s"}"#,
        ),
        (
            "openai-embeddings",
            r#"{"model":"m","input":[[1,2],[3]],"encoding_format":"base64","dimensions":3,"user":"u"}"#,
        ),
        (
            "gemini-generate",
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"data":"AA"}},
            {"functionResponse":{"name":"f","response":{}}}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],
            "systemInstruction":{"parts":[{"text":"s"}]},"generationConfig":{"temperature":0},"safetySettings":[],"store":false}"#,
        ),
        (
            "bedrock-converse",
            r#"{"messages":[{"role":"user","content":[{"text":"hi"},{"image":{"format":"png","source":{"bytes":"AA"}}},
            {"toolResult":{"toolUseId":"1","content":[{"json":{}},{"image":{"source":{"bytes":"AA"}}}]}}]}],
            "system":[{"text":"s"}],"toolConfig":{"tools":[{"toolSpec":{"name":"f"}},{"cachePoint":{"type":"default"}}]},
            "inferenceConfig":{"maxTokens":9},"additionalModelRequestFields":{"thinking":{"type":"enabled"},"top_k":5}}"#,
        ),
    ] {
        assert_eq!(
            stopped(&registry, dialect, body),
            (vec![], vec![]),
            "{dialect}"
        );
    }
}

#[test]
fn what_leads_elsewhere_is_stopped_in_each_dialect() {
    let registry = registry(&["fields"]);
    let cases = [
        (
            "openai-chat",
            &[
                (r#"{"moderation":{"model":"o"}}"#, "moderation"),
                (r#"{"bootstrap_host":"h"}"#, "bootstrap_host"),
                (
                    r#"{"messages":[{},{"content":[{"file":{"file_id":"f"}}]}]}"#,
                    "messages[].content[].file.file_id",
                ),
                (
                    r#"{"messages":[{"audio":{"id":"a"}}]}"#,
                    "messages[].audio.id",
                ),
            ][..],
        ),
        (
            "openai-responses",
            &[
                (r#"{"store":true}"#, "store"),
                (r#"{"prompt":{"id":"p"}}"#, "prompt"),
                (r#"{"conversation":{"id":"c"}}"#, "conversation"),
                (r#"{"tools":[{"type":"web_search"}]}"#, "tools[].type"),
                (
                    r#"{"tools":[{"type":"shell","environment":{"type":"container_auto"}}]}"#,
                    "tools[].environment.type",
                ),
                (
                    r#"{"tools":[{"type":"namespace","tools":[{"type":"mcp"}]}]}"#,
                    "tools[].tools[].type",
                ),
                (
                    r#"{"input":[{"type":"additional_tools","tools":[{"type":"mcp"}]}]}"#,
                    "input[].tools[].type",
                ),
                (
                    r#"{"input":[{"type":"item_reference","id":"i"}]}"#,
                    "input[].type",
                ),
                (
                    r#"{"input":[{"content":[{"type":"input_file","file_url":"https://a.example"}]}]}"#,
                    "input[].content[].file_url",
                ),
                (
                    r#"{"input":[{"type":"function_call_output","output":[{"file_id":"f"}]}]}"#,
                    "input[].output[].file_id",
                ),
                (
                    r#"{"input":[{"type":"computer_call_output","output":{"file_id":"f"}}]}"#,
                    "input[].output.file_id",
                ),
            ],
        ),
        (
            "anthropic-messages",
            &[
                (r#"{"fallbacks":"default"}"#, "fallbacks"),
                (r#"{"thread":{"type":"create"}}"#, "thread"),
                (
                    r#"{"tools":[{"type":"advisor_20260301","model":"o"}]}"#,
                    "tools[].type",
                ),
                (
                    r#"{"messages":[{"content":[{"type":"tool_addition","tool":{"definition":{"type":"mcp_toolset"}}}]}]}"#,
                    "messages[].content[].tool.definition.type",
                ),
                (
                    r#"{"messages":[{"content":[{"type":"image","source":{"type":"file","file_id":"f-1"}}]}]}"#,
                    "messages[].content[].source.type",
                ),
                (
                    r#"{"messages":[{"content":[{"type":"tool_result","content":[{"source":{"type":"file"}}]}]}]}"#,
                    "messages[].content[].content[].source.type",
                ),
                (
                    r#"{"messages":[{"content":[{"content":{"content":[{"file_id":"f"}]}}]}]}"#,
                    "messages[].content[].content.content[].file_id",
                ),
            ],
        ),
        ("openai-completions", &[(r#"{"models":["o"]}"#, "models")]),
        (
            "openai-embeddings",
            &[(r#"{"provider":{"order":[]}}"#, "provider")],
        ),
        (
            "gemini-generate",
            &[
                (r#"{"cached_content":"c"}"#, "cached_content"),
                (
                    r#"{"tools":[{"google_search":{}}]}"#,
                    "tools[].google_search",
                ),
                (
                    r#"{"contents":[{"parts":[{"fileData":{"file_uri":"gs://a"}}]}]}"#,
                    "contents[].parts[].fileData",
                ),
                (
                    r#"{"generationConfig":{"routing_config":{}}}"#,
                    "generationConfig.routing_config",
                ),
            ],
        ),
        (
            "bedrock-converse",
            &[
                (
                    r#"{"toolConfig":{"tools":[{"systemTool":{"name":"s"}}]}}"#,
                    "toolConfig.tools[].systemTool",
                ),
                (
                    r#"{"messages":[{"content":[{"video":{"source":{"s3Location":{"uri":"s3://a"}}}}]}]}"#,
                    "messages[].content[].video.source.s3Location",
                ),
                (
                    r#"{"additionalModelRequestFields":{"mcp_servers":[{}]}}"#,
                    "additionalModelRequestFields.mcp_servers",
                ),
            ],
        ),
    ];
    for (dialect, cases) in cases {
        for (body, path) in cases {
            let (paths, _) = stopped(&registry, dialect, body);
            assert_eq!(paths, [*path], "{dialect}: {body}");
        }
    }
    let tested: Vec<_> = cases
        .iter()
        .map(|(dialect, _)| (*dialect).to_owned())
        .collect();
    for dialect in dialects() {
        assert!(tested.contains(&dialect), "{dialect} has no case");
    }
}
