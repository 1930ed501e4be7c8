//! The solver is not trusted: not its counterexamples, its time, its answers nor its being one.

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use carnet_prove::{Prover, Solver, SolverProblem, Why, permits};

use crate::ask::{assert_open, cvc5, pack, property, schema, stand_in};

const PERMITS_ALL: &str = "permit (principal, action, resource);";

#[test]
fn a_counterexample_that_does_not_replay_is_none() {
    let (schema, solver) = (schema(), cvc5());
    let packs = [pack("a", PERMITS_ALL), pack("b", PERMITS_ALL)];
    let prover = Prover::new(&schema, &solver);
    let never = property("never permit when resource.identified");
    let proof = prover.prove(&never, &packs, &|_, _, _| false).unwrap();
    assert_open(proof, &Why::NotReplayed);
    let denies = [pack(
        "a",
        "permit (principal, action, resource) when { context.stream };",
    )];
    let always = property("always permit when resource.identified");
    let proof = prover.prove(&always, &denies, &|_, _, _| true).unwrap();
    assert_open(proof, &Why::NotReplayed);
}

#[test]
fn the_replay_is_asked_about_the_packs_that_count() {
    let (schema, solver) = (schema(), cvc5());
    let packs = [pack("a", PERMITS_ALL), pack("b", PERMITS_ALL)];
    let replay = |asked: &[&carnet_prove::Pack], request: &_, entities: &_| {
        let names: Vec<&str> = asked.iter().map(|pack| pack.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        permits(asked, request, entities)
    };
    let never = property("never permit when resource.identified");
    let proof = Prover::new(&schema, &solver).prove(&never, &packs, &replay);
    assert!(
        matches!(proof, Ok(carnet_prove::Proof::Disproved { .. })),
        "{proof:?}"
    );
}

#[test]
fn at_the_limit_the_solver_is_killed() {
    let (schema, solver) = (schema(), stand_in("never-answers"));
    let limit = Duration::from_millis(300);
    let proof = Prover::new(&schema, &solver)
        .limit(limit)
        .prove(
            &property("never permit when resource.identified"),
            &[pack("a", PERMITS_ALL)],
            &permits,
        )
        .unwrap();
    assert_open(proof, &Why::TimeLimit { limit });
    let running = children();
    assert!(
        !running.iter().any(|command| command.contains("tail")),
        "{running:?}"
    );
}

/// The command lines of this program's child processes.
fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // After the name in brackets: the state, then the parent.
        let after = stat.rsplit(')').next().unwrap_or_default();
        if after.split_whitespace().nth(1) == Some(&own) {
            found.push(fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default());
        }
    }
    found
}

#[test]
fn a_solver_that_ends_or_talks_nonsense_settles_nothing() {
    let schema = schema();
    for (name, says) in [
        ("ends-at-once", "ended"),
        ("another-program", "unrecognized"),
    ] {
        let proof = Prover::new(&schema, &stand_in(name))
            .prove(
                &property("never permit when resource.identified"),
                &[pack("a", PERMITS_ALL)],
                &permits,
            )
            .unwrap();
        match proof {
            carnet_prove::Proof::Inconclusive {
                why: Why::SolverFailed { message },
                ..
            } => {
                // Its pipe may break before its answer could be read.
                assert!(
                    message.contains(says)
                        || message.contains("IO error")
                        || message.contains("encode"),
                    "{name}: {message}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_solver_is_found_by_name_or_path_and_says_what_it_is() {
    let version = cvc5().version().unwrap();
    assert!(
        version.starts_with("cvc5 ") && version.len() > 5,
        "{version}"
    );
    assert_eq!(
        stand_in("never-answers").version().unwrap(),
        "cvc5 0.0-silent"
    );
    let other = stand_in("another-program").version();
    assert!(
        matches!(other, Err(SolverProblem::NotCvc5 { .. })),
        "{other:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().as_os_str();
    let nothing = Solver::find(None, Some(path)).unwrap_err();
    assert!(matches!(nothing, SolverProblem::Missing), "{nothing:?}");
    assert!(
        nothing
            .help()
            .starts_with("apt-get install cvc5, or set CVC5")
    );
    let named = folder.path().join("cvc5");
    let wrong = Solver::find(Some(named.as_os_str()), Some(path)).unwrap_err();
    assert!(
        matches!(wrong, SolverProblem::NoProgram { .. }),
        "{wrong:?}"
    );
    assert!(wrong.to_string().contains("`CVC5` names"), "{wrong}");
    fs::write(&named, "no program").unwrap();
    assert!(
        Solver::find(None, Some(path)).is_err(),
        "it cannot be executed"
    );
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("my-cvc5")).unwrap();
    let found = Solver::find(Some(OsStr::new("my-cvc5")), Some(path)).unwrap();
    assert_eq!(found.path(), folder.path().join("my-cvc5"));
}
