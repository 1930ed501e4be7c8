//! What callers send: by which paths, in which dialect, and reading a body.

mod call;
mod prompt;
mod stored;

pub use self::call::Call;
pub(crate) use self::call::{Dialect, Route, dialect_of, route};
pub(crate) use self::prompt::{
    Extras, ModelPlace, PREVIOUS, Prompt, STORE, insert, read, too_large_joined, unacceptable,
    watched,
};
pub(crate) use self::stored::{Action, Query, Stored, is_id};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::codes::Code;
use crate::error::Fault;
use crate::limits::BODY_TIME_MAX;

/// Read a whole body of at most `max` bytes. A body that came in one piece is not copied.
pub(crate) async fn read_body(body: Incoming, max: u64) -> Result<Bytes, Fault> {
    if body.size_hint().lower() > max {
        return Err(too_large(max));
    }
    match timeout(BODY_TIME_MAX, collect(body, max)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Fault::new(
            Code::BodyTimeout,
            format!(
                "the body did not arrive within {} seconds",
                BODY_TIME_MAX.as_secs()
            ),
        )),
    }
}

async fn collect(mut body: Incoming, max: u64) -> Result<Bytes, Fault> {
    let expected = body.size_hint().exact();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Fault::new(
                Code::InvalidRequest,
                "the body ended before its announced length",
            )
        })?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let so_far = first
            .len()
            .saturating_add(whole.len())
            .saturating_add(piece.len());
        if so_far as u64 > max {
            return Err(too_large(max));
        }
        if whole.is_empty() && first.is_empty() {
            first = piece;
            continue;
        }
        if whole.is_empty() {
            let room = expected
                .and_then(|exact| usize::try_from(exact).ok())
                .unwrap_or(so_far);
            whole.reserve(room);
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

pub(crate) fn too_large(max: u64) -> Fault {
    Fault::new(
        Code::BodyTooLarge,
        format!(
            "the body is larger than {max} bytes; send less, or ask your operator to raise `body_bytes_max`"
        ),
    )
}
