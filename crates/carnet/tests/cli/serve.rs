//! `carnet serve` that cannot start, and a second one on the same state.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::sandbox::{GOOD, Sandbox};

/// A running server; it ends with the test.
struct Server(Child);

impl Server {
    /// Start, and wait until it takes requests.
    fn start(sandbox: &Sandbox) -> Self {
        Self::of(sandbox.command())
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .args(["serve", "--ready-json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains(r#""data":"127.0.0.1:"#), "{line}");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration with these addresses.
fn config(data: &str, admin: &str, server: &str) -> String {
    format!(
        "[server]\nlisten = \"{data}\"\n{server}\n[admin]\nlisten = \"{admin}\"\n[[workload]]\nid = \"a\"\n"
    )
}

const ANY: &str = "127.0.0.1:0";

#[test]
fn a_port_that_is_taken_is_named() {
    let holder = TcpListener::bind(ANY).unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let texts = [
        &format!("cannot listen on {taken}"),
        "help: end the program that has it, or choose another address: `listen` in carnet.toml",
    ];
    for (data, admin) in [(taken.as_str(), ANY), (ANY, taken.as_str())] {
        let sandbox = Sandbox::new();
        sandbox.write("carnet.toml", config(data, admin, ""));
        sandbox.run("serve").complains(&texts);
        // Nothing holds the state afterwards.
        sandbox.run("key list").exits(GOOD);
        sandbox.write("carnet.toml", config(ANY, ANY, ""));
        drop(Server::start(&sandbox));
    }
}

#[test]
fn it_has_as_many_files_open_as_it_may() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", config(ANY, ANY, ""));
    let own = sandbox.command();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -Sn 256 && exec \"$0\" \"$@\""])
        .arg(own.get_program())
        .envs(
            own.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(own.get_current_dir().unwrap());
    let server = Server::of(command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.0.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3], words[4]);
    assert_ne!(words[3], "256");
}

#[test]
fn one_state_has_one_server_and_keys_go_through_it() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", config(ANY, ANY, ""));
    let server = Server::start(&sandbox);
    sandbox
        .run("serve")
        .complains(&["another process already works with this state", "help: "]);
    sandbox
        .run("key create --workload a --out a.key")
        .exits(GOOD)
        .says(&["wrote key_"]);
    let keys = sandbox.run("key list --json");
    let keys = keys.exits(GOOD).json_lines();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let id = keys[0]["id"].as_str().unwrap();
    sandbox.run(&format!("key revoke {id}")).exits(GOOD);
    sandbox
        .run("key revoke key_0000000000000000")
        .complains(&["there is no key `key_0000000000000000`", "help: "]);
    drop(server);
    let keys = sandbox.run("key list --json");
    assert!(keys.exits(GOOD).json()["revoked"].is_string(), "{keys:?}");
}

#[test]
fn tls_files_that_cannot_be_used_stop_the_start() {
    let sandbox = Sandbox::new();
    let tls = "tls = { cert = \"server.pem\", key = \"server.key\" }";
    sandbox.write("carnet.toml", config(ANY, ANY, tls));
    sandbox.run("serve").complains(&[
        "`server.pem`: cannot read it",
        "`server.key`: cannot read it",
        "--> carnet.toml:",
        "help: check the path and its permissions",
    ]);
    sandbox
        .write("server.pem", "nothing\n")
        .write("server.key", "nothing\n");
    sandbox
        .run("serve")
        .complains(&["TLS", "server.tls.cert", "help: "]);
}

#[test]
fn a_mistake_in_the_configuration_stops_the_start() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", "[server]\nlisen = \"127.0.0.1:0\"\n");
    sandbox.run("serve").complains(&[
        "unknown key `lisen`",
        "--> carnet.toml:2:1",
        "help: did you mean `listen`?",
    ]);
    sandbox.write("carnet.toml", "[policy]\npacks = [\"nowhere\"]\n");
    sandbox
        .run("serve")
        .complains(&["there is no pack `nowhere`"]);
    sandbox.run("key list").exits(GOOD);
}

#[test]
fn a_damaged_signing_key_is_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", config(ANY, ANY, ""));
    drop(Server::start(&sandbox));
    let key = sandbox.state().join("audit.key");
    std::fs::write(&key, "damaged").unwrap();
    sandbox.run("serve").complains(&[
        &format!("the signing key `{}` is damaged", key.display()),
        "help: restore it from your backup",
    ]);
    assert_eq!(std::fs::read_to_string(key).unwrap(), "damaged");
}
