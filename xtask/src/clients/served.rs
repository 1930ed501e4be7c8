//! The product as the benchmark starts it and asks it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::WORKLOAD;
use super::gateway::{self, Gateway, Setup};
use crate::mock::{ask, read_answer};
use crate::repo::Repo;

/// How the product is set up: what it does for each request.
pub(crate) struct Duties<'a> {
    /// Names the folder of configuration and state.
    pub(crate) name: &'a str,
    /// Port of the data listener; 0 takes any.
    pub(crate) port: u16,
    pub(crate) upstream: &'a str,
    /// Decisions that are kept.
    pub(crate) decisions_max: usize,
    /// Whether requests are looked through, and decided over twenty rules instead of one.
    pub(crate) all: bool,
    /// An engine's part of the configuration, if there is to be one.
    pub(crate) engine: &'a str,
}

/// Configuration, policy and key, ready to be started.
pub(crate) struct Served {
    pub(crate) key: String,
    pub(crate) start: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    setup: Setup,
}

impl Served {
    /// Prepares them for this build of the product.
    pub(crate) fn new(repo: &Repo, carnet: &Path, duties: &Duties<'_>) -> Result<Self> {
        let (detect, pack) = match duties.all {
            true => ("true", "./policy"),
            false => ("false", "./open"),
        };
        let setup = Setup::named(repo, "bench", &format!("bench-{}", duties.name))?
            .with("port", &duties.port.to_string())
            .with("upstream", duties.upstream)
            .with("decisions_max", &duties.decisions_max.to_string())
            .with("detect", detect)
            .with("pack", pack)
            .with("engine", duties.engine)
            .of(carnet);
        let key = setup.key(WORKLOAD)?;
        Ok(Self {
            key,
            start: setup.start_words(),
            env: gateway::environment(),
            setup,
        })
    }

    /// Starts it outside the benchmark.
    pub(crate) fn run(&self) -> Result<Running<'_>> {
        self.run_through(&[])
    }

    /// The same by another program, which becomes it.
    pub(crate) fn run_through(&self, through: &[String]) -> Result<Running<'_>> {
        Ok(Running {
            gateway: self.setup.start_through(through)?,
            served: self,
        })
    }

    /// How many records of requests the log has, and in how many of them something was found.
    pub(crate) fn records(&self) -> Result<(usize, usize)> {
        let records = self.setup.whole_records()?;
        let found = records.iter().filter(|record| {
            let detections = record.get("detections").and_then(Value::as_array);
            detections.is_some_and(|detections| !detections.is_empty())
        });
        let found = found.count();
        Ok((records.len(), found))
    }
}

/// The product, running for a count.
pub(crate) struct Running<'a> {
    gateway: Gateway,
    served: &'a Served,
}

impl Running<'_> {
    /// Sends the same request so many times; how many were answered with 200.
    pub(crate) fn answered(&self, body: &str, times: usize) -> usize {
        let once = || {
            read_answer(ask(
                self.gateway.data,
                "/v1/chat/completions",
                Some(&self.served.key),
                body.as_bytes(),
            )?)
        };
        (0..times)
            .filter(|_| once().is_ok_and(|answer| answer.status == 200 && answer.complete))
            .count()
    }

    /// Where it takes requests.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.data
    }

    /// The whole request with this body, for a connection that stays open.
    pub(crate) fn request(&self, body: &str) -> Vec<u8> {
        let Served { key, .. } = self.served;
        let to = self.gateway.data;
        let length = body.len();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.gateway.pid()
    }

    /// A line of `/proc/PID/status` in MB, such as `VmRSS` or `VmHWM`.
    pub(crate) fn memory_mb(&self, line: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let value = text
            .lines()
            .find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes =
            value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kilobytes.with_context(|| format!("no `{line}` in its status"))? / 1024.0)
    }

    /// CPU time of the gateway's process so far, in microseconds; engines are processes of their own.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        self.gateway.cpu_us()
    }

    /// A counter, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<usize> {
        self.gateway
            .metric(name, &self.served.setup.metrics_token()?)
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.gateway.stop()
    }
}
