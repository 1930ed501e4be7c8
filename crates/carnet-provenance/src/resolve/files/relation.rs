//! How a model came from a stated base, where the statement does not say it.

use crate::key::{key, without_storage};
use crate::registry::entry::Relation;
use crate::statements::{BaseStated, FileStatements};

/// The relation that is stated, or the one that the files' form tells. `id` is the base's.
pub(super) fn of(stated: &BaseStated, id: &str, says: &FileStatements) -> Relation {
    if let Some(relation) = stated.relation {
        return relation;
    }
    let other = |base: &&BaseStated| base.place == stated.place && base.value != stated.value;
    if says.adapter {
        Relation::Adapter
    } else if says.bases.iter().any(|base| other(&base)) {
        Relation::Merge
    } else if is_quantized(says) && says.names.iter().any(|own| key(&own.value) == key(id)) {
        Relation::Quantized
    } else {
        Relation::Finetune
    }
}

/// Whether the weights, or a name that the file goes by, say that they have fewer bits.
fn is_quantized(says: &FileStatements) -> bool {
    let named = |name: &str| {
        let name = name.to_ascii_lowercase();
        without_storage(&name) != name
    };
    let mut outside = says.names.iter().filter(|own| own.outside);
    says.quantized || outside.any(|own| named(&own.value))
}
