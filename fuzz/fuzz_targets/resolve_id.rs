//! Any id on any platform has an answer, and reading its canonical name again gives the same one.

#![no_main]

use std::sync::LazyLock;

use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};
use libfuzzer_sys::fuzz_target;

const PLATFORMS: &[Option<&str>] = &[
    None,
    Some("azure"),
    Some("bedrock"),
    Some("file"),
    Some("fireworks"),
    Some("huggingface"),
    Some("ollama"),
    Some("openrouter"),
    Some("vertex"),
    Some("acme"),
];

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let said = r#"source = "https://x.example", date = "2025-01-01", confidence = "high""#;
    let file = |path: &str, text: &str| SourceFile {
        path: path.to_owned(),
        text: text.replace("SAID", said),
    };
    let registry = Registry::parse(&[
        file(
            "producers/acme.toml",
            "name = \"Acme\"\nnamespaces = [\"acme\"]\ncountry = { value = \"QX\", SAID }",
        ),
        file(
            "models/acme-1.toml",
            "name = \"Acme-1\"\nproducer = { value = \"acme\", SAID }\nweights = { value = \"open\", SAID }\n\
             lineage_status = { value = \"first-party-none-known\", SAID }\nfamily = \"acme\"\n\
             [[names]]\nstem = \"acme-1\"\nsizes = [\"8b\"]\nwords = [\"2507\"]",
        ),
    ]);
    View::new(registry.expect("a good registry").into(), Overlay::default())
});

fuzz_target!(|input: (usize, bool, &str)| {
    let (platform, on_wire, id) = input;
    let ask = |id, platform| {
        VIEW.resolve(&Query {
            id,
            platform,
            host: None,
            upstream: on_wire.then_some("here"),
            region: None,
            as_of: jiff::civil::date(2026, 1, 1),
        })
    };
    let answer = ask(id, PLATFORMS[platform % PLATFORMS.len()]);
    assert_eq!(answer.id, id);
    assert!(!answer.candidates.is_empty());
    if let Some(canonical) = &answer.canonical {
        assert_eq!(ask(canonical, None).canonical.as_ref(), Some(canonical));
    } else {
        assert!(!answer.weights_complete);
    }
});
