//! The test command: its steps in order, each with its own totals, and one closing line.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::repo::Repo;
use crate::tools::{self, Tools};
use crate::totals::Totals;
use crate::{bench, cargo_tests, checks, clients, console, exec, fuzz, generate, registry_report};

/// What `cargo xtask test` was asked for.
pub(crate) struct Options {
    pub(crate) full: bool,
    only: Vec<String>,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            full: false,
            only: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--full" => options.full = true,
                "--only" => match words.next() {
                    Some(step) if STEPS.iter().any(|known| known.name == step) => {
                        options.only.push(step.clone())
                    }
                    _ => bail!(
                        "`--only` needs a step: {}",
                        STEPS.map(|step| step.name).join(", ")
                    ),
                },
                other => bail!("no option `{other}`; there are --full and --only STEP"),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &Step) -> bool {
        if self.only.is_empty() {
            self.full || !step.only_full
        } else {
            self.only.iter().any(|name| name == step.name)
        }
    }
}

/// What a step works with.
pub(crate) struct Bench<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) tools: &'a Tools,
    pub(crate) full: bool,
}

struct Step {
    name: &'static str,
    title: &'static str,
    only_full: bool,
    run: fn(&Bench<'_>) -> Result<Totals>,
}

const STEPS: [Step; 18] = [
    Step {
        name: "format",
        title: "rustfmt",
        only_full: false,
        run: |b| format(b.repo),
    },
    Step {
        name: "clippy",
        title: "clippy",
        only_full: false,
        run: |b| clippy(b.repo),
    },
    Step {
        name: "checks",
        title: "repository checks",
        only_full: false,
        run: |b| checks::run(b.repo, &[]),
    },
    Step {
        name: "cargo",
        title: "cargo test",
        only_full: false,
        run: |b| cargo_tests::run(b.repo, b.full),
    },
    Step {
        name: "policy",
        title: "policy cases",
        only_full: false,
        run: |b| policy(b.repo),
    },
    Step {
        name: "registry",
        title: "the registry against its targets",
        only_full: false,
        run: |b| registry_report::step(b.repo),
    },
    Step {
        name: "packaging",
        title: "the chart, rendered, and the container file, read",
        only_full: false,
        run: packaging,
    },
    Step {
        name: "clients",
        title: "stock clients against the gateway",
        only_full: false,
        run: clients::suites,
    },
    Step {
        name: "replay",
        title: "recorded exchanges, with and without the gateway",
        only_full: false,
        run: clients::replay,
    },
    Step {
        name: "agents",
        title: "agents on the command line, with the gateway between",
        only_full: false,
        run: clients::agents,
    },
    Step {
        name: "described",
        title: "requests made from the description of the API",
        only_full: false,
        run: clients::described,
    },
    Step {
        name: "hostile",
        title: "bodies that two readers could understand differently",
        only_full: false,
        run: clients::hostile,
    },
    Step {
        name: "kill",
        title: "killed in the middle of work",
        only_full: false,
        run: clients::kill,
    },
    Step {
        name: "faults",
        title: "upstreams, callers, clock, disk and store that go wrong",
        only_full: false,
        run: clients::faults,
    },
    Step {
        name: "observe",
        title: "a real Prometheus and a collector before the product",
        only_full: false,
        run: clients::observe,
    },
    Step {
        name: "fuzz",
        title: "parsers of untrusted bytes, fuzzed",
        only_full: true,
        run: |b| fuzz::run(b.repo),
    },
    Step {
        name: "bench",
        title: "benchmark",
        only_full: true,
        run: |b| bench::run(b.repo),
    },
    Step {
        name: "instructions",
        title: "instructions of the request path",
        only_full: true,
        run: |b| bench::instructions(b.repo),
    },
];

/// `cargo xtask test`.
pub(crate) fn test(repo: &Repo, options: &Options) -> Result<ExitCode> {
    let tools = tools::install(repo)?;
    let bench = Bench {
        repo,
        tools: &tools,
        full: options.full,
    };
    let mut all = Totals::default();
    for step in STEPS.iter().filter(|step| options.wants(step)) {
        console::head(step.title);
        let begun = Instant::now();
        let totals = (step.run)(&bench).unwrap_or_else(|error| {
            let mut broken = Totals::default();
            broken.case(step.name, Err(format!("{error:#}")));
            broken
        });
        console::say(format_args!(
            "{}: {totals} ({:.0} s)",
            step.name,
            begun.elapsed().as_secs_f64()
        ));
        all.add(totals);
    }
    console::say("");
    for what in &all.skipped {
        console::say(format_args!("not run: {what}"));
    }
    console::say(&all);
    Ok(code(all.failed == 0))
}

/// `cargo xtask check`.
pub(crate) fn check(repo: &Repo, names: &[String]) -> Result<ExitCode> {
    let totals = checks::run(repo, names)?;
    console::say(&totals);
    Ok(code(totals.failed == 0))
}

/// `cargo xtask lint`.
pub(crate) fn lint(repo: &Repo) -> Result<ExitCode> {
    let mut totals = format(repo)?;
    totals.add(clippy(repo)?);
    console::say(&totals);
    Ok(code(totals.failed == 0))
}

fn code(good: bool) -> ExitCode {
    ExitCode::from(u8::from(!good))
}

fn format(repo: &Repo) -> Result<Totals> {
    let good = exec::succeeds(&mut exec::cargo(repo.root(), &["fmt", "--all", "--check"]))?;
    Ok(Totals::one(good))
}

fn clippy(repo: &Repo) -> Result<Totals> {
    let words = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    Ok(Totals::one(exec::succeeds(&mut exec::cargo(
        repo.root(),
        &words,
    ))?))
}

/// Container file and chart, read by those who know their forms.
fn packaging(bench: &Bench<'_>) -> Result<Totals> {
    let script = bench.repo.path("tests/packaging/check.py");
    counted("packaging", Command::new(&bench.tools.python).arg(script))
}

/// The policy packs' own cases, through the command that an operator uses.
fn policy(repo: &Repo) -> Result<Totals> {
    generate::build(repo)?;
    let mut command = Command::new(repo.carnet());
    command
        .args(["policy", "test"])
        .current_dir(repo.root())
        // A registry that somebody installed on this machine is not what is tested.
        .env("XDG_STATE_HOME", repo.target().join("no-state"));
    counted("policy test", &mut command)
}

/// A command whose last line counts what passed and what failed.
fn counted(name: &str, command: &mut Command) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut last = String::new();
    let good = exec::lines(command.stderr(Stdio::inherit()), |line| {
        console::say(line);
        if !line.trim().is_empty() {
            last = line.to_owned();
        }
    })?;
    let counts = cargo_tests::counts(&last);
    totals.passed = counts.passed;
    totals.failed = counts.failed;
    if counts.passed + counts.failed == 0 || good != (counts.failed == 0) {
        totals.case(
            name,
            Err(format!(
                "the command ended with `{last}`, and {}",
                if good { "no failure" } else { "a failure" }
            )),
        );
    }
    Ok(totals)
}
