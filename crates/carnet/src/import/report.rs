//! What became of each part of the source: for people, and as one JSON object.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

/// Places that a line for people names; the JSON object has all.
const PLACES_SHOWN: usize = 5;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) line: usize,
}

/// Something that the new configuration has too.
#[derive(Debug, Serialize)]
struct Carried {
    #[serde(flatten)]
    place: Place,
    what: String,
}

/// A secret that was not copied.
#[derive(Debug, Serialize)]
pub(super) struct Secret {
    pub(super) variable: String,
    pub(super) holds: String,
    pub(super) places: Vec<Place>,
}

/// Something that the new configuration does not have.
#[derive(Debug, Serialize)]
struct Left {
    why: String,
    instead: Option<String>,
    places: Vec<Place>,
}

/// See the module.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    carried: Vec<Carried>,
    pub(super) secrets: Vec<Secret>,
    left: Vec<Left>,
    #[serde(skip)]
    left_by_reason: HashMap<(String, Option<String>), usize>,
}

impl Report {
    /// Whether all was carried over.
    pub(crate) fn is_complete(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn carried(&mut self, place: Place, what: impl Into<String>) {
        let what = what.into();
        self.carried.push(Carried { place, what });
    }

    /// The same reason is told once, with all its places.
    pub(super) fn left(&mut self, place: Place, why: impl Into<String>, instead: Option<&str>) {
        let (why, instead) = (why.into(), instead.map(str::to_owned));
        let next = self.left.len();
        let index = *self
            .left_by_reason
            .entry((why.clone(), instead.clone()))
            .or_insert(next);
        match self.left.get_mut(index) {
            Some(left) if left.places.last() == Some(&place) => {}
            Some(left) => left.places.push(place),
            None => self.left.push(Left {
                why,
                instead,
                places: vec![place],
            }),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if !self.carried.is_empty() {
            text.push_str("\ncarried over\n");
        }
        for Carried { place, what } in &self.carried {
            line(&mut text, format_args!("  {}: {what}", shown(place)));
        }
        if !self.secrets.is_empty() {
            text.push_str("\nset before the start; no secret was copied\n");
        }
        for secret in &self.secrets {
            let places = all_shown(&secret.places);
            line(
                &mut text,
                format_args!("  {}: {} ({places})", secret.variable, secret.holds),
            );
        }
        if !self.left.is_empty() {
            text.push_str("\nnot carried over\n");
        }
        for left in &self.left {
            line(
                &mut text,
                format_args!("  {}: {}", all_shown(&left.places), left.why),
            );
            if let Some(instead) = &left.instead {
                line(&mut text, format_args!("    instead: {instead}"));
            }
        }
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A text takes whatever is written to it.
    let _ = writeln!(text, "{line}");
}

fn shown(place: &Place) -> String {
    format!("{} (line {})", place.path, place.line)
}

fn all_shown(places: &[Place]) -> String {
    let mut text: Vec<String> = places.iter().take(PLACES_SHOWN).map(shown).collect();
    let more = places.len().saturating_sub(PLACES_SHOWN);
    if more > 0 {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}
