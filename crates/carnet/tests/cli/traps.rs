//! The traps of rules by origin: an allow-list must not be satisfied by what is only partly known or
//! only partly allowed, nor may its deny-list twin miss it.

use crate::facts::RACK;
use crate::sandbox::{BAD, GOOD, Sandbox};

/// A merge of which one half is named and the other is not.
const HALF_KNOWN: &str = r#"
[[model]]
id = "house-merge"
name = "House merge"
producer = "mistral"
weights = "open"
base_models = [{ model = "llama-3.3", relation = "merge" }]
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("facts.toml", format!("{RACK}{HALF_KNOWN}"));
    let wide = RACK.replace(
        "regions = [",
        "regions = [{ id = \"cn-1\", country = \"CN\" }, ",
    );
    sandbox.write("wide.toml", wide);
    sandbox
}

/// The rule that denies in each pack.
fn denied(sandbox: &Sandbox, question: &str, by_deny_list: &str) {
    let allow = sandbox.run(&format!("check {question} --pack example-allow-list"));
    allow
        .exits(BAD)
        .says(&["[example-allow-list/no-rule-permits]"]);
    let deny = sandbox.run(&format!("check {question} --pack example-deny-list"));
    deny.exits(BAD)
        .says(&[&format!("[example-deny-list/{by_deny_list}]")]);
}

#[test]
fn both_lists_permit_what_is_known_and_listed() {
    let sandbox = sandbox();
    for pack in ["example-allow-list", "example-deny-list"] {
        sandbox.run(&format!("check llama3.3:70b --platform ollama --host rack --overlay facts.toml --pack {pack}")).exits(GOOD);
    }
}

#[test]
fn a_tag_that_moved_between_two_countries_is_denied_by_both() {
    denied(
        &sandbox(),
        "deepseek-r1:8b --platform ollama --host rack --overlay facts.toml",
        "listed-weights",
    );
}

#[test]
fn a_half_unknown_model_is_denied_by_both() {
    denied(
        &sandbox(),
        "house-merge --host rack --overlay facts.toml",
        "unknown-weights",
    );
}

#[test]
fn foreign_weights_under_a_listed_maker_are_denied_by_both() {
    denied(
        &sandbox(),
        "r1-1776 --host rack --overlay facts.toml",
        "listed-weights",
    );
}

#[test]
fn a_host_over_several_regions_is_denied_by_both() {
    denied(
        &sandbox(),
        "gpt-4o --host rack --overlay wide.toml",
        "listed-jurisdiction",
    );
}

#[test]
fn a_cross_region_profile_counts_with_every_region_it_may_choose() {
    let sandbox = sandbox();
    let question = |prefix: &str| format!("{prefix}.amazon.nova-pro-v1:0 --host amazon-bedrock");
    for pack in ["example-allow-list", "example-deny-list"] {
        sandbox
            .run(&format!("check {} --pack {pack}", question("us")))
            .exits(GOOD);
    }
    for prefix in ["apac", "global"] {
        denied(&sandbox, &question(prefix), "listed-jurisdiction");
    }
}
