//! A folder with configuration and overlay, from which a gateway is started.

use std::net::TcpListener;
use std::path::PathBuf;

use tempfile::TempDir;

use super::Gateway;

/// One's own machine, told completely: what the pack `default` permits.
pub(crate) const OVERLAY: &str = r#"
[[host]]
id = "rack"
kind = "local"
operator = "me"
country = "DE"
parent_country = "DE"
regions = [{ id = "here", country = "DE" }]
complete = true
egress = "none"
reason = "my own machine"
author = "me"
until = "2099-12-31"
"#;

/// What is configured before the start.
pub(crate) struct Setup {
    pub(crate) folder: TempDir,
    server: String,
    policy: String,
    routing: String,
    upstreams: String,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// A socket that is handed to the server, as a service manager does.
    pub(crate) handed: Option<TcpListener>,
}

impl Setup {
    /// One upstream at this address that serves everything.
    pub(crate) fn new(base_url: &str) -> Self {
        Self::with(&entry("local", base_url, ""))
    }

    /// These upstream entries.
    pub(crate) fn with(upstreams: &str) -> Self {
        let setup = Self {
            folder: tempfile::tempdir().unwrap(),
            server: String::new(),
            policy: r#"packs = ["default"]"#.to_owned(),
            // Most tests say what becomes of one attempt.
            routing: "attempts = 1".to_owned(),
            upstreams: upstreams.to_owned(),
            environment: Vec::new(),
            handed: None,
        };
        setup.write("overlay.toml", OVERLAY);
        setup
    }

    /// Lines for `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server = lines.to_owned();
        self
    }

    /// Other lines for `[routing]`.
    pub(crate) fn routing(mut self, lines: &str) -> Self {
        self.routing = lines.to_owned();
        self
    }

    /// Other lines for `[policy]`.
    pub(crate) fn policy(mut self, lines: &str) -> Self {
        self.policy = lines.to_owned();
        self
    }

    /// Rules that permit everything, to whatever it goes.
    pub(crate) fn permitting_all(self) -> Self {
        self.write(
            "all/pack.toml",
            "name = \"all\"\ntitle = \"All\"\ndescription = \"Everything.\"\nmode = \"enforce\"\ntrust = \"overlay\"\n",
        );
        self.write(
            "all/rules.cedar",
            "@id(\"all\")\n@title(\"everything\")\npermit (principal, action, resource);\n",
        );
        self.policy("packs = [\"all\"]")
    }

    /// A variable of the server's environment.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Where a file of this folder lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Write a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The text of `carnet.toml`.
    pub(crate) fn config(&self) -> String {
        // On a busy machine a test may take so long that a comment falls due.
        let quiet = if self.server.contains("keep_alive_seconds") {
            ""
        } else {
            "keep_alive_seconds = 0\n"
        };
        format!(
            r#"[server]
listen = "127.0.0.1:0"
{quiet}{}

[admin]
listen = "127.0.0.1:0"

[policy]
{}

[registry]
overlay = ["overlay.toml"]

[routing]
{}

[[workload]]
id = "app"
{}"#,
            self.server, self.policy, self.routing, self.upstreams
        )
    }

    /// Write the configuration as it is now.
    pub(crate) fn save(&self) {
        self.write("carnet.toml", &self.config());
    }

    /// Start the server and make a key for its workload.
    pub(crate) async fn start(self) -> Gateway {
        self.save();
        Gateway::start(self).await
    }
}

/// An upstream entry with the three models that the tests ask for.
pub(crate) fn entry(name: &str, base_url: &str, more: &str) -> String {
    format!(
        r#"
[[upstream]]
name = "{name}"
base_url = "{base_url}"
platform = "ollama"
host = "rack"
models = [
  {{ name = "llama3.3:70b" }},
  {{ name = "house-model", upstream_model = "llama3.3:70b" }},
  {{ name = "mystery" }},
]
{more}
"#
    )
}
