//! Files that must not load, each refused with its own code before it can do harm.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{fixtures, load};
use crate::{Code, Engine, Format, LoadOptions};

/// A copy of a model's folder to spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

#[track_caller]
fn refused(path: &Path, code: Code, place: &str) {
    let refusal = Engine::load(path, &LoadOptions::default())
        .map(drop)
        .unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.place.contains(place), "{refusal}");
    assert!(!refusal.fix.is_empty() && !refusal.reason.is_empty());
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Where a tensor's bytes lie in `model.safetensors`.
fn place_of(bytes: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |n: usize| header[tensor]["data_offsets"][n].as_u64().unwrap() as usize;
    8 + length + offset(0)..8 + length + offset(1)
}

/// Writes the file again with another header over the same data.
fn with_header(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let mut made = (header.len() as u64).to_le_bytes().to_vec();
    made.extend_from_slice(header.as_bytes());
    made.extend_from_slice(&bytes[8 + length..]);
    fs::write(path, made).unwrap();
}

#[test]
fn models_of_all_forms_load() {
    for (name, format, reasons) in [
        ("plain", Format::Safetensors, false),
        ("tied", Format::Safetensors, true),
        ("f16.gguf", Format::Gguf, false),
        ("q8_0.gguf", Format::Gguf, false),
        ("q4_0.gguf", Format::Gguf, false),
    ] {
        let engine = load(name);
        assert_eq!(
            (engine.format(), engine.reasons(), engine.chats()),
            (format, reasons, true)
        );
        assert_eq!(
            (engine.context_tokens(), engine.bytes_a_token()),
            (512, 256)
        );
    }
    assert!(load("q8_0.gguf").weight_bytes() * 3 < load("plain").weight_bytes());
    let options = LoadOptions {
        context_tokens_max: 100,
        ..LoadOptions::default()
    };
    let engine = Engine::load(&fixtures().join("plain"), &options).unwrap();
    assert_eq!(engine.context_tokens(), 100);
}

#[test]
fn a_model_that_is_too_large_is_not_read() {
    for name in ["plain", "tied", "q4_0.gguf"] {
        let options = LoadOptions {
            memory_max: 10_000,
            ..LoadOptions::default()
        };
        let refusal = Engine::load(&fixtures().join(name), &options)
            .map(drop)
            .unwrap_err();
        assert_eq!(refusal.code, Code::FileTooLarge, "{refusal}");
    }
}

#[test]
fn a_model_that_would_not_fit_into_memory_is_not_read() {
    /// Norms and biases, which `weight_bytes` leaves out.
    const SMALL: u64 = 32 << 10;

    // Stored as BF16, and packed in 4 bits.
    for name in ["tied", "q4_0.gguf"] {
        let whole = Engine::load(&fixtures().join(name), &LoadOptions::default()).unwrap();
        let weights = whole.weight_bytes() as u64;
        let answer = (whole.bytes_a_token() * whole.context_tokens()) as u64;
        // Four heads, a step of 128 tokens, four copies of F32.
        let scores = 4 * 128 * 16 * whole.context_tokens() as u64;
        let needed = weights + 2 * answer + scores;
        for (memory_max, fits) in [(needed + SMALL, true), (needed - SMALL, false)] {
            let options = LoadOptions {
                memory_max,
                ..LoadOptions::default()
            };
            let loaded = Engine::load(&fixtures().join(name), &options).map(drop);
            let code = loaded.as_ref().map_err(|refusal| refusal.code);
            assert_eq!(code.is_ok(), fits, "{name}: {loaded:?}");
            assert!(fits || code == Err(Code::FileTooLarge));
        }
    }
}

#[test]
fn missing_and_oversized_small_files() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = copy("plain");
        fs::remove_file(folder.path().join(file)).unwrap();
        refused(folder.path(), Code::FileUnreadable, file);
    }
    let folder = copy("plain");
    refused(
        &folder.path().join("none.gguf"),
        Code::FileUnreadable,
        "none.gguf",
    );
    fs::write(folder.path().join("config.json"), vec![b' '; 5 << 20]).unwrap();
    refused(folder.path(), Code::FileTooLarge, "config.json");
    let folder = copy("tied");
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    refused(folder.path(), Code::FileUnreadable, "model-00002");
}

#[test]
fn files_that_are_cut_off() {
    for (name, file) in [
        ("plain", "model.safetensors"),
        ("tied", "model-00001-of-00002.safetensors"),
    ] {
        let whole = fs::read(fixtures().join(name).join(file)).unwrap();
        for len in [0, 4, whole.len() / 2, whole.len() - 1] {
            let folder = copy(name);
            fs::write(folder.path().join(file), &whole[..len]).unwrap();
            refused(folder.path(), Code::FileTruncated, file);
        }
        // Within the header it cannot be told from a header that states a wrong length.
        let folder = copy(name);
        fs::write(folder.path().join(file), &whole[..100]).unwrap();
        refused(folder.path(), Code::FileMalformed, file);
    }
    let whole = fs::read(fixtures().join("q8_0.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.gguf");
    for len in [6, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let refusal = Engine::load(&path, &LoadOptions::default())
            .map(drop)
            .unwrap_err();
        let codes = [Code::FileTruncated, Code::FileMalformed];
        assert!(codes.contains(&refusal.code), "{len}: {refusal}");
    }
}

#[test]
fn headers_that_the_strict_check_refuses_are_not_read_further() {
    let folder = copy("plain");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    refused(folder.path(), Code::FileMalformed, "model.safetensors");

    let mut bytes = fs::read(fixtures().join("q8_0.gguf")).unwrap();
    bytes[4] = 99;
    let path = folder.path().join("version.gguf");
    fs::write(&path, bytes).unwrap();
    refused(&path, Code::FileMalformed, "version.gguf");
}

#[test]
fn another_architecture_and_its_variants() {
    let cases = [
        ("model_type", json!("llama"), Code::ArchitectureUnsupported),
        (
            "architectures",
            json!(["LlamaForCausalLM"]),
            Code::ArchitectureUnsupported,
        ),
        (
            "rope_scaling",
            json!({"type": "yarn", "factor": 4.0}),
            Code::FeatureUnsupported,
        ),
        (
            "rope_scaling",
            json!({"factor": 4.0}),
            Code::FeatureUnsupported,
        ),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "rope_theta": 1e4}),
            Code::FeatureUnsupported,
        ),
        ("use_sliding_window", json!(true), Code::FeatureUnsupported),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            Code::FeatureUnsupported,
        ),
        (
            "quantization_config",
            json!({"bits": 4}),
            Code::FeatureUnsupported,
        ),
        ("hidden_act", json!("gelu"), Code::FeatureUnsupported),
        ("hidden_size", json!(0), Code::ConfigInvalid),
        ("hidden_size", json!(33), Code::ConfigInvalid),
        ("hidden_size", json!(-1), Code::ConfigInvalid),
        ("hidden_size", Value::Null, Code::ConfigInvalid),
        (
            "num_hidden_layers",
            json!(1_000_000_000_000u64),
            Code::ConfigInvalid,
        ),
        ("num_key_value_heads", json!(3), Code::ConfigInvalid),
        ("num_attention_heads", json!(32), Code::ConfigInvalid),
        ("head_dim", json!(usize::MAX - 1), Code::ConfigInvalid),
        ("vocab_size", json!(u64::MAX), Code::ConfigInvalid),
        ("rms_norm_eps", json!(0), Code::ConfigInvalid),
        ("rope_theta", json!(-1), Code::ConfigInvalid),
    ];
    for (field, value, code) in cases {
        let folder = copy("plain");
        edit(folder.path(), "config.json", |config| config[field] = value);
        refused(folder.path(), code, "config.json");
    }
    let folder = copy("plain");
    fs::write(folder.path().join("config.json"), "{\n\"model_type\": }").unwrap();
    refused(folder.path(), Code::ConfigInvalid, "config.json:2");
}

#[test]
fn the_newer_way_to_state_the_rotation_is_read() {
    let folder = copy("plain");
    edit(folder.path(), "config.json", |config| {
        let theta = config["rope_theta"].take();
        config["rope_parameters"] = json!({"rope_theta": theta, "rope_type": "default"});
        config["layer_types"] = json!(["full_attention", "full_attention"]);
    });
    let engine = Engine::load(folder.path(), &LoadOptions::default()).unwrap();
    assert_eq!(engine.model.sizes, load("plain").model.sizes);
}

#[test]
fn tensors_that_do_not_fit_the_configuration() {
    let cases = [
        (
            "num_hidden_layers",
            json!(3),
            Code::TensorMissing,
            "model.layers.2.",
        ),
        (
            "num_hidden_layers",
            json!(1),
            Code::TensorUnexpected,
            "model.layers.1.",
        ),
        (
            "intermediate_size",
            json!(96),
            Code::TensorShape,
            "gate_proj",
        ),
        ("vocab_size", json!(321), Code::TensorShape, "embed_tokens"),
        ("num_key_value_heads", json!(4), Code::TensorShape, "k_proj"),
    ];
    for (field, value, code, place) in cases {
        let folder = copy("plain");
        edit(folder.path(), "config.json", |config| config[field] = value);
        refused(folder.path(), code, place);
    }
    let folder = copy("plain");
    with_header(&folder.path().join("model.safetensors"), |header| {
        header["model.norm.weight"]["dtype"] = json!("I32");
    });
    refused(folder.path(), Code::TensorType, "model.norm.weight");
    // An output matrix that is there although the embedding serves is no fault; it is not read.
    let folder = copy("plain");
    edit(folder.path(), "config.json", |config| {
        config["tie_word_embeddings"] = json!(true)
    });
    Engine::load(folder.path(), &LoadOptions::default()).unwrap();
}

#[test]
fn weights_that_are_not_finite() {
    let name = "model.layers.1.mlp.up_proj.weight";
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let folder = copy("plain");
        let path = folder.path().join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let place = place_of(&bytes, name);
        bytes[place.end - 4..place.end].copy_from_slice(&bad.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        refused(folder.path(), Code::WeightsNotFinite, name);
    }
    let folder = copy("tied");
    let path = folder.path().join("model-00001-of-00002.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[length - 2..].copy_from_slice(&[0x80, 0x7f]);
    fs::write(&path, bytes).unwrap();
    refused(folder.path(), Code::WeightsNotFinite, "model-00001");
    // In packed weights it is the scale of a block that can be so.
    for (file, block, from_end) in [
        ("q8_0.gguf", 34, 34),
        ("q4_0.gguf", 18, 18),
        ("f16.gguf", 2, 2),
    ] {
        let mut bytes = fs::read(fixtures().join(file)).unwrap();
        let header = carnet_inspect::gguf::read(
            &mut std::io::Cursor::new(&bytes),
            bytes.len() as u64,
            &carnet_inspect::Limits::default(),
        )
        .unwrap();
        let tensor = header
            .tensors()
            .iter()
            .find(|t| t.name == "blk.0.ffn_up.weight")
            .unwrap();
        let at = tensor.bytes.end as usize - from_end;
        assert!((tensor.bytes.end - tensor.bytes.start).is_multiple_of(block));
        bytes[at..at + 2].copy_from_slice(&[0x00, 0x7c]);
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        refused(&path, Code::WeightsNotFinite, "blk.0.ffn_up.weight");
    }
}

#[test]
fn tokenizers_that_do_not_fit() {
    let folder = copy("plain");
    edit(folder.path(), "tokenizer.json", |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut more = added[0].clone();
        more["id"] = json!(320);
        more["content"] = json!("<|more|>");
        added.push(more);
    });
    refused(folder.path(), Code::VocabularyMismatch, "tokenizer.json");

    let folder = copy("plain");
    edit(folder.path(), "config.json", |config| {
        config["eos_token_id"] = json!([319, 320])
    });
    refused(folder.path(), Code::VocabularyMismatch, "");

    for text in [
        "",
        "{}",
        "[1]",
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": [\"a\"]}}",
    ] {
        let folder = copy("plain");
        fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        refused(folder.path(), Code::TokenizerInvalid, "tokenizer.json");
    }
}

#[test]
fn an_index_names_files_of_its_own_folder_only() {
    for name in ["../plain/model.safetensors", "/etc/passwd", "..", ""] {
        let folder = copy("tied");
        edit(folder.path(), "model.safetensors.index.json", |index| {
            index["weight_map"]["model.norm.weight"] = json!(name);
        });
        refused(folder.path(), Code::FileMalformed, "index.json");
    }
    let folder = copy("tied");
    edit(folder.path(), "model.safetensors.index.json", |index| {
        index["weight_map"] = json!({})
    });
    refused(folder.path(), Code::FileMalformed, "index.json");
    let folder = copy("tied");
    let first = folder.path().join("model-00001-of-00002.safetensors");
    fs::copy(
        first,
        folder.path().join("model-00002-of-00002.safetensors"),
    )
    .unwrap();
    refused(folder.path(), Code::FileMalformed, "model-00002");
}

#[test]
fn templates_that_are_broken_or_bombs() {
    let doubling = "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}";
    let cases = [
        ("{% for x in %}", Code::TemplateInvalid),
        ("{{ nothing.there.at_all }}", Code::TemplateInvalid),
        ("{{ raise_exception('no') }}", Code::TemplateInvalid),
        ("{% include 'other' %}", Code::TemplateInvalid),
        (doubling, Code::TemplateOverLimit),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
            Code::TemplateOverLimit,
        ),
    ];
    for (source, code) in cases {
        let folder = copy("plain");
        fs::write(folder.path().join("chat_template.jinja"), source).unwrap();
        refused(folder.path(), code, "");
    }
}

#[test]
fn a_model_without_template_takes_plain_prompts_alone() {
    let folder = copy("plain");
    edit(folder.path(), "tokenizer_config.json", |config| {
        config["chat_template"] = Value::Null
    });
    let engine = Engine::load(folder.path(), &LoadOptions::default()).unwrap();
    assert!(!engine.chats());
    let input = crate::Input::Chat(crate::Chat::default());
    let refused = engine
        .start(&crate::Request::new(input))
        .map(drop)
        .map_err(|e| e.code);
    assert_eq!(refused, Err(Code::TemplateMissing));
}

#[test]
fn templates_by_name_and_files_that_may_be_missing() {
    let folder = copy("plain");
    fs::remove_file(folder.path().join("generation_config.json")).unwrap();
    edit(folder.path(), "tokenizer_config.json", |config| {
        let source = config["chat_template"].take();
        config["chat_template"] = json!([
            {"name": "tool_use", "template": "{% broken"},
            {"name": "default", "template": source},
        ]);
        config["eos_token"] = json!("<|im_end|>");
    });
    let engine = Engine::load(folder.path(), &LoadOptions::default()).unwrap();
    assert!(engine.chats());
    assert_eq!(engine.sampling, crate::Sampling::default());
    assert_eq!(load("plain").sampling.temperature, 0.0);
}

#[test]
fn a_suggestion_that_cannot_be_is_refused() {
    let folder = copy("plain");
    fs::write(
        folder.path().join("generation_config.json"),
        "{\"top_p\": 7}",
    )
    .unwrap();
    refused(
        folder.path(),
        Code::ConfigInvalid,
        "generation_config.json: top_p",
    );
}
