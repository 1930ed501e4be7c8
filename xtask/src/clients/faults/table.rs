//! The table of the fault run.

use std::fmt;

use super::caller::View;
use super::judge::Counted;
use super::upstream::Role;

/// All lines, and what stands below them.
#[derive(Default)]
pub(super) struct Table {
    lines: Vec<(&'static str, &'static str, Counted)>,
    notes: Vec<String>,
}

impl Table {
    pub(super) fn push(&mut self, routing: &'static str, what: &'static str, counted: Counted) {
        self.lines.push((routing, what, counted));
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<56} {:>7} {:>6} {:>5} {:>5} {:>5} {:>6} {:>7} {:>4} {:>7} {:>11} {:>8} {:>6} {:>9}",
            "what goes wrong",
            "routing",
            "asked",
            "good",
            "error",
            "told",
            "broken",
            "as sent",
            "gone",
            "records",
            "first, read",
            "second",
            "forbid",
            "recovered"
        )?;
        for (routing, what, counted) in &self.lines {
            let views = |of: fn(View) -> bool| counted.views(of);
            let of = |role| {
                let sent = counted.sent.get(&role).copied().unwrap_or(0);
                let seen = counted.seen.get(&role).copied().unwrap_or(0);
                format!("{sent}, {seen}")
            };
            let recovered = counted.recovered;
            let recovered =
                recovered.map_or_else(String::new, |took| format!("{} ms", took.as_millis()));
            writeln!(
                f,
                "{what:<56} {routing:>7} {:>6} {:>5} {:>5} {:>5} {:>6} {:>7} {:>4} {:>7} {:>11} {:>8} {:>6} {recovered:>9}",
                counted.asked.len(),
                views(|view| view == View::Good),
                views(|view| matches!(view, View::Error(_))),
                views(|view| view == View::Told),
                views(|view| view == View::Broken),
                views(|view| view == View::AsSent),
                views(|view| view == View::HungUp),
                counted.records,
                of(Role::Faulty),
                of(Role::Second),
                of(Role::Forbidden),
            )?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}
