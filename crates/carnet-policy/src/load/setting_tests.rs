//! What operators set for a pack: parameters, days, exceptions, and what becomes of the unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use carnet_provenance::Query;
use jiff::civil::Date;

use super::*;
use crate::decide::{Decider, DeciderOptions};
use crate::fixture;
use crate::pack::Mode;
use crate::parameters::Setting;
use crate::target::start_of;
use crate::verdict::Verdict;
use crate::workload::{Api, Ask, CallerOwner, Workload};

const MANIFEST_TEXT: &str = r#"
name = "p"
title = "P"
[exceptions]
kinds = ["evaluation"]
issuer = "the ministry"
[parameters]
lineage = "producer"
[parameters.countries]
title = "countries whose makers count"
default = ["AA"]
of = "country"
[parameters.wide]
title = "the wider tier"
default = false
"#;

const RULES: &str = r#"
@id("rest") @title("this text does not speak against it")
permit (principal, action, resource);

@id("listed") @title("a maker from a listed country") @valid_from("2026-01-17")
forbid (principal, action, resource)
when { Parameter::"countries".containsAny(resource.counted.countries) };

@id("wider") @title("the wider tier") @only_with("wide, lineage=producer")
forbid (principal, action, resource)
when { principal.sector == "government" };

@id("unsure") @title("who made it is not known") @unknown
forbid (principal, action, resource)
unless { resource.counted.complete };
"#;

fn source() -> PackSource {
    let files = vec![
        (MANIFEST.to_owned(), MANIFEST_TEXT.to_owned()),
        ("rules.cedar".to_owned(), RULES.to_owned()),
    ];
    PackSource::new("p", files)
}

fn settings(pairs: &[(&str, Setting)]) -> PackSettings {
    PackSettings {
        parameters: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..PackSettings::default()
    }
}

fn text(text: &str) -> Setting {
    Setting::Text(text.to_owned())
}

fn exception(until: &str) -> Exception {
    Exception {
        id: "W 7".to_owned(),
        kind: "evaluation".to_owned(),
        issuer: "the ministry".to_owned(),
        reason: "a test".to_owned(),
        until: until.parse().ok(),
        workloads: vec!["lab".to_owned()],
        ..Exception::default()
    }
}

/// The answer to a workload that asks for this model on a day.
fn ask(settings: PackSettings, id: &str, workload: &Workload, day: &str) -> Arc<Verdict> {
    let policies = Policies::load(&[source().with(settings)])
        .unwrap_or_else(|problems| panic!("{problems:#?}"));
    let view = fixture::view();
    let decider =
        Decider::new(Arc::new(policies), view.clone(), DeciderOptions::default()).unwrap();
    let day: Date = day.parse().unwrap();
    let resolution = view.resolve(&Query {
        id,
        platform: None,
        host: None,
        upstream: None,
        region: None,
        as_of: day,
    });
    let target = decider.target(fixture::spec("up/model"), resolution, day);
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    decider
        .decide(
            &decider.principal(workload),
            &target,
            &ask,
            &[],
            start_of(day),
        )
        .verdict()
        .clone()
}

fn rules_of(verdict: &Verdict) -> BTreeSet<String> {
    verdict
        .reasons()
        .iter()
        .map(|reason| reason.rule.to_string())
        .collect()
}

fn one(rule: &str) -> BTreeSet<String> {
    BTreeSet::from([rule.to_owned()])
}

#[test]
fn a_rule_holds_from_its_day_on_and_a_target_is_prepared_anew_then() {
    let anybody = Workload::default();
    let before = ask(PackSettings::default(), "acme-1", &anybody, "2026-01-16");
    assert_eq!(rules_of(&before), one("rest"));
    let on = ask(PackSettings::default(), "acme-1", &anybody, "2026-01-17");
    assert_eq!(rules_of(&on), one("listed"));
    let policies = Policies::load(&[source()]).unwrap();
    let day = |text: &str| text.parse::<Date>().unwrap();
    assert_eq!(
        policies.next_change(day("2026-01-16")),
        Some(day("2026-01-17"))
    );
    assert_eq!(policies.next_change(day("2026-01-17")), None);
}

#[test]
fn parameters_change_rules_and_which_are_there() {
    let state = Workload {
        sector: "government".to_owned(),
        ..Workload::default()
    };
    let countries = |codes: &[&str]| {
        let codes = codes.iter().map(|&code| code.to_owned()).collect();
        ("countries", Setting::List(codes))
    };
    for (set, expected) in [
        (vec![], "listed"),
        (vec![countries(&["BB"])], "rest"),
        (vec![countries(&[])], "rest"),
        (
            vec![countries(&["BB"]), ("wide", Setting::Flag(true))],
            "wider",
        ),
        (
            vec![
                countries(&["BB"]),
                ("wide", Setting::Flag(true)),
                ("lineage", text("weights")),
            ],
            "rest",
        ),
    ] {
        let verdict = ask(settings(&set), "acme-1", &state, "2026-02-01");
        assert_eq!(rules_of(&verdict), one(expected), "{set:?}");
    }
}

#[test]
fn the_unknown_is_denied_told_or_let_through() {
    let anybody = Workload::default();
    let asked = |word: &str| {
        ask(
            settings(&[("unknown", text(word))]),
            "nobody-knows",
            &anybody,
            "2026-02-01",
        )
    };
    assert_eq!(rules_of(&asked("deny")), one("unsure"));
    let warned = asked("warn");
    assert_eq!(rules_of(&warned), one("rest"));
    assert_eq!(&*warned.report_deny()[0].rule, "unsure");
    let allowed = asked("allow");
    assert_eq!(rules_of(&allowed), one("rest"));
    assert!(allowed.report_deny().is_empty());
}

#[test]
fn an_exception_lifts_what_it_covers_until_its_last_day() {
    let lab = Workload {
        id: "lab".to_owned(),
        ..Workload::default()
    };
    let granted = || PackSettings {
        exceptions: vec![exception("2026-03-31")],
        ..PackSettings::default()
    };
    let covered = ask(granted(), "acme-1", &lab, "2026-03-31");
    assert_eq!(
        rules_of(&covered),
        BTreeSet::from(["exception-w-7".to_owned(), "rest".to_owned()])
    );
    let title = covered
        .reasons()
        .iter()
        .find(|reason| &*reason.rule == "exception-w-7")
        .map(|reason| reason.title.to_string());
    assert_eq!(
        title.as_deref(),
        Some("exception W 7 (evaluation), granted by the ministry until 2026-03-31: a test")
    );
    let ended = ask(granted(), "acme-1", &lab, "2026-04-01");
    assert_eq!(rules_of(&ended), one("listed"));
    let other = ask(granted(), "acme-1", &Workload::default(), "2026-03-31");
    assert_eq!(rules_of(&other), one("listed"));
    let unknown = ask(granted(), "nobody-knows", &lab, "2026-03-31");
    assert_eq!(rules_of(&unknown), one("unsure"), "it lifts no doubt");
}

#[test]
fn settings_that_cannot_be_are_told_with_the_fix() {
    let broken = |change: fn(&mut Exception)| {
        let mut exception = exception("2026-03-31");
        change(&mut exception);
        PackSettings {
            exceptions: vec![exception],
            ..PackSettings::default()
        }
    };
    for (settings, expected, fix) in [
        (
            settings(&[("wider", Setting::Flag(true))]),
            "there is no parameter `wider`",
            "it has as_of",
        ),
        (
            settings(&[("wide", text("yes"))]),
            "`wide` is \"yes\", not true or false",
            "for example false",
        ),
        (
            broken(|e| e.kind = "fun".to_owned()),
            "of the kind `fun`, which the text does not know",
            "the kinds are evaluation",
        ),
        (broken(|e| e.until = None), "has no end", "its last day"),
        (
            broken(|e| e.workloads.clear()),
            "has no scope",
            "name workloads",
        ),
        (
            broken(|e| e.issuer.clear()),
            "has no `issuer`",
            "it is for the ministry to grant",
        ),
        (
            broken(|e| e.from = "2026-05-01".parse().ok()),
            "ends before it begins",
            "mend",
        ),
    ] {
        let problems = Policies::load(&[source().with(settings)]).unwrap_err();
        let found = problems
            .iter()
            .find(|found| found.message.contains(expected));
        let help = found.and_then(|found| found.help.as_deref());
        assert!(
            help.is_some_and(|help| help.contains(fix)),
            "{expected}: {problems:#?}"
        );
    }
    let mut without = source();
    without.files[0].1 = "name = \"p\"\ntitle = \"P\"\n".to_owned();
    without.files[1].1 =
        "@id(\"rest\") @title(\"r\") permit (principal, action, resource);".to_owned();
    let problems = Policies::load(&[without.with(broken(|_| {}))]).unwrap_err();
    assert!(problems[0].message.contains("the text knows none"));
}

#[test]
fn mistakes_behind_a_value_are_told_at_their_place_in_the_file() {
    let mut broken = source();
    broken.files[1].1 = "@id(\"a\") @title(\"A\")\nforbid (principal, action, resource)\nwhen { Parameter::\"countries\".containsAny(resource.counted.contries) };".to_owned();
    let problems = Policies::load(&[broken]).unwrap_err();
    assert_eq!(
        (problems[0].line, problems[0].column),
        (3, 43),
        "{problems:#?}"
    );
    let mut unknown = source();
    unknown.files[1].1 = "@id(\"a\") @title(\"A\")\npermit (principal, action, resource)\nwhen { Parameter::\"nobody\" };".to_owned();
    let problems = Policies::load(&[unknown]).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (3, 8));
    assert_eq!(problems[0].code, Code::BadParameter);
}

#[test]
fn wrong_annotations_are_told() {
    for (annotation, expected) in [
        ("@only_with(\"nobody\")", "there is no parameter `nobody`"),
        ("@only_with(\"lineage=all\")", "is never `all`"),
        ("@valid_from(\"soon\")", "names no day"),
        (
            "@valid_from(\"2026-02-01\") @valid_to(\"2026-02-01\")",
            "ends before it begins",
        ),
        ("@unknown", "`@unknown` of rule `a` cannot be"),
    ] {
        let mut broken = source();
        let rule =
            format!("{annotation} @id(\"a\") @title(\"A\") permit (principal, action, resource);");
        broken.files[1].1.push_str(&rule);
        let problems = Policies::load(&[broken]).unwrap_err();
        assert!(
            problems.iter().any(|found| found.message.contains(expected)
                && found.code == Code::BadAnnotation
                && found.help.is_some()),
            "{annotation}: {problems:#?}"
        );
    }
}

#[test]
fn settings_are_part_of_the_version() {
    let version = |settings| {
        let policies = Policies::load(&[source().with(settings)]).unwrap();
        policies.version().to_owned()
    };
    let plain = version(PackSettings::default());
    assert_ne!(plain, version(settings(&[("wide", Setting::Flag(true))])));
    let report = PackSettings {
        mode: Some(Mode::Report),
        ..PackSettings::default()
    };
    assert_ne!(plain, version(report));
}

#[test]
fn owners_of_the_caller_count_by_the_packs_share() {
    let rules = r#"
@id("rest") @title("r") permit (principal, action, resource);
@id("owned") @title("o") forbid (principal, action, resource) when { principal.owner_countries.contains("CC") };
@id("open") @title("u") @unknown forbid (principal, action, resource) unless { principal.owners_known };
"#;
    let mut pack = source();
    pack.files[1].1 = rules.to_owned();
    let policies = |share: &str| {
        let pack = pack.with(settings(&[("share", text(share))]));
        Arc::new(Policies::load(&[pack]).unwrap())
    };
    let view = fixture::view();
    let asked = |share: &str, owners: Option<Vec<CallerOwner>>| {
        let decider =
            Decider::new(policies(share), view.clone(), DeciderOptions::default()).unwrap();
        let day: Date = "2026-01-01".parse().unwrap();
        let resolution = fixture::resolve(&view, "acme-1");
        let target = decider.target(fixture::spec("up/model"), resolution, day);
        let workload = Workload {
            owners,
            ..Workload::default()
        };
        let ask = Ask {
            api: Api::ChatCompletions,
            stream: false,
        };
        let principal = decider.principal(&workload);
        let decision = decider.decide(&principal, &target, &ask, &[], start_of(day));
        rules_of(decision.verdict())
    };
    let owner = |country: &str, share: f64| CallerOwner {
        name: "owner".to_owned(),
        country: Some(country.to_owned()),
        share: share.try_into().ok(),
        control: false,
    };
    let shared = || Some(vec![owner("CC", 20.0), owner("AA", 80.0)]);
    assert_eq!(asked(">=20", shared()), one("owned"));
    assert_eq!(asked(">20", shared()), one("rest"));
    assert_eq!(asked(">50", None), one("open"));
    assert_eq!(asked(">50", Some(vec![owner("AA", 40.0)])), one("open"));
}

#[test]
fn a_list_without_the_word_for_unknown_does_not_have_it() {
    let load = |list: &str| {
        let rules = format!(
            "@id(\"open\") @title(\"o\") permit (principal, action, resource) when {{ {list}.contains(resource.licence) && resource.identified }};"
        );
        let mut pack = source();
        pack.files[1].1 = rules;
        Policies::load(&[pack])
    };
    assert!(load("[\"MIT\", \"Apache-2.0\"]").is_ok());
    let problems = load("[\"MIT\", \"unknown\"]").unwrap_err();
    assert_eq!(problems[0].code, Code::UnknownNotRuled);
}

#[test]
fn an_empty_text_is_never_what_an_empty_list_stands_for() {
    let rules = "@id(\"rest\") @title(\"r\") permit (principal, action, resource) when { Parameter::\"countries\".contains(principal.team) || principal.tags.containsAny(Parameter::\"countries\") };";
    let mut pack = source();
    pack.files[1].1 = rules.to_owned();
    let pack = pack.with(settings(&[("countries", Setting::List(Vec::new()))]));
    let view = fixture::view();
    let policies = Arc::new(Policies::load(&[pack]).unwrap());
    let decider = Decider::new(policies, view.clone(), DeciderOptions::default()).unwrap();
    let day: Date = "2026-01-01".parse().unwrap();
    let target = decider.target(
        fixture::spec("up/model"),
        fixture::resolve(&view, "acme-1"),
        day,
    );
    let nobody = Workload {
        team: String::new(),
        tags: vec![String::new()],
        ..Workload::default()
    };
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    let principal = decider.principal(&nobody);
    let decision = decider.decide(&principal, &target, &ask, &[], start_of(day));
    assert!(!decision.is_permit());
}

/// A decider of one pack with these lines among its parameters and this rule, and a target of it.
fn prepared(
    parameters: &str,
    rule: &str,
    view: &Arc<carnet_provenance::View>,
    query: &Query<'_>,
) -> (Decider, crate::target::Target) {
    let manifest = format!("[parameters]\n{parameters}");
    let rules = format!(
        "@id(\"only\") @title(\"o\") permit (principal, action, resource) when {{ {rule} }};"
    );
    let pack = fixture::pack("p", &manifest, &rules);
    let policies = Policies::load(&[pack]).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let decider =
        Decider::new(Arc::new(policies), view.clone(), DeciderOptions::default()).unwrap();
    let target = decider.target(fixture::spec("up/model"), view.resolve(query), query.as_of);
    (decider, target)
}

fn permits(decider: &Decider, target: &crate::target::Target, day: Date) -> bool {
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    let principal = decider.principal(&Workload::default());
    decider.permits(&principal, target, &ask, start_of(day))
}

fn asked(id: &'static str, host: Option<&'static str>) -> Query<'static> {
    Query {
        id,
        platform: None,
        host,
        upstream: None,
        region: None,
        as_of: "2026-02-01".parse().unwrap(),
    }
}

#[test]
fn a_day_that_is_set_for_lists_hides_no_fact_that_grows_too_old() {
    let view = fixture::view();
    let query = asked("acme-1", None);
    let parameters = "as_of = \"2025-01-01\"\nmax_age_days = 40";
    let (decider, target) = prepared(
        parameters,
        "resource.producer.known && resource.identified",
        &view,
        &query,
    );
    assert!(permits(&decider, &target, query.as_of));
    // The facts are of 2026-01-01: the first day on which they are older than forty days.
    let end: Date = "2026-02-11".parse().unwrap();
    assert_eq!(target.valid_until(), Some(start_of(end)));
    let later = Query {
        as_of: end,
        ..query
    };
    let (decider, target) = prepared(
        parameters,
        "resource.producer.known && resource.identified",
        &view,
        &later,
    );
    assert!(!permits(&decider, &target, end));
}

#[test]
fn a_host_in_doubt_is_no_known_host() {
    let registry = fixture::view().registry().clone();
    let text = "[[host]]\nid = \"rack\"\noperator = \"Us\"\ncountry = \"AA\"\nparent_country = \"AA\"\nkind = \"local\"\nregions = [{ id = \"r\", country = \"AA\" }]\ncomplete = true\negress = \"none\"\nconfidence = \"low\"\nreason = \"r\"\nauthor = \"a\"\nuntil = \"2026-12-31\"\n";
    let files = [carnet_provenance::SourceFile {
        path: "overlay".to_owned(),
        text: text.to_owned(),
    }];
    let query = asked("acme-1", Some("rack"));
    let overlay = carnet_provenance::Overlay::parse(&files, &registry, query.as_of).unwrap();
    let view = Arc::new(carnet_provenance::View::new(registry, overlay));
    let rule = "resource.host == \"rack\" && resource.host_kind == \"local\" && resource.egress == \"none\"";
    for (parameters, expected) in [("", true), ("confidence = \"medium\"", false)] {
        let (decider, target) = prepared(parameters, rule, &view, &query);
        assert_eq!(
            permits(&decider, &target, query.as_of),
            expected,
            "{parameters}"
        );
    }
}

#[test]
fn joint_work_is_known_with_the_whole_line_only() {
    let claim = |value: &str| {
        format!(
            "{{ value = \"{value}\", source = \"https://source.test\", date = \"2026-01-01\", confidence = \"high\" }}"
        )
    };
    let acme = format!("name = \"Acme\"\ncountry = {}\n", claim("AA"));
    let model = format!(
        "name = \"Both-1\"\nproducer = {}\njoint = [{}]\nweights = {}\nlineage_status = {}\n",
        claim("acme"),
        claim("nowhere"),
        claim("open"),
        claim("first-party-none-known")
    );
    let files = [
        (
            "jurisdictions.toml",
            "[[country]]\ncode = \"AA\"\nname = \"A\"\n".to_owned(),
        ),
        ("producers/acme.toml", acme),
        ("producers/nowhere.toml", "name = \"Nowhere\"\n".to_owned()),
        ("models/both-1.toml", model),
    ];
    let files = files.map(|(path, text)| carnet_provenance::SourceFile {
        path: path.to_owned(),
        text,
    });
    let registry = carnet_provenance::Registry::parse(&files).unwrap();
    let overlay = carnet_provenance::Overlay::default();
    let view = Arc::new(carnet_provenance::View::new(Arc::new(registry), overlay));
    let query = asked("both-1", None);
    for (rule, expected) in [
        ("resource.producer.known && resource.identified", true),
        ("resource.counted.complete", false),
    ] {
        let (decider, target) = prepared("lineage = \"producer\"", rule, &view, &query);
        assert_eq!(permits(&decider, &target, query.as_of), expected, "{rule}");
    }
}
