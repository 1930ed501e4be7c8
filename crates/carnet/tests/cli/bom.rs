//! `carnet bom`: what the documents hold. That they are valid by the published schemas is tested with
//! the stock clients.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::evidence::sandbox;
use crate::files::gguf;
use crate::sandbox::{GOOD, Sandbox};

const DAY: &str = "--as-of 2026-02-03";

/// A configuration with an upstream of two models and an engine of one file.
fn configured() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("models/house.gguf", gguf(&[("general.name", "House")]));
    sandbox.write(
        "carnet.toml",
        r#"
        [registry]
        folder = "facts"
        overlay = ["own.toml"]
        [[upstream]]
        name = "rack"
        base_url = "http://127.0.0.1:8000/v1"
        host = "rack"
        models = [{ name = "chat", upstream_model = "birch-chat" }, { name = "mystery" }]
        [[engine]]
        name = "own"
        file = "models/house.gguf"
        model = "alder-base"
        [[workload]]
        id = "team"
        "#,
    );
    sandbox.write(
        "own.toml",
        "[[host]]\nid = \"rack\"\noperator = \"Example Ltd\"\ncountry = \"QY\"\nkind = \"local\"\n\
         [[host]]\nid = \"carnet-engine\"\nkind = \"local\"\n",
    );
    sandbox
}

fn component<'d>(document: &'d Value, reference: &str) -> &'d Value {
    let all = document["components"].as_array().unwrap();
    let mut found = all.iter().filter(|one| one["bom-ref"] == reference);
    found
        .next()
        .unwrap_or_else(|| panic!("no `{reference}` in {document:#}"))
}

/// Every value of a property.
fn property<'d>(of: &'d Value, name: &str) -> Vec<&'d str> {
    let all = of["properties"].as_array().unwrap().iter();
    all.filter(|one| one["name"] == format!("carnet:{name}"))
        .map(|one| one["value"].as_str().unwrap())
        .collect()
}

fn sha256(sandbox: &Sandbox, file: &str) -> String {
    let digest = Sha256::digest(std::fs::read(sandbox.path(file)).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_model_of_a_configuration_is_a_component() {
    let sandbox = configured();
    let run = sandbox.run(&format!("bom {DAY}"));
    let document: Value = serde_json::from_str(&run.exits(GOOD).out).unwrap();
    run.warns(&["note: of 3 models, 1 have weights of which not every origin is known"]);
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert_eq!(document["specVersion"], "1.6");
    assert_eq!(document["metadata"]["timestamp"], "2026-02-03T00:00:00Z");
    assert_eq!(document["components"].as_array().unwrap().len(), 3);

    let chat = component(&document, "rack/chat");
    assert_eq!(chat["type"], "machine-learning-model");
    assert_eq!(chat["name"], "birch-chat");
    assert_eq!(chat["manufacturer"]["name"], "birch");
    assert_eq!(chat["manufacturer"]["address"]["country"], "QY");
    assert_eq!(chat["supplier"]["name"], "Example Ltd");
    let ancestor = &chat["pedigree"]["ancestors"][0];
    assert_eq!(ancestor["name"], "alder-base");
    assert_eq!(ancestor["manufacturer"]["address"]["country"], "QX");
    assert_eq!(property(ancestor, "relation"), ["finetune"]);
    assert_eq!(property(ancestor, "source"), ["https://x.example"]);
    assert_eq!(property(chat, "country"), ["QY"]);
    assert_eq!(property(chat, "confidence"), ["high"]);
    assert_eq!(property(chat, "weights_countries"), ["QX, QY"]);
    assert_eq!(property(chat, "weights_complete"), ["true"]);
    assert_eq!(property(chat, "upstream_model"), ["birch-chat"]);
    assert_eq!(property(chat, "host"), ["rack"]);
    assert_eq!(property(&chat["modelCard"], "teachers_complete"), ["false"]);

    let own = component(&document, "own/alder-base");
    assert_eq!(own["hashes"][0]["alg"], "SHA-256");
    assert_eq!(
        own["hashes"][0]["content"],
        sha256(&sandbox, "models/house.gguf")
    );

    let mystery = component(&document, "rack/mystery");
    assert_eq!(mystery["manufacturer"], Value::Null);
    assert_eq!(property(mystery, "identified"), ["false"]);
    assert_eq!(property(mystery, "weights_complete"), ["false"]);
    let limits = mystery["modelCard"]["considerations"]["technicalLimitations"].to_string();
    assert!(limits.contains("cannot be excluded"), "{limits}");
    let incomplete = &document["compositions"][1];
    assert_eq!(incomplete["aggregate"], "incomplete");
    assert_eq!(
        incomplete["assemblies"],
        serde_json::json!(["rack/mystery"])
    );
}

#[test]
fn the_same_facts_give_the_same_document() {
    let sandbox = configured();
    for format in ["cyclonedx", "spdx"] {
        let of = |day: &str| {
            sandbox
                .run(&format!("bom --format {format} {day}"))
                .exits(GOOD)
                .out
                .clone()
        };
        assert_eq!(of(DAY), of(DAY));
        assert_ne!(of(DAY), of("--as-of 2026-02-04"));
    }
    let serial = |line: &str| -> String {
        let document: Value = serde_json::from_str(&sandbox.run(line).exits(GOOD).out).unwrap();
        document["serialNumber"].as_str().unwrap().to_owned()
    };
    let first = serial(&format!("bom {DAY}"));
    assert!(first.starts_with("urn:uuid:"), "{first}");
    assert_ne!(first, serial("bom --as-of 2026-02-04"));
    // The order of the options is not the document's.
    let line = |ids: &str| format!("bom {DAY} --registry facts --model {ids}");
    assert_eq!(
        serial(&line("alder-base birch-chat")),
        serial(&line("birch-chat alder-base birch-chat"))
    );
}

#[test]
fn a_guess_is_told_as_one() {
    let sandbox = sandbox();
    let run = sandbox.run(&format!(
        "bom {DAY} --registry facts --model somebody/birch-chat-extra"
    ));
    let document: Value = serde_json::from_str(&run.exits(GOOD).out).unwrap();
    let guess = component(&document, "somebody/birch-chat-extra");
    assert_eq!(guess["name"], "somebody/birch-chat-extra");
    for key in ["manufacturer", "licenses", "pedigree"] {
        assert_eq!(guess[key], Value::Null, "{key}");
    }
    assert_eq!(property(guess, "country"), ["unknown"]);
    assert_eq!(property(guess, "weights_countries"), ["QY"]);
}

#[test]
fn spdx_has_models_as_packages_with_their_line() {
    let sandbox = configured();
    let run = sandbox.run(&format!("bom --format spdx {DAY}"));
    let document: Value = serde_json::from_str(&run.exits(GOOD).out).unwrap();
    assert_eq!(
        document["@context"],
        "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
    );
    let graph = document["@graph"].as_array().unwrap();
    let of = |kind: &str| {
        graph
            .iter()
            .filter(|one| one["type"] == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    let packages = of("ai_AIPackage");
    let named = |name: &str| packages.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(
        packages.len(),
        4,
        "three models and one ancestor that is none of them"
    );
    assert_eq!(of("CreationInfo")[0]["created"], "2026-02-03T00:00:00Z");
    let relation = |kind: &str| {
        let all = of("Relationship");
        all.into_iter()
            .filter(|one| one["relationshipType"] == kind)
            .collect::<Vec<_>>()
    };
    let line = relation("descendantOf");
    assert_eq!(line.len(), 1);
    assert_eq!(line[0]["from"], named("birch-chat")["spdxId"]);
    assert_eq!(line[0]["completeness"], "complete");
    let parent = packages
        .iter()
        .find(|one| one["spdxId"] == line[0]["to"][0])
        .unwrap();
    assert_eq!(parent["name"], "alder-base");
    for kind in ["hasDeclaredLicense", "hasConcludedLicense"] {
        assert_eq!(relation(kind).len(), 3, "{kind}");
    }
    let engine = packages
        .iter()
        .find(|one| one["verifiedUsing"].is_array())
        .unwrap();
    assert_eq!(
        engine["verifiedUsing"][0]["hashValue"],
        sha256(&sandbox, "models/house.gguf")
    );
    let facts = of("Annotation");
    assert!(
        facts[0]["statement"]
            .as_str()
            .unwrap()
            .contains("\"weights_complete\"")
    );
    let ids: std::collections::BTreeSet<&str> = graph
        .iter()
        .filter_map(|one| one["spdxId"].as_str())
        .collect();
    assert_eq!(
        ids.len(),
        graph.len() - 1,
        "every element but the creation has an id of its own"
    );
}

#[test]
fn every_model_of_the_registry_can_be_listed() {
    let sandbox = Sandbox::new();
    let count = sandbox.run("registry list models").out.lines().count();
    let run = sandbox.run("bom --registry-all");
    let document: Value = serde_json::from_str(&run.exits(GOOD).out).unwrap();
    let components = document["components"].as_array().unwrap();
    assert_eq!(components.len(), count);
    for one in components {
        assert_eq!(property(one, "identified"), ["true"], "{one}");
    }
}

#[test]
fn without_a_configuration_the_demonstration_is_listed_with_its_own_bytes() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("bom");
    run.exits(GOOD).warns(&["there is no carnet.toml here"]);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let all = document["components"].as_array().unwrap();
    let own = all.iter().find(|one| one["name"] == "carnet-sums").unwrap();
    let files = own["components"].as_array().unwrap();
    assert!(
        files.iter().any(|file| file["name"] == "model.safetensors"),
        "{own}"
    );
    assert!(
        files
            .iter()
            .all(|file| file["hashes"][0]["content"].as_str().unwrap().len() == 64)
    );
}

#[test]
fn what_cannot_be_listed_is_an_error_with_its_fix() {
    let sandbox = configured();
    sandbox
        .run("bom --config nowhere.toml")
        .complains(&["nowhere.toml", "help: `carnet config init`"]);
    std::fs::remove_file(sandbox.path("models/house.gguf")).unwrap();
    sandbox.run("bom").complains(&[
        "cannot read it for its digest",
        "house.gguf",
        "help: correct `file` of the engine",
    ]);
    for line in [
        "bom --model a --registry-all",
        "bom --config carnet.toml --model a",
        "bom --platform ollama",
        "bom --format xml",
    ] {
        sandbox.run(line).complains(&["--help"]);
    }
}
