//! The upstreams of the fault run: each row of the table has one that goes wrong in its own way until it is healed, and all
//! of them count what they were asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};

use super::rows::{Fault, Row};
use crate::mock::Conversation;

/// What a good answer says.
pub(super) const GOOD: &str = "All is well, and this is the whole answer to the question. ";
/// What must never reach a caller: it stands where no answer is.
pub(super) const FORGED: &str = "forged";
/// No fault lasts longer: the gateway gives up before.
const STALL: Duration = Duration::from_secs(60);
/// How often a listener without anything to do looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A head that no reader has to take.
const HUGE_HEAD_LINES: usize = 40_000;
/// What an upstream says at most to a caller who does not read: far more than sockets and the gateway may hold.
const ENDLESS_BYTES: usize = 256 << 20;

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Faulty,
    Forbidden,
    Second,
}

/// All upstreams of one gateway.
pub(super) struct Upstreams {
    pub(super) http: SocketAddr,
    state: Arc<State>,
    /// Those that go wrong before a request is known.
    own: BTreeMap<&'static str, SocketAddr>,
}

#[derive(Default)]
struct State {
    seen: Mutex<BTreeMap<(Role, String), usize>>,
    healed: Mutex<BTreeSet<String>>,
    /// Rows with a listener of their own that have taken that over.
    listening: Mutex<BTreeMap<&'static str, bool>>,
    reported: BTreeMap<String, String>,
    faults: BTreeMap<&'static str, Fault>,
    /// Bytes that a caller who does not read let through.
    endless: AtomicUsize,
    /// Answers that the gateway ended by hanging up.
    hung_up: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upstreams {
    /// Starts them; they serve from threads until the process ends.
    pub(super) fn start(rows: &[Row], reported: &BTreeMap<String, String>) -> Result<Self> {
        let state = Arc::new(State {
            reported: reported.clone(),
            faults: rows.iter().map(|row| (row.name, row.fault)).collect(),
            ..State::default()
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let http = listener.local_addr()?;
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(stream));
            }
        });
        let mut own = BTreeMap::new();
        for row in rows.iter().filter(|row| row.fault.is_of_connection()) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
            let address = listener.local_addr()?;
            own.insert(row.name, address);
            let (state, row) = (Arc::clone(&state), *row);
            thread::spawn(move || state.connections(listener, address, row));
        }
        Ok(Self { http, state, own })
    }

    /// The base address of a row's own upstream.
    pub(super) fn base_url(&self, row: &Row) -> String {
        let address = self.own.get(row.name).unwrap_or(&self.http);
        format!("http://{address}/faulty/{}/v1", row.name)
    }

    /// Lets a row's upstream answer well, or go wrong again.
    pub(super) fn heal(&self, row: &Row, well: bool) {
        let mut healed = lock(&self.state.healed);
        if well {
            healed.insert(row.name.to_owned());
        } else {
            healed.remove(row.name);
        }
        drop(healed);
        let taken_over = || lock(&self.state.listening).get(row.name) == Some(&well);
        let begun = Instant::now();
        while row.fault.is_of_connection() && !taken_over() && begun.elapsed() < STALL {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// How many requests of a row were read in this role.
    pub(super) fn seen(&self, role: Role, row: &str) -> usize {
        let seen = lock(&self.state.seen);
        seen.get(&(role, row.to_owned())).copied().unwrap_or(0)
    }

    /// How many requests were read in this role.
    pub(super) fn seen_as(&self, role: Role) -> usize {
        let seen = lock(&self.state.seen);
        let of_role = seen.iter().filter(|((known, _), _)| *known == role);
        of_role.map(|(_, count)| count).sum()
    }

    /// Begins to count anew what callers who do not read let through.
    pub(super) fn forget_endless(&self) {
        self.state.endless.store(0, Ordering::Relaxed);
    }

    /// The most bytes that a caller who does not read let through, and answers that the gateway ended.
    pub(super) fn endless(&self) -> (usize, usize) {
        let (bytes, ended) = (&self.state.endless, &self.state.hung_up);
        (bytes.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
    }
}

impl State {
    fn is_healed(&self, row: &str) -> bool {
        lock(&self.healed).contains(row)
    }

    /// Serves the upstream of a row that goes wrong with connections as such.
    fn connections(self: Arc<Self>, listener: TcpListener, address: SocketAddr, row: Row) {
        let mut listener = Some(listener);
        let mut kept = Vec::new();
        loop {
            let healed = self.is_healed(row.name);
            if row.fault == Fault::Refuse && !healed {
                listener = None;
            } else if listener.is_none() {
                listener = TcpListener::bind(address).ok();
            }
            if healed {
                kept.clear();
            }
            lock(&self.listening).insert(row.name, healed);
            let Some(listening) = &listener else {
                thread::sleep(LOOK_EVERY);
                continue;
            };
            let _ = listening.set_nonblocking(true);
            let Ok((stream, _)) = listening.accept() else {
                thread::sleep(LOOK_EVERY);
                continue;
            };
            let _ = stream.set_nonblocking(false);
            match (healed, row.fault) {
                (false, Fault::ResetAtOnce) => reset(&stream),
                // Nothing is ever read of it.
                (false, _) => kept.push(stream),
                (true, _) => {
                    let state = Arc::clone(&self);
                    thread::spawn(move || state.serve(stream));
                }
            }
        }
    }

    /// Answers the only request of a connection: one that is kept would count among the descriptors.
    fn serve(&self, stream: TcpStream) {
        let (Ok(raw), Ok(mut talk)) = (stream.try_clone(), Conversation::new(stream)) else {
            return;
        };
        let Ok(Some(request)) = talk.request() else {
            return;
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let asked = body.get("model").and_then(Value::as_str);
        let asked = asked.unwrap_or_default().to_owned();
        let mut parts = request.path.trim_start_matches('/').split('/');
        let (role, row) = match (parts.next(), parts.next()) {
            (Some("faulty"), Some(row)) => (Role::Faulty, row.to_owned()),
            (Some("second"), _) => (Role::Second, asked.clone()),
            _ => (Role::Forbidden, asked.clone()),
        };
        *lock(&self.seen).entry((role, row.clone())).or_default() += 1;
        let fault = self.faults.get(&*row).copied();
        let fault = fault.filter(|_| role == Role::Faulty && !self.is_healed(&row));
        let answer = Answer {
            model: match (fault, self.reported.get(&row)) {
                (Some(Fault::Reports), Some(name)) => name.clone(),
                _ => asked,
            },
            stream: body.get("stream").and_then(Value::as_bool) == Some(true),
        };
        // Whoever hangs up before the end is what is tested.
        let _ = match fault {
            None => talk.bytes(&answer.good()),
            Some(fault) => self.go_wrong(&mut talk, &raw, fault, &answer),
        };
    }

    fn go_wrong(
        &self,
        talk: &mut Conversation,
        raw: &TcpStream,
        fault: Fault,
        answer: &Answer,
    ) -> io::Result<()> {
        let good = answer.good();
        let head = answer.head_length();
        let middle = head + (good.len() - head) / 2;
        let part = |end: usize| good.get(..end).unwrap_or_default();
        match fault {
            // These need no request.
            Fault::Deaf | Fault::Refuse | Fault::ResetAtOnce => Ok(()),
            Fault::BadChunking => {
                talk.bytes(answer.chunked_head().as_bytes())?;
                // One that is, and then what is none.
                let body = answer.events_or_body();
                talk.chunk(body.get(..body.len() / 2).unwrap_or_default())?;
                talk.bytes(b"zz\r\nno chunk\r\n")
            }
            Fault::BadEvents => talk.bytes(&answer.framed(
                "text/event-stream",
                b"data: {\"choices\": nothing\n\n\xff\xfe\x00 event\nid\n\ndata\ndata: [\n\n",
            )),
            Fault::BadJson => talk.bytes(&answer.framed(
                "application/json",
                b"{\"id\": \"c1\", \"choices\": [{\"index\"",
            )),
            Fault::CloseInBody => talk.bytes(part(middle)),
            Fault::CloseInstead => Ok(()),
            Fault::Drip => {
                for byte in &good {
                    talk.bytes(&[*byte])?;
                    // A packet for each, and a pause now and then that shows.
                    if byte.is_ascii_punctuation() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                Ok(())
            }
            Fault::Endless => self.endless_to(talk, answer),
            Fault::Good => talk.bytes(&good),
            Fault::HalfHead => {
                talk.bytes(part(head / 2))?;
                talk.wait(STALL)
            }
            Fault::HugeHead => {
                talk.bytes(b"HTTP/1.1 200 OK\r\n")?;
                for line in 0..HUGE_HEAD_LINES {
                    talk.bytes(format!("x-{line}: {FORGED}\r\n").as_bytes())?;
                }
                talk.wait(STALL)
            }
            Fault::LongLength => talk.bytes(&answer.lying(17)),
            Fault::NotHttp => {
                talk.bytes(b"SSH-2.0-upstream_1.0\r\n\x00\x00\x01\x02garbage\r\n\r\n")
            }
            Fault::Reports => talk.bytes(&good),
            Fault::ResetInBody => {
                talk.bytes(part(middle))?;
                // What was written goes out before the reset.
                thread::sleep(Duration::from_millis(20));
                reset(raw);
                Ok(())
            }
            Fault::ResetInstead => {
                reset(raw);
                Ok(())
            }
            Fault::ShortLength => {
                talk.bytes(&answer.lying(-17))?;
                let forged = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\"{FORGED}\"",
                    FORGED.len() + 2
                );
                talk.bytes(forged.as_bytes())
            }
            Fault::Slow => {
                talk.bytes(answer.chunked_head().as_bytes())?;
                for _ in 0..1_000 {
                    talk.chunk(answer.event(GOOD).as_bytes())?;
                    if talk.wait(Duration::from_millis(10)).is_err() {
                        self.hung_up.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
                Ok(())
            }
            Fault::StallInBody => {
                talk.bytes(part(middle))?;
                talk.wait(STALL)
            }
            Fault::StallInstead => talk.wait(STALL),
            Fault::Status(status) => {
                let error = json!({"error": {"message": "the fault run says no", "type": "overloaded", "code": null, "param": null}});
                talk.json(status, &[("connection", "close")], &error)
            }
        }
    }

    /// Says more than anybody may keep for a caller who does not read it.
    fn endless_to(&self, talk: &mut Conversation, answer: &Answer) -> io::Result<()> {
        talk.bytes(answer.chunked_head().as_bytes())?;
        let event = answer.event(&GOOD.repeat(64));
        let mut sent = 0;
        while sent < ENDLESS_BYTES {
            if talk.chunk(event.as_bytes()).is_err() {
                self.hung_up.fetch_add(1, Ordering::Relaxed);
                break;
            }
            sent += event.len();
            self.endless.fetch_max(sent, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Ends a connection by a reset, when its last descriptor is closed.
fn reset(stream: &TcpStream) {
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

/// What a request is answered with.
struct Answer {
    model: String,
    stream: bool,
}

impl Answer {
    fn event(&self, text: &str) -> String {
        let choice = json!([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}]);
        self.chunk_of(&choice)
    }

    fn chunk_of(&self, choices: &Value) -> String {
        let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": self.model, "choices": choices});
        format!("data: {chunk}\n\n")
    }

    fn events(&self) -> String {
        let words = GOOD.split_inclusive(' ').map(|word| self.event(word));
        let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
        let all: String = words.collect();
        format!("{all}{}data: [DONE]\n\n", self.chunk_of(&end))
    }

    fn body(&self) -> String {
        let choice = json!([{"index": 0, "message": {"role": "assistant", "content": GOOD}, "finish_reason": "stop"}]);
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 12, "total_tokens": 15});
        json!({"id": "c1", "object": "chat.completion", "created": 1, "model": self.model, "choices": choice, "usage": usage})
            .to_string()
    }

    fn kind(&self) -> &'static str {
        if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        }
    }

    fn events_or_body(&self) -> Vec<u8> {
        if self.stream {
            self.events().into_bytes()
        } else {
            self.body().into_bytes()
        }
    }

    fn head(&self, kind: &str, framing: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\nconnection: close\r\n\r\n")
    }

    fn chunked_head(&self) -> String {
        self.head(self.kind(), "transfer-encoding: chunked")
    }

    fn framed(&self, kind: &str, body: &[u8]) -> Vec<u8> {
        let head = self.head(kind, &format!("content-length: {}", body.len()));
        [head.as_bytes(), body].concat()
    }

    /// The whole good answer: a stream in one chunk for each event, the other with its length.
    fn good(&self) -> Vec<u8> {
        if !self.stream {
            return self.framed(self.kind(), self.body().as_bytes());
        }
        let mut all = self.chunked_head().into_bytes();
        for event in self.events().split_inclusive("\n\n") {
            all.extend(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes());
        }
        all.extend(b"0\r\n\r\n");
        all
    }

    fn head_length(&self) -> usize {
        let good = self.good();
        let end = good.windows(4).position(|four| four == b"\r\n\r\n");
        end.map_or(good.len(), |at| at + 4)
    }

    /// The good answer under a length that is wrong by so much.
    fn lying(&self, by: isize) -> Vec<u8> {
        let body = self.events_or_body();
        let length = body.len().saturating_add_signed(by);
        let head = self.head(self.kind(), &format!("content-length: {length}"));
        [head.into_bytes(), body].concat()
    }
}
