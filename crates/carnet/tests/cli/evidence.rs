//! `carnet resolve PATH`: what model files say of themselves, and what is not believed of it.

use std::fs;

use serde_json::{Value, json};

use crate::files::{gguf, safetensors};
use crate::sandbox::{ERROR, GOOD, Run, Sandbox, UNKNOWN, keys};

const SAID: &str = r#"source = "https://x.example", date = "2025-01-01", confidence = "high""#;

/// Two makers of two countries, a base of each, and one model that the second made from the first's.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (id, country) in [("alder", "QX"), ("birch", "QY")] {
        let text = format!("name = \"{id}\"\ncountry = {{ value = \"{country}\", {SAID} }}\n");
        sandbox.write(&format!("facts/producers/{id}.toml"), text);
        let text = format!(
            "name = \"{id} Base\"\nfamily = \"{id}\"\nproducer = {{ value = \"{id}\", {SAID} }}\nweights = {{ value = \"open\", {SAID} }}\n\
             lineage_status = {{ value = \"stated-from-scratch\", {SAID} }}\n[[alias]]\nplatform = \"huggingface\"\nid = \"{id}-lab/{id}-base\"\n"
        );
        sandbox.write(&format!("facts/models/{id}-base.toml"), text);
    }
    let text = format!(
        "name = \"Birch Chat\"\nproducer = {{ value = \"birch\", {SAID} }}\nweights = {{ value = \"open\", {SAID} }}\n\
         lineage_status = {{ value = \"derived\", {SAID} }}\n[[base_model]]\nmodel = \"alder-base\"\nrelation = \"finetune\"\n{}\n\
         [[alias]]\nplatform = \"ollama\"\nid = \"birch-chat:8b\"\n",
        SAID.replace(", ", "\n")
    );
    sandbox.write("facts/models/birch-chat.toml", text);
    sandbox.write(
        "facts/jurisdictions.toml",
        "country = [{ code = \"QX\", name = \"X\" }, { code = \"QY\", name = \"Y\" }]",
    );
    sandbox
}

pub(crate) fn resolve(sandbox: &Sandbox, path: &str) -> Run {
    sandbox.args(&["resolve", path, "--registry", "facts", "--json"])
}

/// The answer to a path at which something is known.
pub(crate) fn answer(sandbox: &Sandbox, path: &str) -> Value {
    let run = resolve(sandbox, path);
    run.exits(GOOD).quietly();
    let known = sandbox.args(&["resolve", "alder-base", "--registry", "facts", "--json"]);
    assert_eq!(
        keys(run.out.trim()),
        keys(known.out.trim()),
        "the usual keys"
    );
    let answer = run.json();
    assert_eq!(answer["id"], path);
    assert_eq!(answer["platform"], "file");
    assert_eq!(answer["weights_complete"], false, "{answer}");
    answer
}

pub(crate) fn countries(answer: &Value) -> String {
    let all = answer["weights_countries"].as_array().unwrap();
    all.iter()
        .map(|one| one.as_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Model and relation of the nearest ancestors.
pub(crate) fn nearest(answer: &Value) -> Vec<(&str, &str)> {
    let all = answer["lineage"].as_array().unwrap().iter();
    all.filter(|one| one["hop"] == 1)
        .map(|one| {
            (
                one["model"].as_str().unwrap(),
                one["relation"].as_str().unwrap(),
            )
        })
        .collect()
}

fn steps(answer: &Value) -> String {
    let all = answer["steps"].as_array().unwrap();
    all.iter()
        .map(|one| one.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

pub(crate) fn says(answer: &Value, words: &str) {
    assert!(
        steps(answer).contains(words),
        "no `{words}` in:\n{}",
        steps(answer)
    );
}

#[test]
fn a_card_names_the_base() {
    let sandbox = sandbox();
    sandbox.write(
        "m/mine/README.md",
        "---\nbase_model: alder-lab/alder-base\nbase_model_relation: finetune\nlicense: apache-2.0\n---\n# Mine\n",
    );
    sandbox.write("m/mine/model.safetensors", safetensors(&[("format", "pt")]));
    let told = answer(&sandbox, "m/mine");
    assert_eq!(nearest(&told), [("alder-base", "finetune")]);
    assert_eq!(countries(&told), "QX");
    assert_eq!(
        told["lineage"][0]["source"],
        "the file's own statement: README.md base_model"
    );
    assert_eq!(told["lineage"][0]["confidence"], "low");
    assert_eq!(told["confidence"], "low");
    assert_eq!(told["licence"], "apache-2.0");
    assert_eq!(told["canonical"], Value::Null);
    assert_eq!(told["producer"], Value::Null);
    let people = sandbox.args(&["resolve", "m/mine", "--registry", "facts"]);
    people.exits(GOOD).quietly().says(&[
        "m/mine\n",
        "← finetune of alder-base (alder, QX) · low · the file's own statement: README.md base_model",
        "countries  QX (others cannot be excluded)",
        "they never make an answer complete",
    ]);
}

#[test]
fn a_merge_of_two_countries_has_both() {
    let sandbox = sandbox();
    sandbox.write(
        "m/mix/README.md",
        "---\nbase_model:\n- alder-lab/alder-base\n- birch-lab/birch-base\ntags: [merge]\n---\n",
    );
    let told = answer(&sandbox, "m/mix");
    assert_eq!(
        nearest(&told),
        [("alder-base", "merge"), ("birch-base", "merge")]
    );
    assert_eq!(countries(&told), "QX QY");
    says(&told, "no weights lie in this folder");
}

#[test]
fn a_gguf_header_names_bases_makers_and_itself() {
    let sandbox = sandbox();
    let header = gguf(&[
        ("general.architecture", "birch"),
        ("general.name", "Mine 8B"),
        ("general.organization", "Birch"),
        ("general.license", "mit"),
        ("general.base_model.count", "9"),
        ("general.base_model.0.name", "Alder Base"),
        ("general.base_model.0.organization", "Alder Lab"),
        (
            "general.base_model.0.repo_url",
            "https://huggingface.co/alder-lab/alder-base",
        ),
        ("general.base_model.7.name", "Birch Base"),
        ("general.base_model.7.organization", "Birch Lab"),
    ]);
    sandbox.write("mine.gguf", &header);
    let told = answer(&sandbox, "mine.gguf");
    assert_eq!(
        nearest(&told),
        [("alder-base", "merge"), ("birch-base", "merge")]
    );
    says(
        &told,
        "mine.gguf general.organization names `Birch`, which is the producer birch (QY): a claim, on which nothing rests",
    );
    says(
        &told,
        "mine.gguf general.architecture `birch` is an architecture",
    );
    assert_eq!(told["licence"], "mit");
    // Under any other name: what is in the file decides.
    sandbox.write("m/blob", &header);
    assert_eq!(nearest(&answer(&sandbox, "m/blob")).len(), 2);
}

#[test]
fn fewer_bits_of_one_base_are_told_by_the_names() {
    let sandbox = sandbox();
    let header = gguf(&[(
        "general.base_model.0.repo_url",
        "https://huggingface.co/alder-lab/alder-base",
    )]);
    sandbox.write("Alder-Base-Q4_K_M.gguf", &header);
    let told = answer(&sandbox, "Alder-Base-Q4_K_M.gguf");
    assert_eq!(nearest(&told), [("alder-base", "quantized")]);
    assert_eq!(
        told["lineage"][0]["confidence"], "medium",
        "name and header agree"
    );
    sandbox.write("Poet-Q4_K_M.gguf", &header);
    let told = answer(&sandbox, "Poet-Q4_K_M.gguf");
    assert_eq!(nearest(&told), [("alder-base", "finetune")]);
    assert_eq!(told["lineage"][0]["confidence"], "low");
}

#[test]
fn a_source_is_the_same_weights_in_another_form() {
    let sandbox = sandbox();
    let header = gguf(&[(
        "general.source.url",
        "https://huggingface.co/birch-lab/birch-base",
    )]);
    sandbox.write("x.gguf", header);
    assert_eq!(
        nearest(&answer(&sandbox, "x.gguf")),
        [("birch-base", "converted")]
    );
}

#[test]
fn an_adapter_stands_on_its_base() {
    let sandbox = sandbox();
    let config = json!({ "base_model_name_or_path": "birch-lab/birch-base", "peft_type": "LORA" });
    sandbox.write("m/lora/adapter_config.json", config.to_string());
    sandbox.write(
        "m/lora/README.md",
        "---\nbase_model: birch-lab/birch-base\nlibrary_name: peft\n---\n",
    );
    sandbox.write("m/lora/adapter_model.safetensors", safetensors(&[]));
    for path in ["m/lora", "m/lora/adapter_config.json"] {
        let told = answer(&sandbox, path);
        assert_eq!(nearest(&told), [("birch-base", "adapter")], "{path}");
        assert_eq!(countries(&told), "QY");
        says(&told, "peft_type `LORA`");
    }
    // A base on the disk of whoever trained it is a name, and nothing on this disk is looked at for it.
    let elsewhere = json!({ "base_model_name_or_path": "/home/me/alder-base/" });
    sandbox.write("m/own/adapter_config.json", elsewhere.to_string());
    let told = answer(&sandbox, "m/own");
    assert_eq!(nearest(&told), [("alder-base", "adapter")]);
    says(&told, "perhaps `alder-base`, by the name alone");
}

#[test]
fn an_architecture_of_another_maker_tells_nothing() {
    let sandbox = sandbox();
    let config = json!({ "model_type": "alder", "architectures": ["AlderForCausalLM"], "_name_or_path": "" });
    sandbox.write("m/theirs/config.json", config.to_string());
    sandbox.write(
        "m/theirs/README.md",
        "---\nlicense: mit\nbase_model: null\n---\n",
    );
    let run = resolve(&sandbox, "m/theirs");
    run.exits(UNKNOWN);
    let told = run.json();
    assert_eq!(countries(&told), "");
    says(
        &told,
        "config.json model_type `alder` is an architecture, which anybody may use: it tells nothing of the origin",
    );
    sandbox.write(
        "m/theirs/README.md",
        "---\nbase_model: birch-lab/birch-base\n---\n",
    );
    assert_eq!(countries(&answer(&sandbox, "m/theirs")), "QY");
}

#[test]
fn where_weights_were_loaded_from_is_their_base_or_themselves() {
    let sandbox = sandbox();
    let config = |name: &str| {
        json!({ "_name_or_path": name, "quantization_config": { "quant_method": "awq" } })
            .to_string()
    };
    sandbox.write("m/tuned/config.json", config("alder-lab/alder-base"));
    assert_eq!(
        nearest(&answer(&sandbox, "m/tuned")),
        [("alder-base", "finetune")]
    );
    sandbox.write("m/alder-base/config.json", config("alder-lab/alder-base"));
    let told = answer(&sandbox, "m/alder-base");
    assert_eq!(told["lineage"], json!([]));
    assert_eq!(countries(&told), "QX");
    says(&told, "which anybody may give");
}

#[test]
fn contradictions_are_said_aloud_and_every_line_counts() {
    let sandbox = sandbox();
    sandbox.write(
        "m/birch-base/README.md",
        "---\nbase_model: birch-lab/birch-base\n---\n",
    );
    let header = gguf(&[(
        "general.base_model.0.repo_url",
        "https://huggingface.co/alder-lab/alder-base",
    )]);
    sandbox.write("m/birch-base/x.gguf", header);
    let told = answer(&sandbox, "m/birch-base");
    assert_eq!(countries(&told), "QX QY");
    says(&told, "README.md base_model: `birch-lab/birch-base`");
    says(&told, "contradict each other");
    assert!(!told["disputed"].as_array().unwrap().is_empty(), "{told}");
    let people = sandbox.args(&["resolve", "m/birch-base", "--registry", "facts"]);
    people.exits(GOOD).says(&["disputed   "]);
}

#[test]
fn two_keys_of_one_name_both_count() {
    let sandbox = sandbox();
    sandbox.write(
        "m/two/README.md",
        "---\nbase_model: alder-lab/alder-base\nbase_model: birch-lab/birch-base\n---\n",
    );
    let told = answer(&sandbox, "m/two");
    assert_eq!(countries(&told), "QX QY");
    says(
        &told,
        "README.md says `base_model` 2 times: all of them count",
    );
    sandbox.write(
        "m/three/adapter_config.json",
        r#"{"base_model_name_or_path": "alder-lab/alder-base", "base_model_name_or_path": "birch-lab/birch-base"}"#,
    );
    assert_eq!(countries(&answer(&sandbox, "m/three")), "QX QY");
}

#[test]
fn only_the_operator_s_mapping_completes() {
    let sandbox = sandbox();
    sandbox.write(
        "own.toml",
        "[[deployment]]\nid = \"house\"\nmodel = \"birch-chat\"\n",
    );
    sandbox.write(
        "m/house/README.md",
        "---\nbase_model: alder-lab/alder-base\n---\n",
    );
    let line = "resolve m/house --registry facts --overlay own.toml --json";
    let told = sandbox.run(line).exits(GOOD).json();
    assert_eq!(told["canonical"], "birch-chat");
    assert_eq!(told["weights_complete"], true, "{told}");
    assert_eq!(countries(&told), "QX QY");
    sandbox.write("m/house/README.md", "---\nbase_model: somebody/else\n---\n");
    let told = sandbox.run(line).exits(GOOD).json();
    assert_eq!(told["weights_complete"], false, "{told}");
    says(
        &told,
        "which does not stand in the line of `birch-chat`, which the operator names",
    );
}

#[test]
fn texts_of_safetensors_are_read() {
    let sandbox = sandbox();
    sandbox.write(
        "one.safetensors",
        safetensors(&[
            ("modelspec.merged_from", "alder-base, birch-base"),
            ("modelspec.author", "alder"),
        ]),
    );
    let told = answer(&sandbox, "one.safetensors");
    assert_eq!(
        nearest(&told),
        [("alder-base", "merge"), ("birch-base", "merge")]
    );
    says(&told, "modelspec.author names `alder`");
}

#[test]
fn a_folder_without_a_model_is_unknown_whatever_it_is_called() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("m/alder-base/inner")).unwrap();
    let run = resolve(&sandbox, "m/alder-base");
    let told = run.exits(UNKNOWN).json();
    says(&told, "there is no model file in this folder");
    assert_eq!(countries(&told), "");
}

#[test]
fn a_path_that_is_not_there_is_an_error_with_its_fix() {
    let sandbox = sandbox();
    for path in ["./nothing", "../nothing.gguf", "/no/such/folder"] {
        sandbox.args(&["resolve", path]).complains(&[
            &format!("there is no file or folder `{path}`"),
            "help: check the path",
        ]);
    }
    sandbox
        .args(&["resolve", "/dev/null"])
        .complains(&["is neither a file nor a folder", "help:"]);
    // Among several, each argument still has its answer.
    let run = sandbox.run("resolve alder-base ./nothing birch-base --registry facts --json");
    let ids: Vec<Value> = run
        .exits(ERROR)
        .json_lines()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, ["alder-base", "./nothing", "birch-base"]);
}

#[test]
fn ids_and_paths_stand_beside_each_other() {
    let sandbox = sandbox();
    sandbox.write(
        "alder-base/README.md",
        "---\nbase_model: birch-lab/birch-base\n---\n",
    );
    let run =
        sandbox.run("resolve alder-base ./alder-base alder-base/README.md --registry facts --json");
    let answers = run.exits(GOOD).quietly().json_lines();
    assert_eq!(
        answers[0]["canonical"], "alder-base",
        "a plain word stays an id"
    );
    assert_eq!(answers[1]["platform"], "file");
    assert_eq!(answers[2]["platform"], "file");
    // With a platform named, all are ids; lines from elsewhere never open a file.
    let run = sandbox.run("resolve ./alder-base --platform huggingface --registry facts --json");
    assert_eq!(run.json()["platform"], "huggingface");
    let run = sandbox.feed("resolve - --registry facts --json", "./alder-base\n");
    assert_ne!(run.json()["platform"], "file");
    sandbox
        .run("resolve --help")
        .exits(GOOD)
        .says(&["stays an id", "MODEL|PATH"]);
}

#[test]
fn the_host_counts_as_with_an_id() {
    let sandbox = Sandbox::with_rack();
    sandbox.write("m/x/README.md", "---\nbase_model: nobody/nothing\n---\n");
    let run = sandbox.run("resolve m/x --host rack --overlay rack.toml --json");
    assert_eq!(run.json()["hosting"]["host"], "rack");
}

#[test]
fn the_built_in_registry_knows_the_models_that_cards_name() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "m/r1-1776/README.md",
        "---\nlicense: mit\nbase_model:\n- deepseek-ai/DeepSeek-R1\n---\n",
    );
    let told = sandbox.run("resolve m/r1-1776 --json").exits(GOOD).json();
    assert_eq!(nearest(&told), [("deepseek-r1", "finetune")]);
    assert_eq!(countries(&told), "CN US");
    assert_eq!(told["lineage"][0]["confidence"], "medium");
    assert_eq!(told["weights_complete"], false);
    let config = json!({ "model_type": "llama", "architectures": ["LlamaForCausalLM"] });
    sandbox.write("m/own/config.json", config.to_string());
    let told = sandbox.run("resolve m/own --json").exits(UNKNOWN).json();
    assert_eq!(countries(&told), "");
}

#[test]
fn a_base_that_nobody_knows_stands_in_the_line_and_the_answer_is_unknown() {
    let sandbox = sandbox();
    let name = format!("{}.gguf", "long-".repeat(40));
    let header = gguf(&[(
        "general.base_model.0.repo_url",
        "https://huggingface.co/some/thing",
    )]);
    sandbox.write(&name, header);
    let told = resolve(&sandbox, &name).exits(UNKNOWN).json();
    assert_eq!(
        nearest(&told),
        [("https://huggingface.co/some/thing", "finetune")]
    );
    assert_eq!(told["lineage"][0]["producer"], Value::Null);
    assert_eq!(told["confidence"], "unknown");
    says(&told, "which is not known");
}
