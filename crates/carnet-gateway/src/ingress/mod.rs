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

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::codes::Code;
use crate::error::Fault;
use crate::limits::BODY_TIME_MAX;

/// Read a whole body of at most `max` bytes. A body that came in one piece is not copied.
pub(crate) async fn read_body(body: Incoming, max: u64) -> Result<Bytes, Fault> {
    read_within(body, max, BODY_TIME_MAX).await
}

/// The time is for all of it: a piece now and then does not prolong it.
async fn read_within<B>(body: B, max: u64, time: Duration) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > max {
        return Err(too_large(max));
    }
    match timeout(time, collect(body, max)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Fault::new(
            Code::BodyTimeout,
            format!("the body did not arrive within {} seconds", time.as_secs()),
        )),
    }
}

async fn collect<B>(mut body: B, max: u64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use http_body::Frame;
    use tokio::time::{Interval, interval};

    use super::*;

    /// A body that goes on for far longer than anybody waits, by one byte now and then.
    struct Dripping(Interval, u32);

    impl Body for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.0.poll_tick(cx));
            self.1 += 1;
            let piece = (self.1 < 3_000).then(|| Frame::data(Bytes::from_static(b" ")));
            Poll::Ready(piece.map(Ok))
        }
    }

    #[tokio::test]
    async fn incident_a_body_that_drips_is_not_waited_for() {
        let body = Dripping(interval(Duration::from_millis(1)), 0);
        let read = read_within(body, u64::MAX, Duration::from_millis(50)).await;
        assert_eq!(read.unwrap_err().code, Code::BodyTimeout);
        // Nor is more of it kept than may come.
        let body = Dripping(interval(Duration::from_millis(1)), 0);
        let read = read_within(body, 5, Duration::from_secs(600)).await;
        assert_eq!(read.unwrap_err().code, Code::BodyTooLarge);
    }
}
