//! The entries of the registry as they are stored: what each file says, nothing computed.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::claim::{Claim, Dated, Evidence, Validity};
use crate::country::Country;
use crate::ids::{HostId, ModelId, ProducerId};
use crate::registry::wire::Wire;
use crate::word::words;

words! {
    /// Whether the weights can be had.
    Weights {
        /// Only the maker has them.
        Closed = "closed",
        /// Anybody may download them.
        Open = "open",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// What is known of the line of the weights as a whole.
    LineageStatus {
        /// A closed model of a maker that trains its own line; no base known.
        ClosedFirstParty = "closed-first-party",
        /// Made from the models listed.
        Derived = "derived",
        /// Base model of a maker's own family; no foreign base known.
        FirstPartyNoneKnown = "first-party-none-known",
        /// The id does not say which model answers.
        NotDecidableFromId = "not-decidable-from-id",
        /// A source says it was trained from scratch.
        StatedFromScratch = "stated-from-scratch",
        /// The maker builds on a base that it does not name.
        Undisclosed = "undisclosed",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// How a model came from an ancestor of its weights.
    Relation {
        /// Refusals were cut out of the weights without training.
        Abliterated = "abliterated",
        /// Small weights beside the base's.
        Adapter = "adapter",
        /// A part, such as an encoder, comes from there.
        Component = "component",
        /// Pre-training went on.
        ContinuedPretrain = "continued-pretrain",
        /// Another format or architecture, the same weights.
        Converted = "converted",
        /// A base tuned on a teacher's outputs; the teacher stands apart.
        Distilled = "distilled",
        /// Layers or experts were added.
        Expanded = "expanded",
        /// Trained further.
        Finetune = "finetune",
        /// Several models' weights were mixed.
        Merge = "merge",
        /// Parts were cut away.
        Pruned = "pruned",
        /// Fewer bits.
        Quantized = "quantized",
    }
}

words! {
    /// What kind of place a host is.
    HostKind {
        /// A product with its own front end.
        Application = "application",
        /// Runs models.
        Inference = "inference",
        /// Runs on the operator's own machine.
        Local = "local",
        /// Passes prompts on to others.
        Router = "router",
    }
}

words! {
    /// Whether the prompt leaves the operator's machines.
    Egress {
        /// It does.
        External = "external",
        /// It does not.
        None = "none",
        /// Not known.
        Unknown = "unknown",
    }
}

/// Who makes models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Producer {
    /// Stem of its file.
    pub id: ProducerId,
    /// Name for people.
    pub name: String,
    /// Names under which it stands in front of its own models.
    pub namespaces: Vec<String>,
    /// Country of the head office.
    pub country: Dated<Country>,
    /// Who owns it.
    pub owners: Vec<Owner>,
    /// Lists that name it.
    pub lists: Vec<Listing>,
    /// What is said about it and by whom. Never a fact.
    pub statements: Vec<Statement>,
}

/// An owner of a producer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// Name for people.
    pub name: String,
    /// Its own record, if it makes models too.
    pub producer: Option<ProducerId>,
    /// Its country.
    pub country: Option<Country>,
    /// Share in percent.
    pub share: Option<f32>,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
}

/// A producer stands on a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Id of the list.
    pub list: String,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it stands there.
    pub valid: Validity,
}

/// An attributed claim about an organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// What it is about, such as `state-control`.
    pub topic: String,
    /// What is claimed.
    pub text: String,
    /// Who claims it.
    pub by: String,
    /// When.
    pub date: Date,
    /// On what evidence, or `none published`.
    pub evidence: String,
    /// Where it stands.
    pub source: String,
    /// Who disputes it.
    pub disputed_by: Option<String>,
    /// Where that stands.
    pub disputed_source: Option<String>,
}

/// A node of the lineage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Stem of its file.
    pub id: ModelId,
    /// Name for people.
    pub name: String,
    /// Who last trained, merged or converted the weights.
    pub producer: Dated<ProducerId>,
    /// Who uploaded this copy.
    pub publisher: Dated<Publisher>,
    /// Further producers, of joint work.
    pub joint: Vec<Claim<ProducerId>>,
    /// Whether the weights can be had.
    pub weights: Dated<Weights>,
    /// Name of the licence.
    pub licence: Dated<String>,
    /// Word by which a name of this family can be guessed.
    pub family: Option<String>,
    /// What is known of the line as a whole.
    pub lineage_status: Dated<LineageStatus>,
    /// What the weights were made from.
    pub base_models: Vec<BaseModel>,
    /// Whose outputs it learned from.
    pub teachers: Vec<Teacher>,
    /// Whether the teachers named are all.
    pub teachers_complete: Dated<bool>,
    /// Its names on platforms.
    pub aliases: Vec<Alias>,
    /// Families of names that all mean this model.
    pub names: Vec<NameFamily>,
    /// Public disputes about it.
    pub disputes: Vec<Dispute>,
}

/// Who uploaded a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// Name for people.
    pub name: String,
    /// Its country.
    pub country: Option<Country>,
}

/// An ancestor of the weights, one step up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseModel {
    /// The ancestor.
    pub model: ModelId,
    /// How the model came from it.
    pub relation: Relation,
    /// Which part: `weights`, `vision-encoder` …
    pub component: String,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
}

/// A teacher: a model, or somebody whose models are not told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Teacher {
    /// Which one.
    pub taught_by: TaughtBy,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
}

/// Which teacher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaughtBy {
    /// A model.
    Model(ModelId),
    /// Some model of a producer.
    Producer(ProducerId),
}

/// A name on a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// The platform, normalised; `*` = everywhere.
    pub platform: String,
    /// The name as it was written.
    pub id: String,
    /// On which days it names the model.
    pub valid: Validity,
    /// Who says so; none = whoever says who made the model.
    pub evidence: Option<Evidence>,
}

/// A family of names that all mean one model: a stem, then sizes and words in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFamily {
    /// How the names begin, without the organisation.
    pub stem: String,
    /// The sizes that the maker published; a name has at most one of them.
    pub sizes: Vec<String>,
    /// Further words that do not make it another model.
    pub words: Vec<String>,
}

words! {
    /// What a word in a name says, when it does not say which model it is.
    WordKind {
        /// How a closed model is asked to answer, such as with how much thought. Of open weights it
        /// may be a model of its own.
        Mode = "mode",
        /// How the model is served.
        Served = "served",
        /// How the maker of the name in front tuned it for use.
        Tuned = "tuned",
    }
}

/// Words in names that do not change which model is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameWords {
    /// The words.
    pub words: Vec<String>,
    /// What they say.
    pub kind: WordKind,
    /// Why they may be left aside.
    pub why: String,
    /// Where that can be seen.
    pub source: String,
    /// As of when.
    pub date: Date,
}

/// A public dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// What is disputed.
    pub text: String,
    /// By whom.
    pub by: String,
    /// Where it stands.
    pub source: String,
    /// When.
    pub date: Option<Date>,
    /// What the other side says.
    pub answer: Option<String>,
    /// Where that stands.
    pub answer_source: Option<String>,
}

/// A name whose model changes, or that names one of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovingAlias {
    /// Stem of its file.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Its names on platforms.
    pub aliases: Vec<Alias>,
    /// What may answer.
    pub targets: Vec<AliasTarget>,
}

/// One of the models that a moving name may mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasTarget {
    /// The model.
    pub model: ModelId,
    /// On which days it may answer.
    pub valid: Validity,
    /// Who says so.
    pub evidence: Evidence,
    /// A remark.
    pub note: Option<String>,
}

/// A service or machine on which models run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Stem of its file.
    pub id: HostId,
    /// Name for people.
    pub name: String,
    /// What kind of place it is.
    pub kind: HostKind,
    /// Who runs it.
    pub operator: Dated<Operator>,
    /// Country of the contracting entity.
    pub country: Dated<Country>,
    /// The ultimate parent.
    pub parent: Dated<String>,
    /// Its country.
    pub parent_country: Dated<Country>,
    /// The platform whose grammar its model ids follow.
    pub platform: Option<String>,
    /// What it writes in front of names, such as `route/`.
    pub prefixes: Vec<String>,
    /// Host names of its addresses; `*` stands for one label.
    pub origins: Vec<String>,
    /// Whether the regions listed are all.
    pub regions_known: Dated<bool>,
    /// Where it runs.
    pub regions: Vec<Region>,
    /// Cross-region profiles.
    pub profiles: Vec<Profile>,
    /// The region that serves when none is asked for.
    pub default_region: Option<String>,
    /// Who else processes prompts for it, as it publishes them.
    pub subprocessors: Vec<Subprocessor>,
    /// What it keeps.
    pub retention: Dated<String>,
    /// Whether it trains on prompts.
    pub trains_on_prompts: Dated<bool>,
    /// Whether the prompt leaves the operator's machines.
    pub egress: Dated<Egress>,
    /// Request fields by which a client could choose the destination.
    pub fields: Vec<FieldRule>,
    /// How it wants to be asked.
    pub wire: Wire,
}

/// Who runs a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Name for people.
    pub name: String,
    /// Its own record, if it makes models too.
    pub producer: Option<ProducerId>,
}

/// A place in which a host runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its name at the host.
    pub id: String,
    /// Its country.
    pub country: Country,
    /// Who says so.
    pub evidence: Option<Evidence>,
}

/// Somebody whom a host lets process prompts or what belongs to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subprocessor {
    /// Name for people.
    pub name: String,
    /// Its country.
    pub country: Option<Country>,
    /// What it does.
    pub purpose: String,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
}

/// A profile that spreads requests over regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The prefix of a model id that selects it.
    pub prefix: String,
    /// The regions it may use.
    pub regions: Vec<String>,
    /// Who says so.
    pub evidence: Evidence,
}

words! {
    /// What becomes of a routing field.
    FieldAction {
        /// Its value names models that are decided on like the request's own.
        Model = "model",
        /// The request is refused.
        Refuse = "refuse",
        /// The field is taken out.
        Remove = "remove",
    }
}

words! {
    /// What a routing field selects.
    FieldKind {
        /// Which model answers.
        Model = "model",
        /// Where the prompt goes.
        Place = "place",
        /// What is kept.
        Storage = "storage",
        /// Which remote tool sees it.
        Tool = "tool",
    }
}

/// A request field by which a client could choose the destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldRule {
    /// Its path, such as `tools[].server_url`.
    pub path: String,
    /// What becomes of it.
    pub action: FieldAction,
    /// What it selects.
    pub kind: FieldKind,
    /// Values that lead nowhere.
    pub allow: Vec<String>,
    /// Why it matters.
    pub why: String,
    /// Where that stands.
    pub source: String,
    /// When it was read.
    pub date: Option<Date>,
}

/// The routing fields of one API dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dialect {
    /// The fields.
    pub(crate) fields: Vec<FieldRule>,
    /// Every top-level key of the dialect.
    pub(crate) known: Vec<String>,
}

/// A country's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountryName {
    /// Its code.
    pub code: Country,
    /// Its name.
    pub name: String,
}

/// A named set of countries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Who is in it.
    pub members: Vec<Country>,
    /// Where that stands.
    pub source: String,
    /// As of when.
    pub date: Date,
    /// A remark, such as that it was rescinded.
    pub remark: Option<String>,
}

/// A public list of organisations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// Stem of its file.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Who keeps it.
    pub issuer: String,
    /// Where it stands.
    pub source: String,
    /// As of when.
    pub date: Date,
    /// A remark.
    pub remark: Option<String>,
}

impl LineageStatus {
    /// Whether this status says that the producer and the ancestors listed are the whole line.
    #[must_use]
    pub fn names_whole_line(self) -> bool {
        match self {
            Self::ClosedFirstParty
            | Self::Derived
            | Self::FirstPartyNoneKnown
            | Self::StatedFromScratch => true,
            Self::NotDecidableFromId | Self::Undisclosed | Self::Unknown => false,
        }
    }
}
