//! A whole gateway without upstreams, for tests of what administers it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use carnet_audit::{Log, Options, Record, Signer};
use carnet_gateway::config::{RawConfig, Services, validate};
use carnet_gateway::{Gateway, Generation, Parts};
use carnet_limits::KeyRing;
use carnet_policy::{PackSource, Policies, Workload};
use carnet_provenance::{Overlay, Registry, View};
use jiff::Timestamp;

const PACK: &str = r#"
name = "closed"
title = "Closed"
description = "Permits what is identified and complete."
mode = "enforce"
trust = "overlay"
"#;

const RULES: &str = r#"
@id("identified")
@title("the model is identified")
permit (principal, action == Action::"use", resource)
when { resource.identified };
"#;

/// Requests that the log has room for at once.
pub(super) const OPEN_MAX: usize = 4;

/// The gateway, its log, and the workloads `payments` and `search`.
pub(super) fn gateway(state_dir: &Path, keys: KeyRing) -> Arc<Gateway> {
    let signer = Signer::new("test/admin", &[7; 32]).unwrap();
    let options = Options {
        max_open: OPEN_MAX,
        ..Options::default()
    };
    let (log, _) = Log::open(&state_dir.join("audit"), signer, options, now).unwrap();
    Arc::new(Gateway::new(generation(keys, None), log, now, 1))
}

/// The next generation after `previous`.
pub(super) fn generation(keys: KeyRing, previous: Option<&Generation>) -> Generation {
    let registry = Arc::new(Registry::parse(&[]).unwrap());
    let overlay = Overlay::parse(&[], &registry, jiff::civil::date(2026, 5, 1)).unwrap();
    let files = vec![
        ("pack.toml".to_owned(), PACK.to_owned()),
        ("rules.cedar".to_owned(), RULES.to_owned()),
    ];
    let pack = PackSource::new("closed", files);
    let mut config = validate(&RawConfig::default(), Path::new(""), Services::default()).unwrap();
    for id in ["payments", "search"] {
        config.workloads.push(Workload {
            id: id.to_owned(),
            ..Workload::default()
        });
    }
    let parts = Parts {
        config,
        config_version: "sha256:test".to_owned(),
        policies: Arc::new(Policies::load(&[pack]).unwrap()),
        view: Arc::new(View::new(registry, overlay)),
        keys,
        files: HashMap::new(),
        issuer_authorities: HashMap::new(),
        now: now(),
    };
    Generation::build(parts, previous).unwrap()
}

/// All records of the log, oldest first.
pub(super) fn records(state_dir: &Path) -> Vec<Record> {
    let reader = carnet_audit::Reader::open(&state_dir.join("audit")).unwrap();
    let mut records: Vec<Record> = reader
        .newest()
        .filter_map(|entry| match entry.unwrap().leaf {
            carnet_audit::Leaf::Record(record) => Some(*record),
            carnet_audit::Leaf::Document(_) => None,
        })
        .collect();
    records.reverse();
    records
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}
