//! How a service wants to be asked: what its API's dialect leaves open, and what it does not take.
//!
//! Nothing here says who answers or where: no decision rests on it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::claim::{Claim, Evidence, Horizon};
use crate::reader::Fields;
use crate::registry::flat::FlatClaim;
use crate::word::words;

words! {
    /// How a key is sent.
    KeyStyle {
        /// `api-key: …`
        ApiKey = "api-key",
        /// Requests are signed with the key of an AWS account.
        AwsSigV4 = "aws-sigv4",
        /// `authorization: Bearer …`
        Bearer = "bearer",
        /// The same with access tokens that the key of a service account is exchanged for.
        GoogleServiceAccount = "google-service-account",
        /// `x-api-key: …`
        XApiKey = "x-api-key",
        /// `x-goog-api-key: …`
        XGoogApiKey = "x-goog-api-key",
    }
}

words! {
    /// The name of the most tokens to answer with.
    TokenLimit {
        /// `max_completion_tokens`
        MaxCompletionTokens = "max_completion_tokens",
        /// `max_tokens`
        MaxTokens = "max_tokens",
    }
}

words! {
    /// The name of the number that makes drawing repeatable.
    Seed {
        /// `random_seed`
        RandomSeed = "random_seed",
        /// `seed`
        Seed = "seed",
    }
}

words! {
    /// The form of ids of tool calls.
    ToolIds {
        /// Any text.
        Any = "any",
        /// Exactly nine letters and digits.
        Nine = "nine",
        /// Letters, digits, `_` and `-`, at most 40.
        Plain40 = "plain-40",
        /// Letters, digits, `_` and `-`, at most 64.
        Plain64 = "plain-64",
    }
}

words! {
    /// The name under which reasoning is taken back.
    ReasoningBack {
        /// It is not taken.
        None = "none",
        /// `reasoning`
        Reasoning = "reasoning",
        /// `reasoning_content`
        ReasoningContent = "reasoning_content",
    }
}

words! {
    /// How a model is told how much to reason.
    Thinking {
        /// As much as it sees fit, with an effort by name.
        Adaptive = "adaptive",
        /// At most so many tokens.
        Budget = "budget",
    }
}

words! {
    /// What becomes of a part of a request that a service does not take as it is.
    EditAction {
        /// It is taken out.
        Remove = "remove",
        /// Its key becomes another one.
        Rename = "rename",
        /// Its value becomes another one.
        Replace = "replace",
        /// It is an id of a tool call, and gets the form that the service asks for.
        ToolId = "tool-id",
    }
}

/// A value that holds for some models of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForModels<T> {
    /// Parts of the names of the models that it holds for; none = all.
    pub models: Vec<String>,
    /// The value.
    pub value: T,
}

/// A change to requests that a service would refuse or misread, where they come in its own dialect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEdit {
    /// The path, such as `messages[].role`.
    pub path: String,
    /// What becomes of it.
    pub action: EditAction,
    /// The one text that is changed; none = any value.
    pub from: Option<String>,
    /// The other key or text.
    pub to: Option<String>,
    /// Parts of the names of the models that it is for; none = all.
    pub models: Vec<String>,
    /// The kind of request that it is for.
    pub api: String,
    /// Why the service needs it.
    pub why: String,
    /// Who says so.
    pub evidence: Evidence,
}

/// What can stand as the value of a fact.
trait Value: Clone {
    fn read(claim: &mut Fields<'_>) -> Option<Self>;
    fn said(&self) -> String;
}

impl Value for String {
    fn read(claim: &mut Fields<'_>) -> Option<Self> {
        claim.need_text("value")
    }

    fn said(&self) -> String {
        self.clone()
    }
}

impl Value for bool {
    fn read(claim: &mut Fields<'_>) -> Option<Self> {
        claim.flag("value")
    }

    fn said(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    fn read(claim: &mut Fields<'_>) -> Option<Self> {
        claim.count("value")
    }

    fn said(&self) -> String {
        self.to_string()
    }
}

impl Value for Vec<String> {
    fn read(claim: &mut Fields<'_>) -> Option<Self> {
        let texts = claim.texts("value");
        (!texts.is_empty()).then_some(texts)
    }

    fn said(&self) -> String {
        self.join(", ")
    }
}

macro_rules! word_values {
    ($($word:ident),+) => { $(
        impl Value for $word {
            fn read(claim: &mut Fields<'_>) -> Option<Self> {
                claim.need_word("value", Self::ALL)
            }

            fn said(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

word_values!(KeyStyle, ReasoningBack, Seed, Thinking, TokenLimit, ToolIds);

/// Declares the facts once: as they are stored, as they hold for one model, and how they are read, shown and checked.
macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)+) => {
        /// The table `wire` of a host, and its edits.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Wire {
            $($(#[$doc])* pub $name: Vec<Claim<ForModels<$type>>>,)+
            /// What is changed in requests that come in its own dialect.
            pub edits: Vec<WireEdit>,
        }

        /// What holds for one model of a service on one day.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct WireFacts {
            $($(#[$doc])* pub $name: Option<$type>,)+
            /// What is changed in requests that come in its own dialect.
            pub edits: Vec<WireEdit>,
            /// The first day on which something of it is different.
            pub until: Option<Date>,
        }

        impl WireFacts {
            /// These, and where they say nothing the others.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self {
                    $($name: self.$name.or(other.$name),)+
                    edits: if self.edits.is_empty() { other.edits } else { self.edits },
                    until: [self.until, other.until].into_iter().flatten().min(),
                }
            }
        }

        impl Wire {
            /// Read what a host's file says.
            pub(crate) fn read(host: &mut Fields<'_>) -> Self {
                let mut wire = Self { edits: edits(host), ..Self::default() };
                if let Some(mut table) = host.table("wire") {
                    $(wire.$name = for_models(&mut table, stringify!($name));)+
                    table.finish();
                }
                wire
            }

            /// What holds for a model on a day.
            #[must_use]
            pub fn of(&self, model: &str, as_of: Date) -> WireFacts {
                let model = model.to_ascii_lowercase();
                let mut horizon = Horizon::new(as_of);
                WireFacts {
                    $($name: closest(&self.$name, &model, &mut horizon),)+
                    edits: closest_edits(&self.edits, &model),
                    until: horizon.next(),
                }
            }

            /// All that is claimed.
            pub(crate) fn claims(&self) -> Vec<FlatClaim> {
                let mut found = Vec::new();
                $(said(&mut found, concat!("wire.", stringify!($name)), &self.$name);)+
                for edit in &self.edits {
                    found.push(FlatClaim::edit(edit));
                }
                found
            }

            /// The evidence of everything, by key.
            pub(crate) fn evidence(&self) -> impl Iterator<Item = (&'static str, &Evidence)> {
                let facts = std::iter::empty();
                $(let facts = facts.chain(self.$name.iter().map(|claim| (concat!("wire.", stringify!($name)), &claim.evidence)));)+
                facts.chain(self.edits.iter().map(|edit| ("edit", &edit.evidence)))
            }
        }
    };
}

facts! {
    /// Where it answers; `{region}` stands for the region that is asked for.
    base_url: String,
    /// The kinds of requests that it takes.
    apis: Vec<String>,
    /// How the key is sent.
    auth: KeyStyle,
    /// The name of the most tokens to answer with.
    token_limit: TokenLimit,
    /// The most tokens to answer with, where the dialect demands a number and the request has none.
    max_tokens: u32,
    /// Whether it tells the usage of a stream when asked to.
    stream_usage: bool,
    /// The name of the number that makes drawing repeatable.
    seed: Seed,
    /// The form of ids of tool calls.
    tool_ids: ToolIds,
    /// The name under which reasoning is taken back.
    reasoning: ReasoningBack,
    /// Whether `reasoning_details` are taken back.
    reasoning_details: bool,
    /// Whether reasoning is taken back without a proof that it is its own.
    unsigned_reasoning: bool,
    /// How it is told how much to reason.
    thinking: Thinking,
    /// Whether marks of what to cache are taken.
    cache_control: bool,
    /// Whether user and assistant must take turns.
    alternating_roles: bool,
    /// Whether `parallel_tool_calls` is taken.
    parallel_tool_calls: bool,
    /// Whether members that its dialect does not know are refused.
    strict: bool,
}

/// The claims of one fact. Two for the same models may not hold on the same day.
fn for_models<T: Value>(table: &mut Fields<'_>, key: &'static str) -> Vec<Claim<ForModels<T>>> {
    table.claims_where(
        key,
        |claim| {
            let models = lower(claim.texts("models"));
            Some(ForModels {
                models,
                value: T::read(claim)?,
            })
        },
        |one, other| one.models == other.models,
    )
}

fn lower(texts: Vec<String>) -> Vec<String> {
    texts
        .into_iter()
        .map(|text| text.to_ascii_lowercase())
        .collect()
}

fn edits(host: &mut Fields<'_>) -> Vec<WireEdit> {
    let mut found = Vec::new();
    for mut table in host.tables("edit") {
        let place = table.place();
        let path = table.need_text("path");
        let action = table.need_word("action", EditAction::ALL);
        let from = table.text("from");
        let to = table.text("to");
        let models = lower(table.texts("models"));
        let api = table.need_text("api");
        let why = table.need_text("why");
        let evidence = table.evidence();
        if let Some(action) = action
            && let Some(wrong) = misfit(action, from.as_deref(), to.as_deref())
        {
            table.note(
                place.problem(wrong).help(
                    "`rename` needs `to`, `replace` needs `from` and `to`, the others neither",
                ),
            );
        }
        table.finish();
        let (Some(path), Some(action), Some(api)) = (path, action, api) else {
            continue;
        };
        let (Some(why), Some(evidence)) = (why, evidence) else {
            continue;
        };
        found.push(WireEdit {
            path,
            action,
            from,
            to,
            models,
            api,
            why,
            evidence,
        });
    }
    found
}

/// What an action lacks, or has too much.
pub(crate) fn misfit(
    action: EditAction,
    from: Option<&str>,
    to: Option<&str>,
) -> Option<&'static str> {
    let fits = match action {
        EditAction::Remove | EditAction::ToolId => from.is_none() && to.is_none(),
        EditAction::Rename => from.is_none() && to.is_some(),
        EditAction::Replace => from.is_some() && to.is_some(),
    };
    (!fits).then_some("`from` and `to` do not fit the action")
}

/// How well names fit a model: the length of the longest part that it has; none where it has none of them.
fn fits(parts: &[String], model: &str) -> Option<usize> {
    if parts.is_empty() {
        return Some(0);
    }
    let found = parts.iter().filter(|part| model.contains(part.as_str()));
    found.map(String::len).max()
}

/// What is said of the model more closely than anything else.
fn closest<T: Clone>(
    claims: &[Claim<ForModels<T>>],
    model: &str,
    horizon: &mut Horizon,
) -> Option<T> {
    let mut found: Option<(usize, &T)> = None;
    for claim in claims {
        let Some(fit) = fits(&claim.value.models, model) else {
            continue;
        };
        if horizon.holds(&claim.valid) && found.is_none_or(|(best, _)| fit > best) {
            found = Some((fit, &claim.value.value));
        }
    }
    found.map(|(_, value)| value.clone())
}

/// The edits for a model; of two for one path the one that names the model more closely.
fn closest_edits(edits: &[WireEdit], model: &str) -> Vec<WireEdit> {
    let mut found: Vec<(usize, &WireEdit)> = Vec::new();
    for edit in edits {
        let Some(fit) = fits(&edit.models, model) else {
            continue;
        };
        let same = |other: &WireEdit| other.path == edit.path && other.api == edit.api;
        match found.iter_mut().find(|(_, other)| same(other)) {
            Some(best) if best.0 < fit => *best = (fit, edit),
            Some(_) => {}
            None => found.push((fit, edit)),
        }
    }
    found.into_iter().map(|(_, edit)| edit.clone()).collect()
}

fn said<T: Value>(found: &mut Vec<FlatClaim>, key: &'static str, claims: &[Claim<ForModels<T>>]) {
    FlatClaim::listed(found, key, claims, |one| {
        let value = one.value.said();
        if one.models.is_empty() {
            value
        } else {
            format!("{value} for {}", one.models.join(", "))
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use crate::fixture::{day, file, files};

    const HOST: &str = "name = \"H\"\nkind = \"local\"\n";

    fn read(text: &str) -> Result<Registry, Vec<String>> {
        let mut all = files();
        all.push(file("hosts/h.toml", &format!("{HOST}{text}")));
        Registry::parse(&all).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_names_a_model_more_closely_goes_first() {
        let registry = read(
            "[wire]\nreasoning = [\n { value = \"none\", SAID },\n { value = \"reasoning\", models = [\"Oak\"], SAID },\n \
             { value = \"reasoning_content\", models = [\"oak-2\", \"elm\"], SAID, valid_from = \"2026-05-01\" },\n]\n\
             max_tokens = { value = 64, SAID }\n\
             [[edit]]\npath = \"a\"\naction = \"remove\"\napi = \"x\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\nconfidence = \"low\"\n\
             [[edit]]\npath = \"a\"\naction = \"rename\"\nto = \"b\"\nmodels = [\"oak\"]\napi = \"x\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\nconfidence = \"low\"\n",
        )
        .unwrap();
        let wire = &registry.host("h").unwrap().wire;
        let change = day("2026-05-01");
        for (model, today, reasoning, until) in [
            ("", "2026-01-01", ReasoningBack::None, None),
            ("org/oak-1", "2026-01-01", ReasoningBack::Reasoning, None),
            (
                "OAK-2",
                "2026-01-01",
                ReasoningBack::Reasoning,
                Some(change),
            ),
            ("oak-2", "2026-05-01", ReasoningBack::ReasoningContent, None),
            ("elm", "2026-01-01", ReasoningBack::None, Some(change)),
        ] {
            let facts = wire.of(model, day(today));
            assert_eq!(
                (facts.reasoning, facts.until),
                (Some(reasoning), until),
                "{model}"
            );
            assert_eq!((facts.max_tokens, facts.strict), (Some(64), None));
            let action = if model.to_ascii_lowercase().contains("oak") {
                EditAction::Rename
            } else {
                EditAction::Remove
            };
            let actions: Vec<EditAction> = facts.edits.iter().map(|edit| edit.action).collect();
            assert_eq!(actions, [action], "{model}");
        }
        // The blob says the same, and everything is shown with its evidence.
        let again = Registry::from_blob(&registry.to_blob()).unwrap();
        assert_eq!(&again.host("h").unwrap().wire, wire);
        assert!(again.problems().is_empty());
        let shown = wire.claims();
        assert_eq!(shown.len(), 6);
        assert!(shown.iter().all(|claim| claim.confidence.is_some()));
    }

    #[test]
    fn mistakes_have_their_place_and_fix() {
        for (text, message) in [
            ("[wire]\nstyle = 1\n", "unknown key `style`"),
            (
                "[wire]\nauth = { value = \"bearer\" }\n",
                "`source` is missing",
            ),
            (
                "[wire]\nauth = { value = \"basic\", SAID }\n",
                "`value` cannot be `basic`",
            ),
            (
                "[wire]\nmax_tokens = { value = 0, SAID }\n",
                "`value` must be a whole number from 1",
            ),
            (
                "[wire]\nstrict = [{ value = true, SAID }, { value = false, SAID }]\n",
                "two claims of `strict` hold on the same days",
            ),
            (
                "[[edit]]\npath = \"a\"\naction = \"rename\"\napi = \"x\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\nconfidence = \"low\"\n",
                "do not fit the action",
            ),
            ("wire = 1\n", "expected a table"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(
                problems.iter().any(|problem| problem.contains(message)),
                "{text}: {problems:#?}"
            );
        }
    }

    #[test]
    fn what_is_said_first_goes_first() {
        let own = WireFacts {
            strict: Some(true),
            ..WireFacts::default()
        };
        let known = WireFacts {
            strict: Some(false),
            max_tokens: Some(1),
            ..WireFacts::default()
        };
        let both = own.or(known);
        assert_eq!((both.strict, both.max_tokens), (Some(true), Some(1)));
    }
}
