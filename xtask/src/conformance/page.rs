//! The page of compatibility in the operators' docs, written from what ran.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};

use super::tally::Book;
use crate::clients::{BYTES, Outcomes};
use crate::mock::{ARRAY_STREAM, Exchange};
use crate::repo::Repo;

/// Where the page lies.
pub(crate) const PAGE: &str = "docs/src/reference/compatibility.md";

const HEAD: &str = "\
# Compatibility

Written by `cargo xtask conformance --write` from what ran; the tests fail where this page and a run disagree.

Recorded exchanges between client libraries and services are played by a scripted upstream, cut into small pieces. Each stock
client asks it directly, then through Carnet in the same dialect, and must get the same: text, reasoning, tool calls, usage,
reasons, errors. A number counts exchanges of which that held; `a of b` says that it did not of all. An empty cell was not run:
the client does not speak that dialect, or no such exchange is recorded. *bytes* is no client: request and answer are compared
byte by byte, in pieces of 1, 7 and 37 bytes and whole, with a silence in the middle, and left in the middle.

Services are those that the exchanges were recorded at; what was replayed is their traffic, not the service itself.
";

/// The APIs, by the recordings' word.
const APIS: [(&str, &str); 11] = [
    ("chat.completions", "Chat Completions"),
    ("responses", "Responses"),
    ("completions", "Completions"),
    ("embeddings", "Embeddings"),
    ("messages", "Messages"),
    ("count_tokens", "Messages, count_tokens"),
    ("gemini.generate", "generateContent"),
    ("gemini.stream", "streamGenerateContent"),
    (ARRAY_STREAM, "streamGenerateContent, as one array"),
    ("bedrock.converse", "Converse"),
    ("bedrock.converse-stream", "ConverseStream"),
];

/// What exchanges show, by the recordings' words; the words that say how something was recorded are left out.
const FEATURES: [(&str, &[&str]); 20] = [
    ("streamed", &["stream", "aws-eventstream"]),
    ("usage in the stream", &["include_usage"]),
    ("tools offered", &["tools"]),
    ("tool calls", &["toolcall_out"]),
    ("`parallel_tool_calls`", &["parallel_flag"]),
    ("structured output", &["json_schema", "json_object"]),
    ("reasoning asked for", &["thinking_req"]),
    (
        "reasoning",
        &[
            "reasoning_content",
            "reasoning_field",
            "thinking_block",
            "think_tag",
        ],
    ),
    (
        "signed, hidden or encrypted reasoning",
        &[
            "thought_signature",
            "redacted_thinking",
            "encrypted_reasoning",
        ],
    ),
    ("images and files", &["image/file_in"]),
    ("citations", &["citations"]),
    ("log probabilities", &["logprobs"]),
    ("several choices", &["n>1"]),
    ("cache control", &["cache_control"]),
    ("cache hits in the usage", &["cache_hit", "ds_cache_usage"]),
    ("content filter", &["content_filter", "refusal"]),
    ("embeddings in base64", &["emb_base64"]),
    ("comments in the stream", &["sse_comment"]),
    ("`retry-after`", &["retry-after"]),
    (
        "errors",
        &[
            "http400", "http401", "http402", "http403", "http404", "http422", "http429", "http500",
            "http502",
        ],
    ),
];

/// Clients beside the packages that they are in.
const PACKAGES: [(&str, &str, &str); 19] = [
    ("AI SDK amazon-bedrock", "node", "@ai-sdk/amazon-bedrock"),
    ("AI SDK anthropic", "node", "@ai-sdk/anthropic"),
    ("AI SDK google", "node", "@ai-sdk/google"),
    ("AI SDK openai", "node", "@ai-sdk/openai"),
    (
        "AI SDK openai-compatible",
        "node",
        "@ai-sdk/openai-compatible",
    ),
    ("anthropic (Node)", "node", "@anthropic-ai/sdk"),
    ("anthropic (Python)", "python", "anthropic"),
    ("async-openai", "rust", "async-openai"),
    ("boto3", "python", "boto3"),
    ("google-genai", "python", "google-genai"),
    ("langchain-anthropic", "python", "langchain-anthropic"),
    ("langchain-anthropic (Node)", "node", "@langchain/anthropic"),
    ("langchain-google-genai", "python", "langchain-google-genai"),
    (
        "langchain-google-genai (Node)",
        "node",
        "@langchain/google-genai",
    ),
    ("langchain-openai", "python", "langchain-openai"),
    ("langchain-openai (Node)", "node", "@langchain/openai"),
    ("litellm", "python", "litellm"),
    ("openai (Node)", "node", "openai"),
    ("openai (Python)", "python", "openai"),
];

/// The page.
pub(crate) fn page(repo: &Repo, outcomes: &Outcomes) -> Result<String> {
    let book = Book::new(outcomes);
    let clients = book.clients();
    let mut page = HEAD.to_owned();

    page += "\n## Clients\n\n| client | version |\n|---|---|\n";
    for client in clients.iter().filter(|client| **client != BYTES) {
        let version = version(repo, client)?;
        let _ = writeln!(page, "| {client} | {version} |");
    }

    page += "\n## By dialect\n\n";
    let rows = APIS.iter().map(|(api, title)| {
        let picks = move |exchange: &Exchange| exchange.api == *api;
        ((*title).to_owned(), picks)
    });
    table(&mut page, "dialect", &book, &clients, rows);

    page += "\n## By feature\n\n";
    let rows = FEATURES.iter().map(|(title, words)| {
        let picks = move |exchange: &Exchange| {
            let mut words = words.iter();
            words.any(|word| exchange.features.iter().any(|feature| feature == word))
        };
        ((*title).to_owned(), picks)
    });
    table(&mut page, "feature", &book, &clients, rows);

    page += "\n## By service\n\n";
    let services: BTreeSet<&str> = outcomes
        .exchanges
        .iter()
        .map(|e| e.provider.as_str())
        .collect();
    let rows = services.iter().map(|service| {
        let picks = move |exchange: &Exchange| exchange.provider == *service;
        ((*service).to_owned(), picks)
    });
    table(&mut page, "recorded at", &book, &clients, rows);

    let all = book.tally(BYTES, |_| true);
    let _ = write!(
        page,
        "\n## What was left out\n\n\
         {} exchanges were replayed. {} of them Carnet refuses, because a field of theirs would lead the prompt past the decision\n\
         ([codes](codes.md)); they count in no cell. {} more recorded exchanges are of APIs that are not served:\n\n\
         | exchanges | of |\n|---|---|\n",
        outcomes.exchanges.len(),
        all.refused,
        outcomes.unserved.len()
    );
    let reasons: BTreeSet<&str> = outcomes.unserved.iter().map(|one| one.why).collect();
    for why in reasons {
        let count = outcomes
            .unserved
            .iter()
            .filter(|one| one.why == why)
            .count();
        let _ = writeln!(page, "| {count} | {why} |");
    }
    page += "\nWhere a client cannot read an answer even without Carnet, it must fail in the same way; these count as the same:\n\n\
             | client | exchanges |\n|---|---|\n";
    for client in clients {
        let failures = book.tally(client, |_| true).same_failure;
        if failures > 0 {
            let _ = writeln!(page, "| {client} | {failures} |");
        }
    }
    Ok(page)
}

/// A table of clients by what the rows pick.
fn table<P: Fn(&Exchange) -> bool>(
    page: &mut String,
    corner: &str,
    book: &Book<'_>,
    clients: &[&str],
    rows: impl Iterator<Item = (String, P)>,
) {
    let _ = writeln!(page, "| {corner} | {} |", clients.join(" | "));
    let _ = writeln!(page, "|---|{}", "--:|".repeat(clients.len()));
    for (title, picks) in rows {
        let cells: Vec<String> = clients
            .iter()
            .map(|client| book.tally(client, &picks).to_string())
            .collect();
        let _ = writeln!(page, "| {title} | {} |", cells.join(" | "));
    }
}

/// The version of a client, as the tests pin it.
fn version(repo: &Repo, client: &str) -> Result<String> {
    let (language, package) = PACKAGES
        .iter()
        .find(|(name, _, _)| *name == client)
        .map(|(_, language, package)| (*language, *package))
        .with_context(|| format!("no package for the client `{client}`"))?;
    let found = match language {
        "node" => {
            let manifest: serde_json::Value =
                serde_json::from_str(&repo.read("tests/clients/node/package.json")?)?;
            let version = manifest
                .get("dependencies")
                .and_then(|all| all.get(package));
            version
                .and_then(|version| version.as_str())
                .map(str::to_owned)
        }
        "rust" => {
            let lock: toml::Table = toml::from_str(&repo.read("tests/clients/rust/Cargo.lock")?)?;
            let packages = lock.get("package").and_then(toml::Value::as_array);
            let mut packages = packages.into_iter().flatten();
            packages
                .find(|one| one.get("name").and_then(toml::Value::as_str) == Some(package))
                .and_then(|one| one.get("version")?.as_str().map(str::to_owned))
        }
        _ => {
            let pins = repo.read("tests/clients/python/requirements.txt")?;
            let version = |line: &str| {
                line.strip_prefix(package)?
                    .strip_prefix("==")
                    .map(str::to_owned)
            };
            pins.lines().find_map(version)
        }
    };
    found.with_context(|| format!("no version of `{package}` is pinned"))
}
