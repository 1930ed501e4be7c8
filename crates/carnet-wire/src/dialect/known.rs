//! The members that readers look at, by the place they stand in. Whatever else stands there is lost on the way into
//! another dialect, and has to be named.

use crate::form::{LossCode, Losses};
use crate::json::{Kind, Value};

/// Members of one kind of object.
pub(crate) struct Known {
    /// The way there; `[]` leads to every element.
    pub(crate) path: &'static [&'static str],
    /// What is read there.
    pub(crate) members: &'static [&'static str],
}

/// Names what stands in these places beside what is read there.
pub(crate) fn lose_beside(root: Value<'_>, places: &[Known], losses: &mut Losses) {
    for place in places {
        visit(root, place.path, place.members, losses);
    }
}

/// The recursion is as deep as the path is long.
fn visit(value: Value<'_>, path: &[&str], members: &[&str], losses: &mut Losses) {
    match path.split_first() {
        None => {
            for (key, value) in value.members() {
                // An empty list says as little as none.
                let empty = value.kind() == Kind::Array && value.elements().next().is_none();
                if empty || value.is_null() || members.contains(&&*key) {
                    continue;
                }
                if key == "logprobs" {
                    losses.add(LossCode::Logprobs);
                } else {
                    losses.add_at(LossCode::UnknownMember, &key);
                }
            }
        }
        // Where a reader takes one for a list of one.
        Some((&"[]", rest)) if value.kind() == Kind::Object => visit(value, rest, members, losses),
        Some((&"[]", rest)) => {
            for element in value.elements() {
                visit(element, rest, members, losses);
            }
        }
        Some((key, rest)) => {
            if let Some(value) = value.get(key) {
                visit(value, rest, members, losses);
            }
        }
    }
}
