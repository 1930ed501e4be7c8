//! The ledger: which requests the mock saw, and how each ended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::http::{Headers, Request};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// The whole answer was handed to the socket.
    Answered,
    /// The peer hung up before that.
    ClosedByPeer,
    /// The script told the mock to hang up.
    ClosedByMock,
}

/// A request that the mock saw.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) number: usize,
    /// Which connection it came on.
    pub(crate) connection: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: String,
    /// In a replay: whether the body asks what the recorded one asked.
    pub(crate) matches: Option<bool>,
    /// Milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Pieces of the answer sent so far.
    pub(crate) sent: usize,
    pub(crate) end: Option<End>,
    pub(crate) end_ms: Option<u64>,
}

#[derive(Default)]
pub(super) struct Ledger {
    seen: Mutex<Vec<Seen>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, request: &Request, connection: u64, matches: Option<bool>) -> usize {
        let mut seen = self.lock();
        let number = seen.len();
        seen.push(Seen {
            number,
            connection,
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            matches,
            at_ms: now_ms(),
            sent: 0,
            end: None,
            end_ms: None,
        });
        number
    }

    pub(super) fn sent(&self, number: usize, pieces: usize) {
        if let Some(seen) = self.lock().get_mut(number) {
            seen.sent = pieces;
        }
    }

    pub(super) fn close(&self, number: usize, end: End) {
        if let Some(seen) = self.lock().get_mut(number) {
            seen.end = Some(end);
            seen.end_ms = Some(now_ms());
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The requests from this number on.
    pub(super) fn from(&self, number: usize) -> Vec<Seen> {
        self.lock().get(number..).unwrap_or_default().to_vec()
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
