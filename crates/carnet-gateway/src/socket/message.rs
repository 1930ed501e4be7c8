//! A message of a caller becomes the body of an ordinary request.

use bytes::Bytes;
use carnet_wire::responses::socket::{Create, CreateError, join};

use super::memory::Memory;
use crate::codes::Code;
use crate::error::Fault;

/// What a message asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The body of the request.
    pub(crate) body: Bytes,
    /// Whether an answer is wanted, or only the items are to be remembered.
    pub(crate) generates: bool,
    /// The whole conversation, if it is known here.
    pub(super) items: Option<Bytes>,
}

/// Read a message. What it goes on from is `memory`, or a response of which `is_kept` says that its upstream keeps it.
pub(crate) fn read(
    message: &Bytes,
    memory: Option<&Memory>,
    is_kept: impl FnOnce(&str) -> bool,
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
        Some(id) => {
            let before = memory.and_then(|memory| memory.up_to(id));
            let items = before.map(|before| join(before, &own));
            // What is kept there is more than what was said here: thoughts that were not given along are.
            let kept = is_kept(id);
            if !kept && items.is_none() {
                return Err(crate::stored::previous_not_found());
            }
            (items, kept)
        }
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
        generates: create.generates(),
        items,
    })
}
