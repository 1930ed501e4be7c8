//! What can be typed after `carnet registry`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::cli::Facts;

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Check a registry folder or bundle, and overlays.
    Validate(ValidateArgs),
    /// List what the registry knows.
    List(ListArgs),
    /// Print one record: what is claimed, by whom, and what follows from it.
    Show(ShowArgs),
    /// List the services that an upstream needs only to name, as Markdown.
    Services(ServicesArgs),
    /// Count what the registry knows.
    Stats(StatsArgs),
    /// Draw the line of a model.
    Graph(GraphArgs),
    /// Compare two registries, and what that does to the answers.
    Diff(DiffArgs),
    /// Write the whole registry as one JSON document.
    Export(ExportArgs),
    /// Make a signed bundle of a registry folder.
    Bundle(BundleArgs),
    /// Make a key pair that signs bundles.
    BundleKey(BundleKeyArgs),
    /// Take a newer registry over from a signed bundle, without a network.
    Update(UpdateArgs),
}

/// Which bundles are taken for what they say, and which registry is in force.
#[derive(Debug, Args)]
pub(crate) struct Known {
    /// Public key that a bundle may be signed with, beside those that are trusted already.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// State directory, in which an installed registry lies. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Registry folder or bundle. Default: the registry in force.
    #[arg(value_name = "FOLDER|BUNDLE")]
    pub(crate) source: Option<PathBuf>,
    /// Overlay to check against it.
    #[arg(long, value_name = "FILE")]
    pub(crate) overlay: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) known: Known,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// What to list.
    #[arg(value_enum)]
    pub(crate) kind: RegistryKind,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// JSON Lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RegistryKind {
    Hosts,
    Models,
    Producers,
    /// Names whose model changes.
    Aliases,
    /// Public lists of organisations.
    Lists,
    /// Groups of countries.
    Groups,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of a model, producer, host, moving alias, list or group; `model:ID` asks for one kind only.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// One JSON object with everything.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) facts: Facts,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// Id of a model.
    pub(crate) id: String,
    /// What to write.
    #[arg(long, value_enum, default_value = "dot")]
    pub(crate) format: GraphFormat,
    /// Draw what was made from it too.
    #[arg(long)]
    pub(crate) descendants: bool,
    /// File to write instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) facts: Facts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// For Graphviz.
    Dot,
    /// For Markdown pages that draw it.
    Mermaid,
    /// A picture.
    Svg,
    /// Nodes and edges for programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Registry folder, blob or bundle.
    pub(crate) old: PathBuf,
    /// Another one. Default: the registry in force.
    pub(crate) new: Option<PathBuf>,
    /// Compare the answers of this day. Default: today.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<Date>,
    #[command(flatten)]
    pub(crate) known: Known,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// File to write instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Registry folder instead of the one in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    /// State directory, in which an installed registry lies. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    /// Registry folder instead of the one in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    /// State directory, in which an installed registry lies. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Registry folder.
    pub(crate) folder: PathBuf,
    /// Private key, as `carnet registry bundle-key` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Number of the bundle; each is higher than the one before.
    #[arg(long, value_name = "N")]
    pub(crate) sequence: u64,
    /// File to write (`….carnet-registry`).
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The bundle before; it is named in the new one.
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,
    /// The day on which it is made. Default: today.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) created: Option<Date>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BundleKeyArgs {
    /// File for the private key (mode 0600); the public one lies beside it with `.pub` added.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Name of the key, such as the address of who signs.
    #[arg(long, value_name = "NAME", default_value = "carnet-registry")]
    pub(crate) name: String,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Bundle, or a folder of which the newest good bundle is taken.
    #[arg(value_name = "FILE|DIR", required_unless_present = "rollback")]
    pub(crate) source: Option<PathBuf>,
    /// Public key to trust from now on; compare its fingerprint with who made it. No key is built in.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Go back to the bundle before, or without one to the built-in registry.
    #[arg(long, conflicts_with_all = ["source", "trust"])]
    pub(crate) rollback: bool,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// State directory. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
