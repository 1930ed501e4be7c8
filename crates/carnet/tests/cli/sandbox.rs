//! A folder in which one test runs the binary, and what came out.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use tempfile::TempDir;

/// Good: permitted, verified, every line answered.
pub(crate) const GOOD: i32 = 0;
/// Denied, failed, differences found.
pub(crate) const BAD: i32 = 1;
/// Usage, configuration or input/output error.
pub(crate) const ERROR: i32 = 2;
/// Unknown.
pub(crate) const UNKNOWN: i32 = 3;

/// See the module.
pub(crate) struct Sandbox(TempDir);

/// How a command ended.
pub(crate) struct Run {
    line: String,
    code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where a file of this folder lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The state directory that the binary finds by its environment.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/carnet")
    }

    /// Write a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// The text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The binary in this folder, with nothing of the tester's environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    /// Run a line of words; a word with spaces needs [`Sandbox::args`].
    pub(crate) fn run(&self, line: &str) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.args(&words)
    }

    /// Run these arguments.
    pub(crate) fn args(&self, args: &[&str]) -> Run {
        let mut command = self.command();
        command.args(args);
        Run::of(command, None)
    }

    /// Run a line of words with an argument that need not be text.
    pub(crate) fn with_bytes(&self, line: &str, last: &[u8]) -> Run {
        let mut command = self.command();
        command
            .args(line.split_whitespace())
            .arg(std::ffi::OsStr::from_bytes(last));
        Run::of(command, None)
    }

    /// Run a line of words with this standard input.
    pub(crate) fn feed(&self, line: &str, input: impl AsRef<[u8]>) -> Run {
        let mut command = self.command();
        command.args(line.split_whitespace());
        Run::of(command, Some(input.as_ref()))
    }
}

impl Run {
    fn of(mut command: Command, input: Option<&[u8]>) -> Self {
        let line = command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let writer = input.map(|input| {
            let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
            std::thread::spawn(move || {
                // A command may stop reading; what it answers is what counts.
                let _ = stdin.write_all(&input);
            })
        });
        let output = child.wait_with_output().unwrap();
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
        Self {
            line,
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The exit code.
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// All of these stand on standard output.
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(
                self.out.contains(text),
                "no `{text}` in the answer: {self:?}"
            );
        }
        self
    }

    /// An error: exit code 2, nothing on standard output, all of these on standard error.
    pub(crate) fn complains(&self, texts: &[&str]) -> &Self {
        self.exits(ERROR).warns(texts);
        assert_eq!(self.out, "", "an error answers nothing: {self:?}");
        self
    }

    /// All of these stand on standard error.
    pub(crate) fn warns(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(
                self.err.contains(text),
                "no `{text}` in the complaint: {self:?}"
            );
        }
        self
    }

    /// Nothing stands on standard error.
    pub(crate) fn quietly(&self) -> &Self {
        assert_eq!(self.err, "", "{self:?}");
        self
    }

    /// Standard output as one JSON object.
    pub(crate) fn json(&self) -> Value {
        let lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.into_iter().next().unwrap()
    }

    /// Standard output as JSON Lines.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
            })
            .collect()
    }

    /// The last line of standard output.
    pub(crate) fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            code,
            out,
            err,
        } = self;
        write!(f, "\n$ carnet {line}\n{out}{err}[{code:?}]")
    }
}

/// The keys of a JSON object in the order in which they stand.
pub(crate) fn keys(object: &str) -> Vec<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Keys)
        .unwrap()
}
