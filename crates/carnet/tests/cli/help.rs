//! What the commands say of themselves.

use crate::sandbox::{ERROR, GOOD, Sandbox};

/// A command and words that its help must have.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "Border control for AI models: know what answers",
            "Exit codes: 0",
            "serve",
            "resolve",
            "check",
            "policy",
            "registry",
            "audit",
            "key",
            "config",
        ],
    ),
    (
        "serve",
        &["Run the gateway", "--config", "--state", "--ready-json"],
    ),
    (
        "resolve",
        &[
            "Tell what a model id is",
            "--platform",
            "--host",
            "--as-of",
            "--strict",
            "--json",
            "standard input",
        ],
    ),
    (
        "check",
        &[
            "Ask whether a model would be permitted",
            "--workload",
            "--set",
            "--pack",
            "--host",
            "--json",
        ],
    ),
    (
        "bom",
        &[
            "Write a bill of materials",
            "cyclonedx",
            "spdx",
            "--config",
            "--model",
            "--registry-all",
            "--as-of",
        ],
    ),
    (
        "policy",
        &[
            "Rules: list, show, check, test, explain, compare, simulate, report and prove them",
            "list",
            "show",
            "new",
            "validate",
            "test",
            "explain",
            "diff",
            "simulate",
            "report",
            "prove",
            "schema",
        ],
    ),
    ("policy list", &["List the built-in packs"]),
    ("policy show", &["Print a pack"]),
    ("policy validate", &["Check packs"]),
    (
        "policy test",
        &["Run the packs' cases", "--verbose", "--mutants"],
    ),
    ("policy explain", &["never saw a rule", "--set", "--param"]),
    ("policy diff", &["two policies", "--new-param"]),
    ("policy simulate", &["newly refused", "--input", "--old"]),
    ("policy report", &["report mode", "--since"]),
    (
        "policy prove",
        &["every possible request", "--for", "--timeout"],
    ),
    ("policy new", &["Copy a pack", "--from"]),
    ("policy schema", &["Cedar schema"]),
    ("policy fmt", &["Lay out the rules", "--check"]),
    ("policy complete", &["begin like this"]),
    (
        "registry",
        &[
            "Look into the facts",
            "validate",
            "list",
            "show",
            "stats",
            "graph",
            "diff",
            "export",
            "bundle",
            "bundle-key",
            "update",
        ],
    ),
    (
        "registry validate",
        &["Check a registry folder or bundle, and overlays", "--trust"],
    ),
    (
        "registry list",
        &[
            "List what the registry knows",
            "hosts",
            "models",
            "producers",
            "aliases",
            "lists",
            "groups",
            "--json",
        ],
    ),
    (
        "registry show",
        &[
            "Print one record",
            "--as-of",
            "--overlay",
            "--registry",
            "--json",
        ],
    ),
    (
        "registry stats",
        &["Count what the registry knows", "--json"],
    ),
    (
        "registry graph",
        &[
            "Draw the line of a model",
            "dot",
            "mermaid",
            "svg",
            "--descendants",
            "--out",
        ],
    ),
    (
        "registry diff",
        &["Compare two registries", "[NEW]", "--json"],
    ),
    ("registry export", &["one JSON document", "--out"]),
    (
        "registry bundle",
        &["Make a signed bundle", "--key", "--sequence", "--out"],
    ),
    ("registry bundle-key", &["Make a key pair", "--out"]),
    (
        "registry update",
        &[
            "signed bundle, without a network",
            "--trust",
            "--rollback",
            "--dry-run",
            "--yes",
            "--state",
        ],
    ),
    ("audit", &["Show and verify the log", "show", "verify"]),
    ("audit show", &["Print records, newest first", "--limit"]),
    (
        "audit verify",
        &["from its files and the public key alone", "--key"],
    ),
    (
        "key",
        &[
            "Make, list, rotate and revoke keys",
            "create",
            "list",
            "rotate",
            "revoke",
        ],
    ),
    (
        "key create",
        &[
            "Make a key for a workload",
            "--expires",
            "--scope",
            "--model",
            "--from",
            "--out",
            "0600",
        ],
    ),
    ("key list", &["List keys"]),
    (
        "key rotate",
        &[
            "Give a key a new secret",
            "--grace",
            "--now",
            "--expires",
            "--out",
        ],
    ),
    ("key revoke", &["Revoke a key"]),
    (
        "doctor",
        &[
            "say what is wrong and what to do about it",
            "--connect",
            "--live",
            "--address",
            "--json",
        ],
    ),
    (
        "backup",
        &[
            "also beside a running server",
            "--to",
            "--without-keys",
            "--json",
            "It holds secrets",
        ],
    ),
    (
        "restore",
        &["Make a state directory of a backup", "--state", "--json"],
    ),
    (
        "config",
        &[
            "Write, check and describe the configuration",
            "init",
            "check",
            "schema",
            "import",
        ],
    ),
    (
        "config import",
        &[
            "Make a configuration of another gateway's",
            "bifrost",
            "litellm",
            "portkey",
            "--out",
            "--force",
            "--json",
        ],
    ),
    ("config init", &["Write a commented configuration"]),
    (
        "config check",
        &["Check a configuration with everything it names"],
    ),
    ("config schema", &["Print the JSON schema"]),
];

#[test]
fn every_command_tells_what_it_does() {
    let sandbox = Sandbox::new();
    for (command, words) in COMMANDS {
        sandbox
            .run(&format!("{command} --help"))
            .exits(GOOD)
            .quietly()
            .says(words);
    }
}

#[test]
fn a_command_without_its_parts_is_a_usage_error() {
    let sandbox = Sandbox::new();
    for line in [
        "",
        "policy",
        "registry",
        "audit",
        "key",
        "config",
        "resolve",
        "check",
        "nonsense",
        "key create",
        "resolve --nonsense x",
        "resolve x --as-of 2026-13-01",
    ] {
        let run = sandbox.run(line);
        run.exits(ERROR);
        assert!(
            run.err.contains("--help") || run.err.contains("Usage"),
            "{run:?}"
        );
        assert_eq!(run.out, "", "{run:?}");
    }
}

#[test]
fn the_version_is_the_package_s() {
    Sandbox::new()
        .run("--version")
        .exits(GOOD)
        .says(&[concat!("carnet ", env!("CARGO_PKG_VERSION"))]);
}
