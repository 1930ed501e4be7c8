//! A verdict as text, for someone who never saw Cedar.

use std::fmt;

use crate::verdict::{Effect, FactLine, Reason, Verdict};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}",
            if self.effect() == Effect::Permit {
                "permitted"
            } else {
                "denied"
            }
        )?;
        for reason in self.reasons() {
            write_reason(f, reason)?;
        }
        if !self.facts().is_empty() {
            writeln!(f, "\nfacts this rests on")?;
        }
        for fact in self.facts() {
            write_fact(f, fact)?;
        }
        if !self.counterfactuals().is_empty() {
            writeln!(f, "\nit would be permitted")?;
        }
        for way in self.counterfactuals() {
            writeln!(f, "  {}", way.change)?;
        }
        if !self.report_deny().is_empty() {
            writeln!(f, "\ndenied by policies that only report")?;
        }
        for reason in self.report_deny() {
            write_reason(f, reason)?;
        }
        writeln!(
            f,
            "\nas of {}, policy {}, registry {}",
            self.as_of(),
            short(self.policy_version()),
            short(self.registry_version())
        )
    }
}

fn write_reason(f: &mut fmt::Formatter<'_>, reason: &Reason) -> fmt::Result {
    writeln!(f, "  {}", reason.title)?;
    let pack = if reason.pack.is_empty() {
        String::new()
    } else {
        format!("{}/", reason.pack)
    };
    match &reason.legal_source {
        Some(source) => writeln!(f, "    rule {pack}{}, after {source}", reason.rule),
        None => writeln!(f, "    rule {pack}{}", reason.rule),
    }
}

fn write_fact(f: &mut fmt::Formatter<'_>, fact: &FactLine) -> fmt::Result {
    write!(f, "  {} = {}\n    {}", fact.claim, fact.value, fact.source)?;
    if let Some(attested) = &fact.attested {
        write!(f, ": {attested}")?;
    }
    if let Some(date) = fact.date {
        write!(f, ", {date}")?;
    }
    writeln!(f, ", confidence {}", fact.confidence)
}

/// Enough of a digest to tell two apart.
fn short(version: &str) -> &str {
    version.get(..19).unwrap_or(version)
}
