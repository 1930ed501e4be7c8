//! What single settings of each gateway become. Whole files are imported in `tests/cli/import.rs`.

use super::*;

/// What came of a text; secrets that stand in it begin with `sk-` or `pw-` and are never seen again.
fn imported(product: Product, text: &str) -> (String, String) {
    let imported = import(product, text)
        .map_err(|troubles| {
            troubles
                .iter()
                .map(|trouble| format!("{trouble}\n"))
                .collect::<String>()
        })
        .unwrap();
    let report = imported.report.text();
    for out in [&imported.config, &report] {
        for secret in ["sk-", "pw-"] {
            assert!(!out.contains(secret), "{out}");
        }
    }
    (imported.config, report)
}

fn litellm(params: &str) -> (String, String) {
    let text = format!("model_list:\n- model_name: m\n  litellm_params: {{{params}}}\n");
    imported(Product::Litellm, &text)
}

fn bifrost(provider: &str, keys: &str) -> (String, String) {
    let text = format!("{{\"providers\": {{\"{provider}\": {{\"keys\": [{{{keys}}}]}}}}}}");
    imported(Product::Bifrost, &text)
}

/// All of these lines stand in it.
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
    }
}

#[test]
fn a_deployment_says_where_it_is_in_many_ways() {
    for (params, lines) in [
        (
            "model: gpt-4o",
            &[
                "https://api.openai.com/v1\"",
                "env = \"OPENAI_API_KEY\"",
                "upstream_model = \"gpt-4o\"",
            ][..],
        ),
        (
            "model: openai/o3, api_base: 'http://10.0.0.1:8000/v1/', api_key: os.environ/MY_KEY",
            &["\"http://10.0.0.1:8000/v1\"", "env = \"MY_KEY\""],
        ),
        (
            "model: llama3, custom_llm_provider: ollama, api_base: 'http://ollama:11434'",
            &[
                "\"http://ollama:11434/v1\"",
                "private_addresses = true",
                "upstream_model = \"llama3\"",
            ],
        ),
        (
            "model: groq/llama-3.3-70b",
            &[
                "https://api.groq.com/openai/v1",
                "upstream_model = \"llama-3.3-70b\"",
            ],
        ),
        (
            "model: openrouter/meta/llama-3",
            &["upstream_model = \"meta/llama-3\""],
        ),
        (
            "model: azure/dep, api_base: 'https://r.openai.azure.com', api_version: preview",
            &["\"https://r.openai.azure.com/openai/v1\""],
        ),
        (
            "model: azure/dep, api_base: 'https://r.openai.azure.com/openai/v1'",
            &["\"https://r.openai.azure.com/openai/v1\""],
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_location: global",
            &[
                "\"https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google\"",
            ],
        ),
        (
            "model: vertex_ai/claude-sonnet-4@20250514, vertex_project: p, vertex_location: us-east5",
            &[
                "locations/us-east5/publishers/anthropic\"",
                "apis = [\"vertex-messages\"]",
                "upstream_model = \"claude-sonnet-4@20250514\"",
            ],
        ),
        (
            "model: bedrock/invoke/us.anthropic.claude-sonnet-4-20250514-v1:0, aws_region_name: us-east-1",
            &[
                "apis = [\"bedrock-messages\"]",
                "upstream_model = \"us.anthropic.claude-sonnet-4-20250514-v1:0\"",
            ],
        ),
        (
            "model: bedrock/converse/amazon.nova-lite-v1:0, aws_region_name: us-east-1",
            &[
                "apis = [\"converse\"]",
                "upstream_model = \"amazon.nova-lite-v1:0\"",
            ],
        ),
        ("model: gpt-4o, timeout: 0.2", &["first_byte_seconds = 1\n"]),
    ] {
        has(&litellm(params).0, lines);
    }
}

#[test]
fn an_upstream_that_lacks_something_is_a_comment() {
    for (params, lack) in [
        (
            "model: openai/x, api_base: os.environ/BASE",
            "# its address is in the variable BASE: write it out",
        ),
        (
            "model: openai/x, api_base: 'https://user:pw-1@x.example'",
            "# model_list[0].litellm_params.api_base is no address",
        ),
        (
            "model: openai/x, api_base: 'https://x.example?key=sk-1'",
            "# model_list[0].litellm_params.api_base is no address",
        ),
        ("model: azure/dep", "# its address is not in the source"),
        (
            "model: bedrock/amazon.nova-lite-v1:0",
            "# its region is not in the source",
        ),
        (
            "model: bedrock/amazon.nova-lite-v1:0, aws_region_name: mars-1",
            "# nobody has described its region `mars-1`",
        ),
        (
            "model: bedrock/amazon.nova-lite-v1:0, aws_region_name: 'x.evil.example/'",
            "aws_region_name is no region that an address can have",
        ),
    ] {
        let (config, report) = litellm(params);
        has(&config, &[lack, "#! [[upstream]]"]);
        assert!(!config.contains("\n[[upstream]]"), "{config}");
        has(&report, &["is written as a comment"]);
    }
}

#[test]
fn secrets_become_variables_of_their_own() {
    let text = "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/a, api_key: sk-1}}\n\
        - {model_name: b, litellm_params: {model: openai/b, api_key: sk-2}}\n\
        - {model_name: c, litellm_params: {model: openai/c, api_key: sk-1}}\n\
        - {model_name: d, litellm_params: {model: openai/d, api_key: os.environ/OPENAI_API_KEY}}\n\
        - {model_name: e, litellm_params: {model: openai/e, api_key: os.environ/sk-3}}\n";
    let (config, report) = imported(Product::Litellm, text);
    has(
        &config,
        &[
            "OPENAI_API_KEY\"",
            "OPENAI_API_KEY_2\"",
            "OPENAI_API_KEY_3\"",
            "OPENAI_API_KEY_4\"",
        ],
    );
    has(
        &report,
        &[
            "OPENAI_API_KEY_2: the key that stands in the source (model_list[0].litellm_params.api_key (line 2), model_list[2].litellm_params.api_key (line 4))",
            "OPENAI_API_KEY_3: the key that stands in the source (model_list[1].",
            "OPENAI_API_KEY_4: the key that stands in the source (model_list[4].",
        ],
    );
}

#[test]
fn a_wrong_type_is_told_with_its_place() {
    for (text, reason) in [
        (
            "model_list: 3",
            "1:13 `model_list` must be a list, not a single value",
        ),
        ("- a", "1:1 `the file` must be a map, not a list"),
        (
            "model_list:\n- model_name: [a]\n  litellm_params: {model: gpt-4}",
            "2:15 `model_list[0].model_name` must be a text, not a list",
        ),
        (
            "model_list:\n- {model_name: a, litellm_params: {model: gpt-4, timeout: soon}}",
            "2:59 `model_list[0].litellm_params.timeout` must be a number from 0, not a single value",
        ),
    ] {
        let trouble = import(Product::Litellm, text).unwrap_err().remove(0);
        let place = format!("{}:{}", trouble.line.unwrap(), trouble.column.unwrap());
        assert_eq!(format!("{place} {}", trouble.message), reason);
    }
}

#[test]
fn models_that_a_key_does_not_name_are_found_elsewhere_or_asked_for() {
    let (config, _) = bifrost(
        "groq",
        r#""value": "env.K", "models": ["*"], "aliases": {"fast": "llama-3.1-8b"}"#,
    );
    has(
        &config,
        &[
            "\n[[upstream]]",
            "name = \"groq/fast\", upstream_model = \"llama-3.1-8b\"",
        ],
    );
    let (config, report) = bifrost("groq", r#""value": "sk-1", "models": ["*"]"#);
    has(
        &config,
        &[
            "# name its models",
            "#! key = { env = \"GROQ_API_KEY\" }",
            "#!   { name = \"…\" },",
        ],
    );
    has(&report, &["no model is named for it"]);
    let (_, report) = bifrost(
        "groq",
        r#""value": "env.K", "models": ["m"], "enabled": false"#,
    );
    has(&report, &["this key is switched off"]);
}

#[test]
fn a_proxy_with_a_password_is_not_carried_over() {
    let proxy = |lines: &str| {
        let text = format!(
            r#"{{"providers": {{"groq": {{"keys": [{{"value": "env.K", "models": ["m"]}}], "proxy_config": {{{lines}}}}}}}}}"#
        );
        imported(Product::Bifrost, &text).0
    };
    has(
        &proxy(r#""type": "http", "url": "http://proxy.example:3128""#),
        &["proxy = \"http://proxy.example:3128\""],
    );
    for lines in [
        r#""type": "http", "url": "http://u:pw-1@proxy.example:3128""#,
        r#""type": "http", "url": "http://proxy.example:3128", "password": "pw-1""#,
        r#""type": "socks5", "url": "socks5://proxy.example""#,
        r#""type": "none""#,
    ] {
        assert!(!proxy(lines).contains("proxy ="), "{lines}");
    }
}

#[test]
fn a_custom_provider_without_an_address_is_no_way_to_the_service_it_is_like() {
    let text = r#"{"providers": {"my own": {"keys": [{"value": "env.K", "models": ["m"]}],
        "custom_provider_config": {"base_provider_type": "openai"}}}}"#;
    let (config, _) = imported(Product::Bifrost, text);
    has(
        &config,
        &["#! name = \"my-own\"", "# its address is not in the source"],
    );
}

#[test]
fn targets_take_over_what_stands_around_them() {
    let text = r#"{"requestTimeout": 1500, "override_params": {"model": "m"}, "targets": [
        {"targets": [{"provider": "groq", "apiKey": "sk-1", "requestTimeout": 90000}]},
        {"provider": "groq", "customHost": "https://x.example/v1"}, {"provider": "groq", "override_params": {"model": "@a/b"}}]}"#;
    let (config, report) = imported(Product::Portkey, text);
    has(
        &config,
        &[
            "first_byte_seconds = 90\n",
            "first_byte_seconds = 2\n",
            "https://x.example/v1",
            "name = \"m\"",
        ],
    );
    has(
        &report,
        &["targets[2] (line 3): this model of `groq` asks for"],
    );
}

#[test]
fn a_value_may_say_whence_it_comes() {
    for (value, variable) in [
        (
            r#"{"value": "pw-1", "env_var": "env.K", "from_env": true}"#,
            "K",
        ),
        (r#"{"ref": "K", "type": "env"}"#, "K"),
        (
            r#"{"value": "sk-1", "env_var": "", "from_env": false}"#,
            "GROQ_API_KEY",
        ),
        (r#"{"value": "sk-1", "type": "plain_text"}"#, "GROQ_API_KEY"),
    ] {
        let keys = format!(r#""value": {value}, "models": ["m"]"#);
        let (config, _) = bifrost("groq", &keys);
        has(&config, &[&format!("key = {{ env = \"{variable}\" }}")]);
    }
}

#[test]
fn an_alias_that_the_key_does_not_serve_is_left_behind() {
    let keys = r#""value": "env.K", "models": ["m"], "aliases": {"m": "own", "n": "other"}"#;
    let (config, report) = bifrost("groq", keys);
    has(&config, &["upstream_model = \"own\""]);
    has(
        &report,
        &["aliases.n (line 1): the key does not serve this name"],
    );
}

#[test]
fn the_usual_variable_is_for_the_service_itself() {
    for (base, name, variable) in [
        ("https://api.openai.com/v1", "openai", "OPENAI_API_KEY"),
        (
            "https://gpu.internal:8443/v1",
            "gpu-internal",
            "GPU_INTERNAL_API_KEY",
        ),
        (
            "http://10.0.0.1:8000/v1",
            "10-0-0-1",
            "UPSTREAM_10_0_0_1_API_KEY",
        ),
        ("http://[::1]:8000/v1", "1", "UPSTREAM_1_API_KEY"),
    ] {
        let (config, _) = litellm(&format!(
            "model: openai/m, api_key: sk-1, api_base: '{base}'"
        ));
        has(
            &config,
            &[
                &format!("name = \"{name}\""),
                &format!("env = \"{variable}\""),
            ],
        );
    }
}
