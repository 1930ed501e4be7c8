//! A refusal: what an operator or a caller is told when a model is not loaded or not run.

use std::fmt;
use std::path::Path;

use crate::codes::Code;

/// Why a model is not loaded, or an answer not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word for it.
    pub code: Code,
    /// Where: a file, with the tensor or field in it, or a field of the request.
    pub place: String,
    /// What is wrong, in lower case, with outside text in backticks.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
}

impl Refusal {
    pub(crate) fn new(
        code: Code,
        place: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Refusal {
        Refusal {
            code,
            place: place.into(),
            reason: reason.into(),
            fix: fix.into(),
        }
    }

    /// Arithmetic that failed although every shape was checked, so a fault here or in the library.
    pub(crate) fn compute(error: &candle_core::Error) -> Refusal {
        Refusal::new(
            Code::ComputeFailed,
            "forward pass",
            error.to_string(),
            "ask again; if it stays, load the model's files anew",
        )
    }
}

impl From<candle_core::Error> for Refusal {
    fn from(error: candle_core::Error) -> Refusal {
        Refusal::compute(&error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({})",
            self.place,
            self.reason,
            self.code.as_str()
        )
    }
}

impl std::error::Error for Refusal {}

/// The last part of a path, which is all that a message should tell of where models lie.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |n| n.to_string_lossy().into(),
    )
}
