//! A small made-up world for tests: every kind of line and host, with names that exist nowhere.

use std::sync::Arc;

use jiff::civil::Date;

use crate::{Overlay, Query, Registry, Resolution, SourceFile, View};

/// Source, date and confidence of most claims.
pub(crate) const SAID: &str =
    r#"source = "https://x.example", date = "2025-01-01", confidence = "high""#;

/// A file of the registry. `SAID` in the text stands for evidence.
pub(crate) fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.replace("SAID", SAID),
    }
}

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// The day of most questions.
pub(crate) fn today() -> Date {
    day("2026-01-01")
}

fn model(id: &str, producer: &str, weights: &str, status: &str, more: &str) -> SourceFile {
    let text = format!(
        "name = \"{id}\"\nproducer = {{ value = \"{producer}\", SAID }}\nweights = {{ value = \"{weights}\", SAID }}\n\
         lineage_status = {{ value = \"{status}\", SAID }}\n{more}"
    );
    file(&format!("models/{id}.toml"), &text)
}

fn base(model: &str, relation: &str) -> String {
    format!("[[base_model]]\nmodel = \"{model}\"\nrelation = \"{relation}\"\nSAID_LINES\n")
        .replace("SAID_LINES", &SAID.replace(", ", "\n"))
}

fn alias(platform: &str, id: &str) -> String {
    format!("[[alias]]\nplatform = \"{platform}\"\nid = \"{id}\"\n")
}

fn target(model: &str, more: &str) -> String {
    format!(
        "[[target]]\nmodel = \"{model}\"\n{more}\n{}\n",
        SAID.replace(", ", "\n")
    )
}

pub(crate) fn files() -> Vec<SourceFile> {
    let mut files = producers();
    files.extend(models());
    files.extend(moving());
    files.extend(hosts());
    files.push(file(
        "jurisdictions.toml",
        r#"
        country = [
            { code = "QX", name = "Xland" }, { code = "QY", name = "Yland" }, { code = "QZ", name = "Zland" },
        ]
        [[group]]
        id = "blue"
        name = "Blue"
        members = ["QX", "QY"]
        source = "https://x.example"
        date = "2025-01-01"
        "#,
    ));
    files.push(prices());
    files.push(file(
        "fields/chat.toml",
        r#"
        known = ["model", "messages", "provider"]
        [[field]]
        path = "provider"
        action = "refuse"
        kind = "place"
        why = "chooses the place"
        source = "https://x.example"
        date = "2025-01-01"
        "#,
    ));
    files
}

fn producers() -> Vec<SourceFile> {
    let known = |id: &str, country: &str, more: &str| {
        let text = format!("name = \"{id}\"\ncountry = {{ value = \"{country}\", SAID }}\n{more}");
        file(&format!("producers/{id}.toml"), &text)
    };
    let listed = r#"
        [[list]]
        list = "watch"
        valid_from = "2026-06-08"
        source = "https://x.example"
        date = "2025-01-01"
        confidence = "high"
    "#;
    vec![
        known(
            "alder",
            "QX",
            &format!("namespaces = [\"alder\", \"alder-lab\"]\n{listed}"),
        ),
        known("birch", "QY", "namespaces = [\"birch\", \"birch-ai\"]"),
        known("cedrus", "QZ", ""),
        file("producers/nomad.toml", "name = \"Nomad\""),
        file(
            "lists/watch.toml",
            "name = \"Watch\"\nissuer = \"Office\"\nsource = \"https://x.example\"\ndate = \"2025-01-01\"",
        ),
    ]
}

fn models() -> Vec<SourceFile> {
    let teacher =
        "[teachers_complete]\nvalue = true\nTEACH\n[[teacher]]\nmodel = \"alder-r1\"\nTEACH\n"
            .replace("TEACH", &SAID.replace(", ", "\n"));
    vec![
        model(
            "alder-base",
            "alder",
            "open",
            "first-party-none-known",
            &format!(
                "family = \"alder\"\n{}",
                alias("huggingface", "alder-lab/Alder-Base")
            ),
        ),
        model(
            "alder-r1",
            "alder",
            "open",
            "derived",
            &format!(
                "{}{}{}",
                base("alder-base", "finetune"),
                alias("bedrock", "alder.r1-v1:0"),
                alias("openrouter", "alder/alder-r1")
            ),
        ),
        model(
            "birch-70b",
            "birch",
            "open",
            "stated-from-scratch",
            &format!(
                "family = \"birch\"\n{}",
                alias("huggingface", "birch-ai/Birch-70B-Instruct")
            ),
        ),
        model(
            "birch-1776",
            "birch",
            "open",
            "derived",
            &base("alder-r1", "finetune"),
        ),
        model(
            "alder-r1-distill-birch-70b",
            "alder",
            "open",
            "derived",
            &format!("{teacher}{}", base("birch-70b", "distilled")),
        ),
        model(
            "nomad-tune",
            "nomad",
            "open",
            "derived",
            &base("birch-70b", "finetune"),
        ),
        model(
            "nomad-grandchild",
            "birch",
            "open",
            "derived",
            &base("nomad-tune", "merge"),
        ),
        model("hidden-1", "birch", "closed", "undisclosed", ""),
        model(
            "closed-1",
            "cedrus",
            "closed",
            "closed-first-party",
            &alias("*", "closed-one"),
        ),
        model(
            "cut-unknown",
            "birch",
            "open",
            "derived",
            &base("birch-70b", "abliterated"),
        ),
        model(
            "cut-elsewhere",
            "birch",
            "open",
            "derived",
            &format!(
                "publisher = {{ value = \"Cutter\", country = \"QZ\", SAID }}\n{}",
                base("birch-70b", "abliterated")
            ),
        ),
        model(
            "cut-inside",
            "birch",
            "open",
            "derived",
            &format!(
                "publisher = {{ value = \"Cutter\", country = \"QY\", SAID }}\n{}",
                base("birch-70b", "abliterated")
            ),
        ),
        file(
            "models/some-router.toml",
            &format!(
                "name = \"Router\"\nweights = {{ value = \"unknown\", SAID }}\nlineage_status = {{ value = \"not-decidable-from-id\", SAID }}\n{}",
                alias("openrouter", "openrouter/auto")
            ),
        ),
    ]
}

fn moving() -> Vec<SourceFile> {
    vec![
        file(
            "aliases/alder-chat.toml",
            &format!(
                "{}{}{}",
                alias("alder", "alder-chat"),
                target("alder-base", "valid_to = \"2025-06-01\""),
                target(
                    "birch-1776",
                    "valid_from = \"2025-06-01\"\nvalid_to = \"2026-03-01\""
                ),
            ),
        ),
        file(
            "aliases/alder-r1-8b.toml",
            &format!(
                "{}{}{}",
                alias("ollama", "alder-r1:8b"),
                target("alder-base", "note = \"before\""),
                target("nomad-tune", ""),
            ),
        ),
    ]
}

fn hosts() -> Vec<SourceFile> {
    let cloud = r#"
        name = "Cloud"
        kind = "inference"
        operator = { value = "Cloud Inc", producer = "birch", SAID }
        country = { value = "QY", SAID }
        parent_country = { value = "QY", SAID }
        platform = "bedrock"
        origins = ["runtime.*.cloud.example", "api.cloud.example"]
        regions_known = { value = true, SAID }
        egress = { value = "external", SAID }
        retention = { value = "none", SAID }
        region = [{ id = "eu-central-1", country = "QX" }, { id = "us-east-1", country = "QY" }, { id = "us-west-2", country = "QZ" }]
        [[profile]]
        prefix = "us"
        regions = ["us-east-1", "us-west-2"]
        source = "https://x.example"
        date = "2025-01-01"
        confidence = "medium"
    "#;
    vec![
        file("hosts/cloud.toml", cloud),
        file(
            "hosts/orphan.toml",
            "name = \"Orphan\"\nkind = \"inference\"\ncountry = { value = \"QY\", SAID }\nregions_known = { value = true, SAID }\nregion = [{ id = \"a\", country = \"QY\" }]",
        ),
        file(
            "hosts/roamer.toml",
            "name = \"Roamer\"\nkind = \"inference\"\ncountry = { value = \"QY\", SAID }\nparent_country = { value = \"QY\", SAID }\nregions_known = { value = false, SAID }\nregion = [{ id = \"a\", country = \"QY\" }, { id = \"b\", country = \"QX\" }]",
        ),
        file(
            "hosts/passer.toml",
            "name = \"Passer\"\nkind = \"router\"\nplatform = \"openrouter\"\ncountry = { value = \"QY\", SAID }\nparent_country = { value = \"QY\", SAID }\nregions_known = { value = true, SAID }\nregion = [{ id = \"a\", country = \"QY\" }]",
        ),
        file(
            "hosts/ollama-cloud.toml",
            "name = \"Away\"\nkind = \"inference\"\nplatform = \"ollama\"\negress = { value = \"external\", SAID }",
        ),
        file(
            "hosts/box.toml",
            "name = \"Own machine\"\nkind = \"local\"\nplatform = \"ollama\"",
        ),
    ]
}

/// One model with a price for long prompts, one whose price rises, one that gives no tokens.
fn prices() -> SourceFile {
    let text = r#"
        [[price]]
        name = "alder.r1-v1:0"
        currency = "QXA"
        input = "2.50"
        output = "10"
        cached_input = "0.25"
        above = 200000
        input_above = "5"
        output_above = "15"
        note = "less at night"
        SAID
        [[price]]
        name = "birch"
        currency = "QXA"
        input = "1"
        output = "2"
        valid_to = "2026-03-01"
        SAID
        [[price]]
        name = "birch"
        currency = "QXA"
        input = "1.50"
        output = "3"
        cache_write = "1.875"
        valid_from = "2026-03-01"
        SAID
        [[price]]
        name = "birch-embed"
        currency = "QXA"
        input = "0.000000001"
        SAID
    "#;
    file(
        "prices/cloud.toml",
        &text.replace("SAID", &SAID.replace(", ", "\n")),
    )
}

pub(crate) fn registry() -> Arc<Registry> {
    Arc::new(Registry::parse(&files()).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

/// The world with an overlay over it.
pub(crate) fn view_with(overlay: &str) -> View {
    let registry = registry();
    let overlay = Overlay::parse(&[file("overlay.toml", overlay)], &registry, today());
    View::new(
        registry,
        overlay.unwrap_or_else(|problems| panic!("{problems:#?}")),
    )
}

/// The mistakes of an overlay, as they are shown.
pub(crate) fn refused(overlay: &str) -> Vec<String> {
    let result = Overlay::parse(&[file("overlay.toml", overlay)], &registry(), today());
    result
        .err()
        .unwrap_or_default()
        .iter()
        .map(|problem| format!("{problem}\n{}", problem.help.clone().unwrap_or_default()))
        .collect()
}

pub(crate) fn view() -> View {
    View::new(registry(), Overlay::default())
}

/// A question of today without platform or host.
pub(crate) fn asking(id: &str) -> Query<'_> {
    Query {
        id,
        platform: None,
        host: None,
        upstream: None,
        region: None,
        as_of: today(),
    }
}

pub(crate) fn countries(answer: &Resolution) -> Vec<&str> {
    answer
        .weights_countries
        .iter()
        .map(|country| country.as_str())
        .collect()
}
