//! The tricks, each with the verdict that it deserves.

use super::draft::{Draft, Random};

/// What must become of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expect {
    Accept,
    /// Chance decides whether the damage breaks the grammar.
    Either,
    Refuse,
}

/// One body.
pub(crate) struct Case {
    pub(crate) trick: &'static str,
    pub(crate) expect: Expect,
    pub(crate) body: Vec<u8>,
}

type Trick = (&'static str, Expect, fn(&mut Random) -> Vec<u8>);

/// So many bodies, the tricks in turn.
pub(crate) fn cases(seed: u64, count: usize) -> impl Iterator<Item = Case> {
    let mut random = Random::new(seed);
    let tricks = TRICKS.iter().cycle().take(count);
    tricks.map(move |(trick, expect, make)| Case {
        trick,
        expect: *expect,
        body: make(&mut random),
    })
}

use Expect::{Accept, Either, Refuse};

const TRICKS: &[Trick] = &[
    ("ordinary", Accept, |r| edited(r, |_, _| {})),
    ("duplicate key", Refuse, |r| {
        added_twice(r, |_, key| key.to_owned())
    }),
    ("duplicate key, escaped", Refuse, |r| {
        added_twice(r, escaped)
    }),
    ("case variant beside the key", Refuse, |r| {
        added_twice(r, case_variant)
    }),
    ("case variant alone", Refuse, |r| spelt(r, case_variant)),
    ("case variant, escaped", Refuse, |r| {
        spelt(r, |r, key| {
            let variant = case_variant(r, key);
            escaped(r, &variant)
        })
    }),
    ("fold variant", Refuse, |r| {
        let variant = r.pick(&[
            "tool\u{17f}",
            r"tool\u017f",
            "bac\u{212a}ground",
            r"bac\u212Aground",
            "\u{17f}tream",
            "MODEL\u{17f}",
        ]);
        with_member(r, variant, r#""x""#)
    }),
    ("escaped key", Accept, |r| spelt(r, escaped)),
    ("look-alike key", Accept, |r| {
        let key = r.pick(&[
            "model ",
            "\u{feff}model",
            "m\u{43e}del",
            "model\u{200b}",
            "\u{ff4d}odel",
            r"\u0000model",
            "mode",
            "",
        ]);
        with_member(r, key, r#""x""#)
    }),
    ("key with NUL escape", Refuse, |r| {
        spelt(r, |r, key| format!(r"{key}\u0000{}", r.pick(&["", "x"])))
    }),
    ("key with raw NUL", Refuse, |r| {
        spelt(r, |_, key| format!("{key}\0"))
    }),
    ("key as text of a path", Accept, |r| {
        let key = r.pick(&[
            "tools[0].server_url",
            "tools[].type",
            "provider.order",
            "/model",
            "$.model",
            "__proto__",
        ]);
        with_member(r, key, r#"{"model":"x","tools":[{"server_url":"u"}]}"#)
    }),
    ("keys in a string", Accept, |r| {
        with_member(r, "note", r#""\",\"model\":\"x\",\"\u006dodel\":\"y""#)
    }),
    ("duplicate keys where nobody looks", Accept, |r| {
        edited(r, |r, draft| {
            draft.set(
                r,
                "metadata",
                r#"{"model":"x","model":"y","Model":"z","a":[{"tools":1,"tools":2}]}"#,
            )
        })
    }),
    ("nested duplicate", Refuse, |r| {
        let (key, value) = *r.pick(&[
            &("tools", r#"[{"type":"function","type":"mcp"}]"#),
            &(
                "tools",
                r#"[{},{"server_url":"https://a.example","server\u005furl":"https://b.example"}]"#,
            ),
            &("provider", r#"{"order":["a"],"order":["b"]}"#),
            &("provider", r#"{"order":["a"],"ord\u0065r":["b"]}"#),
        ]);
        edited(r, |r, draft| draft.set(r, key, value))
    }),
    ("nested case variant", Refuse, |r| {
        let (key, value) = *r.pick(&[
            &(
                "tools",
                r#"[{"type":"function","Server_URL":"https://b.example"}]"#,
            ),
            &("tools", r#"[{"TYPE":"mcp"}]"#),
            &("provider", r#"{"Order":["b"]}"#),
        ]);
        edited(r, |r, draft| draft.set(r, key, value))
    }),
    ("nested escaped key", Accept, |r| {
        edited(r, |r, draft| {
            draft.set(
                r,
                "tools",
                r#"[{"\u0074ype":"mcp","server\u005Furl":"https:\/\/a.example"},1]"#,
            )
        })
    }),
    ("wrong container", Refuse, |r| {
        let (key, value) = *r.pick(&[
            &("tools", r#"{"type":"mcp","server_url":"u"}"#),
            &("tools", r#"[[{"type":"mcp"}]]"#),
            &("provider", r#"[{"order":["b"]}]"#),
            &("tools", r#"{"0":{"type":"mcp"}}"#),
        ]);
        edited(r, |r, draft| draft.set(r, key, value))
    }),
    ("model of another kind", Refuse, |r| {
        let value = r.pick(&["null", "1", "1e999", "true", r#"["a"]"#, r#"{"id":"a"}"#]);
        edited(r, |r, draft| draft.set(r, "model", value))
    }),
    ("no model", Accept, |r| {
        edited(r, |_, draft| draft.take("model"))
    }),
    ("model with escapes", Accept, |r| {
        let value = r.pick(&[
            r#""a\/b""#,
            r#""\ud83d\ude00\u0000""#,
            r#""""#,
            r#""\"\\""#,
            "\"漢\u{202e}\"",
            r#""\u0061""#,
        ]);
        edited(r, |r, draft| draft.set(r, "model", value))
    }),
    ("model with lone surrogate", Refuse, |r| {
        let value = r.pick(&[r#""\ud800""#, r#""a\udc00""#, r#""\ude00\ud83d""#]);
        edited(r, |r, draft| draft.set(r, "model", value))
    }),
    ("lone surrogate in a value", Accept, |r| {
        with_member(r, "note", r#""x\ud83d""#)
    }),
    ("lone surrogate in a key", Refuse, |r| {
        with_member(r, r"x\udfff", "1")
    }),
    ("huge number", Accept, |r| {
        let digits = "9".repeat(400 + r.below(5_000));
        let value = (*r.pick(&[
            &"1e999".to_owned(),
            &"-1E-99999".to_owned(),
            &digits,
            &format!("0.{digits}"),
        ]))
        .clone();
        with_member(r, "seed", &value)
    }),
    ("bad number", Refuse, |r| {
        let value = r.pick(&[
            "01", "+1", ".5", "1.", "1e", "0x10", "1_0", "--1", "1e1.5", "१",
        ]);
        with_member(r, "seed", value)
    }),
    ("not a number", Refuse, |r| {
        let value = r.pick(&[
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "undefined",
            "None",
            "True",
        ]);
        with_member(r, "seed", value)
    }),
    ("deep enough to pass", Accept, |r| {
        let levels = 60 + r.below(60);
        with_member(r, "note", &nested(levels, true))
    }),
    ("too deep", Refuse, |r| {
        let (levels, closed) = (128 + r.below(20_000), r.flip());
        with_member(r, "note", &nested(levels, closed))
    }),
    ("byte order mark", Refuse, |r| wrapped(r, "\u{feff}", "")),
    ("bytes behind", Refuse, |r| {
        let tail = r.pick(&[
            "{}",
            ",",
            "\0",
            "x",
            "]",
            "\u{feff}",
            "\u{1a}",
            r#"{"model":"x"}"#,
            "\n{\"model\":\"x\"}\n",
        ]);
        wrapped(r, "", tail)
    }),
    ("bytes before", Refuse, |r| {
        let head = r.pick(&[
            "\0",
            "\u{1e}",
            "x",
            ")]}',\n",
            "data: ",
            "\u{a0}",
            "\u{c}",
            "while(1);",
        ]);
        wrapped(r, head, "")
    }),
    ("another root", Refuse, |r| {
        let (head, tail) = *r.pick(&[
            &("[", "]"),
            &("[[],", "]"),
            &("[{\"x\":", "}]"),
            &("\"", "\""),
        ]);
        wrapped(r, head, tail)
    }),
    ("UTF-16", Refuse, |r| {
        let text = ordinary(r);
        let (mark, big) = (r.flip(), r.flip());
        let text = if mark {
            format!("\u{feff}{text}")
        } else {
            text
        };
        text.encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    }),
    ("invalid UTF-8 in a value", Refuse, |r| {
        let bad = bad_utf8(r);
        replaced(r, "small-1", bad)
    }),
    ("invalid UTF-8 in a key", Refuse, |r| {
        let bad = [b"model", bad_utf8(r)].concat();
        let text = with_member(r, "@@", "1");
        replace(&text, b"@@", &bad)
    }),
    ("comment", Refuse, |r| {
        let comment = r.pick(&["/**/", "//\n", "#\n", "/*\"model\":\"x\",*/", "<!---->"]);
        replaced(r, ":", format!("{comment}:").as_bytes())
    }),
    ("single quotes", Refuse, |r| {
        replaced(r, r#""small-1""#, b"'small-1'")
    }),
    ("unquoted key", Refuse, |r| {
        replaced(r, r#""model""#, b"model")
    }),
    ("trailing comma", Refuse, |r| {
        let text = ordinary(r);
        let end = text.rfind('}').unwrap_or_default();
        format!("{},{}", &text[..end], &text[end..]).into_bytes()
    }),
    ("raw control character", Refuse, |r| {
        let bad = r.pick(&["small\n1", "small\t1", "\0", "small-1\u{1f}", "\u{8}"]);
        replaced(r, "small-1", bad.as_bytes())
    }),
    ("bad escape", Refuse, |r| {
        let bad = r.pick(&[
            r"\x6d", r"\u12", r"\U0041", r"\'", r"\0", r"\u{6d}", r"\", "\\\n",
        ]);
        replaced(r, "small-1", bad.as_bytes())
    }),
    ("odd white space", Refuse, |r| {
        let space = r.pick(&[
            "\u{a0}", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{feff}", "\0",
        ]);
        replaced(r, ":", format!("{space}:").as_bytes())
    }),
    ("cut off", Refuse, |r| {
        let text = ordinary(r);
        let text = text.trim_end().as_bytes();
        text[..r.below(text.len())].to_vec()
    }),
    ("any damage", Either, |r| {
        let mut body = ordinary(r).into_bytes();
        for _ in 0..=r.below(3) {
            let index = r.below(body.len());
            let byte = *r.pick(
                b"\"\\{}[]:,0-.eEmModl \0\xff"
                    .iter()
                    .collect::<Vec<_>>()
                    .as_slice(),
            );
            match r.below(3) {
                0 => body[index] = byte,
                1 => body.insert(index, byte),
                _ => drop(body.remove(index)),
            }
        }
        body
    }),
];

const WATCHED: &[&str] = &[
    "model",
    "models",
    "provider",
    "tools",
    "stream",
    "background",
];

fn ordinary(random: &mut Random) -> String {
    Draft::ordinary(random).text(random)
}

fn edited(random: &mut Random, edit: impl FnOnce(&mut Random, &mut Draft)) -> Vec<u8> {
    let mut draft = Draft::ordinary(random);
    edit(random, &mut draft);
    draft.text(random).into_bytes()
}

fn with_member(random: &mut Random, key: &str, value: &str) -> Vec<u8> {
    edited(random, |random, draft| draft.put(random, key, value))
}

/// A watched member under its own key and, before or behind it, under another spelling.
fn added_twice(random: &mut Random, spell: impl FnOnce(&mut Random, &str) -> String) -> Vec<u8> {
    let key = random.pick(WATCHED);
    let spelling = spell(random, key);
    edited(random, |random, draft| {
        draft.set(random, key, "null");
        draft.set(
            random,
            "model",
            if key == "model" { r#""m""# } else { r#""n""# },
        );
        draft.put(random, &spelling, r#""other""#);
    })
}

/// A watched member under another spelling only.
fn spelt(random: &mut Random, spell: impl FnOnce(&mut Random, &str) -> String) -> Vec<u8> {
    let key = random.pick(WATCHED);
    let spelling = spell(random, key);
    edited(random, |random, draft| {
        draft.take(key);
        draft.put(random, &spelling, r#""other""#);
    })
}

/// The same key with at least one character as an escape.
fn escaped(random: &mut Random, key: &str) -> String {
    let sure = random.below(key.chars().count());
    let escape = |c: char, upper: bool| {
        if upper {
            format!("\\u{:04X}", u32::from(c))
        } else {
            format!("\\u{:04x}", u32::from(c))
        }
    };
    key.chars()
        .enumerate()
        .map(|(index, c)| {
            if index == sure || random.below(3) == 0 {
                escape(c, random.flip())
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// The key with at least one letter in upper case.
fn case_variant(random: &mut Random, key: &str) -> String {
    let sure = random.below(key.chars().count());
    key.chars()
        .enumerate()
        .map(|(index, c)| {
            if index == sure || random.flip() {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect()
}

fn nested(levels: usize, closed: bool) -> String {
    let closing = if closed {
        "}]".repeat(levels / 2)
    } else {
        String::new()
    };
    format!("{}1{closing}", r#"[{"model":"#.repeat(levels / 2))
}

fn wrapped(random: &mut Random, head: &str, tail: &str) -> Vec<u8> {
    format!("{head}{}{tail}", ordinary(random)).into_bytes()
}

/// An ordinary body with a text that it has in any case replaced once.
fn replaced(random: &mut Random, text: &str, with: &[u8]) -> Vec<u8> {
    replace(ordinary(random).as_bytes(), text.as_bytes(), with)
}

fn replace(body: &[u8], text: &[u8], with: &[u8]) -> Vec<u8> {
    let start = body
        .windows(text.len())
        .position(|window| window == text)
        .unwrap_or_else(|| unreachable!("the text is there"));
    [&body[..start], with, &body[start + text.len()..]].concat()
}

fn bad_utf8(random: &mut Random) -> &'static [u8] {
    random.pick(&[
        &b"\xff"[..],
        b"\xc0\xae",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe6\xbc",
        b"\x80",
        b"\xfe\xff",
    ])
}
