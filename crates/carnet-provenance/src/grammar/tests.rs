//! Tables of ids and how they are read.

use super::*;

/// One service, which writes `route/` in front of names.
struct OneService;

impl Services for OneService {
    fn is_service(&self, word: &str) -> bool {
        word == "novita"
    }

    fn without_prefix<'i>(&self, platform: &str, id: &'i str) -> Option<(&'i str, &'i str)> {
        let rest = id.strip_prefix("route/").filter(|_| platform == "novita")?;
        Some(("route/", rest))
    }
}

fn read_on(platform: &str, id: &str) -> Reading {
    read(id, Some(platform), &NoServices)
}

fn last(platform: &str, id: &str) -> String {
    read_on(platform, id)
        .forms
        .last()
        .cloned()
        .unwrap_or_default()
}

#[test]
fn platforms_have_one_spelling() {
    for (name, expected) in [
        ("bedrock_converse", "bedrock"),
        ("amazon-bedrock", "bedrock"),
        ("vertex_ai-maker_models", "vertex"),
        ("azure_ai", "azure"),
        ("fireworks_ai", "fireworks"),
        ("fireworks-ai", "fireworks"),
        ("z-ai", "z-ai"),
        ("models.dev:nano-gpt", "nano-gpt"),
        ("Together_AI", "together"),
        ("ollama-cloud", "ollama"),
        ("*", "*"),
    ] {
        assert_eq!(platform_name(name), expected, "{name}");
    }
}

#[test]
fn ids_are_stripped_to_their_name() {
    for (platform, id, expected) in [
        ("bedrock", "us.maker.model-v1:0", "maker/model"),
        ("bedrock", "bedrock/eu-north-1/maker.v3.2", "maker/v3.2"),
        (
            "bedrock_mantle",
            "bedrock_mantle/us-gov-west-1/maker.model-120b",
            "maker/model-120b",
        ),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.maker.model-v1:0",
            "maker/model",
        ),
        (
            "vertex_ai",
            "vertex_ai/maker/model-r1-0528-maas",
            "maker/model-r1-0528",
        ),
        ("vertex", "model-nemo@2407", "model-nemo"),
        (
            "vertex",
            "projects/p/locations/eu-west4/publishers/maker/models/m-1",
            "maker/m-1",
        ),
        (
            "fireworks_ai",
            "fireworks_ai/accounts/fireworks/models/model-v3p2",
            "model-v3p2",
        ),
        ("openrouter", "openrouter/maker/model:free", "maker/model"),
        ("huggingface", "Maker/Model-GGUF", "maker/model"),
        ("huggingface", "hf.co/maker/model:Q4_K_M", "maker/model"),
        ("ollama", "model-v3.1:671b-cloud", "model-v3.1:671b"),
        (
            "ollama",
            "model-r1:8b-other-distill-q4_K_M",
            "model-r1:8b-other-distill",
        ),
        (
            "file",
            "/models/Model-8B-Q4_K_M-00001-of-00003.gguf",
            "model-8b",
        ),
        (
            "cloudflare",
            "@cf/maker/model-r1-distill-other-32b",
            "maker/model-r1-distill-other-32b",
        ),
        ("any", "any/maker/model:thinking", "maker/model"),
        ("any", "maker/model@us-east-1", "maker/model"),
        ("any", "maker/model@europe-west4", "maker/model"),
        ("any", "maker/model@mine", "maker/model@mine"),
        ("any", "maker/model-us-east-1", "maker/model-us-east-1"),
    ] {
        assert_eq!(last(platform, id), expected, "{platform} {id}");
    }
}

#[test]
fn where_it_goes_is_kept() {
    let eu = read_on("bedrock", "bedrock/eu-central-1/eu.maker.model-v1:0");
    assert_eq!(
        (eu.region.as_deref(), eu.profile.as_deref()),
        (Some("eu-central-1"), Some("eu"))
    );
    assert_eq!(read_on("bedrock", "maker.v3.2").profile, None);
    let placed = read_on("any", "maker/model@us-east5");
    assert_eq!(placed.region.as_deref(), Some("us-east5"));
    assert_eq!(
        read_on("ollama", "model:671b-cloud").host,
        Some("ollama-cloud")
    );
    assert_eq!(read_on("ollama", "model:671b").host, None);
}

#[test]
fn names_of_customers_say_nothing() {
    for (platform, id) in [
        ("fireworks", "accounts/acme/models/model-v3p2"),
        ("fireworks", "accounts/fireworks/routers/x"),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:imported-model/abc"),
        ("vertex", "projects/p/locations/x/endpoints/1"),
        ("any", "ft:model:acme::1"),
    ] {
        assert!(read_on(platform, id).opaque.is_some(), "{platform} {id}");
    }
    assert_eq!(read_on("azure", "eu/gpt").names, Names::Deployments);
    for (platform, id) in [
        ("ollama", "model"),
        ("ollama", "user/model:8b"),
        ("file", "m.gguf"),
    ] {
        assert_eq!(
            read_on(platform, id).names,
            Names::Anybodys,
            "{platform} {id}"
        );
    }
}

#[test]
fn the_form_hints_at_the_platform() {
    for (id, expected) in [
        ("novita/maker/model", Some("novita")),
        ("maker/model", None),
        ("model", None),
        ("accounts/acme/models/x", Some("fireworks")),
        ("us.maker.model-v1:0", Some("bedrock")),
        ("model:8b", Some("ollama")),
        ("a/b/model.gguf", Some("file")),
        ("openrouter/auto", Some("openrouter")),
    ] {
        assert_eq!(
            read(id, None, &OneService).platform.as_deref(),
            expected,
            "{id}"
        );
    }
}
