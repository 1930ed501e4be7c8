//! A message of a caller becomes the body of an ordinary request.

use bytes::Bytes;
use carnet_wire::responses::socket::{Create, CreateError, join};

use super::memory::Memory;
use crate::codes::Code;
use crate::error::Fault;
use crate::stored::Before;

/// What a message asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The body of the request.
    pub(crate) body: Bytes,
    /// Whether what it went on from was put in front of it.
    pub(crate) joined: bool,
    /// Whether an answer is wanted, or only the items are to be remembered.
    pub(crate) generates: bool,
    /// The whole conversation, if it is known here.
    pub(super) items: Option<Bytes>,
}

/// Read a message. What it goes on from is what its upstream keeps, of which `is_kept` tells, or `memory`, or what
/// `before` knows of it.
pub(crate) async fn read(
    message: &Bytes,
    memory: Option<&Memory>,
    is_kept: impl FnOnce(&str) -> bool,
    before: impl AsyncFnOnce(&str) -> Result<Before, Fault>,
) -> Result<Asked, Fault> {
    let create = Create::read(message).map_err(|why| match why {
        CreateError::Json(why) => crate::ingress::unacceptable(&why),
        CreateError::Field { field, .. } => {
            Fault::new(Code::InvalidRequest, why.to_string()).param(field)
        }
    })?;
    let own = create.items();
    let (items, kept) = match create.previous() {
        None => (Some(own), false),
        Some(id) => match memory.and_then(|memory| memory.up_to(id)) {
            // What is kept there is more than what was said here: thoughts that were not given along are.
            Some(before) => (Some(join(before, &own)), is_kept(id)),
            None => match before(id).await? {
                Before::Here(items) => (Some(join(&items, &own)), false),
                Before::Upstream => (None, true),
                Before::Unknown => return Err(crate::stored::previous_not_found()),
            },
        },
    };
    if items.is_none() && !create.generates() {
        let message = "what is kept by an upstream cannot be prepared here; send the whole conversation as `input`";
        return Err(Fault::new(Code::InvalidRequest, message).param("generate"));
    }
    let continued = items
        .as_deref()
        .filter(|_| create.previous().is_some() && !kept);
    Ok(Asked {
        body: create.body(continued),
        joined: continued.is_some(),
        generates: create.generates(),
        items,
    })
}
