//! Reads `prices/*.toml`.

use crate::reader::{Doc, Fields, Text};
use crate::registry::links::{Kind, Links};
use crate::registry::price::{Figures, LongPrompts, PerMillion, Price, misfit};

/// The keys of the figures: input, output, cached input, cache write.
type Keys = [&'static str; 4];

const USUAL: Keys = ["input", "output", "cached_input", "cache_write"];
const LONG: Keys = [
    "input_above",
    "output_above",
    "cached_input_above",
    "cache_write_above",
];

/// Read the prices of one host, whose id is the file's.
pub(crate) fn prices<'a>(doc: &'a Doc<'a>, host: &str, links: &mut Links) -> Option<Vec<Price>> {
    links.add(Kind::Host, host, doc.start());
    let mut fields = doc.fields()?;
    let mut found: Vec<Price> = Vec::new();
    for table in fields.tables("price") {
        let place = table.place();
        let Some(price) = price(table) else {
            continue;
        };
        let rival = |other: &Price| other.name == price.name && other.valid.overlaps(&price.valid);
        if found.iter().any(rival) {
            let message = format!("`{}` has two prices on the same days", price.name);
            doc.note(place.problem(message).help(
                "keep one of them, or give them valid_from and valid_to that do not overlap",
            ));
        }
        found.push(price);
    }
    fields.finish();
    Some(found)
}

fn price(mut table: Fields<'_>) -> Option<Price> {
    let name = table.need_text("name");
    let currency = table
        .need_text_at("currency")
        .and_then(|text| table.parsed(&text, "write it as in `currency = \"USD\"`"));
    let usual = figures(&mut table, USUAL);
    let long_prompts = long_prompts(&mut table);
    if let (Some(usual), Some(long)) = (&usual, &long_prompts)
        && let Some(wrong) = misfit(usual, &long.figures)
    {
        let problem = table.place().problem(wrong);
        table.note(problem.help("give a figure for both lengths of prompts, or for neither"));
    }
    let note = table.text("note");
    let evidence = table.evidence();
    let valid = table.validity();
    table.finish();
    Some(Price {
        name: name?,
        currency: currency?,
        figures: usual?,
        long_prompts,
        note,
        evidence: evidence?,
        valid,
    })
}

/// `above` and the figures that count from there on; either both or neither.
fn long_prompts(table: &mut Fields<'_>) -> Option<LongPrompts> {
    if table.has("above") {
        let above = table.count("above");
        let figures = figures(table, LONG);
        return Some(LongPrompts {
            above: above?,
            figures: figures?,
        });
    }
    for key in LONG {
        if let Some(text) = table.text_at(key) {
            let problem = text.place.problem(format!("`{key}` without `above`"));
            table.note(problem.help("say the number of tokens: `above = …`"));
        }
    }
    None
}

fn figures(
    table: &mut Fields<'_>,
    [input, output, cached_input, cache_write]: Keys,
) -> Option<Figures> {
    let input = table.need_text_at(input);
    let input = input.and_then(|text| figure(table, &text));
    // One that is there and no number is not the same as one that is missing.
    let [output, cached_input, cache_write] =
        [output, cached_input, cache_write].map(|key| match table.text_at(key) {
            Some(text) => figure(table, &text).map(Some),
            None => Some(None),
        });
    Some(Figures {
        input: input?,
        output: output?,
        cached_input: cached_input?,
        cache_write: cache_write?,
    })
}

fn figure(table: &Fields<'_>, text: &Text) -> Option<PerMillion> {
    table.parsed(
        text,
        "write the price of a million tokens, such as \"2.50\"",
    )
}

#[cfg(test)]
mod tests {
    use crate::Registry;
    use crate::fixture::{SAID, file, files};

    /// The mistakes of a file of prices, with their fixes.
    fn mistakes(path: &str, text: &str) -> Vec<String> {
        let mut all = files();
        all.push(file(path, &text.replace("SAID", &SAID.replace(", ", "\n"))));
        let problems = Registry::parse(&all).err().unwrap_or_default();
        problems
            .iter()
            .map(|problem| {
                format!(
                    "{problem} | {}",
                    problem.help.as_deref().unwrap_or_default()
                )
            })
            .collect()
    }

    /// One price with further lines.
    fn entry(more: &str) -> String {
        format!("[[price]]\nname = \"oak\"\ncurrency = \"QXA\"\nSAID\n{more}\n")
    }

    #[test]
    fn every_mistake_has_its_line_and_its_fix() {
        // The lines of an entry: its head, name, currency, source, date, confidence, then the rest from 7.
        for (text, expected) in [
            (
                "[[price]]\ncurrency = \"QXA\"\ninput = \"1\"\nSAID\n".to_owned(),
                "prices/box.toml:1:1: `name` is missing",
            ),
            (
                "[[price]]\nname = \"oak\"\ninput = \"1\"\nSAID\n".to_owned(),
                "prices/box.toml:1:1: `currency` is missing",
            ),
            (
                "[[price]]\nname = \"oak\"\ncurrency = \"qxa\"\ninput = \"1\"\nSAID\n".to_owned(),
                "prices/box.toml:3:13: `qxa` is not a currency's code",
            ),
            (entry(""), "prices/box.toml:1:1: `input` is missing"),
            (
                entry("input = 2.5"),
                "prices/box.toml:7:9: `input` must be a text, not a number",
            ),
            (
                entry("input = \"1\"\noutput = \"1e3\""),
                "prices/box.toml:8:11: `1e3` is not a plain decimal number",
            ),
            (
                entry("input = \"-1\""),
                "prices/box.toml:7:10: `-1` is not a plain decimal number",
            ),
            (
                entry("input = \"0.0000000001\""),
                "prices/box.toml:7:10: `0.0000000001` is not a plain decimal number",
            ),
            (
                entry("input = \"1\"\nabove = 1000"),
                "`input_above` is missing",
            ),
            (
                entry("input = \"1\"\nabove = 0\ninput_above = \"2\""),
                "prices/box.toml:8:9: `above` must be a whole number from 1",
            ),
            (
                entry("input = \"1\"\ninput_above = \"2\""),
                "prices/box.toml:8:16: `input_above` without `above`",
            ),
            (
                entry("input = \"1\"\noutput = \"1\"\nabove = 1\ninput_above = \"2\""),
                "prices/box.toml:1:1: `output` and `output_above` need each other",
            ),
            (
                entry("input = \"1\"\nabove = 1\ninput_above = \"2\"\ncached_input_above = \"1\""),
                "`cached_input_above` without `cached_input`",
            ),
            (
                entry("input = \"1\"\nabove = 1\ninput_above = \"2\"\ncache_write_above = \"1\""),
                "`cache_write_above` without `cache_write`",
            ),
            (
                entry("input = \"1\"\nuntil = \"2026-01-01\""),
                "prices/box.toml:8:1: unknown key `until`",
            ),
            (
                entry("input = \"1\"\nvalid_to = \"2026-02-30\""),
                "prices/box.toml:8:13: `2026-02-30` is not a date",
            ),
            (
                entry("input = \"1\"\nvalid_from = \"2026-02-01\"\nvalid_to = \"2026-02-01\""),
                "is not after `valid_from`",
            ),
            (
                "[[price]]\nname = \"oak\"\ncurrency = \"QXA\"\ninput = \"1\"\n".to_owned(),
                "prices/box.toml:1:1: `source` is missing",
            ),
            (
                "name = \"Box\"".to_owned(),
                "prices/box.toml:1:1: unknown key `name`",
            ),
            (
                entry("input = \"1\"") + &entry("input = \"2\""),
                "prices/box.toml:8:1: `oak` has two prices on the same days",
            ),
            (
                entry("input = \"1\"\nvalid_to = \"2026-02-02\"")
                    + &entry("input = \"2\"\nvalid_from = \"2026-02-01\""),
                "prices/box.toml:9:1: `oak` has two prices on the same days",
            ),
        ] {
            let found = mistakes("prices/box.toml", &text);
            let line = found.iter().find(|line| line.contains(expected));
            let line = line.unwrap_or_else(|| panic!("{expected} in {found:#?} of\n{text}"));
            assert!(!line.ends_with("| "), "no fix: {line}");
        }
    }

    #[test]
    fn a_figure_that_is_no_number_is_one_mistake() {
        let text =
            "input = \"1\"\noutput = \"1e3\"\nabove = 1\ninput_above = \"2\"\noutput_above = \"3\"";
        let found = mistakes("prices/box.toml", &entry(text));
        assert_eq!(found.len(), 1, "{found:#?}");
    }

    #[test]
    fn prices_are_of_a_host_that_is_known() {
        let found = mistakes("prices/nobody.toml", &entry("input = \"1\""));
        assert_eq!(
            found,
            [
                "prices/nobody.toml:1:1: there is no host `nobody` | add hosts/nobody.toml, or mend the id"
            ]
        );
    }

    #[test]
    fn one_price_may_follow_another() {
        let text = entry("input = \"1\"\nvalid_to = \"2026-02-01\"")
            + &entry("input = \"2\"\nvalid_from = \"2026-02-01\"");
        assert_eq!(mistakes("prices/box.toml", &text), [""; 0]);
    }
}
