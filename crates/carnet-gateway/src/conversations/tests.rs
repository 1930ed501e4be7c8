//! What is kept, for whom and until when, with a store in memory.

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A store that keeps everything, and can be made to fail.
#[derive(Debug, Default)]
struct Memory {
    known: Mutex<HashMap<StateDigest, Vec<u8>>>,
    fails: bool,
}

impl Memory {
    fn answer<T>(&self, value: T) -> Result<T, StoreFailed> {
        if self.fails {
            Err("the disk is gone".into())
        } else {
            Ok(value)
        }
    }
}

impl ConversationStore for Memory {
    fn find(&self, digest: &StateDigest, _: Timestamp) -> Result<Option<Vec<u8>>, StoreFailed> {
        self.answer(self.known.lock().unwrap().get(digest).cloned())
    }

    fn note(
        &self,
        sealed: &[SealedConversation],
        _: ConversationBounds,
    ) -> Result<usize, StoreFailed> {
        let mut known = self.known.lock().unwrap();
        known.extend(sealed.iter().map(|one| (one.digest, one.sealed.clone())));
        self.answer(0)
    }

    fn remove(&self, digest: &StateDigest) -> Result<bool, StoreFailed> {
        self.answer(self.known.lock().unwrap().remove(digest).is_some())
    }
}

fn conversation(workload: &str, id: &str) -> Conversation {
    Conversation {
        workload: workload.into(),
        id: id.into(),
        requested: "m".into(),
        input: r#"{"role":"user","content":"a"}"#.into(),
        response: format!(
            r#"{{"id":"{id}","output":[{{"type":"reasoning"}},{{"type":"message","content":"b"}}]}}"#
        )
        .into(),
    }
}

fn keep(conversations: &Conversations, id: &str) -> Result<(), Unkept> {
    let held = conversations.hold(1).unwrap();
    conversations.keep(conversation("one", id), held, NOW)
}

fn opened(store: Memory) -> Conversations {
    let conversations = Conversations::default();
    conversations.open(Arc::new(store), [1; 32]);
    conversations
}

#[test]
fn a_conversation_is_its_input_and_what_was_said() {
    let kept = conversation("one", "r");
    let want = r#"{"role":"user","content":"a"},{"type":"message","content":"b"}"#;
    assert_eq!(kept.items(), want);
    let again = Conversation::of_bytes(("one", "r"), kept.to_bytes().into());
    assert_eq!(again, Some(kept.clone()));
    let short = Bytes::from(kept.to_bytes()).slice(..20);
    assert_eq!(Conversation::of_bytes(("one", "r"), short), None);
    assert_eq!(
        Conversation::of_bytes(("one", "r"), vec![255; 40].into()),
        None
    );
}

#[tokio::test]
async fn what_waits_is_found_for_its_workload_until_it_is_too_old() {
    let conversations = opened(Memory::default());
    keep(&conversations, "resp_1").unwrap();
    let before = NOW - Duration::from_secs(1);
    let find = |workload: &'static str, id: &'static str, since| {
        let found = conversations.find((workload, id), since);
        async move { found.await.unwrap().is_some() }
    };
    assert!(find("one", "resp_1", before).await);
    assert!(!find("one", "resp_1", NOW).await, "its time is over");
    assert!(!find("two", "resp_1", before).await);
    assert!(!find("one", "resp_2", before).await);
    assert!(!find("one", "../resp_1", before).await);
    assert!(conversations.remove("one", "resp_1").await.unwrap());
    assert!(!find("one", "resp_1", before).await);
    assert!(!conversations.remove("one", "resp_1").await.unwrap());
    assert_eq!(conversations.budget.used(), 0);
}

#[tokio::test]
async fn two_answers_of_one_id_are_told_neither() {
    let conversations = opened(Memory::default());
    let since = NOW - Duration::from_secs(1);
    keep(&conversations, "resp_1").unwrap();
    assert_eq!(keep(&conversations, "resp_1"), Err(Unkept::IdAgain));
    let found = conversations.find(("one", "resp_1"), since).await;
    assert_eq!(found.unwrap(), None);
    let waiting = conversations.waiting().first();
    let sealed = waiting[0].sealed(&MasterKey::new([1; 32])).unwrap();
    assert_eq!((waiting.len(), sealed.sealed), (1, Vec::new()));
}

#[test]
fn what_waits_is_bounded() {
    let conversations = opened(Memory::default());
    for number in 0..CONVERSATIONS_WAITING_MAX {
        keep(&conversations, &number.to_string()).unwrap();
    }
    assert_eq!(keep(&conversations, "more"), Err(Unkept::NoRoom));
    assert_eq!(
        conversations.waiting().first().len(),
        CONVERSATIONS_WAITING_MAX
    );
    let rest = CONVERSATIONS_HELD_BYTES_MAX - conversations.budget.used();
    assert!(conversations.hold(rest + 1).is_none());
    assert!(conversations.hold(rest).is_some());
}

#[tokio::test]
async fn a_store_that_fails_or_is_not_open_is_told_and_never_taken_for_empty() {
    let failing = opened(Memory {
        fails: true,
        ..Memory::default()
    });
    for conversations in [failing, Conversations::default()] {
        let found = conversations.find(("one", "resp_1"), NOW).await;
        assert_eq!(found.unwrap_err().code, Code::ConversationsUnavailable);
        let removed = conversations.remove("one", "resp_1").await;
        assert_eq!(removed.unwrap_err().code, Code::ConversationsUnavailable);
    }
}

#[tokio::test]
async fn what_was_changed_in_the_store_is_not_found() {
    let store = Memory::default();
    let kept = conversation("one", "resp_1");
    let digest = StateDigest::of("one", "resp_1");
    let mut sealed = MasterKey::new([1; 32]).seal(&kept).unwrap();
    store.known.lock().unwrap().insert(digest, sealed.clone());
    let conversations = opened(store);
    let found = conversations.find(("one", "resp_1"), NOW).await.unwrap();
    assert_eq!(found.as_deref(), Some(&kept));
    sealed[20] ^= 1;
    let store = Memory::default();
    store.known.lock().unwrap().insert(digest, sealed);
    let found = opened(store).find(("one", "resp_1"), NOW).await.unwrap();
    assert_eq!(found, None);
}

/// Let an answer pass in pieces, and say what of it is kept.
fn heard(events: bool, bytes_max: usize, pieces: &[&str]) -> Result<Option<Bytes>, Unkept> {
    let conversations = Conversations::default();
    let asked = Asked {
        requested: "m".into(),
        input: "{}".into(),
        bytes_max,
    };
    let mut listening = Listening::new(&conversations, asked, events)?;
    for piece in pieces {
        if let Some(response) = listening.looks(piece.as_bytes())? {
            return Ok(Some(response));
        }
    }
    Ok(listening.whole())
}

#[test]
fn an_answer_is_heard_whole_within_its_bound() {
    let response = r#"{"id":"resp_1","status":"completed","output":[]}"#;
    let event = format!("data: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n");
    let (one, two) = event.split_at(30);
    let first = "data: {\"type\":\"response.created\",\"response\":{}}\n\n";
    let kept = Ok(Some(Bytes::copy_from_slice(response.as_bytes())));
    assert_eq!(heard(true, 500, &[first, one, two]), kept);
    assert_eq!(heard(true, 500, &[first, one]), Ok(None));
    assert_eq!(heard(true, 20, &[first, one, two]), Err(Unkept::TooLong));
    let (one, two) = response.split_at(10);
    assert_eq!(heard(false, 500, &[one, two]), kept);
    assert_eq!(
        heard(false, response.len() + 1, &[one, two]),
        Err(Unkept::TooLong)
    );
    assert_eq!(heard(false, 1, &[]), Err(Unkept::TooLong));
}
