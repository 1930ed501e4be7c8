//! `carnet resolve`: what a model id is.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, stdin};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use carnet_provenance::{Query, Resolution, View};
use jiff::civil::Date;
use serde::Deserialize;

use crate::cli::ResolveArgs;
use crate::evidence::{self, Argument};
use crate::exit::Exit;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

/// Longest line that is read from standard input, in bytes; the rest of a longer one is dropped.
const LINE_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn run(args: &ResolveArgs) -> Exit {
    match answer_all(args) {
        Ok(exit) => exit,
        Err(troubles) => commands::failed(&troubles),
    }
}

fn answer_all(args: &ResolveArgs) -> Result<Exit, Troubles> {
    let as_of = args.facts.as_of.unwrap_or_else(clock::today);
    let registry = world::registry_in(args.facts.registry.as_deref(), args.facts.state.as_deref())?;
    let view = world::view(&registry, &args.facts.overlay, as_of)?;
    if let Some(host) = &args.host
        && view.host(host).is_none()
    {
        return Err(vec![Trouble::new(
            format!("there is no host `{host}`"),
            "`carnet registry list hosts` lists them; an overlay may add one",
        )]);
    }
    let asker = Asker {
        args,
        view: &view,
        as_of,
    };
    let mut exit = Exit::Good;
    let several = args.ids.len() > 1;
    for id in &args.ids {
        let one = if id == "-" {
            asker.standard_input()?
        } else {
            asker.argument(id, several)
        };
        exit = exit.worst(one);
    }
    Ok(exit)
}

struct Asker<'a> {
    args: &'a ResolveArgs,
    view: &'a View,
    as_of: Date,
}

/// A line of JSON Lines input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    platform: Option<String>,
    host: Option<String>,
    region: Option<String>,
}

impl Asker<'_> {
    fn id(&self, id: &str, several: bool) -> Exit {
        let ResolveArgs {
            platform,
            host,
            region,
            ..
        } = self.args;
        self.query(
            id,
            platform.as_deref(),
            host.as_deref(),
            region.as_deref(),
            several,
        )
    }

    /// An id, or a path to files that tell what they are.
    fn argument(&self, text: &OsStr, several: bool) -> Exit {
        match evidence::argument(text, self.args.platform.as_deref()) {
            Argument::Id => self.bytes(text.as_bytes(), "an argument", several),
            Argument::Path(path) => self.path(&path, several),
            Argument::Missing => self.nothing(&vec![evidence::missing(text)], text, several),
        }
    }

    fn path(&self, path: &Path, several: bool) -> Exit {
        let says = match evidence::read(path) {
            Ok(says) => says,
            Err(troubles) => return self.nothing(&troubles, path.as_os_str(), several),
        };
        let id = path.to_string_lossy();
        let resolution = self.view.resolve_files(
            &says,
            &Query {
                id: &id,
                platform: None,
                host: self.args.host.as_deref(),
                upstream: None,
                region: self.args.region.as_deref(),
                as_of: self.as_of,
            },
        );
        self.answer(&resolution, several)
    }

    /// A path that cannot be read. Among several there is still one answer for each argument.
    fn nothing(&self, troubles: &Troubles, text: &OsStr, several: bool) -> Exit {
        let exit = commands::failed(troubles);
        if several {
            self.query(&text.to_string_lossy(), Some("file"), None, None, true);
        }
        exit
    }

    /// An id as it came in. What is not text has an answer too, beside the complaint.
    fn bytes(&self, id: &[u8], what: &str, several: bool) -> Exit {
        let text = String::from_utf8_lossy(id);
        let exit = self.id(&text, several);
        if std::str::from_utf8(id).is_ok() {
            return exit;
        }
        out::note(format_args!(
            "error: {what} is not UTF-8\n  help: write ids as UTF-8"
        ));
        exit.worst(Exit::Error)
    }

    /// One answer per line, whatever the line is.
    fn standard_input(&self) -> Result<Exit, Troubles> {
        let mut exit = Exit::Good;
        let mut input = stdin().lock();
        let mut line = Vec::new();
        let mut number = 0_usize;
        while read_line(&mut input, &mut line)? {
            number += 1;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            let one = match std::str::from_utf8(line) {
                Ok(text) if text.trim_start().starts_with('{') => self.json_line(text, number),
                _ => self.bytes(line, &format!("line {number}"), true),
            };
            exit = exit.worst(one);
        }
        Ok(exit)
    }

    fn json_line(&self, text: &str, number: usize) -> Exit {
        match serde_json::from_str::<Line>(text) {
            Ok(line) => {
                let platform = line.platform.as_deref().or(self.args.platform.as_deref());
                let host = line.host.as_deref().or(self.args.host.as_deref());
                let region = line.region.as_deref().or(self.args.region.as_deref());
                self.query(&line.id, platform, host, region, true)
            }
            Err(error) => {
                let help = "a line is an id or {\"id\": …, \"platform\": …, \"host\": …}";
                out::note(format_args!(
                    "error: line {number}: {error}\n  help: {help}"
                ));
                // Still one answer a line: the text itself, which is no id that anyone knows.
                self.id(text, true).worst(Exit::Error)
            }
        }
    }

    fn query(
        &self,
        id: &str,
        platform: Option<&str>,
        host: Option<&str>,
        region: Option<&str>,
        several: bool,
    ) -> Exit {
        let resolution = self.view.resolve(&Query {
            id,
            platform,
            host,
            upstream: None,
            region,
            as_of: self.as_of,
        });
        self.answer(&resolution, several)
    }

    fn answer(&self, resolution: &Resolution, several: bool) -> Exit {
        let exit = if self.args.json {
            commands::json(resolution)
        } else {
            out::answer(describe(resolution));
            Exit::Good
        };
        let named = resolution
            .candidates
            .iter()
            .any(|candidate| candidate.model.is_some());
        // Files may tell what theirs was made from without being known themselves.
        let mut line = resolution.lineage.iter();
        let known = named || line.any(|one| one.producer_id.is_some());
        if !known && (!several || self.args.strict) {
            exit.worst(Exit::Unknown)
        } else {
            exit
        }
    }
}

/// Read a line without its end; false at the end of the input. Memory stays bounded.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Troubles> {
    line.clear();
    let mut any = false;
    loop {
        let piece = input.fill_buf().map_err(|error| {
            vec![Trouble::new(
                format!("cannot read standard input: {error}"),
                "check the pipe",
            )]
        })?;
        if piece.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
        let used = end.map_or(piece.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The answer for people: what it is, what it was made of, where it runs, and how sure that is.
pub(crate) fn describe(resolution: &Resolution) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {label:<10} {value}");
    };
    let unknown = "unknown";
    match (resolution.named(), &resolution.canonical) {
        (Some(named), _) => line("model", named),
        (None, Some(guess)) => line("model", &format!("perhaps {guess}, by its name alone")),
        (None, None) => line("model", unknown),
    }
    if let Some(producer) = &resolution.producer {
        let country = producer
            .country
            .map_or_else(|| unknown.to_owned(), |country| country.to_string());
        line(
            "producer",
            &format!(
                "{} ({country}) · {} · {}",
                producer.name, producer.confidence, producer.source
            ),
        );
    } else {
        line("producer", unknown);
    }
    let licence = resolution.licence.as_deref().unwrap_or(unknown);
    line(
        "weights",
        &format!("{}, licence {licence}", resolution.weights),
    );
    line("lineage", &resolution.lineage_status.to_string());
    for ancestor in &resolution.lineage {
        let country = ancestor
            .country
            .map_or_else(|| unknown.to_owned(), |country| country.to_string());
        let producer = ancestor.producer.as_deref().unwrap_or(unknown);
        line(
            "",
            &format!(
                "{} {} of {} ({producer}, {country}) · {} · {}",
                "←".repeat(usize::from(ancestor.hop).min(8)),
                ancestor.relation,
                ancestor.model,
                ancestor.confidence,
                ancestor.source
            ),
        );
    }
    line(
        "countries",
        &countries(&resolution.weights_countries, resolution.weights_complete),
    );
    if !resolution.teachers.is_empty() {
        let teachers: Vec<String> = resolution
            .teachers
            .iter()
            .map(ToString::to_string)
            .collect();
        line(
            "teachers",
            &format!(
                "{} · {}",
                teachers.join(", "),
                countries(&resolution.teacher_countries, resolution.teachers_complete)
            ),
        );
    }
    match &resolution.hosting {
        Some(hosting) => {
            let operator = hosting.operator.as_deref().unwrap_or(unknown);
            line(
                "host",
                &format!(
                    "{} by {operator} · {} · {}",
                    hosting.host, hosting.confidence, hosting.source
                ),
            );
            line("law", &countries(&hosting.jurisdictions, hosting.complete));
        }
        None => line("host", "not asked, or unknown"),
    }
    for dispute in &resolution.disputed {
        line("disputed", &dispute.to_string());
    }
    match &*resolution.candidates {
        // The canonical name is that of a name which moves: say where it stands on this day.
        [one] => {
            if let Some(model) = &one.model
                && Some(model.as_str()) != resolution.canonical.as_deref()
            {
                line(
                    if one.identified { "is now" } else { "may be" },
                    model.as_str(),
                );
            }
        }
        several => {
            let names: Vec<&str> = several
                .iter()
                .map(|candidate| candidate.name.as_str())
                .collect();
            line("may be", &names.join(" or "));
        }
    }
    line("confidence", &resolution.confidence.to_string());
    for (at, step) in resolution.steps.iter().enumerate() {
        line(if at == 0 { "read as" } else { "" }, step);
    }
    out::plain(&format!(
        "{}\n{}",
        resolution.id.replace('\n', "\u{fffd}"),
        text.trim_end_matches('\n')
    ))
}

fn countries<'a>(
    codes: impl IntoIterator<Item = &'a carnet_provenance::Country>,
    complete: bool,
) -> String {
    let codes: Vec<String> = codes.into_iter().map(ToString::to_string).collect();
    let known = if codes.is_empty() {
        "none known".to_owned()
    } else {
        codes.join(", ")
    };
    if complete {
        format!("{known} (complete)")
    } else {
        format!("{known} (others cannot be excluded)")
    }
}
