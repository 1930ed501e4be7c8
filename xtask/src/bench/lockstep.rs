//! An upstream and a caller that go in step: the next chunk of a stream is written when the caller has read the one before,
//! so that each passes through the gateway by itself, however slow that is.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::mock::Conversation;

/// A program under a tracer is slow, but not that slow.
const PATIENCE: Duration = Duration::from_secs(120);
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"mock-model","choices":[{"index":0,"message":{"role":"assistant","content":"The border crossing at the pass is open from six in the morning until ten at night. Queues are shortest before eight."},"finish_reason":"stop"}],"usage":{"prompt_tokens":186,"completion_tokens":48,"total_tokens":234}}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"mock-model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a few more words \"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"mock-model\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Answers on a loopback port until the process ends.
pub(super) struct Upstream {
    address: SocketAddr,
    next: Sender<Option<()>>,
}

impl Upstream {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let address = listener.local_addr()?;
        let (next, told) = channel();
        let told = Arc::new(Mutex::new(told));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = told.clone();
                // A connection that breaks ends its own thread; the caller sees it too.
                thread::spawn(move || drop(serve(stream, &told)));
            }
        });
        Ok(Self { address, next })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets it write the next chunk, or with none the end.
    fn go_on(&self, more: Option<()>) -> Result<()> {
        self.next.send(more).context("the upstream ended")
    }
}

fn serve(stream: TcpStream, told: &Mutex<Receiver<Option<()>>>) -> io::Result<()> {
    let mut conversation = Conversation::new(stream)?;
    while let Some(request) = conversation.request()? {
        let streamed = request
            .body
            .windows(13)
            .any(|part| part == b"\"stream\":true");
        if !streamed {
            conversation.head(
                200,
                &[("content-type", "application/json")],
                Some(ANSWER.len()),
            )?;
            conversation.bytes(ANSWER.as_bytes())?;
            continue;
        }
        conversation.head(200, &[("content-type", "text/event-stream")], None)?;
        let Ok(told) = told.lock() else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        conversation.chunk(CHUNK.as_bytes())?;
        while let Ok(Some(())) = told.recv_timeout(PATIENCE) {
            conversation.chunk(CHUNK.as_bytes())?;
        }
        conversation.chunk(LAST.as_bytes())?;
        conversation.chunk(b"")?;
    }
    Ok(())
}

/// A caller with one connection, which stays open.
pub(super) struct Caller {
    write: TcpStream,
    read: BufReader<TcpStream>,
}

impl Caller {
    pub(super) fn connect(to: SocketAddr) -> Result<Self> {
        let write = TcpStream::connect(to)?;
        write.set_nodelay(true)?;
        write.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            read: BufReader::new(write.try_clone()?),
            write,
        })
    }

    /// Sends a request and reads its answer to the end: with `chunks`, a stream of so many.
    pub(super) fn ask(&mut self, request: &[u8], chunks: usize, upstream: &Upstream) -> Result<()> {
        self.write.write_all(request)?;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let answered = status.split(' ').nth(1) == Some("200");
        match length {
            Some(length) => {
                let body = self.exactly(length)?;
                if !answered {
                    bail!("{status}: {}", String::from_utf8_lossy(&body));
                }
                ensure!(
                    chunks == 0,
                    "an answer of known length came in the place of a stream"
                );
            }
            None => {
                ensure!(answered, "{status}");
                self.stream(chunks, upstream)?;
            }
        }
        Ok(())
    }

    fn stream(&mut self, chunks: usize, upstream: &Upstream) -> Result<()> {
        let (mut seen, mut done) = (0, false);
        loop {
            let head = self.line()?;
            let size = usize::from_str_radix(head.split(';').next().unwrap_or_default().trim(), 16)
                .with_context(|| format!("no size of a chunk: `{head}`"))?;
            let piece = self.exactly(size)?;
            self.line()?;
            if size == 0 {
                break;
            }
            done |= piece.windows(6).any(|part| part == b"[DONE]");
            // What comes after the last of them is the end, in one piece or two.
            if seen < chunks && piece.windows(6).any(|part| part == b"data: ") {
                seen += 1;
                upstream.go_on((seen < chunks).then_some(()))?;
            }
        }
        ensure!(
            done && seen == chunks,
            "a stream of {chunks} chunks came in {seen} pieces"
        );
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.read.read_line(&mut line)? > 0, "the gateway hung up");
        Ok(line.trim_end().to_owned())
    }

    fn exactly(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        Read::take(&mut self.read, u64::try_from(bytes)?).read_to_end(&mut all)?;
        ensure!(all.len() == bytes, "the gateway hung up in an answer");
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(to: SocketAddr, body: &str) -> Vec<u8> {
        format!(
            "POST / HTTP/1.1\r\nhost: {to}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    #[test]
    fn answers_and_streams_follow_each_other_on_one_connection() {
        let upstream = Upstream::start().unwrap();
        let to = upstream.address();
        let mut caller = Caller::connect(to).unwrap();
        let (plain, streamed) = (
            request(to, "{\"stream\":false}"),
            request(to, "{\"stream\":true}"),
        );
        for _ in 0..3 {
            caller.ask(&plain, 0, &upstream).unwrap();
            caller.ask(&streamed, 5, &upstream).unwrap();
        }
        assert!(caller.ask(&plain, 5, &upstream).is_err());
    }
}
