//! Conversations that Carnet itself keeps for callers whose upstream keeps none, where the operator turns that on.
//!
//! What was given waits in memory until it is written down, and is found there meanwhile. It is sealed for its workload
//! and id (`seal`); whoever runs the gateway hands a store in, which sees digests and sealed bytes only, and is called
//! where it may block.

mod listen;
mod seal;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_wire::responses::{kept, socket};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::listen::{Asked, Listening, Unkept};
use self::seal::MasterKey;
use crate::budget::{Budget, Held};
use crate::codes::Code;
use crate::config::ConversationsConfig;
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::ingress::is_id;
use crate::limits::{
    CONVERSATION_READS_MAX, CONVERSATION_SWEEP_EVERY, CONVERSATION_TIME_MAX,
    CONVERSATIONS_HELD_BYTES_MAX, CONVERSATIONS_WAITING_MAX, CONVERSATIONS_WRITTEN_BYTES,
};
use crate::state_ids::StateDigest;

/// What a store says that cannot read or write.
pub type StoreFailed = Box<dyn Error + Send + Sync>;

/// Where sealed conversations are written down. Its functions may block.
pub trait ConversationStore: fmt::Debug + Send + Sync {
    /// The sealed form of a conversation that was made after an instant.
    ///
    /// # Errors
    /// When that cannot be told.
    fn find(&self, digest: &StateDigest, since: Timestamp) -> Result<Option<Vec<u8>>, StoreFailed>;

    /// Write these down, then have go what is beyond the bounds, the oldest first. Of two with one digest neither is
    /// found again. How many had one that was known.
    ///
    /// # Errors
    /// When they are not written.
    fn note(
        &self,
        sealed: &[SealedConversation],
        bounds: ConversationBounds,
    ) -> Result<usize, StoreFailed>;

    /// Have one go, so that its bytes are no longer in any file; whether it was there.
    ///
    /// # Errors
    /// When it may still be there.
    fn remove(&self, digest: &StateDigest) -> Result<bool, StoreFailed>;
}

/// A conversation as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedConversation {
    /// The workload and the id.
    pub digest: StateDigest,
    /// Whose it is.
    pub workload: Arc<str>,
    /// When it was made.
    pub made: Timestamp,
    /// Its sealed form; empty if it must not be found.
    pub sealed: Vec<u8>,
}

/// What a store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationBounds {
    /// What was made until then goes.
    pub since: Timestamp,
    /// Sealed bytes of one workload.
    pub workload_bytes_max: u64,
    /// Sealed bytes of all.
    pub bytes_max: u64,
}

/// A conversation up to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) workload: Arc<str>,
    /// The id of the answer.
    pub(crate) id: Box<str>,
    /// The name that the caller asked for.
    pub(crate) requested: Arc<str>,
    /// The items before the answer, with commas between them.
    pub(crate) input: Bytes,
    /// The answer, as the caller was given it.
    pub(crate) response: Bytes,
}

impl Conversation {
    /// The items up to and with the answer, with commas between them.
    pub(crate) fn items(&self) -> Bytes {
        let said = kept::said(&self.response).unwrap_or_default();
        socket::join(&self.input, &said)
    }

    /// All but workload and id.
    fn to_bytes(&self) -> Vec<u8> {
        let length = |part: &[u8]| (part.len() as u64).to_le_bytes();
        [
            &length(self.requested.as_bytes())[..],
            &length(&self.input),
            self.requested.as_bytes(),
            &self.input,
            &self.response,
        ]
        .concat()
    }

    /// The same from these bytes.
    fn of_bytes((workload, id): (&str, &str), bytes: Bytes) -> Option<Self> {
        let mut rest = bytes;
        let mut take = |length: usize| (length <= rest.len()).then(|| rest.split_to(length));
        let mut length = || {
            let length = <[u8; 8]>::try_from(&*take(8)?).ok()?;
            usize::try_from(u64::from_le_bytes(length)).ok()
        };
        let (requested, input) = (length()?, length()?);
        let requested = take(requested)?;
        let input = take(input)?;
        Some(Self {
            workload: workload.into(),
            id: id.into(),
            requested: std::str::from_utf8(&requested).ok()?.into(),
            input,
            response: rest,
        })
    }
}

/// See the module. Outlives generations.
#[derive(Debug)]
pub(crate) struct Conversations {
    vault: OnceLock<Vault>,
    // Held for one look or change, never over I/O.
    waiting: Mutex<Waiting>,
    changed: Notify,
    budget: Budget,
    /// So many read at once; more would only wait for the store in threads of their own.
    reads: Semaphore,
    /// One at a time changes the store, so that nothing is written after it was removed.
    writes: tokio::sync::Mutex<()>,
}

/// Where conversations are kept, and the key that seals them.
#[derive(Clone, Debug)]
struct Vault {
    store: Arc<dyn ConversationStore>,
    key: Arc<MasterKey>,
}

/// What was given and is not written down yet.
#[derive(Debug, Default)]
struct Waiting {
    known: HashMap<StateDigest, Arc<Written>>,
    order: VecDeque<StateDigest>,
}

/// What is to be written down.
#[derive(Debug)]
struct Written {
    digest: StateDigest,
    made: Timestamp,
    workload: Arc<str>,
    /// Nothing if two had the same id.
    conversation: Option<Conversation>,
    _held: Held,
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            vault: OnceLock::new(),
            waiting: Mutex::default(),
            changed: Notify::new(),
            budget: Budget::new(CONVERSATIONS_HELD_BYTES_MAX),
            reads: Semaphore::new(CONVERSATION_READS_MAX),
            writes: tokio::sync::Mutex::default(),
        }
    }
}

impl Conversations {
    /// Take over where they are kept; once.
    pub(crate) fn open(&self, store: Arc<dyn ConversationStore>, key: [u8; 32]) {
        // A second one would be the same.
        let _ = self.vault.set(Vault {
            store,
            key: Arc::new(MasterKey::new(key)),
        });
    }

    /// Whether there is a place to keep them.
    pub(crate) fn is_open(&self) -> bool {
        self.vault.get().is_some()
    }

    /// Room for so many bytes of what is on its way.
    fn hold(&self, bytes: usize) -> Option<Held> {
        self.budget.hold(bytes)
    }

    /// Keep one; it is found from now on.
    fn keep(&self, conversation: Conversation, held: Held, now: Timestamp) -> Result<(), Unkept> {
        let digest = StateDigest::of(&conversation.workload, &conversation.id);
        let mut waiting = self.waiting();
        let again = waiting.known.contains_key(&digest);
        if !again && waiting.order.len() >= CONVERSATIONS_WAITING_MAX {
            return Err(Unkept::NoRoom);
        }
        let written = Written {
            digest,
            made: now,
            workload: conversation.workload.clone(),
            conversation: (!again).then_some(conversation),
            _held: held,
        };
        waiting.known.insert(digest, Arc::new(written));
        if !again {
            waiting.order.push_back(digest);
        }
        drop(waiting);
        self.changed.notify_one();
        if again {
            return Err(Unkept::IdAgain);
        }
        Ok(())
    }

    /// The conversation up to an answer of this id to this workload, if it is kept.
    pub(crate) async fn find(
        &self,
        (workload, id): (&str, &str),
        since: Timestamp,
    ) -> Result<Option<Arc<Conversation>>, Fault> {
        if !is_id(id) {
            return Ok(None);
        }
        let digest = StateDigest::of(workload, id);
        if let Some(written) = self.waiting().known.get(&digest) {
            let fresh = written.conversation.as_ref();
            let fresh = fresh.filter(|_| written.made > since);
            return Ok(fresh.cloned().map(Arc::new));
        }
        let Vault { store, key } = self.vault()?;
        let _permit = self.reads.acquire().await.map_err(unavailable)?;
        let pair = (workload.to_owned(), id.to_owned());
        let found = spawn_blocking(move || {
            let sealed = store.find(&digest, since)?;
            let opened = sealed.map(|sealed| key.open((&pair.0, &pair.1), sealed));
            Ok::<_, StoreFailed>(opened)
        });
        match found.await.map_err(unavailable)?.map_err(unavailable)? {
            Some(None) => {
                tracing::warn!(
                    workload,
                    "a kept conversation cannot be opened: it was changed, or sealed with another key"
                );
                Ok(None)
            }
            found => Ok(found.flatten().map(Arc::new)),
        }
    }

    /// Keep the conversation with this id no longer; whether it was kept.
    pub(crate) async fn remove(&self, workload: &str, id: &str) -> Result<bool, Fault> {
        let digest = StateDigest::of(workload, id);
        let Vault { store, .. } = self.vault()?;
        let _alone = self.writes.lock().await;
        let waited = self.waiting().forget(&digest, None);
        let removed = spawn_blocking(move || store.remove(&digest)).await;
        let removed = removed.map_err(unavailable)?.map_err(unavailable)?;
        Ok(waited || removed)
    }

    /// Write down some of what waits, and have go what is over its bounds; whether more waits.
    async fn write(&self, gateway: &Gateway) -> bool {
        let Some(Vault { store, key }) = self.vault.get().cloned() else {
            return false;
        };
        let _alone = self.writes.lock().await;
        let generation = gateway.generation();
        let (kept, now) = (generation.conversations(), gateway.now());
        let bounds = bounds(kept, now);
        // Turned off meanwhile, nothing more is written.
        let batch = self.waiting().first();
        let written = if kept.is_some() {
            batch.clone()
        } else {
            Vec::new()
        };
        let count = written.len() as u64;
        let noted = spawn_blocking(move || {
            let sealed = written.iter().map(|one| one.sealed(&key));
            let sealed: Vec<SealedConversation> = sealed.collect::<Result<_, _>>()?;
            store.note(&sealed, bounds)
        });
        let failed = match noted.await {
            Ok(Ok(again)) => {
                gateway.metrics().conversations_kept.inc_by(count);
                if again > 0 {
                    tracing::warn!(
                        again,
                        "an upstream gave ids again that it gave before; neither answer is kept"
                    );
                }
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed {
            gateway.metrics().conversations_unkept.inc_by(count);
            tracing::error!(%error, count, "conversations were not written down; they are unknown from now on");
        }
        let mut waiting = self.waiting();
        for written in batch {
            waiting.forget(&written.digest, Some(&written));
        }
        !waiting.order.is_empty()
    }

    fn vault(&self) -> Result<Vault, Fault> {
        let vault = self.vault.get().cloned();
        vault.ok_or_else(|| unavailable("nothing is open where they could be"))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// As many as are written at once, in the order in which they were given.
    fn first(&self) -> Vec<Arc<Written>> {
        let mut bytes = 0_usize;
        let fits = |written: &&Arc<Written>| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(written.bytes().max(1));
            first || bytes <= CONVERSATIONS_WRITTEN_BYTES
        };
        let all = self
            .order
            .iter()
            .filter_map(|digest| self.known.get(digest));
        all.take_while(fits).cloned().collect()
    }

    /// Forget one, if it is still this one; whether there was something to be found.
    fn forget(&mut self, digest: &StateDigest, only: Option<&Arc<Written>>) -> bool {
        let known = self.known.get(digest);
        let this = known.filter(|known| only.is_none_or(|only| Arc::ptr_eq(known, only)));
        let Some(found) = this.map(|this| this.conversation.is_some()) else {
            return false;
        };
        self.known.remove(digest);
        self.order.retain(|other| other != digest);
        found
    }
}

impl Written {
    fn bytes(&self) -> usize {
        let conversation = self.conversation.as_ref();
        conversation.map_or(0, |one| one.input.len().saturating_add(one.response.len()))
    }

    fn sealed(&self, key: &MasterKey) -> Result<SealedConversation, StoreFailed> {
        let conversation = self.conversation.as_ref();
        let sealed = conversation.map(|conversation| key.seal(conversation));
        Ok(SealedConversation {
            digest: self.digest,
            workload: self.workload.clone(),
            made: self.made,
            sealed: sealed.transpose()?.unwrap_or_default(),
        })
    }
}

/// What may be kept now. Where nothing more is, what is still there goes at the end of the longest time.
fn bounds(kept: Option<&ConversationsConfig>, now: Timestamp) -> ConversationBounds {
    match kept {
        Some(kept) => ConversationBounds {
            since: kept.since(now),
            workload_bytes_max: kept.workload_bytes_max,
            bytes_max: kept.bytes_max,
        },
        None => ConversationBounds {
            since: ago(CONVERSATION_TIME_MAX, now),
            workload_bytes_max: u64::MAX,
            bytes_max: u64::MAX,
        },
    }
}

fn ago(time: Duration, now: Timestamp) -> Timestamp {
    now.saturating_sub(time).unwrap_or(Timestamp::MIN)
}

impl ConversationsConfig {
    /// What was made until then is kept no longer.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        ago(self.keep, now)
    }
}

fn unavailable(error: impl fmt::Display) -> Fault {
    tracing::error!(%error, "kept conversations cannot be read or changed");
    let message = "the conversations kept here cannot be read or changed now; ask again later, or send the whole \
        conversation as `input`";
    Fault::new(Code::ConversationsUnavailable, message).retry_after(5)
}

/// Write conversations down as they come, the last ones at the end, and have old ones go. Returns when `ended`.
pub async fn keep_conversations(gateway: Arc<Gateway>, ended: CancellationToken) {
    let conversations = gateway.conversations();
    let mut sweep = interval(CONVERSATION_SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut over = false;
    while !over {
        tokio::select! {
            biased;
            () = ended.cancelled() => over = true,
            () = conversations.changed.notified() => {}
            _ = sweep.tick() => {}
        }
        while conversations.write(&gateway).await {}
    }
}

#[cfg(test)]
mod tests;
