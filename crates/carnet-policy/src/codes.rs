//! Every code that a denial or a load problem of this crate can carry, with a line on what it means.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($variant:ident = $text:literal, $stage:ident, $description:literal;)*) => {
        /// A stable name for one way in which a decision or a policy file fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $description] $variant,)*
        }

        impl Code {
            /// All codes, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it appears in records, messages and the docs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// One line on what it means.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }

            /// Where it can arise.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self {
                    $(Self::$variant => Stage::$stage,)*
                }
            }
        }
    };
}

/// Where a [`Code`] can arise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the answer to a request: the reason of a denial that no rule of a pack gave.
    Decision,
    /// While policy files are read: the running policy stays in force.
    Load,
}

codes! {
    BadAnnotation = "bad-annotation", Load, "an annotation of a rule has a value that it cannot have";
    BadCase = "bad-case", Load, "a case in a pack's cases folder cannot be read";
    BadCedar = "bad-cedar", Load, "a rule is not valid Cedar or does not fit Carnet's schema";
    BadException = "bad-exception", Load, "an exception lacks what its pack asks of one, or the pack knows none";
    BadManifest = "bad-manifest", Load, "a pack's pack.toml is missing, broken or incomplete";
    BadParameter = "bad-parameter", Load, "a parameter that is set does not exist or cannot have this value";
    DuplicateRule = "duplicate-rule", Load, "two rules of a pack, or two packs, have the same name";
    EvaluationError = "evaluation-error", Decision, "a rule failed while it was evaluated, so the request is denied";
    FactsExpired = "facts-expired", Decision, "a fact about the target began, ended or grew too old since the target was prepared";
    FactsInvalid = "facts-invalid", Decision, "the facts about the target do not fit the policy schema";
    ForbidWithObligation = "forbid-with-obligation", Load, "a forbid carries an obligation, which only a permit can";
    ForeignHandle = "foreign-handle", Decision, "the caller or target was prepared by another generation of the policy";
    NoPack = "no-pack", Load, "there is no policy at all, which is an error and never permission";
    NoPermit = "no-permit", Load, "a pack has no permit, so it would deny every request";
    NoRulePermits = "no-rule-permits", Decision, "no rule of the pack permits the request";
    OverlayNotTrusted = "overlay-not-trusted", Decision, "the target rests on the operator's own claim and the pack accepts only registry facts";
    PermitByAncestry = "permit-by-ancestry", Load, "a permit asks whether some ancestor is in a place, group or producer instead of all of them";
    RuleWithoutName = "rule-without-name", Load, "a rule lacks its @id or @title";
    ShadowMismatch = "shadow-mismatch", Decision, "a remembered decision differed from a full evaluation, so the request is denied";
    TemplateRefused = "template-refused", Load, "a policy template was found where only static rules are read";
    UnknownAnnotation = "unknown-annotation", Load, "a rule carries an annotation that Carnet does not read";
    UnknownEntity = "unknown-entity", Load, "a rule names a country, group, producer or model that no fact speaks of";
    UnknownFile = "unknown-file", Load, "a pack's folder holds a file that Carnet would not read";
    UnknownNotRuled = "unknown-not-ruled", Load, "a rule reads a fact that can be unknown and no rule says what happens then";
    UnknownObligation = "unknown-obligation", Load, "a permit carries an obligation that Carnet cannot meet";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_sorted() {
        let texts: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(texts, sorted);
        for text in texts {
            assert!(
                text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{text}"
            );
        }
    }

    #[test]
    fn descriptions_are_one_line_without_a_final_stop() {
        for code in Code::ALL {
            let text = code.description();
            assert!(
                !text.is_empty() && !text.contains('\n') && !text.ends_with('.'),
                "{code}"
            );
        }
    }
}
