//! Collects what files say, each statement within bounds.

use carnet_inspect::Finding;
use carnet_provenance::{BaseStated, FileStatements, ID_BYTES_MAX, OwnName, Relation, Stated};

/// Most statements of one kind. Merges of dozens of models exist; more is a flood.
const STATEMENTS_MAX: usize = 128;
/// Most remarks on the reading.
const STEPS_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Notes {
    says: FileStatements,
    dropped: usize,
}

/// A finding as one remark.
pub(super) fn told(finding: &Finding) -> String {
    format!("[{}] {finding}", finding.code)
}

impl Notes {
    pub(super) fn finish(mut self) -> FileStatements {
        if self.dropped > 0 {
            let count = self.dropped;
            self.says.steps.push(format!(
                "{count} more statements and remarks are left out: they are too many, too long or no text"
            ));
        }
        self.says
    }

    pub(super) fn step(&mut self, step: impl Into<String>) {
        if self.says.steps.len() < STEPS_MAX {
            self.says.steps.push(step.into());
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// A name of the model: outside if the file or folder goes by it.
    pub(super) fn own_name(
        &mut self,
        value: &str,
        place: &str,
        platform: &'static str,
        outside: bool,
    ) {
        let Some(value) = self.value(value) else {
            return;
        };
        let same = |own: &OwnName| own.value == value && own.outside >= outside;
        if !self.says.names.iter().any(same) && self.room(self.says.names.len()) {
            self.says.names.push(OwnName {
                value,
                place: place.to_owned(),
                platform,
                outside,
            });
        }
    }

    /// Whether the file or folder goes by this name, whatever stands before it.
    pub(super) fn goes_by(&self, name: &str) -> bool {
        let last = |name: &str| {
            let last = name.trim_end_matches('/').rsplit('/').next();
            last.unwrap_or_default().to_ascii_lowercase()
        };
        let mut outside = self.says.names.iter().filter(|own| own.outside);
        outside.any(|own| last(&own.value) == last(name))
    }

    /// Names of what holds nothing to name.
    pub(super) fn forget_names(&mut self) {
        self.says.names.clear();
    }

    pub(super) fn base(&mut self, value: &str, place: &str, relation: Option<Relation>) {
        let Some(value) = self.value(value) else {
            return;
        };
        let stated = BaseStated {
            value,
            place: place.to_owned(),
            relation,
        };
        if !self.says.bases.contains(&stated) && self.room(self.says.bases.len()) {
            self.says.bases.push(stated);
        }
    }

    pub(super) fn maker(&mut self, value: &str, place: &str) {
        let Some(value) = self.value(value) else {
            return;
        };
        let known = self.says.makers.iter().any(|stated| stated.value == value);
        if !known && self.room(self.says.makers.len()) {
            let place = place.to_owned();
            self.says.makers.push(Stated { value, place });
        }
    }

    pub(super) fn licence(&mut self, value: &str, place: &str) {
        let Some(value) = self.value(value) else {
            return;
        };
        let known = self
            .says
            .licences
            .iter()
            .any(|stated| stated.value == value);
        if !known && self.room(self.says.licences.len()) {
            let place = place.to_owned();
            self.says.licences.push(Stated { value, place });
        }
    }

    /// An architecture is a lead for people: many makers use the same one.
    pub(super) fn architecture(&mut self, value: &str, place: &str) {
        let Some(value) = self.value(value) else {
            return;
        };
        let step = format!(
            "{place} `{value}` is an architecture, which anybody may use: it tells nothing of the origin"
        );
        if !self.says.steps.contains(&step) {
            self.step(step);
        }
    }

    pub(super) fn quantized(&mut self) {
        self.says.quantized = true;
    }

    pub(super) fn adapter(&mut self) {
        self.says.adapter = true;
    }

    fn room(&mut self, used: usize) -> bool {
        let room = used < STATEMENTS_MAX;
        if !room {
            self.dropped = self.dropped.saturating_add(1);
        }
        room
    }

    /// A text that may be a name: of one line, not empty and not endless.
    fn value(&mut self, value: &str) -> Option<String> {
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        if value.len() > ID_BYTES_MAX || value.chars().any(char::is_control) {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        Some(value.to_owned())
    }
}
