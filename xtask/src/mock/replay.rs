//! Replays recorded exchanges: same status, same headers that matter, same bytes, cut anew.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use super::http::Conversation;
use super::ledger::End;
use super::recorded::{self, Exchange, Unserved};

/// Sizes in bytes that answers are cut into; 0 sends them whole. One byte splits every character
/// and every line end, the primes drift across event boundaries.
pub(crate) const CUTS: &[usize] = &[1, 7, 37, 0];

/// How an answer is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Bytes in a piece; 0 sends the answer whole.
    pub(crate) step: usize,
    /// Silence in the middle of the body.
    pub(crate) pause: Option<Duration>,
}

#[derive(Default)]
pub(super) struct Cassettes {
    all: Vec<Exchange>,
    unserved: Vec<Unserved>,
    armed: Mutex<Option<(Arc<Exchange>, Manner)>>,
}

impl Cassettes {
    /// Reads every exchange from a folder of recordings.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let (all, unserved) = recorded::load(folder)?;
        Ok(Self {
            all,
            unserved,
            armed: Mutex::default(),
        })
    }

    pub(super) fn all(&self) -> &[Exchange] {
        &self.all
    }

    pub(super) fn unserved(&self) -> &[Unserved] {
        &self.unserved
    }

    pub(super) fn arm(&self, id: &str, manner: Manner) -> Result<(), String> {
        let exchange = self
            .all
            .iter()
            .find(|exchange| exchange.id == id)
            .ok_or_else(|| format!("no exchange `{id}`"))?;
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::new(exchange.clone()), manner));
        Ok(())
    }

    pub(super) fn disarm(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn armed(&self) -> Option<(Arc<Exchange>, Manner)> {
        self.armed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Answers with an exchange.
pub(super) fn play(talk: &mut Conversation, exchange: &Exchange, manner: Manner) -> End {
    match send(talk, exchange, manner) {
        Ok(()) => End::Answered,
        Err(_) => End::ClosedByPeer,
    }
}

fn send(talk: &mut Conversation, exchange: &Exchange, manner: Manner) -> io::Result<()> {
    // Length and coding are this server's own; the recorded ones were of the body before unpacking.
    let framing = [
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
    ];
    let kept = exchange
        .headers
        .iter()
        .filter(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
    let headers: Vec<_> = kept
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let streamed = exchange.is_event_stream();
    talk.head(
        exchange.status,
        &headers,
        (!streamed).then_some(exchange.body.len()),
    )?;
    let mut step = manner.step;
    if step == 0 {
        step = exchange.body.len().max(1);
    }
    let (first, second) = exchange.body.split_at(match manner.pause {
        Some(_) => exchange.body.len() / 2,
        None => exchange.body.len(),
    });
    let pieces = |bytes: &[u8], talk: &mut Conversation| -> io::Result<()> {
        for piece in bytes.chunks(step) {
            if streamed {
                talk.chunk(piece)?;
            } else {
                talk.bytes(piece)?;
            }
        }
        Ok(())
    };
    pieces(first, talk)?;
    if let Some(pause) = manner.pause {
        talk.wait(pause)?;
        pieces(second, talk)?;
    }
    if streamed { talk.chunk(b"") } else { Ok(()) }
}
