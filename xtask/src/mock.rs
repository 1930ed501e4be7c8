//! A scripted upstream on a loopback port: it answers as the prompt's words tell it to, replays
//! recorded exchanges cut as hostilely as asked, and keeps a ledger of what it was sent.
//!
//! One thread a connection and blocking sockets: it must see the moment at which a peer hangs up,
//! and nothing here has to be fast.

mod agent;
mod control;
mod http;
mod ledger;
mod recorded;
mod replay;
mod script;
mod told;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::console;
use crate::repo::Repo;

pub(crate) use http::{Answer, Conversation, ask, get, read_answer};
pub(crate) use ledger::{End, Seen};
pub(crate) use recorded::{ARRAY_STREAM, Exchange, Unserved};
pub(crate) use replay::{CUTS, Manner};

use http::Request;
use ledger::Ledger;
use replay::Cassettes;

/// A running mock upstream.
pub(crate) struct Mock {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    ledger: Ledger,
    cassettes: Cassettes,
    told: told::Queue,
    connections: AtomicU64,
}

impl Mock {
    /// Binds the port (0 = any) and serves from a thread until the process ends.
    pub(crate) fn start(port: u16, cassettes: Option<&Path>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot listen on port {port}"))?;
        let address = listener.local_addr()?;
        let cassettes = cassettes
            .map(Cassettes::load)
            .transpose()?
            .unwrap_or_default();
        let shared = Arc::new(Shared {
            ledger: Ledger::default(),
            cassettes,
            told: told::Queue::default(),
            connections: AtomicU64::new(0),
        });
        let for_threads = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&for_threads);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen_from(0)
    }

    /// What was seen from this number on.
    pub(crate) fn seen_from(&self, number: usize) -> Vec<Seen> {
        self.shared.ledger.from(number)
    }

    /// How many requests were seen.
    pub(crate) fn seen_count(&self) -> usize {
        self.shared.ledger.count()
    }

    /// The recorded exchanges that can be replayed.
    pub(crate) fn exchanges(&self) -> &[Exchange] {
        self.shared.cassettes.all()
    }

    /// The recorded exchanges that the gateway does not serve.
    pub(crate) fn unserved(&self) -> &[Unserved] {
        self.shared.cassettes.unserved()
    }

    /// Answers every request from now on with this exchange.
    pub(crate) fn arm(&self, id: &str, manner: Manner) -> Result<()> {
        self.shared
            .cassettes
            .arm(id, manner)
            .map_err(anyhow::Error::msg)
    }
}

/// `cargo xtask mock-upstream [--port N] [--cassettes DIR]`: serves until it is stopped.
pub(crate) fn command(repo: &Repo, words: &[String]) -> Result<()> {
    let mut port = 0;
    let mut folder = repo.shared("cassettes/normalized");
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("`{word}` needs a value"))?;
        match word.as_str() {
            "--port" => {
                port = value
                    .parse()
                    .with_context(|| format!("`{value}` is no port"))?
            }
            "--cassettes" => folder = Some(value.into()),
            other => bail!("no option `{other}`; there are --port and --cassettes"),
        }
    }
    let mock = Mock::start(port, folder.as_deref())?;
    console::say(json!({"listening": mock.url(), "exchanges": mock.exchanges().len()}));
    loop {
        thread::park();
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(mut talk) = Conversation::new(stream) else {
            return;
        };
        while let Ok(Some(request)) = talk.request() {
            if !self.answer(&mut talk, &request, number) {
                return;
            }
        }
    }

    /// Answers one request; false when the connection is finished with.
    fn answer(&self, talk: &mut Conversation, request: &Request, connection: u64) -> bool {
        if let Some(rest) = request.path.strip_prefix("/__") {
            return control::answer(self, talk, request, rest);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let armed = self.cassettes.armed();
        let matches = armed.as_ref().map(|(exchange, _)| exchange.asks(&body));
        let number = self.ledger.open(request, connection, matches);
        let end = match (self.told.next(), armed) {
            (Some(told), _) => told::play(talk, &told),
            (None, Some((exchange, manner))) => replay::play(talk, &exchange, manner),
            (None, None) => script::play(talk, request, &body, number, &mut |sent| {
                self.ledger.sent(number, sent)
            }),
        };
        self.ledger.close(number, end);
        end == End::Answered
    }
}

#[cfg(test)]
mod tests;
