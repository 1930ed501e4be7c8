//! What a model's files say of it: statements of whoever wrote them, which anybody could be.

use crate::registry::entry::Relation;

/// Everything that the files at one path say, as it was read and before any of it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStatements {
    /// Names that the files go by, or give the model.
    pub names: Vec<OwnName>,
    /// What the model is said to come from.
    pub bases: Vec<BaseStated>,
    /// Who is said to have made it.
    pub makers: Vec<Stated>,
    /// Under which licence it is said to be.
    pub licences: Vec<Stated>,
    /// Whether the weights have fewer bits than weights are trained with.
    pub quantized: bool,
    /// Whether the weights only work beside those of a base.
    pub adapter: bool,
    /// How the files were read, and what of them was not.
    pub steps: Vec<String>,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The text.
    pub value: String,
    /// File and key.
    pub place: String,
}

/// A name of the model itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnName {
    /// The name.
    pub value: String,
    /// File and key, or what has the name.
    pub place: String,
    /// The platform whose grammar it follows.
    pub platform: &'static str,
    /// Whether the file or folder goes by it, instead of saying it within.
    pub outside: bool,
}

/// A model that this one is said to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseStated {
    /// Its name, repository or address.
    pub value: String,
    /// File and key. Bases with the same place stand in one list.
    pub place: String,
    /// How this model came from it, where that is said.
    pub relation: Option<Relation>,
}
