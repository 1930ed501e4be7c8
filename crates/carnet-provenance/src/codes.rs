//! Why a bundle is refused, each with a code that stays the same.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Its facts have mistakes.
    BrokenFacts,
    /// Its content is not what was signed.
    Damaged,
    /// It is no bundle, or a piece of one.
    Malformed,
    /// It says that it was made on a day that has not come.
    NotYet,
    /// It is not newer than what is in force.
    Older,
    /// Another version of Carnet is needed to read it.
    OtherForm,
    /// No key that is trusted signed it.
    Untrusted,
    /// A trusted key's name stands under it, but that key did not sign it.
    WrongSignature,
}

impl Refusal {
    /// The code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BrokenFacts => "bundle-broken-facts",
            Self::Damaged => "bundle-damaged",
            Self::Malformed => "bundle-malformed",
            Self::NotYet => "bundle-not-yet",
            Self::Older => "bundle-older",
            Self::OtherForm => "bundle-other-form",
            Self::Untrusted => "bundle-untrusted",
            Self::WrongSignature => "bundle-wrong-signature",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::BrokenFacts => "tell whoever made the bundle; the facts in force stay",
            Self::Damaged => "get the file again: what arrived is not what was signed",
            Self::Malformed => "name a file that `carnet registry bundle` made, whole",
            Self::NotYet => {
                "set the clock of this machine, if it is behind; else tell whoever made the bundle"
            }
            Self::Older => {
                "get a newer bundle; to go back to the one before, use `carnet registry update --rollback`"
            }
            Self::OtherForm => "use the version of Carnet that the bundle was made for",
            Self::Untrusted => "if you trust who made it, name the public key with --trust FILE",
            Self::WrongSignature => "do not use the file; get it again from whom you trust",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
