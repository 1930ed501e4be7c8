//! As much of HTTP/1.1 as a mock upstream and its driver need, written out so that every byte and
//! every moment is under control.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A request is a test's own; this bounds what a broken one can do.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The same for one line of a head.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// No test waits longer for a peer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Header names in lower case.
pub(crate) type Headers = BTreeMap<String, String>;

/// A request as it was read.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// The mock's side of a connection.
pub(crate) struct Conversation {
    read: BufReader<TcpStream>,
    write: TcpStream,
}

impl Conversation {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            write: stream.try_clone()?,
            read: BufReader::new(stream),
        })
    }

    /// The next request, or none when the peer has closed the connection.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(first) = line(&mut self.read)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        let headers = headers(&mut self.read)?;
        if headers
            .get("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            self.write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        if headers.contains_key("transfer-encoding") {
            chunked(&mut self.read, &mut body)?;
        } else if let Some(length) = headers
            .get("content-length")
            .and_then(|value| value.parse().ok())
        {
            sized(&mut self.read, length, &mut body)?;
        }
        Ok(Some(Request {
            method,
            path,
            headers,
            body,
        }))
    }

    /// Sends status line and headers; `length` none means a chunked body follows.
    pub(crate) fn head(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        length: Option<usize>,
    ) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &length.map_or_else(
            || "transfer-encoding: chunked\r\n\r\n".to_owned(),
            |n| format!("content-length: {n}\r\n\r\n"),
        );
        self.write.write_all(head.as_bytes())
    }

    /// Sends bytes of a body of known length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes)
    }

    /// Sends one chunk of a chunked body; an empty one ends it.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.write.write_all(&framed)
    }

    /// Sends a whole JSON answer.
    pub(crate) fn json(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> io::Result<()> {
        let text = body.to_string();
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.head(status, &all, Some(text.len()))?;
        self.bytes(text.as_bytes())
    }

    /// Waits, with an eye on the peer: an error if it hangs up before the time is over.
    pub(crate) fn wait(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            self.write.set_read_timeout(Some(left))?;
            let seen = self.write.peek(&mut [0]);
            self.write.set_read_timeout(None)?;
            match seen {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // The next request is already there: nothing more to learn from the socket.
                Ok(_) => {
                    std::thread::sleep(left);
                    return Ok(());
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Closes the connection at once, in both directions.
    pub(crate) fn hang_up(&mut self) {
        let _ = self.write.shutdown(std::net::Shutdown::Both);
    }
}

/// The standard's own phrases: some clients show them.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        424 => "Failed Dependency",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

/// A line without its end; none at the end of the stream.
fn line(read: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    read.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

fn headers(read: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Headers::new();
    while let Some(line) = line(read)?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok(headers)
}

fn sized(read: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    if body.len().saturating_add(length) > BODY_BYTES_MAX {
        return Err(ErrorKind::OutOfMemory.into());
    }
    let before = body.len();
    read.take(u64::try_from(length).unwrap_or(u64::MAX))
        .read_to_end(body)?;
    if body.len() - before < length {
        Err(ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

fn chunked(read: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let head = line(read)?.ok_or(ErrorKind::UnexpectedEof)?;
        let size = head.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)?;
        if size == 0 {
            while !line(read)?.ok_or(ErrorKind::UnexpectedEof)?.is_empty() {}
            return Ok(());
        }
        sized(read, size, body)?;
        line(read)?;
    }
}

/// An answer as a plain client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub(crate) complete: bool,
}

/// Sends a POST with a JSON body and returns the open connection.
pub(crate) fn ask(
    to: SocketAddr,
    path: &str,
    key: Option<&str>,
    body: &[u8],
) -> io::Result<TcpStream> {
    let length = body.len();
    let more = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    let mut stream = begin(to, "POST", path, key, &more)?;
    stream.write_all(body)?;
    Ok(stream)
}

/// Gets a page.
pub(crate) fn get(to: SocketAddr, path: &str, key: &str) -> io::Result<Answer> {
    read_answer(begin(to, "GET", path, Some(key), "")?)
}

fn begin(
    to: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    more: &str,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let key = key
        .map(|key| format!("authorization: Bearer {key}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\naccept: */*\r\nconnection: close\r\n{key}{more}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

/// Reads the answer to [`ask`] to its end.
pub(crate) fn read_answer(stream: TcpStream) -> io::Result<Answer> {
    let mut read = BufReader::new(stream);
    let first = line(&mut read)?.ok_or(ErrorKind::UnexpectedEof)?;
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or(ErrorKind::InvalidData)?;
    let headers = headers(&mut read)?;
    let mut body = Vec::new();
    let ended = if headers.contains_key("transfer-encoding") {
        chunked(&mut read, &mut body)
    } else if let Some(length) = headers
        .get("content-length")
        .and_then(|value| value.parse().ok())
    {
        sized(&mut read, length, &mut body)
    } else {
        read.read_to_end(&mut body).map(|_| ())
    };
    Ok(Answer {
        status,
        headers,
        body,
        complete: ended.is_ok(),
    })
}
