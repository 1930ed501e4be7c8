//! The built binary as a running server, and what an operator does with it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{PATIENCE, Setup, until, within};

/// A running `carnet serve`. Killed when dropped; `finish` ends it in good order.
pub(crate) struct Gateway {
    pub(crate) setup: Setup,
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// A key for the workload `app`, and its public id.
    pub(crate) key: String,
    pub(crate) key_id: String,
    pub(crate) child: Child,
    stderr: Arc<Mutex<String>>,
    /// Ids of the records that callers with a valid key were told.
    pub(super) told: Mutex<Vec<String>>,
    /// Requests with a valid key whose caller did not wait for a header.
    untold: Mutex<usize>,
}

/// Has the shell become the server, with its standard input as the first socket that is handed over.
const HANDING_OVER: &str = "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&0 0</dev/null";

/// A process that has said that it is ready.
struct Running {
    data: SocketAddr,
    admin: SocketAddr,
    child: Child,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    async fn start(setup: &Setup) -> Self {
        let mut command = match &setup.handed {
            None => Command::new(env!("CARGO_BIN_EXE_carnet")),
            Some(_) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", HANDING_OVER, "sh", env!("CARGO_BIN_EXE_carnet")]);
                shell
            }
        };
        let stdin = match &setup.handed {
            None => Stdio::null(),
            Some(socket) => OwnedFd::from(socket.try_clone().unwrap()).into(),
        };
        command
            .arg("serve")
            .arg("--config")
            .arg(setup.path("carnet.toml"))
            .arg("--state")
            .arg(setup.path("state"))
            .arg("--ready-json")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in &setup.environment {
            command.env(name, value);
        }
        let mut child = command.spawn().unwrap();
        let stderr = gather(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(PATIENCE, "the start", lines.next_line())
            .await
            .unwrap();
        let Some(line) = line else {
            let _ = child.wait().await;
            panic!("the server did not start: {}", stderr.lock().unwrap());
        };
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        Self {
            data: address("data"),
            admin: address("admin"),
            child,
            stderr,
        }
    }
}

impl Gateway {
    pub(crate) async fn start(setup: Setup) -> Self {
        let running = Running::start(&setup).await;
        let mut gateway = Self {
            data: running.data,
            admin: running.admin,
            setup,
            key: String::new(),
            key_id: String::new(),
            child: running.child,
            stderr: running.stderr,
            told: Mutex::default(),
            untold: Mutex::default(),
        };
        (gateway.key_id, gateway.key) = gateway.new_key().await;
        gateway
    }

    /// End in good order and start again on the same state.
    pub(crate) async fn restart(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.stderr());
        self.start_again().await;
    }

    /// Start again on the same state after the process has ended.
    pub(crate) async fn start_again(&mut self) {
        let running = Running::start(&self.setup).await;
        (self.data, self.admin) = (running.data, running.admin);
        (self.child, self.stderr) = (running.child, running.stderr);
    }

    /// Make a key for the workload `app`: its id and its secret.
    pub(crate) async fn new_key(&self) -> (String, String) {
        self.key_for("app").await
    }

    /// Make a key for a workload: its id and its secret.
    pub(crate) async fn key_for(&self, workload: &str) -> (String, String) {
        self.key(&["create", "--workload", workload]).await
    }

    /// Make a key for the workload `app` on these terms: its id and its secret.
    pub(crate) async fn key_with(&self, terms: &[&str]) -> (String, String) {
        let create = ["create", "--workload", "app"];
        self.key(&[&create, terms].concat()).await
    }

    /// Have `carnet key` make a secret: the key's id and the secret.
    pub(crate) async fn key(&self, arguments: &[&str]) -> (String, String) {
        let line = [&["key"], arguments, &["--json"]].concat();
        let made = self.carnet(&line).await;
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// Run another `carnet` command on the same state.
    pub(crate) async fn carnet(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command
            .args(arguments)
            .arg("--state")
            .arg(self.setup.path("state"));
        command.kill_on_drop(true);
        within(PATIENCE, "a command", command.output())
            .await
            .unwrap()
    }

    /// Revoke a key as an operator does.
    pub(crate) async fn revoke(&self, id: &str) {
        let done = self.carnet(&["key", "revoke", id]).await;
        assert!(done.status.success(), "{done:?}");
    }

    /// All records, newest first, as the log has them now.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let shown = self
            .carnet(&["audit", "show", "--limit", "1000000", "--json"])
            .await;
        assert!(shown.status.success(), "{shown:?}");
        String::from_utf8(shown.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The first record for which `wanted` is true, as soon as there is one.
    pub(crate) async fn record_where(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, async || {
            self.records()
                .await
                .into_iter()
                .find(|record| wanted(record))
        })
        .await
    }

    /// The record with this id.
    pub(crate) async fn record(&self, id: &str) -> Value {
        until("the record", async || {
            let shown = self.carnet(&["audit", "show", id, "--json"]).await;
            let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
            Some(shown["record"].clone())
        })
        .await
    }

    /// The record of the only request so far.
    pub(crate) async fn only_record(&self) -> Value {
        self.record_where("a record", |record| record["kind"] == "request")
            .await
    }

    /// What the server has written to stderr.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// A request with a valid key whose caller hangs up before it learns the record's id.
    pub(crate) fn expect_untold(&self, requests: usize) {
        *self.untold.lock().unwrap() += requests;
    }

    /// A record's id that a caller with a valid key was told, where the test reads it by itself.
    pub(crate) fn expect_told(&self, id: &str) {
        self.told.lock().unwrap().push(id.to_owned());
    }

    /// Send a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Wait for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within(PATIENCE, "the end", self.child.wait())
            .await
            .unwrap()
    }

    /// End in good order; then the log must verify and have exactly one record for each request
    /// of a valid key, under the id that its caller was told. All records, newest first.
    pub(crate) async fn finish(mut self) -> Vec<Value> {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.stderr());
        self.check_log().await
    }

    /// What `finish` says of the log of a process that has ended.
    pub(crate) async fn check_log(&self) -> Vec<Value> {
        let verified = self.carnet(&["audit", "verify", "--json"]).await;
        assert!(verified.status.success(), "{verified:?}");
        let records = self.records().await;
        assert_eq!(records[0]["kind"], "stop", "{records:#?}");
        let written: Vec<&str> = records
            .iter()
            .filter(|record| record["kind"] == "request")
            .map(|record| record["id"].as_str().unwrap())
            .collect();
        let all = written.len();
        let written: BTreeSet<&str> = written.into_iter().collect();
        assert_eq!(written.len(), all, "a record stands in the log twice");
        let asked = self.told.lock().unwrap().clone();
        let told: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
        assert_eq!(
            told.len(),
            asked.len(),
            "two requests were told the same record"
        );
        let missing: Vec<_> = told.difference(&written).collect();
        assert!(missing.is_empty(), "no record of {missing:?}");
        let untold = *self.untold.lock().unwrap();
        assert_eq!(
            all,
            told.len() + untold,
            "records, and requests of a valid key"
        );
        records
    }
}

fn gather(mut stderr: tokio::process::ChildStderr) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let all = text.clone();
    tokio::spawn(async move {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = stderr.read(&mut piece).await {
            let piece = String::from_utf8_lossy(&piece[..length]);
            all.lock().unwrap().push_str(&piece);
        }
    });
    text
}
