//! Hostile bodies: requests that two readers could understand differently. None may reach the
//! upstream so that Python's, Node's or Rust's reader finds another model, provider or tool server
//! in it than was decided on.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::dice::Dice;
use super::gateway::Setup;
use super::script::{Script, Suite};
use super::{LANGUAGES, WORKLOAD, nobody};
use crate::console;
use crate::generate;
use crate::mock::{Mock, ask, read_answer};
use crate::steps::Bench;
use crate::totals::Totals;

const BODIES: usize = 1_000;
/// The same bodies each run: a failure must be found again.
const SEED: u64 = 0x00c0_ffee_5eed;
/// What policy permits, and what it does not.
const GOOD: &str = "\"mock-chat\"";
const BAD: &str = "\"closed-hostile\"";
/// Every so many bodies one is left as it is, so that the way through is seen to be open.
const HARMLESS_EVERY: usize = 20;

pub(crate) fn hostile(bench: &Bench<'_>) -> Result<Totals> {
    generate::build(bench.repo)?;
    let mock = Mock::start(0, None)?;
    let setup = Setup::new(bench.repo, "suite")?
        .with("mock", &mock.url())
        .with("down", &format!("http://{}", nobody()?));
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let mut dice = Dice::seeded(SEED);
    let mut totals = Totals::default();
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for number in 0..BODIES {
        let harmless = number % HARMLESS_EVERY == 0;
        let body = if harmless {
            plain().text()
        } else {
            body(&mut dice)
        };
        let answer = read_answer(ask(
            gateway.data,
            "/v1/chat/completions",
            Some(&key),
            &body,
        )?)
        .with_context(|| format!("no answer to {}", String::from_utf8_lossy(&body)))?;
        *statuses.entry(answer.status).or_default() += 1;
        let fault = match answer.status {
            200 | 400 | 403 | 404 | 413 => None,
            other if harmless || other >= 500 => Some(format!("status {other}")),
            _ => None,
        };
        if let Some(fault) = fault {
            let body = String::from_utf8_lossy(&body).into_owned();
            totals.case(
                &format!("hostile body {number}"),
                Err(format!("{fault}: {body}")),
            );
        }
    }
    console::say(format_args!(
        "{BODIES} bodies, answers by status: {statuses:?}"
    ));

    let reached: Vec<String> = mock.seen().into_iter().map(|seen| seen.body).collect();
    for body in &reached {
        totals.case(
            "as Rust reads it",
            judge(body).map_err(|error| format!("{error:#}: {body}")),
        );
    }
    let harmless = BODIES.div_ceil(HARMLESS_EVERY);
    let open = if reached.len() >= harmless {
        Ok(())
    } else {
        Err(format!("only {} of {harmless}", reached.len()))
    };
    totals.case("harmless bodies reach the upstream", open);
    let file = bench.repo.target().join("suites/hostile.json");
    fs::write(&file, Value::from(reached).to_string())?;
    for language in LANGUAGES {
        let (mock, gateway) = (&mock.url(), &gateway.url());
        Script {
            suite: Suite::new(language, "hostile"),
            mock,
            gateway,
            key: &key,
        }
        .with_file(bench, &file, &mut totals)?;
    }
    totals.case(
        "the gateway stops when told to",
        gateway.stop().map_err(|error| format!("{error:#}")),
    );
    Ok(totals)
}

/// What Rust's own reader finds in a body that went through. One that it refuses to read (a number
/// out of its range, half a surrogate pair) misleads nobody.
fn judge(body: &str) -> Result<()> {
    let Ok(read) = serde_json::from_str::<Value>(body) else {
        return Ok(());
    };
    ensure!(
        read.get("model") == Some(&json!("mock-chat")),
        "another model"
    );
    for field in ["provider", "models", "fallbacks"] {
        ensure!(read.get(field).is_none(), "`{field}` went through");
    }
    let tools = read
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for tool in tools {
        ensure!(
            tool.get("server_url").is_none(),
            "a tool server went through"
        );
    }
    Ok(())
}

/// A body as its fields' raw texts, so that what no serialiser would write can be written.
struct Fields(Vec<(String, String)>);

fn plain() -> Fields {
    let message = r#"[{"role": "user", "content": "say \"model\": no more"}]"#;
    let fields = [
        ("\"model\"", GOOD),
        ("\"messages\"", message),
        ("\"stream\"", "false"),
        ("\"n\"", "1"),
    ];
    Fields(
        fields
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
    )
}

impl Fields {
    fn text(&self) -> Vec<u8> {
        let fields: Vec<_> = self
            .0
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!("{{{}}}", fields.join(", ")).into_bytes()
    }

    /// Puts a field somewhere.
    fn insert(&mut self, dice: &mut Dice, key: &str, value: &str) {
        let room = u64::try_from(self.0.len()).unwrap_or(0) + 1;
        let at = usize::try_from(dice.below(room))
            .unwrap_or(0)
            .min(self.0.len());
        self.0.insert(at, (key.to_owned(), value.to_owned()));
    }
}

/// Spellings that some reader takes for `model`.
const MODEL_SPELLINGS: &[&str] = &[
    r#""model""#,
    r#""Model""#,
    r#""MODEL""#,
    r#""mODEL""#,
    r#""\u006dodel""#,
    r#""mode\u006c""#,
    r#""\u004dodel""#,
    r#""model\u0000""#,
    r#"" model""#,
    r#""model ""#,
    "\"mode\u{2113}\"",
    "\"\u{ff4d}odel\"",
    "'model'",
    "model",
];

/// Values beside the two names.
const MODEL_VALUES: &[&str] = &[
    BAD,
    GOOD,
    r#""mock-chat\u0000closed-hostile""#,
    r#""\u0063losed-hostile""#,
    r#""mock-chat ""#,
    r#""MOCK-CHAT""#,
    "null",
    "0",
    "{}",
    r#"["mock-chat", "closed-hostile"]"#,
    r#"{"model": "closed-hostile"}"#,
    r#""mock/closed-hostile""#,
    r#""""#,
];

/// Fields that would lead the prompt elsewhere, in spellings that readers differ on.
const DETOURS: &[(&str, &str)] = &[
    (r#""models""#, r#"["closed-hostile"]"#),
    (r#""Models""#, r#"["closed-hostile"]"#),
    (r#""model\u0073""#, r#"["closed-hostile"]"#),
    (
        r#""provider""#,
        r#"{"order": ["elsewhere"], "allow_fallbacks": true}"#,
    ),
    (r#""PROVIDER""#, r#"{"order": ["elsewhere"]}"#),
    (r#""\u0070rovider""#, r#"{"only": ["elsewhere"]}"#),
    (r#""fallbacks""#, r#"[{"model": "closed-hostile"}]"#),
    (
        r#""tools""#,
        r#"[{"type": "mcp", "server_url": "http://127.0.0.1:1/"}]"#,
    ),
    (
        r#""tools""#,
        r#"[{"type": "function", "function": {"name": "f"}, "type": "mcp", "server_url": "http://127.0.0.1:1/"}]"#,
    ),
    (
        r#""tools""#,
        r#"[{"type": "function", "function": {"name": "f"}, "\u0073erver_url": "http://127.0.0.1:1/"}]"#,
    ),
    (
        r#""tools""#,
        r#"[{"TYPE": "mcp", "type": "function", "function": {"name": "f"}, "Server_Url": "http://127.0.0.1:1/"}]"#,
    ),
    (
        r#""tools""#,
        r#"[{"type": "function", "function": {"name": "f", "parameters": {"model": "closed-hostile"}}}]"#,
    ),
    (
        "\"tool\u{17f}\"",
        r#"[{"type": "mcp", "server_url": "http://127.0.0.1:1/"}]"#,
    ),
    (r#""stream""#, "true"),
    (r#""Stream""#, "true"),
    (r#""messages""#, r#"[{"role": "user", "content": "other"}]"#),
    (
        r#""metadata""#,
        r#"{"model": "closed-hostile", "Model": "closed-hostile"}"#,
    ),
    (r#""__proto__""#, r#"{"model": "closed-hostile"}"#),
    (
        r#""constructor""#,
        r#"{"prototype": {"model": "closed-hostile"}}"#,
    ),
    (r#""n""#, "1e400"),
    (r#""n""#, "NaN"),
    (r#""n""#, "-Infinity"),
    (r#""n""#, "01"),
    (r#""n""#, "+1"),
    (r#""n""#, ".5"),
    (r#""n""#, "0x10"),
    (r#""user""#, r#""\ud800""#),
    (r#""user""#, "\"a\u{1}b\""),
    (r#""user""#, "\"tab\there\""),
    (r#""user""#, r#""\x41""#),
    (r#""\ud800""#, "1"),
];

/// A hostile body: one to three wrong fields, and at times wrong bytes around them.
fn body(dice: &mut Dice) -> Vec<u8> {
    let mut fields = plain();
    for _ in 0..=dice.below(3) {
        match dice.below(4) {
            0 => {
                let value = dice.pick(MODEL_VALUES).unwrap_or(BAD);
                if let Some((_, model)) = fields.0.first_mut() {
                    value.clone_into(model);
                }
            }
            1 => {
                let key = dice.pick(MODEL_SPELLINGS).unwrap_or("\"model\"");
                let value = dice.pick(MODEL_VALUES).unwrap_or(BAD);
                fields.insert(dice, key, value);
            }
            _ => {
                let all: Vec<_> = DETOURS.iter().collect();
                if let Some((key, value)) = dice.pick(&all) {
                    fields.insert(dice, key, value);
                }
            }
        }
    }
    let text = fields.text();
    if dice.below(3) == 0 {
        around(dice, text)
    } else {
        text
    }
}

/// Bytes around or inside a body that readers treat differently.
fn around(dice: &mut Dice, text: Vec<u8>) -> Vec<u8> {
    let other = br#"{"model": "closed-hostile", "messages": []}"#;
    let join = |parts: [&[u8]; 3]| parts.concat();
    let nested = |depth: usize| {
        let deep = format!("{{\"a\": {}1{}, ", "[".repeat(depth), "]".repeat(depth));
        join([deep.as_bytes(), text.get(1..).unwrap_or_default(), b""])
    };
    match dice.below(14) {
        0 => join([b"\xef\xbb\xbf", &text, b""]),
        1 => join([&text, other, b""]),
        2 => join([other, b"\n", &text]),
        3 => join([&text, b"\x00", b""]),
        4 => join([b"\x0b", &text, b""]),
        5 => join([b"\xc2\xa0", &text, b""]),
        6 => join([b"/* \"model\": \"closed-hostile\" */", &text, b""]),
        7 => join([&text, b"// end", b""]),
        8 => join([b"[", &text, b"]"]),
        9 => text.iter().flat_map(|byte| [*byte, 0]).collect(),
        10 => text
            .iter()
            .map(|byte| if *byte == b'y' { 0xff } else { *byte })
            .collect(),
        11 => nested(100_000),
        12 => nested(100),
        _ => text
            .get(..text.len().saturating_sub(1))
            .unwrap_or_default()
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bodies_and_few_are_alike() {
        let all = || {
            let mut dice = Dice::seeded(SEED);
            (0..BODIES).map(|_| body(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(all(), all());
        let different: BTreeSet<_> = all().into_iter().collect();
        assert!(different.len() > BODIES * 8 / 10, "{}", different.len());
    }

    #[test]
    fn what_must_not_go_through_is_seen() {
        assert!(judge(&String::from_utf8(plain().text()).unwrap()).is_ok());
        for body in [
            r#"{"model": "mock-chat", "model": "closed-hostile"}"#,
            r#"{"model": "mock-chat", "provider": {}}"#,
            r#"{"model": "mock-chat", "tools": [{"server_url": "x"}]}"#,
        ] {
            assert!(judge(body).is_err(), "{body}");
        }
    }
}
