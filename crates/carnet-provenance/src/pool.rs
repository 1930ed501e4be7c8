//! Keeps texts once that stand in many records, while a registry is decoded.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

thread_local! {
    /// The texts that were read so far; none outside [`during`].
    static POOL: RefCell<Option<HashSet<Arc<str>>>> = const { RefCell::new(None) };
}

/// Decode with a pool, which is gone afterwards.
pub(crate) fn during<T>(decode: impl FnOnce() -> T) -> T {
    POOL.set(Some(HashSet::new()));
    let decoded = decode();
    POOL.set(None);
    decoded
}

/// Read a text that stands in many places.
pub(crate) fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    Ok(POOL.with_borrow_mut(|pool| {
        let Some(pool) = pool else {
            return text.into();
        };
        if let Some(known) = pool.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        pool.insert(new.clone());
        new
    }))
}
