//! Agents on the command line: a session of each against a scripted upstream, with the gateway between. They get an
//! answer, and they run a command that the model asks for and tell it what came of it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::gateway::{Gateway, Setup, model_entries};
use super::{WORKLOAD, finish, nobody};
use crate::console;
use crate::generate;
use crate::mock::{Mock, Seen};
use crate::steps::Bench;
use crate::tools;
use crate::totals::Totals;

/// Longer than any session here takes.
const SESSION_TIME_MAX: Duration = Duration::from_secs(120);

/// The one model that there is.
const MODEL: &str = "agent-model";

/// An agent, and how it is told where to ask.
struct Agent {
    name: &'static str,
    /// Its program, for Node.js.
    program: &'static str,
    /// The path by which it must reach the upstream.
    path: &'static str,
    words: fn(&str) -> Vec<String>,
    /// The environment, given the gateway's address and the key.
    environment: fn(&str, &str) -> Vec<(&'static str, String)>,
}

const AGENTS: [Agent; 2] = [
    Agent {
        name: "codex",
        program: "@openai/codex/bin/codex.js",
        path: "/v1/responses",
        words: |url| {
            let provider = format!(
                "model_providers.carnet={{name=\"carnet\",base_url=\"{url}/v1\",env_key=\"CARNET_KEY\",wire_api=\"responses\"}}"
            );
            [
                "exec",
                "--skip-git-repo-check",
                "--dangerously-bypass-approvals-and-sandbox",
                "-m",
                MODEL,
                "-c",
                "model_provider=carnet",
                // A tool that runs at the service is refused, whichever client asks for it.
                "-c",
                "web_search=\"disabled\"",
                "-c",
                &provider,
            ]
            .map(str::to_owned)
            .to_vec()
        },
        environment: |_, key| vec![("CARNET_KEY", key.to_owned())],
    },
    Agent {
        name: "claude-code",
        program: "@anthropic-ai/claude-code/cli-wrapper.cjs",
        path: "/v1/messages?beta=true",
        words: |_| {
            ["-p", "--allowedTools", "Bash", "--"]
                .map(str::to_owned)
                .to_vec()
        },
        environment: |url, key| {
            vec![
                ("ANTHROPIC_BASE_URL", url.to_owned()),
                ("ANTHROPIC_API_KEY", key.to_owned()),
                ("ANTHROPIC_MODEL", MODEL.to_owned()),
                ("ANTHROPIC_DEFAULT_HAIKU_MODEL", MODEL.to_owned()),
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
                ("DISABLE_AUTOUPDATER", "1".to_owned()),
            ]
        },
    },
];

/// A prompt, what the agent must say at its end, and how often it must have asked at least.
const SESSIONS: [(&str, &str, &str, usize); 2] = [
    ("a plain answer", "Say something.", "A plain answer.", 1),
    (
        "a tool round trip",
        "call_tool please.",
        "The command printed carnet-42.",
        2,
    ),
];

/// The step.
pub(crate) fn agents(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let packages = tools::for_agents(bench.repo, bench.tools)?;
    let mock = Mock::start(0, None)?;
    let setup = Setup::named(bench.repo, "open", "agents")?
        .with("mock", &mock.url())
        .with("models", &model_entries([MODEL]));
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let mut totals = Totals::default();
    for agent in &AGENTS {
        for (name, prompt, answer, asked) in SESSIONS {
            let before = mock.seen_count();
            let result = session(bench, &packages, agent, &gateway, &key, prompt)
                .and_then(|said| judge(agent, &said, answer, &mock.seen_from(before), asked));
            totals.case(
                &format!("{}: {name}", agent.name),
                result.map_err(|error| format!("{error:#}")),
            );
        }
    }
    finish(gateway, &setup, &mut totals);
    Ok(totals)
}

/// Runs a session in an empty home and returns what the agent printed.
fn session(
    bench: &Bench<'_>,
    packages: &Path,
    agent: &Agent,
    gateway: &Gateway,
    key: &str,
    prompt: &str,
) -> Result<String> {
    let home = bench.repo.target().join("suites").join(agent.name);
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    let work = home.join("work");
    fs::create_dir_all(&work)?;
    let url = gateway.url();
    let url = url.trim_end_matches("/v1");
    // What is not loopback is not reached: the session is the same on a machine without a network.
    let nowhere = format!("http://{}", nobody()?);
    let mut path = OsString::from(bench.tools.node.parent().context("node has no folder")?);
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let mut child = Command::new(&bench.tools.node)
        .arg(packages.join("node_modules").join(agent.program))
        .args((agent.words)(url))
        .arg(prompt)
        .current_dir(&work)
        .env_clear()
        .env("PATH", path)
        .env("HOME", &home)
        .env("HTTPS_PROXY", nowhere)
        .env("NO_PROXY", "127.0.0.1")
        .envs((agent.environment)(url, key))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(home.join("stderr"))?)
        .spawn()
        .with_context(|| format!("cannot start {}", agent.name))?;
    let said = child
        .stdout
        .take()
        .map(|out| thread::spawn(|| std::io::read_to_string(out)));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > SESSION_TIME_MAX {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("it still ran after {SESSION_TIME_MAX:?}");
        }
        thread::sleep(Duration::from_millis(20));
    };
    let said = said
        .and_then(|reader| reader.join().ok())
        .context("it has no standard output")??;
    if !status.success() {
        let complaint = fs::read_to_string(home.join("stderr")).unwrap_or_default();
        anyhow::bail!("it ended with {status}: {said}\n{complaint}");
    }
    console::say(format_args!(
        "{}: {:.1} s",
        agent.name,
        begun.elapsed().as_secs_f64()
    ));
    Ok(said)
}

fn judge(agent: &Agent, said: &str, answer: &str, seen: &[Seen], asked: usize) -> Result<()> {
    anyhow::ensure!(said.contains(answer), "it did not say `{answer}`: {said}");
    anyhow::ensure!(seen.len() >= asked, "it asked {} times", seen.len());
    if let Some(other) = seen.iter().find(|seen| seen.path != agent.path) {
        anyhow::bail!("{} {} reached the upstream", other.method, other.path);
    }
    Ok(())
}
