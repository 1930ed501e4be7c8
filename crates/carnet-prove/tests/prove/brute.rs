//! Every answer about small made-up packs against a plain count over all requests.

use carnet_prove::{Claim, Condition, Pack, Proof, Property, Prover, permits};
use cedar_policy::{Context, Entities, Request, Schema};
use serde_json::json;

use crate::ask::{cvc5, pack};

const SCHEMA: &str = r#"
    entity Group;
    entity Workload in [Group] { sector: String };
    entity Target { known: Bool, countries: Set<String> };
    action "use" appliesTo { principal: [Workload], resource: [Target], context: { stream: Bool } };
"#;

/// What conditions are made of. Whatever else a request may be, it gives these the same values as one
/// of the requests below.
const ATOMS: [&str; 6] = [
    r#"principal.sector == "a""#,
    r#"principal.sector == "b""#,
    r#"principal in Group::"g""#,
    "resource.known",
    r#"resource.countries.contains("AA")"#,
    "context.stream",
];

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn condition(&mut self) -> String {
        let mut text = String::new();
        for part in 0..=self.below(3) {
            if part > 0 {
                text.push_str(if self.below(2) == 0 { " && " } else { " || " });
            }
            let atom = ATOMS[self.below(ATOMS.len() as u64) as usize];
            let negated = self.below(3) == 0;
            text.push_str(&if negated {
                format!("!({atom})")
            } else {
                format!("({atom})")
            });
        }
        text
    }

    fn pack(&mut self, name: &str) -> Pack {
        let mut rules = String::new();
        for number in 0..=self.below(4) {
            let effect = if number == 0 || self.below(3) == 0 {
                "permit"
            } else {
                "forbid"
            };
            let (when, condition) = (["when", "unless"][self.below(2) as usize], self.condition());
            let body = match self.below(5) {
                0 => String::new(),
                _ => format!("{when} {{ {condition} }}"),
            };
            rules.push_str(&format!("{effect} (principal, action, resource) {body};\n"));
        }
        pack(name, &rules)
    }

    fn packs(&mut self) -> Vec<Pack> {
        let names = ["first", "second", "third"];
        let count = self.below(2) as usize + 2;
        names[..count].iter().map(|name| self.pack(name)).collect()
    }

    fn claim(&mut self) -> Claim {
        let condition: Condition = self.condition().parse().unwrap();
        match self.below(4) {
            0 => Claim::Always { condition },
            1 => Claim::Implies {
                old: self.packs(),
                new: self.packs(),
            },
            2 => Claim::Never { condition },
            _ => Claim::NoConflict {
                first: "first".to_owned(),
                second: "second".to_owned(),
                condition: Some(condition),
            },
        }
    }
}

/// One request for each way in which the atoms can come out.
fn requests(schema: &Schema) -> Vec<(Request, Entities)> {
    let mut all = Vec::new();
    for (sector, bits) in ["a", "b", "c"]
        .iter()
        .flat_map(|sector| (0..16).map(move |bits| (sector, bits)))
    {
        let bit = |number: u32| bits & (1 << number) != 0;
        let groups = if bit(0) {
            json!([{"type": "Group", "id": "g"}])
        } else {
            json!([])
        };
        let countries = if bit(1) {
            json!(["AA", "BB"])
        } else {
            json!(["BB"])
        };
        let entities = json!([
            { "uid": { "type": "Workload", "id": "w" }, "attrs": { "sector": sector }, "parents": groups },
            { "uid": { "type": "Target", "id": "t" }, "attrs": { "known": bit(2), "countries": countries }, "parents": [] },
        ]);
        let context = Context::from_json_value(json!({ "stream": bit(3) }), None).unwrap();
        let uid = |text: &str| text.parse().unwrap();
        let request = Request::new(
            uid(r#"Workload::"w""#),
            uid(r#"Action::"use""#),
            uid(r#"Target::"t""#),
            context,
            Some(schema),
        );
        all.push((
            request.unwrap(),
            Entities::from_json_value(entities, Some(schema)).unwrap(),
        ));
    }
    all
}

/// Whether this request breaks the property, said in the plainest way.
fn breaks(property: &Property, packs: &[Pack], request: &Request, entities: &Entities) -> bool {
    let by = |packs: &[Pack]| permits(&packs.iter().collect::<Vec<_>>(), request, entities);
    let meets = |condition: &Condition| {
        by(&[pack(
            "c",
            &format!("permit (principal, action, resource) when {{ {condition} }};"),
        )])
    };
    let conditions = property
        .condition()
        .into_iter()
        .chain(&property.assumptions);
    if !conditions.into_iter().all(meets) {
        return false;
    }
    match &property.claim {
        Claim::Always { .. } => !by(packs),
        Claim::Implies { old, new } => by(new) && !by(old),
        Claim::Never { .. } => by(packs),
        Claim::NoConflict { .. } => by(&packs[..1]) != by(&packs[1..2]),
    }
}

#[test]
fn answers_agree_with_a_count_over_all_requests() {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    let solver = cvc5();
    let requests = requests(&schema);
    let mut numbers = Numbers(7);
    let mut outcomes = [0, 0];
    for case in 0..160 {
        let packs = numbers.packs();
        let mut property = Property::new(numbers.claim());
        if numbers.below(2) == 0 {
            property = property.assuming(numbers.condition().parse().unwrap());
        }
        let broken = requests
            .iter()
            .any(|(request, entities)| breaks(&property, &packs, request, entities));
        let proof = match Prover::new(&schema, &solver).prove(&property, &packs, &permits) {
            Ok(proof) => proof,
            // `!(A) && (A)` and the like, which the schema's check already knows.
            Err(carnet_prove::ProveError::Property { problems }) => {
                assert!(problems[0].message.contains("impossible"), "{problems:?}");
                continue;
            }
            Err(error) => panic!("{case}: {error}"),
        };
        match proof {
            Proof::Disproved { .. } => assert!(broken, "{case}: {property:?} {packs:#?}"),
            Proof::Proved { .. } => assert!(!broken, "{case}: {property:?} {packs:#?}"),
            Proof::Inconclusive { .. } => panic!("{case}: {proof:?}"),
        }
        outcomes[usize::from(broken)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 30), "{outcomes:?}");
}
