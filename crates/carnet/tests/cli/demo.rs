//! The start without a configuration: what it prints works as it is printed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A demonstration; it ends with the test.
struct Demo {
    child: Child,
    /// What it said, as far as the last line of the greeting.
    said: String,
}

impl Demo {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let mut child = sandbox
            .command()
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("every line explained") {
            said.push_str(&lines.next().unwrap().unwrap());
            said.push('\n');
        }
        Self { child, said }
    }

    /// The indented commands, each with the lines that it goes on over.
    fn commands(&self) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        let mut open = false;
        for line in self
            .said
            .lines()
            .filter_map(|line| line.strip_prefix("   "))
        {
            if open {
                let last = commands.last_mut().unwrap();
                last.push('\n');
                last.push_str(line);
            } else {
                commands.push(line.to_owned());
            }
            open = line.ends_with('\\');
        }
        commands
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run a line as a person would, in the same folder.
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let same = sandbox.command();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(sandbox.path(""));
    for (name, value) in same.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_first_minute_works_as_it_is_printed() {
    let sandbox = Sandbox::new();
    let demo = Demo::start(&sandbox, &[]);
    let commands = demo.commands();
    let [sum, refused, show, verify] = commands.as_slice() else {
        panic!("{commands:#?}");
    };
    let streamed = shell(&sandbox, sum);
    let mut answer = String::new();
    let mut reasoning = String::new();
    for event in streamed
        .lines()
        .filter_map(|line| line.strip_prefix("data: {"))
    {
        let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        let delta = &event["choices"][0]["delta"];
        answer.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
    }
    assert_eq!(answer, "47 + 85 = 132.");
    assert!(reasoning.contains("carry 1"), "{reasoning}");

    let error: Value = serde_json::from_str(&shell(&sandbox, refused)).unwrap();
    assert_eq!(error["error"]["code"], "policy_denied", "{error:#}");
    assert!(
        error["error"]["help"]
            .as_str()
            .unwrap()
            .starts_with("[[host]]")
    );

    let shown = shell(&sandbox, show);
    assert!(
        shown.contains("built-in") && shown.contains("unknown-host"),
        "{shown}"
    );
    assert!(shell(&sandbox, verify).starts_with("verified: "));

    let key = sandbox.state().join("demo.key");
    let mode = key.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn another_model_takes_the_place_of_the_demonstrations() {
    let sandbox = Sandbox::new();
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../carnet-engine/tests/fixtures"
    );
    let model = format!("{fixtures}/tied");
    let demo = Demo::start(&sandbox, &["--model", &model]);
    assert!(
        demo.said.contains("It runs `tied` in a process of its own"),
        "{}",
        demo.said
    );
    let commands = demo.commands();
    // The rules do not know it, and say what would let it through.
    let error: Value = serde_json::from_str(&shell(&sandbox, &commands[0])).unwrap();
    assert_eq!(error["error"]["code"], "policy_denied", "{error:#}");
    let help = error["error"]["help"].as_str().unwrap();
    // Filled in, these lines let it through.
    let filled = help
        .replace("model = \"…\"", "model = \"qwen-2.5\"")
        .replace("country = \"…\"", "country = \"DE\"")
        .replace("YYYY-MM-DD", "2099-12-31")
        .replace('…', "mine");
    drop(demo);
    sandbox.write("own.toml", filled);
    let demo = Demo::start(&sandbox, &["--model", &model, "--overlay", "own.toml"]);
    let streamed = shell(&sandbox, &demo.commands()[0]);
    assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
}
