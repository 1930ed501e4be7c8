//! What the side-by-side benchmark does not measure: whether every duty was done for every request, how often the medium
//! is waited for, memory of many open streams, connections that open all at once, growth over a million requests, and an
//! engine beside.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::harness::Harness;
use super::results::median;
use crate::clients::{Running, Served};
use crate::console;

/// Requests of the run that counts what was done.
const COUNTED: usize = 10_000;
/// Clients at once in that run.
const CLIENTS: usize = 8;
/// CPU time a request may cost while an engine is at work, in multiples of that while it rests.
const ENGINE_LOAD_MAX: f64 = 1.10;
/// How often either is measured, in turn, and the requests of each time.
const ENGINE_LOAD_ROUNDS: usize = 5;
const ENGINE_LOAD_REQUESTS: usize = 8_000;
/// Large requests whose connections open at once.
const AT_ONCE: usize = 1_500;
const LARGE_BYTES: usize = 150 * 1024;
/// The upstream keeps their answers so long, so that all of them are open together.
const HELD_MS: u32 = 6_000;
/// Streams that are open together, where the limit of open files lets so many be: each takes two in the product.
pub(super) const STREAMS: usize = 10_000;
/// Files that the product has open besides.
const OTHER_FILES: u64 = 500;
/// What streams need at the most.
const FILES: u64 = 2 * STREAMS as u64 + OTHER_FILES;
/// The growth is counted from about so many requests, and to so many.
const SOAK: u64 = 1_000_000;
/// However slow the machine is, it ends after this time.
const SOAK_SECS_MAX: f64 = 300.0;
/// How an answer begins that is none of an error.
const ANSWERED: &[u8; 12] = b"HTTP/1.1 200";
/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured besides.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) counts: Option<Counts>,
    pub(super) at_once: Option<AtOnce>,
    pub(super) streams: Option<Streams>,
    pub(super) soak: Option<Soak>,
}

/// What was done for so many requests.
#[derive(Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) sent: usize,
    pub(super) answered: usize,
    pub(super) decisions: usize,
    pub(super) scans: usize,
    pub(super) records: usize,
    /// Records that say what was found.
    pub(super) found: usize,
    /// Calls that wait for the medium, and the seconds in which they were made, where they could be counted.
    pub(super) syncs: Option<(usize, f64)>,
}

/// Large requests whose connections opened at once.
#[derive(Debug)]
pub(super) struct AtOnce {
    pub(super) requests: usize,
    pub(super) dropped: usize,
    pub(super) peak_mb: f64,
}

/// Streams open together.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) wanted: usize,
    pub(super) open: usize,
    pub(super) each_kb: f64,
}

/// Memory after some requests and after many.
#[derive(Debug)]
pub(super) struct Soak {
    /// Requests and MB.
    pub(super) before: (u64, f64),
    pub(super) after: (u64, f64),
}

impl Counts {
    /// Every duty was done once for each request.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self {
            sent,
            answered,
            decisions,
            scans,
            records,
            found,
            ..
        } = self;
        if [answered, decisions, scans, records, found]
            .iter()
            .all(|count| *count == sent)
        {
            Ok(())
        } else {
            Err(format!("they differ: {self}"))
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            sent,
            answered,
            decisions,
            scans,
            records,
            found,
            syncs,
        } = self;
        write!(
            f,
            "requests sent {sent}, answered {answered}, decisions {decisions}, scans {scans}, records {records}, \
             with findings {found}; "
        )?;
        match syncs {
            Some((calls, seconds)) => write!(
                f,
                "{calls} fsync calls in {seconds:.1} s: {:.1} a second, {:.4} a record",
                *calls as f64 / seconds,
                *calls as f64 / *records as f64
            ),
            None => f.write_str("fsync calls not counted (no strace, or it may not trace)"),
        }
    }
}

impl Soak {
    /// Growth beyond 2 % or 1 MB, whichever is more.
    pub(super) fn beyond_mb(&self) -> f64 {
        let ((_, before), (_, after)) = (self.before, self.after);
        (after - before - (before * 0.02).max(1.0)).max(0.0)
    }
}

/// Lets this program and those that it starts have as many open files as they may.
pub(super) fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = Rlimit {
        current: Some(maximum.map_or(FILES, |maximum| maximum.max(FILES))),
        maximum: maximum.map(|maximum| maximum.max(FILES)),
    };
    // Only a privileged process may go beyond its maximum; others have to do with that.
    if current.is_none_or(|current| current >= FILES) || setrlimit(Resource::Nofile, enough).is_ok()
    {
        return;
    }
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Sends a counted number of requests in which there is something to find, and asks the product what it did. `strace`
/// counts the calls that wait for the medium, and stops the product for no other.
pub(super) fn count(served: &Served, strace: Option<&Path>, traced: &Path) -> Result<Counts> {
    let body = body("Please write to jane.doe@acme.test about card 4111 1111 1111 1111.");
    let watch: Vec<String> = strace.map_or_else(Vec::new, |strace| {
        [
            &strace.display().to_string(),
            // The tracer is the grandchild, and the process started is the product.
            "-D",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-e",
            "trace=fsync,fdatasync,sync_file_range,syncfs,msync",
            "-o",
            &traced.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec()
    });
    let (running, watched) = match served.run_through(&watch) {
        Ok(running) => (running, !watch.is_empty()),
        // Where tracing is not allowed, the rest is counted all the same.
        Err(_) if !watch.is_empty() => (served.run()?, false),
        Err(error) => return Err(error),
    };
    let calls = || -> Result<usize> {
        Ok(fs::read_to_string(traced)?
            .lines()
            .filter(|line| is_call(line))
            .count())
    };
    let before = if watched { calls()? } else { 0 };
    let begun = Instant::now();
    let answered = send(&running, &body, COUNTED);
    let seconds = begun.elapsed().as_secs_f64();
    let syncs = if watched {
        Some((calls()? - before, seconds))
    } else {
        None
    };
    let metric = |name: &str| running.metric(name);
    let (decisions, scans, records) = (
        metric("carnet_decisions_total")?,
        metric("carnet_scans_total")?,
        metric("carnet_records_total")?,
    );
    running.stop()?;
    let (written, found) = served.records()?;
    ensure!(
        written == records,
        "it counted {records} records, and its log has {written}"
    );
    Ok(Counts {
        sent: COUNTED,
        answered,
        decisions,
        scans,
        records,
        found,
        syncs,
    })
}

/// A line of a trace in which a call begins: one that another thread's interrupts has a second line for its end.
fn is_call(line: &str) -> bool {
    let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    [
        "fsync(",
        "fdatasync(",
        "sync_file_range(",
        "syncfs(",
        "msync(",
    ]
    .iter()
    .any(|name| call.starts_with(name))
}

fn body(text: &str) -> String {
    json!({"model": "mock-model", "messages": [{"role": "user", "content": text}]}).to_string()
}

/// Sends so many requests by several clients; how many were answered.
fn send(running: &Running<'_>, body: &str, requests: usize) -> usize {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| running.answered(body, requests / CLIENTS)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or(0))
            .sum()
    })
}

/// Opens a connection for each large request, all of them before the first is sent, and counts the answers.
pub(super) fn at_once(served: &Served) -> Result<AtOnce> {
    let running = served.run()?;
    let text = format!(
        "delay_ms={HELD_MS} {}",
        "Which papers do I show? ".repeat(LARGE_BYTES / 24)
    );
    let request = running.request(&body(&text));
    let streams: Vec<Option<TcpStream>> = (0..AT_ONCE).map(|_| connect(&running).ok()).collect();
    let sent = streams.into_iter().map(|stream| {
        let mut stream = stream?;
        stream.write_all(&request).ok()?;
        Some(stream)
    });
    let sent: Vec<Option<TcpStream>> = sent.collect();
    let answered = sent.into_iter().flatten().filter_map(|mut stream| {
        let mut status = [0; ANSWERED.len()];
        stream.read_exact(&mut status).ok()?;
        (status == *ANSWERED).then_some(())
    });
    let answered = answered.count();
    let peak_mb = running.memory_mb("VmHWM")?;
    running.stop()?;
    Ok(AtOnce {
        requests: AT_ONCE,
        dropped: AT_ONCE - answered,
        peak_mb,
    })
}

fn connect(running: &Running<'_>) -> Result<TcpStream> {
    let stream = TcpStream::connect(running.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Opens streams that stay open after their first chunk, and sees what memory each takes.
pub(super) fn streams(served: &Served) -> Result<Streams> {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(FILES);
    let wanted = usize::try_from(files.saturating_sub(OTHER_FILES) / 2)?.min(STREAMS);
    let running = served.run()?;
    let body = json!({
        "model": "mock-model",
        "stream": true,
        "messages": [{"role": "user", "content": "chunks=2 gap_us=600000000"}],
    })
    .to_string();
    let request = running.request(&body);
    let open = |count| -> Result<Vec<TcpStream>> {
        let mut streams = Vec::new();
        while streams.len() < count {
            match begin_stream(connect(&running)?, &request)? {
                Some(stream) => streams.push(stream),
                None => break,
            }
        }
        Ok(streams)
    };
    // What the first streams take stays for others: buffers, threads, code that is read from the disk.
    drop(open(64)?);
    let before = running.memory_mb("VmRSS")?;
    let streams = open(wanted)?;
    let after = running.memory_mb("VmRSS")?;
    let taken = streams.len();
    drop(streams);
    running.stop()?;
    ensure!(taken > 0, "not one stream began");
    Ok(Streams {
        wanted,
        open: taken,
        each_kb: (after - before) * 1024.0 / taken as f64,
    })
}

/// Reads a stream up to its first chunk; none if it was refused.
fn begin_stream(mut stream: TcpStream, request: &[u8]) -> Result<Option<TcpStream>> {
    stream.write_all(request)?;
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !contains(&seen, b"data: ") {
        let read = stream.read(&mut piece)?;
        seen.extend_from_slice(piece.get(..read).unwrap_or_default());
        let refused = seen.len() >= ANSWERED.len() && !seen.starts_with(ANSWERED);
        if refused || read == 0 {
            return Ok(None);
        }
    }
    Ok(Some(stream))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Memory after about ten thousand requests, and after a million.
pub(super) fn soak(harness: &Harness<'_>, only: &str) -> Result<Soak> {
    let results = harness.soak(only, SOAK, SOAK_SECS_MAX)?;
    if let Some((row, why)) = results.errors().next() {
        anyhow::bail!("{}: {why}", row.target);
    }
    let row = results.rows(only).next().context("it was not measured")?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of requests"
    )]
    let before = (row.rps * super::harness::SOAK_BEFORE_SECS) as u64;
    Ok(Soak {
        before: (before, row.load_rss_mb),
        after: (before + row.soak_requests, row.soak_rss_mb),
    })
}

/// Measures what a request to the upstream costs the gateway while its engine rests and while it works.
pub(super) fn engine_load(served: &Served) -> Result<()> {
    let running = served.run()?;
    let short = body("hello");
    let long = json!({
        "model": "carnet-sums",
        "n": 8,
        "temperature": 1,
        "messages": [{"role": "user", "content": "Sort 47, 85, 12, 63, 9, 700"}],
    })
    .to_string();
    let one = || -> Result<f64> {
        let before = running.cpu_us()?;
        let answered = send(&running, &short, ENGINE_LOAD_REQUESTS);
        ensure!(
            answered == ENGINE_LOAD_REQUESTS,
            "{answered} of {ENGINE_LOAD_REQUESTS} requests were answered"
        );
        Ok((running.cpu_us()? - before) / ENGINE_LOAD_REQUESTS as f64)
    };
    one()?;
    let (mut resting, mut working) = (Vec::new(), Vec::new());
    for _ in 0..ENGINE_LOAD_ROUNDS {
        resting.push(one()?);
        let over = AtomicBool::new(false);
        let (cost, answers) = thread::scope(|scope| {
            let loader = scope.spawn(|| {
                let mut answers = 0;
                while !over.load(Ordering::Relaxed) {
                    answers += running.answered(&long, 1);
                }
                answers
            });
            let cost = one();
            over.store(true, Ordering::Relaxed);
            (cost, loader.join().unwrap_or(0))
        });
        working.push(cost?);
        ensure!(answers > 0, "the engine did not answer");
    }
    running.stop()?;
    let medians = median(resting).zip(median(working));
    let (resting, working) = medians.context("nothing was measured")?;
    let ratio = working / resting;
    console::say(format_args!(
        "engine at rest {resting:.1} us a request, at work {working:.1} us: {ratio:.2} times"
    ));
    ensure!(
        ratio <= ENGINE_LOAD_MAX,
        "the bar is {ENGINE_LOAD_MAX:.2} times"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        Counts {
            sent: 100,
            answered: 100,
            decisions: 100,
            scans: 100,
            records: 100,
            found: 100,
            syncs: Some((6, 2.0)),
        }
    }

    #[test]
    fn every_duty_is_done_once_for_each_request() {
        assert_eq!(counts().check(), Ok(()));
        let less: [fn(&mut Counts); 5] = [
            |one| one.answered = 99,
            |one| one.decisions = 101,
            |one| one.scans = 0,
            |one| one.records = 99,
            |one| one.found = 99,
        ];
        for change in less {
            let mut one = counts();
            change(&mut one);
            assert!(one.check().is_err(), "{one}");
        }
        assert!(
            counts()
                .to_string()
                .ends_with("6 fsync calls in 2.0 s: 3.0 a second, 0.0600 a record")
        );
    }

    #[test]
    fn a_call_is_counted_once() {
        let trace = "12 fdatasync(9 <unfinished ...>\n13 fsync(10) = 0\n12 <... fdatasync resumed>) = 0\n\
                     12 --- SIGTERM {si_signo=SIGTERM} ---\n";
        assert_eq!(trace.lines().filter(|line| is_call(line)).count(), 2);
    }

    #[test]
    fn growth_is_what_goes_beyond_both_allowances() {
        let beyond = |before, after| {
            let soak = Soak {
                before: (1, before),
                after: (2, after),
            };
            soak.beyond_mb()
        };
        assert_eq!(beyond(20.0, 21.0).to_string(), "0");
        assert_eq!(beyond(20.0, 23.0).to_string(), "2");
        assert_eq!(beyond(100.0, 102.0).to_string(), "0");
        assert_eq!(beyond(100.0, 90.0).to_string(), "0");
    }
}
