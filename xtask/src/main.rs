//! Repository checks, generators and the test command: `cargo xtask help` lists what there is.
//!
//! Nothing here is part of the product, and no crate of the product is used: where the product has
//! to answer, its binary is called as an operator would call it.

mod bench;
mod cargo_tests;
mod checks;
mod clients;
mod conformance;
mod console;
mod dist;
mod exec;
mod fuzz;
mod generate;
mod mock;
mod registry_report;
mod repo;
mod rust_source;
mod steps;
mod tools;
mod totals;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::repo::Repo;

const HELP: &str = "\
usage: cargo xtask <command>

  test [--full] [--only STEP]…   install what the tests need, then run all of them
  conformance [--full] [--report FILE] [--write]
                                 recorded exchanges through stock clients, with a report; --write renews the
                                 page of compatibility in the docs
  check [NAME]…                  only the repository checks
  lint                           rustfmt and clippy
  generate                       write the generated reference pages anew
  registry-report [--sample] [--seed N] [--misses]
                                 how much the registry knows and how well it reads, with ../shared/catalogue
  dist [--out DIR] [--key FILE] [--target TRIPLE] [--binary FILE] [--check]
                                 what is handed out, in target/dist: archive, bill of materials, digests, signed note;
                                 --check makes it twice, in two folders, and compares
  dist-key --name NAME --out FILE
                                 a key pair that signs them
  dist-verify FOLDER --key FILE.pub
                                 whether a distribution is the one that was signed
  bench [--rounds N] [--only A,B] [--quick] [--peers] [--agentgateway FILE] [--carnet FILE] [--page]
                                 the product beside nginx, reference proxies and gateways of others, with ../shared/bench;
                                 --page writes the run into the page of performance in the docs
  bench --instructions [--record] [--carnet FILE]
                                 instructions of the request path, beside those of the last release
  mock-upstream [--port N] [--cassettes DIR]
                                 the scripted upstream of the tests, by itself
  help                           this text

--full adds what takes long: every cut of every recorded stream, 50 kill points, eight rounds of faults,
a million requests over random policies, the fuzz targets for a minute each, the benchmark, the instructions.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            console::complain(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<ExitCode> {
    let (command, rest) = match words.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let repo = Repo::locate()?;
    match command {
        "test" => steps::test(&repo, &steps::Options::parse(rest)?),
        "conformance" => conformance::command(&repo, rest),
        "check" => steps::check(&repo, rest),
        "lint" => steps::lint(&repo),
        "bench" => bench::command(&repo, rest),
        "dist" => dist::command(&repo, rest),
        "dist-key" => dist::key(rest),
        "dist-verify" => dist::verify(rest),
        "registry-report" => registry_report::command(&repo, rest),
        "mock-upstream" => mock::command(&repo, rest).map(|()| ExitCode::SUCCESS),
        "generate" => generate::write(&repo).map(|()| ExitCode::SUCCESS),
        "help" | "--help" | "-h" => {
            console::say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("no command `{other}`\n{HELP}"),
    }
}
