//! The configuration, checked as a start would check it.

use carnet_limits::KeyRing;

use super::Findings;
use crate::loaded::{self, Loaded};
use crate::reload::Sources;
use crate::trouble::Troubles;

/// Read and build everything that a start would, and say what is wrong. What was read, where nothing is.
pub(crate) fn check(
    findings: &mut Findings,
    sources: &Sources,
    now: jiff::Timestamp,
) -> Option<Loaded> {
    const CHECK: &str = "configuration";
    let load = || -> Result<Loaded, Troubles> { loaded::load_to_start(sources.draft()?, now) };
    // Building takes what was read, which is wanted afterwards too.
    let built = load().and_then(|mut first| {
        findings.warnings(CHECK, std::mem::take(&mut first.warnings));
        first.build(KeyRing::default(), None)
    });
    let config = match built {
        Ok((_, config)) => config,
        Err(troubles) => {
            findings.troubles(CHECK, troubles);
            return None;
        }
    };
    let file = match &sources.file {
        Some(file) => file.display().to_string(),
        None => "none; the demonstration".to_owned(),
    };
    findings.ok(
        CHECK,
        format!(
            "{file}: {} upstreams, {} workloads, packs {}",
            config.gateway.upstreams.len(),
            config.gateway.workloads.len(),
            config.packs.join(", "),
        ),
    );
    load().ok()
}
