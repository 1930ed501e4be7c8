//! What can be typed. Each command's work is in `commands`.

mod key;
mod registry;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::import::Product;

pub(crate) use key::{CreateArgs, KeyCommand, RotateArgs, Told};
pub(crate) use registry::{
    BundleArgs, BundleKeyArgs, DiffArgs, ExportArgs, GraphArgs, GraphFormat, ListArgs,
    RegistryCommand, RegistryKind, ServicesArgs, ShowArgs, StatsArgs, UpdateArgs, ValidateArgs,
};

/// Border control for AI models: know what answers, decide by written policy, keep the evidence.
#[derive(Debug, Parser)]
#[command(name = "carnet", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 permitted, verified, every line answered; 1 denied, failed, differences found; \
2 usage, configuration or input/output error; 3 unknown or inconclusive.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway: data on 127.0.0.1:4390, admin and metrics on 127.0.0.1:4391.
    Serve(ServeArgs),
    /// Run one model and answer on a Unix socket; `carnet serve` starts this by itself.
    Engine(EngineArgs),
    /// Tell what a model id is: producer, lineage, host, law, each with its source.
    Resolve(ResolveArgs),
    /// Ask whether a model would be permitted, and why.
    Check(CheckArgs),
    /// Write a bill of materials for models: CycloneDX 1.6 or SPDX 3.0.1.
    Bom(BomArgs),
    /// Rules: list, show, check, test, explain, compare, simulate, report and prove them.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look into the facts, compare them, and take newer ones over.
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Show and verify the log of records.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make, list, rotate and revoke keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look at configuration, state directory and machine, and say what is wrong and what to do about it.
    Doctor(DoctorArgs),
    /// Put the state directory into one file, also beside a running server.
    Backup(BackupArgs),
    /// Make a state directory of a backup.
    Restore(RestoreArgs),
    /// Write, check and describe the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Where configuration and state lie.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Configuration file. Default: carnet.toml if it is there, else a demonstration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// State directory. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Run this model beside what the configuration offers: a GGUF file, or a folder with safetensors.
    /// Without a configuration it takes the place of the demonstration's model.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) model: Option<PathBuf>,
    /// File with your own facts, beside those that the configuration names; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Vec<PathBuf>,
    /// Address and port for applications, instead of what the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Address and port of the admin listener, instead of what the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// Print one JSON line with the bound addresses once requests are taken, and nothing else on stdout.
    #[arg(long)]
    pub(crate) ready_json: bool,
    /// Open a log whose journal is damaged, as after a power cut: what is readable is kept, what is
    /// lost is recorded, and the damaged files are copied to `audit.damaged`.
    #[arg(long)]
    pub(crate) repair_log: bool,
    /// Threads that carry requests. Default: one for each core that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Open a connection to each upstream, with TLS, and close it again; no request is sent.
    #[arg(long, conflicts_with = "live")]
    pub(crate) connect: bool,
    /// Ask only whether the data listener answers, as a container's health check does.
    #[arg(long)]
    pub(crate) live: bool,
    /// Where the data listener of the running server is, if not where the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<std::net::SocketAddr>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write, mode 0600, or a folder for one named after the time; `-` writes to standard output.
    /// It holds secrets: the key that signs the log, the key that opens conversations, the admin tokens.
    #[arg(long, value_name = "FILE", default_value = ".")]
    pub(crate) to: PathBuf,
    /// State directory. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Leave the secrets out. Such a backup can be looked into and verified; a server goes on from it only once its
    /// keys lie beside it again.
    #[arg(long)]
    pub(crate) without_keys: bool,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `carnet backup` made; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// State directory to make; one that is there must be empty. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// GGUF file, or folder with safetensors, tokenizer and configuration. Default: the model that comes
    /// with Carnet, unpacked beside the socket.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Unix socket to answer on; one that is there already is replaced.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// The name by which requests ask for the model. Default: the file's.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Threads that compute. Default: one fewer than cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=crate::engine::THREADS_MAX))]
    pub(crate) threads: Option<u64>,
    /// Megabytes of memory for the weights and one answer.
    #[arg(long, value_name = "N", default_value_t = crate::engine::MEMORY_MB, value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    pub(crate) memory_mb: u64,
    /// Tokens of prompt and answer together; less if the model was made for less.
    #[arg(long, value_name = "N", default_value_t = crate::engine::CONTEXT_TOKENS, value_parser = clap::value_parser!(u64).range(128..=1_048_576))]
    pub(crate) context_tokens: u64,
    /// Requests that may wait while another is answered; further ones get 429.
    #[arg(long, value_name = "N", default_value_t = crate::engine::QUEUE, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub(crate) queue: u64,
    /// Tell a program how it goes, one JSON line each on stdout, and end with its stdin.
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// Model ids, digests (`sha256:…`), or paths of model files and folders; `-` reads ids or JSON Lines {"id","platform","host"}
    /// from standard input. An argument is a path if something is there and it has a `/` in it or ends in
    /// .gguf, .safetensors or .json: `./name` is a folder, a plain `name` stays an id even where a folder is
    /// called so. With --platform (other than file) all are ids; lines of standard input always are.
    #[arg(required = true, value_name = "MODEL|PATH")]
    pub(crate) ids: Vec<OsString>,
    /// Grammar of the ids (bedrock, azure, vertex, openrouter, ollama, huggingface …).
    #[arg(long, value_name = "P")]
    pub(crate) platform: Option<String>,
    /// Host that serves them (`carnet registry list hosts`).
    #[arg(long, value_name = "H")]
    pub(crate) host: Option<String>,
    /// Region, where the host has several.
    #[arg(long, value_name = "R")]
    pub(crate) region: Option<String>,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// Exit 3 when any id is unknown.
    #[arg(long)]
    pub(crate) strict: bool,
    /// One JSON object per id.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which facts are asked.
#[derive(Debug, Args)]
pub(crate) struct Facts {
    /// Answer as the registry would have on this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<jiff::civil::Date>,
    /// Registry folder instead of the one in force (the newer of built-in and installed).
    #[arg(long, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    /// State directory, in which an installed registry lies. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Operator's overlay, may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Model id.
    #[arg(value_name = "MODEL")]
    pub(crate) id: String,
    /// A workload of the configuration.
    #[arg(long, value_name = "NAME", conflicts_with = "set")]
    pub(crate) workload: Option<String>,
    /// An attribute of a workload made up for this question, for example `sector=government`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Grammar of the id.
    #[arg(long, value_name = "P")]
    pub(crate) platform: Option<String>,
    /// Host that would serve it.
    #[arg(long, value_name = "H")]
    pub(crate) host: Option<String>,
    /// Region, where the host has several.
    #[arg(long, value_name = "R")]
    pub(crate) region: Option<String>,
    /// Pack to ask: a built-in name or a folder. Default: those of the configuration, else `default`.
    #[arg(long, value_name = "P")]
    pub(crate) pack: Vec<String>,
    /// Value of a pack's parameter, such as `us-ndaa-1532.lineage=weights`; without a pack for every one that has it.
    #[arg(long, value_name = "[P.]NAME=VALUE")]
    pub(crate) param: Vec<String>,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// Configuration file, for `--workload` and its packs and overlays. Default: carnet.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BomArgs {
    /// How it is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "cyclonedx")]
    pub(crate) format: BomFormat,
    /// Configuration whose models are listed, with those of its engines and their files' digests.
    /// Default: carnet.toml if it is there, else the demonstration.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "registry_all"])]
    pub(crate) config: Option<PathBuf>,
    /// List these models instead of a configuration's.
    #[arg(long, value_name = "MODEL", num_args = 1.., conflicts_with = "registry_all")]
    pub(crate) model: Vec<String>,
    /// Grammar of these ids.
    #[arg(long, value_name = "P", requires = "model")]
    pub(crate) platform: Option<String>,
    /// List every model that registry and overlay know.
    #[arg(long)]
    pub(crate) registry_all: bool,
    #[command(flatten)]
    pub(crate) facts: Facts,
}

/// Formats of bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BomFormat {
    /// CycloneDX 1.6 JSON (ML-BOM).
    Cyclonedx,
    /// SPDX 3.0.1 JSON-LD.
    Spdx,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyDiffArgs {
    /// The policy of before: packs with commas between them, or a carnet.toml.
    pub(crate) old: String,
    /// The new one.
    pub(crate) new: String,
    /// Value of a parameter in the old policy.
    #[arg(long, value_name = "[P.]NAME=VALUE")]
    pub(crate) old_param: Vec<String>,
    /// Value of a parameter in the new policy.
    #[arg(long, value_name = "[P.]NAME=VALUE")]
    pub(crate) new_param: Vec<String>,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The candidate: packs with commas between them, or a carnet.toml.
    pub(crate) policy: String,
    /// Value of a parameter in the candidate.
    #[arg(long, value_name = "[P.]NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Policy to compare with. Default: what was recorded, else that of the configuration.
    #[arg(long, value_name = "POLICY")]
    pub(crate) old: Option<String>,
    /// Requests as JSON Lines (`-` = standard input) instead of those of the log.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Configuration that names the workloads and upstreams. Default: carnet.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Take records of this day and later.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) since: Option<jiff::civil::Date>,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// For which facts a property is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum World {
    /// Whatever a registry may ever say.
    Any,
    /// What this registry and overlay say on the day.
    This,
}

impl World {
    /// The word on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::This => "this",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Properties, such as 'never permit when principal.sector == "government" && resource in Country::"XX"',
    /// 'always permit when …' or 'packs A and B never conflict when …'. Default: those that the packs claim.
    pub(crate) property: Vec<String>,
    /// Pack to ask: a built-in name or a folder. Default: those of the configuration, else `default`.
    #[arg(long, value_name = "P")]
    pub(crate) pack: Vec<String>,
    /// Value of a pack's parameter.
    #[arg(long, value_name = "[P.]NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Markdown file with properties, each a heading and a block of the kind `property`.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// For any registry, or for this one. Default: what the property's block says, else any.
    #[arg(long = "for", value_name = "WHICH")]
    pub(crate) world: Option<World>,
    /// Seconds for each question.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..86_400))]
    pub(crate) timeout: u64,
    /// Configuration file. Default: carnet.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// JSON Lines, one object for each property.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Configuration that says to which team a workload belongs. Default: carnet.toml, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// State directory. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) since: Option<jiff::civil::Date>,
    /// Last day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) until: Option<jiff::civil::Date>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// List the built-in packs.
    List {
        /// JSON Lines.
        #[arg(long)]
        json: bool,
    },
    /// Print a pack: its page and its rules.
    Show {
        /// Built-in name or folder.
        pack: String,
    },
    /// Check packs: types, completeness rules, annotations.
    Validate {
        /// Built-in names or folders. Default: all built-in ones.
        packs: Vec<String>,
    },
    /// Answer a question as `check` does, in words for somebody who never saw a rule.
    Explain(Box<CheckArgs>),
    /// Say which classes of requests two policies answer differently, over registry and callers.
    Diff(PolicyDiffArgs),
    /// Put recorded requests, or a file of them, to a candidate policy: who would be newly refused or let through.
    Simulate(SimulateArgs),
    /// Sum up what packs in report mode would have denied, by team.
    Report(ReportArgs),
    /// Prove that a property holds for every possible request, or find one that breaks it (needs cvc5).
    Prove(ProveArgs),
    /// Copy a pack into a folder of your own, to change it.
    New {
        /// Name of the new pack; the folder is made here.
        name: String,
        /// The pack to begin with.
        #[arg(long, value_name = "PACK", default_value = "default")]
        from: String,
    },
    /// Lay out the rules of a pack's folder as Cedar's own tools do it.
    Fmt {
        /// Folders of packs.
        #[arg(required = true)]
        packs: Vec<String>,
        /// Change nothing; say which files would change.
        #[arg(long)]
        check: bool,
    },
    /// List the names that facts know and that begin like this, such as `Producer::"dee` or `list us-`.
    Complete {
        /// A kind and the beginning of a name: `Country::"`, `Group::"`, `Model::"`, `Producer::"`, `host`, `list`.
        text: Vec<String>,
        #[command(flatten)]
        facts: Facts,
    },
    /// Print the Cedar schema that rules are checked against, for editors.
    Schema,
    /// Run the packs' cases against the registry.
    Test {
        /// Built-in names or folders. Default: all built-in ones.
        packs: Vec<String>,
        #[command(flatten)]
        facts: Facts,
        /// Print every case, not only those that fail.
        #[arg(long, short)]
        verbose: bool,
        /// Take each rule, condition and date out in turn and say which of them no case notices.
        #[arg(long)]
        mutants: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print records, newest first.
    Show {
        /// Id of one record, or its beginning; prints its decision document too.
        record: Option<String>,
        /// State directory. Default: $XDG_STATE_HOME/carnet.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// How many records.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// JSON Lines.
        #[arg(long)]
        json: bool,
    },
    /// Check the whole log from its files and the public key alone.
    Verify {
        /// Folder of the log. Default: `audit` in the state directory.
        folder: Option<PathBuf>,
        /// State directory. Default: $XDG_STATE_HOME/carnet.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// File with the public key. Default: `audit.pub` in the state directory.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented configuration to start from.
    Init {
        /// File to write; `-` prints it.
        #[arg(default_value = "carnet.toml")]
        file: PathBuf,
    },
    /// Check a configuration with everything it names, and change nothing.
    Check {
        /// Configuration file.
        #[arg(default_value = "carnet.toml")]
        file: PathBuf,
        /// State directory, in which an installed registry lies. Default: $XDG_STATE_HOME/carnet.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
    },
    /// Print the JSON schema of the configuration.
    Schema,
    /// Make a configuration of another gateway's, and tell what became of each part of it.
    /// Exit code 1 when something was not carried over.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The other gateway.
    #[arg(long, value_name = "GATEWAY", value_enum)]
    pub(crate) from: Product,
    /// Its configuration file.
    pub(crate) file: PathBuf,
    /// File to write; `-` prints it, and the report on standard error.
    #[arg(long, value_name = "FILE", default_value = "carnet.toml")]
    pub(crate) out: PathBuf,
    /// Overwrite a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// The report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
