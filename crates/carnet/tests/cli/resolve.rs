//! `carnet resolve`: the contract of its answers, and what it tells of names that mislead.

use serde_json::Value;

use crate::sandbox::{ERROR, GOOD, Run, Sandbox, UNKNOWN, keys};

/// All keys of an answer, in their order.
const KEYS: [&str; 19] = [
    "id",
    "canonical",
    "platform",
    "producer",
    "publisher",
    "weights",
    "licence",
    "lineage",
    "lineage_status",
    "weights_countries",
    "weights_complete",
    "teachers",
    "teacher_countries",
    "teachers_complete",
    "hosting",
    "candidates",
    "disputed",
    "confidence",
    "steps",
];

fn keeps_the_contract(run: &Run) {
    for line in run.out.lines() {
        assert_eq!(keys(line), KEYS, "{line}");
    }
    for answer in run.json_lines() {
        assert!(
            ["open", "closed", "unknown"].contains(&answer["weights"].as_str().unwrap()),
            "{answer}"
        );
        assert!(
            ["high", "medium", "low", "unknown"].contains(&answer["confidence"].as_str().unwrap()),
            "{answer}"
        );
        for list in [
            "lineage",
            "weights_countries",
            "teachers",
            "teacher_countries",
            "candidates",
            "disputed",
            "steps",
        ] {
            assert!(answer[list].is_array(), "`{list}` in {answer}");
        }
        assert!(
            !answer["candidates"].as_array().unwrap().is_empty(),
            "{answer}"
        );
        assert!(!answer["steps"].as_array().unwrap().is_empty(), "{answer}");
        let countries: Vec<&str> = answer["weights_countries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|country| country.as_str().unwrap())
            .collect();
        assert!(countries.is_sorted(), "{answer}");
    }
}

fn knows_nothing(answer: &Value) {
    for key in ["canonical", "producer", "publisher", "licence", "hosting"] {
        assert_eq!(answer[key], Value::Null, "`{key}` in {answer}");
    }
    assert_eq!(
        answer["weights_complete"], false,
        "unknown is never clean: {answer}"
    );
    assert_eq!(answer["confidence"], "unknown", "{answer}");
    assert_eq!(answer["lineage_status"], "unknown", "{answer}");
    assert_eq!(
        answer["candidates"].as_array().unwrap().len(),
        1,
        "{answer}"
    );
}

#[test]
fn an_answer_has_all_keys_in_their_order_whatever_was_asked() {
    let sandbox = Sandbox::new();
    let known = sandbox.run("resolve r1-1776 --json");
    known.exits(GOOD).quietly();
    keeps_the_contract(&known);
    let hosted = sandbox.run("resolve us.deepseek.r1-v1:0 --host amazon-bedrock --json");
    keeps_the_contract(hosted.exits(GOOD).quietly());
    let line: Value = hosted.json();
    for key in [
        "host",
        "operator",
        "country",
        "parent_country",
        "regions",
        "jurisdictions",
        "complete",
        "retention",
        "confidence",
        "source",
    ] {
        assert!(line["hosting"].get(key).is_some(), "no `{key}` in {line}");
    }

    let long = "x".repeat(10 * 1024);
    for id in [
        "nonsense",
        &long,
        "gpt-4o\u{1b}[31m",
        "gpt-4o\nr1-1776",
        "",
        " ",
        "{\"id\":\"gpt-4o\"}",
        "ｇｐｔ－４ｏ",
    ] {
        let run = sandbox.args(&["resolve", "--json", id]);
        run.exits(UNKNOWN).quietly();
        keeps_the_contract(&run);
        let answer = run.json();
        knows_nothing(&answer);
        assert_eq!(answer["id"], id);
    }
}

#[test]
fn bytes_that_are_no_text_have_an_answer_and_a_complaint() {
    let sandbox = Sandbox::new();
    let run = sandbox.with_bytes("resolve --json gpt-4o", b"nonsense\xff");
    run.exits(ERROR)
        .warns(&["an argument is not UTF-8", "help: write ids as UTF-8"]);
    keeps_the_contract(&run);
    assert_eq!(run.json_lines()[0]["canonical"], "gpt-4o");
    assert_eq!(run.json_lines()[1]["id"], "nonsense\u{fffd}");
    knows_nothing(&run.json_lines()[1]);
}

#[test]
fn a_terminal_gets_no_control_characters() {
    let sandbox = Sandbox::new();
    let run = sandbox.args(&["resolve", "gpt-4o\u{1b}[31m\r\u{9b}x\ny"]);
    run.exits(UNKNOWN).says(&[
        "gpt-4o\u{fffd}[31m\u{fffd}\u{fffd}x\u{fffd}y\n",
        "the id has control characters",
    ]);
    let run = sandbox.args(&["check", "gpt-4o\u{1b}[31m"]);
    run.exits(1).says(&["DENY  gpt-4o\u{fffd}[31m"]);
}

#[test]
fn one_unknown_id_is_told_by_the_exit_code_several_only_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.run("resolve gpt-4o").exits(GOOD);
    sandbox.run("resolve nonsense").exits(UNKNOWN).says(&[
        "model      unknown",
        "countries  none known (others cannot be excluded)",
    ]);
    sandbox.run("resolve nonsense gpt-4o").exits(GOOD);
    sandbox
        .run("resolve nonsense gpt-4o --strict")
        .exits(UNKNOWN);
    sandbox.run("resolve r1-1776 gpt-4o --strict").exits(GOOD);
    sandbox.feed("resolve -", "nonsense\n").exits(GOOD);
    sandbox
        .feed("resolve - --strict", "nonsense\ngpt-4o\n")
        .exits(UNKNOWN);
    sandbox
        .feed("resolve - --strict", "nonsense\n{\n")
        .exits(ERROR);
    let run = sandbox.feed("resolve - --json", "");
    assert_eq!(run.exits(GOOD).quietly().out, "");
}

#[test]
fn every_line_has_one_answer_in_its_place() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(100_000);
    let lines: &[(&[u8], &str)] = &[
        (b"gpt-4o", "gpt-4o"),
        (
            br#"{"id":"deepseek-r1:8b","platform":"ollama"}"#,
            "deepseek-r1:8b",
        ),
        (br#"  {"id":"r1-1776"}"#, "r1-1776"),
        (b"", ""),
        (b"   ", "   "),
        (br#"{"id":"gpt-4o""#, r#"{"id":"gpt-4o""#),
        (br#"{"id":7}"#, r#"{"id":7}"#),
        (br#"{"id":"a","id":"b"}"#, r#"{"id":"a","id":"b"}"#),
        (br#"{"id":"a","colour":"b"}"#, r#"{"id":"a","colour":"b"}"#),
        (b"bad\xff", "bad\u{fffd}"),
        (b"{\"id\":\"bad\xff\"}", "{\"id\":\"bad\u{fffd}\"}"),
        (b"gpt-4o\r", "gpt-4o"),
        (b"a\tb", "a\tb"),
        (br#"{"id":"gpt-4o","host":"nowhere"}"#, "gpt-4o"),
        (br#"{"id":"two\nlines"}"#, "two\nlines"),
        (b"nonsense", "nonsense"),
    ];
    let mut input: Vec<u8> = lines
        .iter()
        .flat_map(|(line, _)| [*line, b"\n"].concat())
        .collect();
    input.extend_from_slice(long.as_bytes());
    let run = sandbox.feed("resolve - --json", &input);
    run.exits(ERROR);
    keeps_the_contract(&run);
    let answers = run.json_lines();
    assert_eq!(answers.len(), lines.len() + 1, "{run:?}");
    for ((_, id), answer) in lines.iter().zip(&answers) {
        assert_eq!(answer["id"], *id);
    }
    knows_nothing(answers.last().unwrap());
    let complaints: Vec<&str> = run
        .err
        .lines()
        .filter_map(|line| line.strip_prefix("error: line ")?.split([':', ' ']).next())
        .collect();
    assert_eq!(complaints, ["6", "7", "8", "9", "10", "11"], "{run:?}");
    run.warns(&[
        "help: a line is an id or {\"id\": …, \"platform\": …, \"host\": …}",
        "is not UTF-8",
    ]);
    for broken in &answers[5..11] {
        knows_nothing(broken);
    }
    assert_eq!(answers[1]["platform"], "ollama");
    assert_eq!(
        answers[13]["hosting"],
        Value::Null,
        "a host that nobody knows is no host"
    );
}

#[test]
fn options_fill_what_a_line_does_not_say() {
    let sandbox = Sandbox::with_rack();
    let input = "gpt-4o\n{\"id\":\"gpt-4o\"}\n{\"id\":\"gpt-4o\",\"host\":\"openai\"}\n";
    let run = sandbox.feed("resolve - --json --host rack --overlay rack.toml", input);
    let hosts: Vec<Value> = run
        .exits(GOOD)
        .json_lines()
        .iter()
        .map(|answer| answer["hosting"]["host"].clone())
        .collect();
    assert_eq!(hosts, ["rack", "rack", "openai"]);
}

#[test]
fn a_host_that_nobody_knows_is_an_error_as_an_option() {
    Sandbox::new()
        .run("resolve gpt-4o --host nowhere")
        .complains(&[
            "there is no host `nowhere`",
            "help: `carnet registry list hosts`",
        ]);
}

#[test]
fn a_name_that_moves_stands_for_what_it_was_on_the_day() {
    let sandbox = Sandbox::new();
    let on = |day: &str| {
        let run = sandbox.run(&format!(
            "resolve deepseek-reasoner --platform deepseek --json --as-of {day}"
        ));
        let answer = run.exits(GOOD).json();
        let models: Vec<String> = answer["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["model"].as_str().unwrap().to_owned())
            .collect();
        models.join(" ")
    };
    assert_eq!(on("2025-02-01"), "deepseek-r1");
    assert_eq!(on("2025-11-30"), "deepseek-v3.2-exp");
    assert_eq!(on("2025-12-01"), "deepseek-v3.2");
    sandbox
        .run("resolve deepseek-reasoner --platform deepseek --as-of 2025-12-01")
        .says(&[
            "model      deepseek-reasoner\n",
            "is now     deepseek-v3.2\n",
        ]);
}

/// What one id is, in the words of the answer.
struct Told {
    id: &'static str,
    producer: (&'static str, &'static str),
    /// Model, relation and country of the nearest ancestor.
    nearest: (&'static str, &'static str, &'static str),
    countries: &'static [&'static str],
}

#[test]
fn names_that_tell_nothing_are_told_right() {
    let sandbox = Sandbox::new();
    let both: &[&str] = &["CN", "US"];
    let table = [
        Told {
            id: "r1-1776",
            producer: ("Perplexity", "US"),
            nearest: ("deepseek-r1", "finetune", "CN"),
            countries: both,
        },
        Told {
            id: "perplexity-ai/r1-1776",
            producer: ("Perplexity", "US"),
            nearest: ("deepseek-r1", "finetune", "CN"),
            countries: both,
        },
        Told {
            id: "MAI-DS-R1",
            producer: ("Microsoft", "US"),
            nearest: ("deepseek-r1", "finetune", "CN"),
            countries: both,
        },
        Told {
            id: "microsoft/MAI-DS-R1",
            producer: ("Microsoft", "US"),
            nearest: ("deepseek-r1", "finetune", "CN"),
            countries: both,
        },
        Told {
            id: "DeepSeek-R1-Distill-Llama-70B",
            producer: ("DeepSeek", "CN"),
            nearest: ("llama-3.3", "distilled", "US"),
            countries: both,
        },
        Told {
            id: "Composer 2",
            producer: ("Anysphere (Cursor)", "US"),
            nearest: ("kimi-k2.5", "continued-pretrain", "CN"),
            countries: both,
        },
        Told {
            id: "composer-2",
            producer: ("Anysphere (Cursor)", "US"),
            nearest: ("kimi-k2.5", "continued-pretrain", "CN"),
            countries: both,
        },
    ];
    for Told {
        id,
        producer,
        nearest,
        countries,
    } in table
    {
        let run = sandbox.args(&["resolve", id, "--json"]);
        run.exits(GOOD).quietly();
        let answer = run.json();
        let maker = &answer["producer"];
        assert_eq!(
            (
                maker["name"].as_str().unwrap(),
                maker["country"].as_str().unwrap()
            ),
            producer,
            "{answer}"
        );
        let first = &answer["lineage"][0];
        assert_eq!(first["hop"], 1, "{answer}");
        let told = ["model", "relation", "country"].map(|key| first[key].as_str().unwrap());
        assert_eq!((told[0], told[1], told[2]), nearest, "{answer}");
        assert_eq!(answer["lineage_status"], "derived", "{answer}");
        assert_eq!(
            answer["weights_countries"],
            serde_json::json!(countries),
            "{answer}"
        );
        assert!(
            first["source"]
                .as_str()
                .is_some_and(|source| !source.is_empty()),
            "{answer}"
        );
        assert!(
            ["high", "medium", "low"].contains(&answer["confidence"].as_str().unwrap()),
            "{answer}"
        );
    }
}

#[test]
fn a_teacher_is_no_ancestor() {
    let run = Sandbox::new().run("resolve DeepSeek-R1-Distill-Llama-70B --json");
    let answer = run.exits(GOOD).json();
    assert!(
        answer["teachers"].to_string().contains("deepseek-r1"),
        "{answer}"
    );
    assert_eq!(
        answer["teacher_countries"],
        serde_json::json!(["CN"]),
        "{answer}"
    );
    for ancestor in answer["lineage"].as_array().unwrap() {
        assert_ne!(ancestor["producer"], "DeepSeek", "{answer}");
    }
}

#[test]
fn a_tag_whose_base_changed_has_both_candidates() {
    let sandbox = Sandbox::new();
    for line in [
        "resolve deepseek-r1:8b --platform ollama --json",
        "resolve ollama/deepseek-r1:8b --json",
    ] {
        let run = sandbox.run(line);
        let answer = run.exits(GOOD).quietly().json();
        let models: Vec<&str> = answer["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["model"].as_str().unwrap())
            .collect();
        assert_eq!(
            models,
            ["deepseek-r1-distill-llama-8b", "deepseek-r1-0528-qwen3-8b"],
            "{answer}"
        );
        assert_eq!(
            answer["weights_countries"],
            serde_json::json!(["CN", "US"]),
            "{answer}"
        );
        let bases: Vec<&str> = answer["lineage"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["hop"] == 1)
            .map(|one| one["model"].as_str().unwrap())
            .collect();
        assert_eq!(bases, ["llama-3.1", "qwen-3"], "{answer}");
    }
    sandbox
        .run("resolve deepseek-r1:8b --platform ollama")
        .says(&["may be     deepseek-r1-distill-llama-8b or deepseek-r1-0528-qwen3-8b"]);
}

#[test]
fn the_same_weights_on_two_hosts_differ_in_law_alone() {
    let sandbox = Sandbox::new();
    let american = sandbox
        .run("resolve us.deepseek.r1-v1:0 --host amazon-bedrock --json")
        .json();
    let own = sandbox
        .run("resolve deepseek-r1 --host deepseek --json")
        .json();
    assert_eq!(american["producer"], own["producer"]);
    assert_eq!(american["weights_countries"], own["weights_countries"]);
    let law = |answer: &Value| answer["hosting"]["jurisdictions"].to_string();
    assert!(!law(&american).contains("CN"), "{american}");
    assert!(law(&own).contains("CN"), "{own}");
}
