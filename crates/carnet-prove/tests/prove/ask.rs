//! What the tests ask with.

use std::env;
use std::path::Path;

use carnet_prove::{
    Condition, Counterexample, Pack, Proof, Property, Prover, Solver, Why, permits,
};
use cedar_policy::{PolicyId, PolicySet, Schema};

/// cvc5 as the machine has it. Without it nothing here can be tested, so the tests fail.
pub(crate) fn cvc5() -> Solver {
    let found = Solver::find(
        env::var_os("CVC5").as_deref(),
        env::var_os("PATH").as_deref(),
    );
    found.unwrap_or_else(|problem| panic!("{problem}: {}", problem.help()))
}

/// A stand-in for the solver.
pub(crate) fn stand_in(name: &str) -> Solver {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name);
    Solver::find(Some(path.as_os_str()), None).unwrap()
}

pub(crate) fn schema() -> Schema {
    Schema::from_cedarschema_str(carnet_policy::SCHEMA)
        .unwrap()
        .0
}

/// A pack whose rules are known by their `@id`, or by their number.
pub(crate) fn pack(name: &str, rules: &str) -> Pack {
    let parsed: PolicySet = rules.parse().unwrap();
    let named = parsed.policies().map(|rule| match rule.annotation("id") {
        Some(id) => rule.new_id(PolicyId::new(id)),
        None => rule.clone(),
    });
    Pack {
        name: name.to_owned(),
        rules: PolicySet::from_policies(named).unwrap(),
    }
}

pub(crate) fn property(text: &str) -> Property {
    Property::parse(text).unwrap_or_else(|problem| panic!("{problem}; {}", problem.help))
}

pub(crate) fn fact(text: &str) -> Condition {
    text.parse().unwrap()
}

/// Ask about these packs and replay by the ordinary authorizer.
pub(crate) fn ask(property: &Property, packs: &[Pack]) -> Proof {
    let (schema, solver) = (schema(), cvc5());
    Prover::new(&schema, &solver)
        .prove(property, packs, &permits)
        .unwrap()
}

#[track_caller]
pub(crate) fn assert_proved(property: &Property, packs: &[Pack]) {
    assert_eq!(ask(property, packs), Proof::Proved { vacuous: false });
}

#[track_caller]
pub(crate) fn disproof(property: &Property, packs: &[Pack]) -> Counterexample {
    match ask(property, packs) {
        Proof::Disproved { counterexample } => *counterexample,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_open(proof: Proof, expected: &Why) {
    match proof {
        Proof::Inconclusive { why, .. } => assert_eq!(why, *expected),
        other => panic!("{other:?}"),
    }
}
