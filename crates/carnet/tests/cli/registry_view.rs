//! `carnet registry list`, `show`, `stats`, `graph`, `diff` and `export`: the facts as they are read.

use serde_json::Value;

use crate::registry_world::{SAID, today};
use crate::sandbox::{BAD, ERROR, GOOD, Sandbox, keys};

fn world() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.world("facts");
    sandbox
}

#[test]
fn every_kind_is_listed_for_people_and_programs() {
    let sandbox = Sandbox::new();
    for kind in ["hosts", "models", "producers", "aliases", "lists", "groups"] {
        let people = sandbox.run(&format!("registry list {kind}"));
        let programs = sandbox.run(&format!("registry list {kind} --json"));
        let lines = programs.exits(GOOD).quietly().json_lines();
        assert_eq!(
            people.exits(GOOD).out.lines().count(),
            lines.len(),
            "{kind}"
        );
        assert!(!lines.is_empty(), "{kind}");
        for line in lines {
            assert!(line["id"].is_string() && line["name"].is_string(), "{line}");
        }
    }
    sandbox.write(
        "own.toml",
        "[[model]]\nid = \"ours\"\nproducer = \"birch\"\n[[host]]\nid = \"rack\"\nkind = \"local\"\n",
    );
    sandbox.world("facts");
    for (kind, id) in [("models", "ours"), ("hosts", "rack")] {
        sandbox
            .run(&format!(
                "registry list {kind} --registry facts --overlay own.toml"
            ))
            .exits(GOOD)
            .says(&[id, "operator"]);
    }
    sandbox.run("registry list planets").exits(ERROR);
}

#[test]
fn a_record_is_shown_with_what_is_claimed_and_what_follows() {
    let sandbox = world();
    let shown = sandbox.run("registry show birch-tune --registry facts");
    shown.exits(GOOD).quietly().says(&[
        "model birch-tune · Birch Tune",
        "producer = birch · high · 2025-01-01 · https://x.example",
        "base_model = finetune of alder-base (weights) · high",
        "countries DE, US (complete) · high",
        "← finetune of alder-base (weights; The alder, US)",
        "made from it (1)",
        "→ birch-deep (finetune)",
    ]);
    sandbox
        .run("registry show alder --registry facts")
        .exits(GOOD)
        .says(&[
            "producer alder · The alder",
            "country = US · high",
            "made by it (1)",
        ]);
    let json = sandbox
        .run("registry show birch-tune --registry facts --json")
        .json();
    assert_eq!(json["found"][0]["kind"], "model");
    assert_eq!(json["found"][0]["answer"]["weights_complete"], true);
    assert_eq!(json["found"][0]["beneath"][0]["id"], "birch-deep");
    assert_eq!(
        json["found"][0]["record"]["base_models"][0]["model"],
        "alder-base"
    );
}

#[test]
fn an_id_of_several_kinds_shows_all_and_a_prefix_chooses() {
    let sandbox = world();
    sandbox.write(
        "facts/hosts/alder.toml",
        "name = \"Alder Cloud\"\nkind = \"inference\"\n",
    );
    sandbox
        .run("registry show alder --registry facts")
        .exits(GOOD)
        .says(&[
            "several records: producer, host",
            "The alder",
            "Alder Cloud",
        ]);
    let run = sandbox.run("registry show host:alder --registry facts");
    run.exits(GOOD).says(&["host alder", "law of none known"]);
    assert!(!run.out.contains("The alder"), "{run:?}");
    let json = sandbox
        .run("registry show alder --registry facts --json")
        .json();
    assert_eq!(json["found"].as_array().unwrap().len(), 2);
    sandbox
        .run("registry show model:alder --registry facts")
        .complains(&["nothing with the id `model:alder`"]);
}

#[test]
fn statements_stay_attributed_and_a_day_has_its_own_claims() {
    let sandbox = world();
    let producer = sandbox.read("facts/producers/alder.toml");
    sandbox.write(
        "facts/producers/alder.toml",
        producer
            + "[[statement]]\ntopic = \"state-control\"\ntext = \"Says so.\"\nby = \"A rival\"\ndate = \"2025-03-01\"\nevidence = \"none published\"\nsource = \"https://rival.example\"\ndisputed_by = \"A court\"\ndisputed_source = \"https://court.example\"\n"
            + &format!("[[list]]\nlist = \"watch\"\nvalid_from = \"2026-06-01\"\n{}\n", SAID.replace(", ", "\n")),
    );
    sandbox.write(
        "facts/lists/watch.toml",
        "name = \"Watch\"\nissuer = \"An office\"\nsource = \"https://x.example\"\ndate = \"2025-01-01\"\n",
    );
    sandbox
        .run("registry show alder --registry facts --as-of 2026-05-31")
        .exits(GOOD)
        .says(&[
            "statement = A rival [state-control]: Says so. (evidence: none published)",
            "disputed by A court (https://court.example)",
            "1 claim not in force on 2026-05-31",
        ]);
    sandbox
        .run("registry show alder --registry facts --as-of 2026-06-01")
        .says(&["list = watch · high", "from 2026-06-01"]);
    sandbox
        .run("registry show watch --registry facts --as-of 2026-06-01")
        .says(&["issuer = An office", "named on it (1)", "→ alder"]);
}

#[test]
fn a_host_is_shown_with_the_prices_of_the_day() {
    let sandbox = world();
    sandbox.write(
        "facts/hosts/cloud.toml",
        "name = \"Cloud\"\nkind = \"inference\"\n",
    );
    let price = |input: &str, when: &str| {
        format!(
            "[[price]]\nname = \"birch-tune\"\ncurrency = \"EUR\"\ninput = \"{input}\"\noutput = \"2\"\n{when}\n{}\n",
            SAID.replace(", ", "\n")
        )
    };
    sandbox.write(
        "facts/prices/cloud.toml",
        price("0.50", "valid_to = \"2026-06-01\"") + &price("1", "valid_from = \"2026-06-01\""),
    );
    sandbox
        .run("registry show cloud --registry facts --as-of 2026-05-31")
        .exits(GOOD)
        .says(&[
            "price = birch-tune: EUR input 0.5, output 2 · high · 2025-01-01 · https://x.example",
            "1 claim not in force on 2026-05-31",
        ]);
    let shown = sandbox.run("registry show cloud --registry facts --json");
    let shown = shown.exits(GOOD).quietly().json();
    let prices = shown["found"][0]["prices"].as_array().unwrap();
    assert_eq!(prices.len(), 2, "{shown:#}");
    assert_eq!(prices[0]["figures"]["input"], 500_000_000);
}

#[test]
fn the_overlay_s_word_is_shown_as_the_operator_s() {
    let sandbox = world();
    sandbox.write(
        "own.toml",
        "[[producer]]\nid = \"birch\"\ncountry = \"FR\"\nreason = \"read the register\"\nauthor = \"me\"\nuntil = \"2099-01-01\"\n",
    );
    sandbox
        .run("registry show birch-tune --registry facts --overlay own.toml")
        .exits(GOOD)
        .says(&[
            "countries FR, US",
            "operator: ",
            "by me",
            "because read the register",
        ]);
}

#[test]
fn a_moving_alias_shows_what_it_means_today() {
    let sandbox = Sandbox::new();
    sandbox
        .run("registry show deepseek-chat --as-of 2025-01-01")
        .exits(GOOD)
        .says(&[
            "alias deepseek-chat",
            "target = deepseek-v3 ",
            "not in force on 2025-01-01",
        ]);
}

#[test]
fn the_counts_are_right() {
    let sandbox = world();
    let stats = sandbox.run("registry stats --registry facts --json");
    let stats = stats.exits(GOOD).quietly().json();
    for (key, count) in [
        ("producers", 2),
        ("producers_with_country", 2),
        ("models", 3),
        ("hosts", 0),
        ("prices", 0),
        ("lineage_edges", 2),
        ("aliases", 1),
        ("teacher_claims", 0),
        ("countries", 3),
    ] {
        assert_eq!(stats[key], count, "{key} in {stats:#}");
    }
    assert_eq!(stats["models_by_lineage_status"]["derived"], 2);
    // Two countries, three times producer, weights and line, and two steps.
    assert_eq!(stats["claims_by_confidence"]["high"], 13);
    assert_eq!(
        (&stats["oldest"], &stats["newest"]),
        (&"2025-01-01".into(), &"2025-01-01".into())
    );
    sandbox.run("registry stats").exits(GOOD).says(&[
        "built in, newest claim of",
        "claims by confidence",
        "models by lineage status",
        "bytes packed",
    ]);
}

#[test]
fn a_line_is_drawn_in_every_form() {
    let sandbox = world();
    let producer = sandbox.read("facts/producers/alder.toml");
    let hostile = "A <b> & 'c' \\\"d\\\" ]--> ";
    sandbox.write(
        "facts/producers/alder.toml",
        producer.replace("The alder", hostile),
    );
    let draw = |format: &str| {
        let run = sandbox.run(&format!(
            "registry graph birch-tune --descendants --registry facts --format {format}"
        ));
        run.exits(GOOD).quietly();
        run.out
    };
    let dot = draw("dot");
    assert!(
        dot.starts_with("digraph \"birch-tune\" {") && dot.ends_with("}\n"),
        "{dot}"
    );
    assert!(
        dot.contains("\"birch-tune\" -> \"alder-base\" [label = \"finetune\"]"),
        "{dot}"
    );
    assert!(dot.contains(r#"A <b> & 'c' \"d\" ]-->  (US)"#), "{dot}");
    let mermaid = draw("mermaid");
    assert!(mermaid.starts_with("flowchart BT\n"), "{mermaid}");
    assert!(
        mermaid.contains("A #60;b#62; #38; #39;c#39; #34;d#34; #93;--#62;"),
        "{mermaid}"
    );
    assert!(mermaid.contains("n0 -->|\"finetune\"| n1"), "{mermaid}");
    let svg = draw("svg");
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(
        svg.contains("A &lt;b&gt; &amp; &#39;c&#39; &quot;d&quot; ]--&gt;"),
        "{svg}"
    );
    assert!(!svg.contains("<b>") && svg.contains("prefers-color-scheme: dark"));
    for node in ["birch-tune", "alder-base", "birch-deep"] {
        assert!(svg.contains(&format!(">{node}<")), "{node} in {svg}");
    }
    let json: Value = serde_json::from_str(&draw("json")).unwrap();
    assert_eq!(json["nodes"].as_array().unwrap().len(), 3);
    let run = sandbox.run("registry graph birch-tune --registry facts --format svg --out line.svg");
    run.exits(GOOD).warns(&["wrote line.svg"]);
    assert!(sandbox.read("line.svg").starts_with("<svg "));
    sandbox
        .run("registry graph nothing --registry facts")
        .complains(&["there is no model `nothing`", "help: "]);
}

#[test]
fn a_graph_that_is_too_large_is_cut_and_says_so() {
    let sandbox = world();
    let base = sandbox.read("facts/models/birch-tune.toml");
    for at in 0..520 {
        sandbox.write(
            &format!("facts/models/copy-{at}.toml"),
            base.replace("Birch Tune", "Copy"),
        );
    }
    for format in ["dot", "mermaid", "svg"] {
        let run = sandbox.run(&format!(
            "registry graph alder-base --descendants --registry facts --format {format}"
        ));
        run.exits(GOOD)
            .warns(&["cut at 500 nodes"])
            .says(&["cut at 500 nodes: there is more"]);
    }
}

#[test]
fn teachers_disputes_and_what_is_unknown_are_marked() {
    let sandbox = world();
    let file = "facts/models/birch-deep.toml";
    let said = SAID.replace(", ", "\n");
    sandbox.write(
        file,
        sandbox.read(file)
            + &format!("[[teacher]]\nproducer = \"alder\"\n{said}\n[[dispute]]\ntext = \"No.\"\nby = \"B\"\nsource = \"https://b.example\"\ndate = \"2025-01-01\"\n"),
    );
    let file = "facts/models/alder-base.toml";
    sandbox.write(
        file,
        sandbox
            .read(file)
            .replace("stated-from-scratch", "undisclosed"),
    );
    let dot = sandbox
        .run("registry graph birch-deep --registry facts")
        .out;
    assert!(dot.contains("learned from\", style = dashed"), "{dot}");
    assert!(dot.contains("some model of The alder"), "{dot}");
    assert!(
        dot.contains("disputed\", penwidth = 2, color = red"),
        "{dot}"
    );
    assert!(dot.contains("line undisclosed"), "{dot}");
}

#[test]
fn two_registries_are_compared_with_what_that_does() {
    let sandbox = world();
    sandbox.world("new").moved("new");
    sandbox
        .run("registry diff facts facts")
        .exits(GOOD)
        .quietly()
        .says(&["no difference"]);
    let run = sandbox.run("registry diff facts new");
    run.exits(BAD).quietly().says(&[
        "3 models changed their country set",
        "birch-deep                           DE, US (complete) → DE, FR (complete)",
        "~ producer alder",
        "- country = US · high · 2025-01-01 · https://x.example",
        "+ country = FR · high",
    ]);
    let json = sandbox.run("registry diff facts new --json");
    let json = json.exits(BAD).json();
    assert_eq!(json["effects"].as_array().unwrap().len(), 3);
    assert_eq!(json["records"]["producer"]["changed"][0]["id"], "alder");
    // Bundles and folders alike; the one in force where no second is named.
    sandbox.bundle("new", 1, &today());
    sandbox
        .run("registry diff facts new-1.carnet-registry --trust review.key.pub")
        .exits(BAD)
        .says(&["3 models changed"]);
    sandbox
        .run("registry diff facts new-1.carnet-registry")
        .complains(&["[bundle-untrusted]"]);
    sandbox
        .run("registry update new-1.carnet-registry --trust review.key.pub --yes")
        .exits(GOOD);
    sandbox.run("registry diff new").exits(GOOD);
    sandbox.run("registry diff facts").exits(BAD);
    sandbox
        .run("registry diff nowhere")
        .complains(&["cannot read", "nowhere"]);
    sandbox.write("text", "text");
    sandbox.run("registry diff text").complains(&[
        "this is not a registry blob",
        "--> text",
        "help: ",
    ]);
}

#[test]
fn the_whole_registry_is_one_document() {
    let sandbox = world();
    let run = sandbox.run("registry export --registry facts");
    run.exits(GOOD).quietly();
    assert_eq!(
        keys(&run.out),
        [
            "format",
            "form",
            "version",
            "newest",
            "producers",
            "models",
            "moving_aliases",
            "hosts",
            "prices",
            "lists",
            "countries",
            "groups",
            "words",
            "fields"
        ]
    );
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&document["format"], &document["form"]),
        (&"carnet-registry".into(), &1.into())
    );
    let country = &document["producers"][0]["country"][0];
    assert_eq!(country["value"], "US");
    assert_eq!(country["evidence"]["source"], "https://x.example");
    sandbox
        .run("registry export --registry facts --out a.json")
        .exits(GOOD);
    assert_eq!(sandbox.read("a.json"), run.out, "the same every time");
    let built_in = sandbox.run("registry export");
    built_in.exits(GOOD);
    serde_json::from_str::<Value>(&built_in.out).unwrap();
}
