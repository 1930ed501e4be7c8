//! Why a question could not be asked at all.

use std::io;

use thiserror::Error;

use crate::problem::PropertyProblem;

/// Why a question could not be asked.
#[derive(Debug, Error)]
pub enum ProveError {
    /// A rule does not fit the schema.
    #[error("pack `{pack}` does not fit the schema: {message}")]
    InvalidPack {
        /// The pack.
        pack: String,
        /// What Cedar says.
        message: String,
    },
    /// There is no pack, so there is no policy.
    #[error("there is no pack to ask about")]
    NoPack,
    /// The property is wrong in itself or for this schema.
    #[error("{}", problems.first().map_or_else(String::new, ToString::to_string))]
    Property {
        /// Everything that is wrong.
        problems: Vec<PropertyProblem>,
    },
    /// The solver's process did not start.
    #[error("the solver cannot be run")]
    Solver {
        /// The system's reason.
        source: io::Error,
    },
    /// Two packs have the same name, so that a property could mean either.
    #[error("two packs have the name `{pack}`")]
    TwicePack {
        /// The name.
        pack: String,
    },
    /// The property names a pack that is not there.
    #[error("there is no pack `{name}`")]
    UnknownPack {
        /// The name.
        name: String,
        /// The packs that are there.
        known: Vec<String>,
    },
    /// A rule is a template, about which nothing can be proved.
    #[error("pack `{pack}` holds a template, about which nothing can be proved")]
    Template {
        /// The pack.
        pack: String,
    },
}

impl ProveError {
    /// How to put it right.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::InvalidPack { pack, .. } => format!("carnet policy validate {pack}"),
            Self::NoPack => "name at least one pack".to_owned(),
            Self::Property { problems } => problems
                .first()
                .map_or_else(String::new, |problem| problem.help.clone()),
            Self::Solver { .. } => {
                "apt-get install cvc5, or set CVC5 to the path of the program".to_owned()
            }
            Self::TwicePack { .. } => "give one of them another name".to_owned(),
            Self::UnknownPack { known, .. } => format!("there are: {}", known.join(", ")),
            Self::Template { .. } => {
                "write the value instead of `?principal` or `?resource`".to_owned()
            }
        }
    }
}
