//! Stage 4, guard: what stands in the request is brought in line with the permit, or refused.
//!
//! Only this file makes a [`Cleared`], only from a permit, and each permit makes one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use carnet_policy::{Obligation, Permit};
use carnet_provenance::{FieldAction, FieldKind, FieldRule};
use carnet_wire::carrier::Carrier;
use carnet_wire::dialect::{ClientDialect, Dialect, TranslateError};
use carnet_wire::embeddings::{EmbedError, Embedder};
use carnet_wire::json::{self, Edit, Hit, Kind, Scan, Watch};
use carnet_wire::translate;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use smallvec::{SmallVec, smallvec};

use crate::codes::Code;
use crate::config::OnLoss;
use crate::error::Fault;
use crate::ingress::{Call, Extras, PREVIOUS, Prompt, Query, STORE, Stored, insert};
use crate::limits::JSON_DEPTH_MAX;
use crate::reported::shortened;
use crate::resolve::{Keeping, Offer, Way};
use crate::services::{self, Fix};
use crate::translate::{Translation, Vectors, said};

/// A request that may be sent once, to the origin that its permit names.
///
/// ```compile_fail
/// // There is no way to make one outside `screen`.
/// let forged = carnet_gateway::screen::Cleared {};
/// ```
#[derive(Debug)]
pub struct Cleared {
    permit: Permit,
    body: SmallVec<[Bytes; 4]>,
    call: Call,
    stream: bool,
    extras: Extras,
    edits: SmallVec<[Made; 2]>,
    translation: Option<Translation>,
    carrier: Option<Carrier>,
    vectors: Option<Vectors>,
    stored: Option<(Stored, Query)>,
    keeps: bool,
    keeps_here: bool,
    hides_usage: bool,
}

/// What was changed in a request, for its record.
pub(crate) type Made = Cow<'static, str>;

const REMOVE_MODEL: Made = Cow::Borrowed("remove model");
const SET_MODEL: Made = Cow::Borrowed("set model");
const SET_STORE: Made = Cow::Borrowed("set store");
const REMOVE_PREVIOUS: Made = Cow::Borrowed("remove previous_response_id");
const SET_INPUT: Made = Cow::Borrowed("set input");
const SET_USAGE: Made = Cow::Borrowed("set stream_options.include_usage");

impl Cleared {
    /// The permit that is spent by sending.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Whether the caller wants a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// The kind of request.
    pub(crate) fn call(&self) -> Call {
        self.call
    }

    /// What of it was changed before.
    pub(crate) fn edits(&self) -> &[Made] {
        &self.edits
    }

    /// Whether its upstream may keep what is exchanged.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether Carnet may keep what is exchanged.
    pub(crate) fn keeps_here(&self) -> bool {
        self.keeps_here
    }

    /// How it was translated, if it was.
    pub(crate) fn translation(&self) -> Option<&Translation> {
        self.translation.as_ref()
    }

    /// The platform in whose API it goes, if its own is not served there.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        self.carrier
    }

    /// How its answer becomes that of the API for vectors, if it has to.
    pub(crate) fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_ref()
    }

    /// Whether its stream tells its usage although the caller did not ask for it.
    pub(crate) fn hides_usage(&self) -> bool {
        self.hides_usage
    }

    /// Whether its answer is made after it has been answered. Only an upstream that keeps it can do so.
    pub(crate) fn runs_in_background(&self) -> bool {
        let (body, watch) = (whole(&self.body), Watch::new([BACKGROUND]));
        let scan = watch
            .ok()
            .filter(|_| self.keeps)
            .and_then(|watch| json::scan(&body, &watch, JSON_DEPTH_MAX).ok());
        let told = scan.as_ref().and_then(|scan| scan.first(0));
        told.is_some_and(|hit| json::bool_value(&body, hit) == Ok(true))
    }

    /// Its body in one piece.
    pub(crate) fn body(&self) -> Bytes {
        whole(&self.body)
    }

    /// The same request, whose stream tells its usage, where its dialect leaves that to who asks and it can be told so.
    pub(crate) fn telling_usage(self) -> Self {
        let leaves_it = matches!(self.call, Call::Chat | Call::Completions);
        if !leaves_it || !self.stream || self.translation.is_some() {
            return self;
        }
        let body = whole(&self.body);
        let Some(edit) = include_usage(&body) else {
            return self;
        };
        let mut edits = self.edits;
        edits.push(SET_USAGE);
        Self {
            body: json::splice(&body, &[edit]),
            edits,
            hides_usage: true,
            ..self
        }
    }

    /// The method with which it is sent.
    pub(crate) fn method(&self) -> Method {
        let stored = self.stored.as_ref();
        stored.map_or(Method::POST, |(stored, _)| stored.method())
    }

    /// Where it is sent, given where its upstream takes the call.
    pub(crate) fn url(&self, call: &Uri) -> Option<Uri> {
        match &self.stored {
            Some((stored, query)) => stored.url(call, query),
            None => Some(call.clone()),
        }
    }

    /// What stands beside the body.
    pub(crate) fn extras(&self) -> &Extras {
        &self.extras
    }

    /// Have these headers beside the body, too.
    pub(crate) fn carries(&mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
        self.extras.headers.extend(headers);
    }

    /// Its parts, for sending: the body, and what stands beside it.
    pub(crate) fn into_parts(self) -> (SmallVec<[Bytes; 4]>, Extras) {
        (self.body, self.extras)
    }
}

/// The routing fields of one upstream, bound to the indices of the generation's watch.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    rules: Vec<(usize, FieldRule)>,
    /// For routers: the top-level keys that pass; others are refused.
    known: Option<Vec<String>>,
    /// What is changed in requests that go on as they came, by the upstream's own name for the model.
    fixes: HashMap<Arc<str>, Vec<Fix>>,
}

impl Fields {
    pub(crate) fn new(
        rules: Vec<(usize, FieldRule)>,
        known: Option<Vec<String>>,
        fixes: HashMap<Arc<str>, Vec<Fix>>,
    ) -> Self {
        Self {
            rules,
            known,
            fixes,
        }
    }
}

/// What a body says of keeping and continuing. Where the upstream may keep responses it is looked after by
/// `stored::continued` and `prompt`, not by the registry's rules.
const KEPT: [&str; 3] = [BACKGROUND, PREVIOUS, STORE];
const BACKGROUND: &str = "background";
const STREAM_OPTIONS: &str = "stream_options";
const INCLUDE_USAGE: &str = "stream_options.include_usage";

/// Whether an upstream may keep what is exchanged with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// It may.
    Allowed,
    /// It may not.
    Never,
    /// It may keep responses, but the permit obliges that not this one. It can go on from one that is kept.
    NotThis,
}

impl Kept {
    fn of(obliged: bool, offer: &Offer, call: Call) -> Self {
        match (offer.keeps(call), obliged) {
            (false, _) => Self::Never,
            (true, true) => Self::NotThis,
            (true, false) => Self::Allowed,
        }
    }

    /// Whether the registry's rule for this field is none here.
    fn passes(self, path: &str) -> bool {
        match self {
            Self::Allowed => KEPT.contains(&path),
            Self::Never => false,
            Self::NotThis => path == PREVIOUS,
        }
    }
}
/// Other things by which a body names state. Whoever may keep responses still has none of these from here, since nothing
/// that makes them is served.
const NAMES_STATE: [&str; 5] = [
    "conversation",
    "input[].content[].file_id",
    "input[].output.file_id",
    "input[].output[].file_id",
    "prompt",
];

/// Clear a permitted request about a response that is kept where the permit leads.
pub(crate) fn clear_stored(permit: Permit, stored: &Stored, query: &Query) -> Cleared {
    Cleared {
        permit,
        body: SmallVec::new(),
        call: Call::Responses,
        stream: query.stream,
        extras: Extras::default(),
        edits: SmallVec::new(),
        translation: None,
        carrier: None,
        vectors: None,
        stored: Some((stored.clone(), query.clone())),
        keeps: false,
        keeps_here: false,
        hides_usage: false,
    }
}

/// How a request is cleared, whatever its upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clearing {
    /// What happens when a translation loses something.
    pub(crate) on_loss: OnLoss,
    /// Whether Carnet keeps conversations itself.
    pub(crate) keeps: bool,
}

/// Nobody says what the fields of such a request mean.
pub(crate) fn no_rules(call: Call) -> Fault {
    let message = format!(
        "the registry in force says nothing of the fields of {}, so nothing is sent there; ask your operator to update it",
        call.served_at()
    );
    Fault::new(Code::ApiNotOffered, message)
}

/// Clear a permitted request for its destination.
pub(crate) fn clear(
    permit: Permit,
    prompt: &Prompt,
    offer: &Offer,
    fields: &Fields,
    clearing: Clearing,
) -> Result<Cleared, Fault> {
    let obliged = permit.obligations().contains(&Obligation::NoStore);
    let kept = Kept::of(obliged, offer, prompt.call);
    let mut edits: SmallVec<[Edit; 4]> = SmallVec::new();
    let mut made: SmallVec<[Made; 2]> = SmallVec::new();
    if prompt.joined {
        made.extend([REMOVE_PREVIOUS, SET_INPUT]);
    }
    // Whoever asks for it to be stored is served by us, and the upstream is told not to.
    let keeps_here = clearing.keeps && !obliged && kept == Kept::Never;
    let stores = prompt.stores.as_ref().filter(|_| keeps_here);
    for hit in &prompt.scan.hits {
        let Some((_, rule)) = fields.rules.iter().find(|(path, _)| *path == hit.path) else {
            continue;
        };
        if is_harmless(&prompt.body, hit, rule) || kept.passes(&rule.path) {
            continue;
        }
        if stores.is_some() && rule.path == STORE {
            continue;
        }
        match rule.action {
            FieldAction::Remove => {
                edits.push(Edit::remove(hit));
                note(&mut made, format!("remove {}", rule.path));
            }
            // A field that names further models or places would need targets of its own: until the
            // caller asks for those as models, it is refused like the rest.
            FieldAction::Model | FieldAction::Refuse => {
                let keeping = (kept, obliged, clearing.keeps);
                return Err(refused((rule, hit), offer, prompt, keeping));
            }
        }
    }
    if let Some(known) = &fields.known
        && let Some(stranger) = unknown_key(&prompt.body, &prompt.scan, known)
    {
        return Err(Fault::new(
            Code::FieldRefused,
            format!(
                "the field `{stranger}` is not one of this API, and `{}` is a router that might choose the destination by it; remove it",
                offer.upstream.name()
            ),
        )
        .param(stranger));
    }
    if let Some(fixes) = fields.fixes.get(offer.own_name()) {
        services::fix(fixes, prompt, &mut edits, &mut made);
    }
    let way = offer.way(prompt.call);
    let carrier = match way {
        Some(Way::Carried(by)) => Some(by),
        _ => None,
    };
    if let Some(by) = carrier {
        let packed = by.pack(&prompt.body, prompt.extras.betas());
        let packed = packed.map_err(|why| untranslatable(&why, by.dialect()))?;
        edits.extend(packed.edits);
        made.extend(packed.changes.into_iter().map(Made::Borrowed));
    } else if let Some(edit) = prompt.name_model(offer.rename.as_ref()) {
        made.push(if edit.with.is_empty() {
            REMOVE_MODEL
        } else {
            SET_MODEL
        });
        edits.push(edit);
    }
    let unstored = prompt.unstored.as_ref();
    let unstored = unstored.filter(|_| kept != Kept::Allowed);
    if let Some(edit) = unstored.or(stores) {
        made.push(SET_STORE);
        edits.push(edit.clone());
    }
    let body = json::splice(&prompt.body, &edits);
    let extras = prompt.extras.clone();
    let cleared = Cleared {
        permit,
        body,
        call: carrier.map_or(prompt.call, |by| Call::Carried(by, prompt.stream)),
        stream: prompt.stream,
        extras: match carrier {
            Some(by) => extras.carried(by),
            None => extras,
        },
        edits: made,
        translation: None,
        carrier,
        vectors: None,
        stored: None,
        keeps: kept == Kept::Allowed && prompt.storable,
        keeps_here: keeps_here && prompt.storable,
        hides_usage: false,
    };
    match way {
        Some(Way::Embedded(by)) => embedded(cleared, offer, by, clearing.on_loss),
        Some(Way::Translated(from, to, by)) => {
            let cleared = translated(cleared, offer, (from, to), clearing.on_loss)?;
            match by {
                Some(by) => carried(cleared, by),
                None => Ok(cleared),
            }
        }
        _ => Ok(cleared),
    }
}

/// A request for vectors in the shape of its service.
fn embedded(
    cleared: Cleared,
    offer: &Offer,
    by: Embedder,
    on_loss: OnLoss,
) -> Result<Cleared, Fault> {
    let asked = by.ask(&whole(&cleared.body), offer.own_name());
    let asked = asked.map_err(|why: EmbedError| {
        let message = format!("the request is put into the shape of its upstream: {why}");
        Fault::new(Code::InvalidRequest, message)
    })?;
    let losses: Vec<Box<str>> = asked.losses.iter().map(said).collect();
    if on_loss == OnLoss::Refuse && !losses.is_empty() {
        let message = format!(
            "the upstream cannot be told {}; take it out, or choose another model",
            losses.join(", ")
        );
        return Err(Fault::new(Code::NotTranslatable, message));
    }
    Ok(Cleared {
        body: smallvec![Bytes::from(asked.body)],
        call: Call::Embedded(by),
        vectors: Some(Vectors {
            by,
            model: offer.own_name().into(),
            texts: asked.texts,
            base64: asked.base64,
            losses,
        }),
        ..cleared
    })
}

/// A translated request in the API of its platform.
fn carried(cleared: Cleared, by: Carrier) -> Result<Cleared, Fault> {
    let asked = whole(&cleared.body);
    let packed = by.pack(&asked, [].into_iter());
    let packed = packed.map_err(|why| untranslatable(&why, by.dialect()))?;
    Ok(Cleared {
        body: json::splice(&asked, &packed.edits),
        call: Call::Carried(by, cleared.stream),
        extras: cleared.extras.carried(by),
        carrier: Some(by),
        ..cleared
    })
}

/// A body in one piece.
fn whole(body: &[Bytes]) -> Bytes {
    match body {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    }
}

/// Why a request cannot go in the words of its upstream. `own` is what it could go in as it is.
fn untranslatable(why: &TranslateError, own: Dialect) -> Fault {
    let code = match why {
        TranslateError::Unsupported { .. } => Code::NotTranslatable,
        _ => Code::InvalidRequest,
    };
    let message = format!(
        "the request is translated for its upstream: {why}; change it, or choose a model whose upstream speaks {own}"
    );
    Fault::new(code, message)
}

/// Has a stream of chat completions tell its usage; nothing where it does so, or where what stands there is nothing that
/// could be changed.
fn include_usage(body: &Bytes) -> Option<Edit> {
    const ASKED: &[u8] = br#"{"include_usage":true}"#;
    let watch = Watch::new([STREAM_OPTIONS, INCLUDE_USAGE]).ok()?;
    let scan = json::scan(body, &watch, JSON_DEPTH_MAX).ok()?;
    let (options, usage) = (scan.first(0), scan.first(1));
    match (options.map(|hit| hit.kind), options, usage) {
        (_, Some(_), Some(usage)) => {
            let told = json::bool_value(body, usage) == Ok(true);
            (!told).then(|| Edit::replace(usage, Bytes::from_static(b"true")))
        }
        (None, ..) => Some(insert(body, STREAM_OPTIONS, ASKED)),
        (Some(Kind::Null), Some(options), None) => {
            Some(Edit::replace(options, Bytes::from_static(ASKED)))
        }
        (Some(Kind::Object), Some(options), None) => {
            let object = body.slice(options.value.clone());
            let edit = insert(&object, "include_usage", b"true");
            let start = options.value.start + edit.range.start;
            Some(Edit {
                range: start..start,
                with: edit.with,
            })
        }
        _ => None,
    }
}

/// Keep in mind once what was changed.
pub(crate) fn note(made: &mut SmallVec<[Made; 2]>, change: String) {
    if !made.iter().any(|known| *known == change) {
        made.push(change.into());
    }
}

/// The same request in the dialect of its upstream.
fn translated(
    cleared: Cleared,
    offer: &Offer,
    (from, to): (ClientDialect, Dialect),
    on_loss: OnLoss,
) -> Result<Cleared, Fault> {
    let asked = whole(&cleared.body);
    let mut options = offer.options.clone();
    if cleared.call.names_model_in_path() {
        // So is the wish for a stream.
        options.target.model = Some(offer.own_name().to_owned());
        options.caller.stream = cleared.stream;
    }
    let ask = translate::ask(from, to, &asked, &options)
        .map_err(|why| untranslatable(&why, Dialect::from(from)))?;
    let losses: Vec<Box<str>> = ask.losses.iter().map(said).collect();
    if on_loss == OnLoss::Refuse && !losses.is_empty() {
        let message = format!(
            "the upstream speaks {to}, which cannot say {}; take it out, or choose another model",
            losses.join(", ")
        );
        return Err(Fault::new(Code::NotTranslatable, message));
    }
    let call = Call::in_dialect(to, ask.stream).ok_or_else(|| {
        Fault::new(
            Code::NotTranslatable,
            format!("{to} is not spoken to services"),
        )
    })?;
    // One API sends an array unless it is asked for events.
    let query = (call == Call::StreamGenerateContent).then_some("alt=sse");
    let as_array = cleared.call == Call::StreamGenerateContent && !cleared.extras.query;
    Ok(Cleared {
        body: smallvec![Bytes::from(ask.body)],
        call,
        extras: Extras::of(call, &HeaderMap::new(), query),
        translation: Some(Translation {
            from,
            to,
            losses,
            include_usage: ask.include_usage,
            as_array,
        }),
        ..cleared
    })
}

/// Whether the value is one that leads nowhere (`store: false`, `tools[].type: "function"`).
fn is_harmless(body: &Bytes, hit: &Hit, rule: &FieldRule) -> bool {
    if hit.kind == Kind::Null {
        return true;
    }
    let Some(value) = slice(body, &hit.value) else {
        return false;
    };
    rule.allow.iter().any(|allowed| match hit.kind {
        Kind::String => json::string_value(body, hit).is_ok_and(|text| *text == **allowed),
        _ => value == allowed.as_bytes(),
    })
}

fn slice<'a>(body: &'a Bytes, range: &Range<usize>) -> Option<&'a [u8]> {
    body.get(range.clone())
}

fn unknown_key(body: &Bytes, scan: &Scan, known: &[String]) -> Option<String> {
    scan.unknown(body)
        .find(|key| !known.iter().any(|known| known == key))
        .map(std::borrow::Cow::into_owned)
}

fn refused(
    (rule, hit): (&FieldRule, &Hit),
    offer: &Offer,
    prompt: &Prompt,
    (kept, obliged, keeps_here): (Kept, bool, bool),
) -> Fault {
    let upstream = offer.upstream.name();
    let path = &*rule.path;
    if kept != Kept::Never && NAMES_STATE.contains(&path) {
        let message = format!(
            "the field `{path}` names something that is kept at `{upstream}`, and nothing of that name was made there by this workload: {}; bring the content along",
            rule.why
        );
        return Fault::new(Code::StateNotFound, message).param(path);
    }
    let mut says = String::new();
    let help = match path {
        _ if rule.kind == FieldKind::Tool => {
            if let Ok(value) = json::string_value(&prompt.body, hit) {
                says = format!(", which says `{}`,", shortened(&value).escape_debug());
            }
            "which in an agent may be a setting, or have the application run such a tool itself"
                .to_owned()
        }
        _ if !KEPT.contains(&path) => {
            "or choose a model whose own name says where the prompt goes".to_owned()
        }
        BACKGROUND | STORE if obliged => {
            "for the rule that permits the request obliges that nothing is stored".to_owned()
        }
        _ => {
            let mut help = unkept(offer, prompt.call);
            if !keeps_here && path != BACKGROUND {
                help.push_str(
                    "; with a section `[conversations]` in its configuration, Carnet itself keeps them",
                );
            }
            help
        }
    };
    let message = format!(
        "the field `{path}`{says} is refused for `{upstream}`: {}; remove it, {help}",
        rule.why
    );
    Fault::new(Code::FieldRefused, message).param(path)
}

/// Why an upstream keeps nothing, and what helps.
fn unkept(offer: &Offer, call: Call) -> String {
    let upstream = offer.upstream.name();
    match (offer.way(call), offer.keeping) {
        (Some(Way::Translated(_, to, _)), _) => format!(
            "and send the whole conversation as `input`: this upstream speaks {to} and keeps no responses"
        ),
        (_, Keeping::AgainstFact) => {
            "and send the whole conversation as `input`: the decision rests on the fact that this host keeps nothing"
                .to_owned()
        }
        (_, Keeping::Allowed | Keeping::NotAllowed) => format!(
            "and send the whole conversation as `input`, or ask your operator to set `stored_responses = true` for the upstream `{upstream}`"
        ),
    }
}

#[cfg(test)]
mod tests;
