//! A request body as text that is easy to spoil, and the small generator that decides how.

/// SplitMix64: the same bodies from the same seed, on every machine and with every version of every crate.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from((z ^ (z >> 31)) % bound).unwrap_or(0)
    }

    pub(super) fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of several; they are never empty here.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        let index = self.below(among.len());
        among
            .get(index)
            .copied()
            .unwrap_or_else(|| unreachable!("something to pick from"))
    }
}

/// Members as the text of key (between its quotes) and value.
pub(super) struct Draft {
    members: Vec<(String, String)>,
}

impl Draft {
    /// An ordinary request with some of its usual members, in any order.
    pub(super) fn ordinary(random: &mut Random) -> Self {
        let mut draft = Self {
            members: Vec::new(),
        };
        draft.put(random, "model", r#""small-1""#);
        draft.put(
            random,
            "messages",
            r#"[{"role":"user","content":"a \"model\":\"x\" b"}]"#,
        );
        for (key, value) in [
            ("stream", "true"),
            ("temperature", "0.5"),
            ("user", r#""\u00fc\n""#),
            ("models", r#"["small-1","small-2"]"#),
            ("provider", r#"{"order":["a","b"],"allow_fallbacks":false}"#),
            (
                "tools",
                r#"[{"type":"function","function":{"name":"f"}},{"type":"mcp","server_url":"https://a.example"}]"#,
            ),
            ("metadata", r#"{"model":"m","tools":[]}"#),
            ("background", "false"),
        ] {
            if random.flip() {
                draft.put(random, key, value);
            }
        }
        draft
    }

    /// Adds a member at any place.
    pub(super) fn put(&mut self, random: &mut Random, key: &str, value: &str) {
        let index = random.below(self.members.len() + 1);
        self.members
            .insert(index, (key.to_owned(), value.to_owned()));
    }

    /// Removes a member if it is there, and adds it with this value at any place.
    pub(super) fn set(&mut self, random: &mut Random, key: &str, value: &str) {
        self.take(key);
        self.put(random, key, value);
    }

    pub(super) fn take(&mut self, key: &str) {
        self.members.retain(|(other, _)| other != key);
    }

    /// The body, with white space here and there.
    pub(super) fn text(&self, random: &mut Random) -> String {
        let gaps = ["", "", "", " ", "\n", "\r\n\t"];
        let mut text = format!("{}{{", random.pick(&gaps));
        for (index, (key, value)) in self.members.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (a, b, c) = (random.pick(&gaps), random.pick(&gaps), random.pick(&gaps));
            text.push_str(&format!("{comma}{a}\"{key}\"{b}:{c}{value}{a}"));
        }
        text.push('}');
        text.push_str(random.pick(&gaps));
        text
    }
}
