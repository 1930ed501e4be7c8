//! `carnet config`: every mistake has its place, its reason and its fix.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sandbox::{GOOD, Sandbox};

fn check(text: &str) -> (Sandbox, crate::sandbox::Run) {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", text);
    let run = sandbox.run("config check");
    (sandbox, run)
}

fn refuses(text: &str, texts: &[&str]) {
    check(text).1.complains(texts);
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    refuses(
        "[server]\nlisen = \"127.0.0.1:1\"\nworkers = 4\n\n[serverr]\n",
        &[
            "error: unknown key `lisen`\n  --> carnet.toml:2:1\n  |\n2 | lisen = \"127.0.0.1:1\"\n  | ^^^^^\n  help: did you mean `listen`?\n",
            "error: unknown key `workers`\n  --> carnet.toml:3:1\n",
            "help: known here are listen, names, tls,",
            "error: unknown key `serverr`\n  --> carnet.toml:5:2\n",
            "help: did you mean `server`?",
        ],
    );
}

#[test]
fn text_that_is_no_toml_is_shown_where_it_breaks() {
    let table: &[(&str, &[&str])] = &[
        (
            "[server\nlisten = 1\n",
            &[
                "expected a right bracket, found a newline",
                "--> carnet.toml:1:8",
                "1 | [server\n",
                "help: write a right bracket here",
            ],
        ),
        (
            "[server]\nlisten = nonsense\n",
            &["--> carnet.toml:2:10", "help: put a text in quotes"],
        ),
        (
            "[server]\nlisten = \"a\"\nlisten = \"b\"\n",
            &[
                "duplicate key: `listen`",
                "--> carnet.toml:3:1",
                "help: keep one of the two",
            ],
        ),
        (
            "[server]\nlisten = \"a\n",
            &["--> carnet.toml:2:", "help: "],
        ),
        (
            "[server]\nlisten = 4390\n",
            &[
                "`listen` must be a text, not a number",
                "--> carnet.toml:2:",
                "help: put it in quotes: \"…\"",
            ],
        ),
        (
            "[[upstream]]\nname = \"a\"\n",
            &[
                "`base_url` is missing",
                "`models` is missing",
                "--> carnet.toml:1:1",
                "help: add base_url = \"https://…\", or host = \"…\"",
            ],
        ),
    ];
    for (text, texts) in table {
        refuses(text, texts);
    }
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", [b'#', 0xff]);
    sandbox
        .run("config check")
        .complains(&["`carnet.toml` is not UTF-8 text", "help: save it as UTF-8"]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let (_sandbox, run) = check(
        "[server]\nlisten = \"nonsense\"\non_revoke = \"maybe\"\n\n[audit]\ndurability = \"none\"\nopen_max = 65537\n[policy]\npacks = []\n\n[[workload]]\nid = \"a\"\ncountry = \"de\"\n\n[[workload]]\nid = \"a\"\n\n[[upstream]]\nname = \"u\"\nbase_url = \"ftp://x\"\nmodels = []\nkey = { env = \"A\", file = \"b\" }\n",
    );
    let mistakes: &[(usize, &str, &str)] = &[
        (
            2,
            "`nonsense` is not an address with a port",
            "write it as \"127.0.0.1:4390\"",
        ),
        (
            3,
            "`maybe` is not a way to revoke",
            "write \"cut\" or \"drain\"",
        ),
        (
            6,
            "`none` is not a durability",
            "write \"process\" or \"fsync\"",
        ),
        (7, "`open_max` is 65537", "choose a number from 1 to 65536"),
        (
            9,
            "without a pack nothing could be permitted",
            "write packs = [\"default\"]",
        ),
        (
            13,
            "`de` is not a country code",
            "write two upper-case letters",
        ),
        (
            16,
            "`a` is no id of its own",
            "give each workload an id that no other has",
        ),
        (
            20,
            "`ftp://x` is not a plain http or https address",
            "write it as \"https://",
        ),
        (
            21,
            "an upstream without models can never be reached",
            "add models = [",
        ),
        (
            22,
            "a key needs exactly one reference",
            "write key = { env = \"NAME\" }",
        ),
    ];
    told(&run, mistakes);
}

/// Exactly these mistakes of `carnet.toml` are told, in this order: line, reason, fix.
fn told(run: &crate::sandbox::Run, mistakes: &[(usize, &str, &str)]) {
    run.complains(&[]);
    let shown: Vec<&str> = run.err.split("error: ").skip(1).collect();
    shown_as(&shown, mistakes);
}

fn shown_as(shown: &[&str], mistakes: &[(usize, &str, &str)]) {
    assert_eq!(shown.len(), mistakes.len(), "{shown:#?}");
    for (shown, (line, reason, fix)) in shown.iter().zip(mistakes) {
        assert!(shown.starts_with(reason), "no `{reason}` first: {shown}");
        let place = format!("\n  --> carnet.toml:{line}:");
        assert!(shown.contains(&place), "not at line {line}: {shown}");
        let (_, help) = shown.split_once("\n  help: ").unwrap();
        assert!(help.contains(fix), "no `{fix}`: {shown}");
    }
}

#[test]
fn a_mistake_of_form_hides_no_other() {
    let text = r#"[server]
body_bytes_max = "big"
on_revoke = "maybe"

[admin]
listen = 4391

[[workload]]
team = "platform"
country = "de"

[[workload]]
id = "a"
tags = ["x", 3]
country = "fr"

[[upstream]]
name = "one"
base_url = "ftp://x"
models = [{ name = "m" }, { nam = "n" }, 3]
regoin = "here"

[[upstream]]
base_url = "http://127.0.0.1:9"
models = []
private_addresses = "yes"
key = { env = "A", file = "b" }

[audit]
durability = "none"
"#;
    let mistakes: &[(usize, &str, &str)] = &[
        (
            2,
            "`body_bytes_max` must be a whole number from 0, not a text",
            "write its digits",
        ),
        (3, "`maybe` is not a way to revoke", "write \"cut\""),
        (6, "`listen` must be a text, not a number", "in quotes"),
        (8, "`id` is missing", "add `id = …`"),
        (10, "`de` is not a country code", "two upper-case letters"),
        (
            14,
            "an entry of `tags` must be a text, not a number",
            "in quotes",
        ),
        (15, "`fr` is not a country code", "two upper-case letters"),
        (
            19,
            "`ftp://x` is not a plain http or https address",
            "write it as \"https://",
        ),
        (20, "`name` is missing", "add `name = …`"),
        (20, "unknown key `nam`", "did you mean `name`?"),
        (
            20,
            "an entry of `models` must be a table, not a number",
            "put its keys in braces",
        ),
        (21, "unknown key `regoin`", "did you mean `region`?"),
        (
            25,
            "an upstream has neither a name nor a host",
            "add name = \"…\", or host = \"…\"",
        ),
        (
            25,
            "an upstream without models can never be reached",
            "add models = [",
        ),
        (
            26,
            "`private_addresses` must be true or false, not a text",
            "without quotes",
        ),
        (
            27,
            "a key needs exactly one reference",
            "write key = { env = \"NAME\" }",
        ),
        (30, "`none` is not a durability", "write \"process\""),
    ];
    told(&check(text).1, mistakes);
}

#[test]
fn a_limit_says_of_what_how_much_and_over_which_time() {
    for (limit, message, help) in [
        ("requests = 1", "`every` is missing", "every = \"1m\""),
        (
            "every = \"1m\"",
            "the limit does not say of what",
            "concurrent = …",
        ),
        (
            "requests = 1\nconcurrent = 1\nevery = \"day\"",
            "a limit counts one thing",
            "a [[limit]] of its own for each of",
        ),
        (
            "tokens = 1\nmoney = \"1 USD\"\nevery = \"day\"",
            "a limit counts one thing",
            "a [[limit]] of its own for each of",
        ),
        ("tokens = 1", "`every` is missing", "every = \"1m\""),
        (
            "money = \"100\"\nevery = \"day\"",
            "`100` is no amount of money",
            "\"100 USD\" or \"0.50 EUR\"",
        ),
        (
            "money = \"-1 USD\"\nevery = \"day\"",
            "`-1 USD` is no amount of money",
            "the code of its currency",
        ),
        (
            "money = 100\nevery = \"day\"",
            "`money` must be a text, not a number",
            "put it in quotes",
        ),
        (
            "tokens = 1\nevery = \"day\"\non_exhausted = \"stop\"",
            "`stop` is not a way to meet the end of a limit",
            "write \"cut\" or \"finish\"",
        ),
        (
            "requests = 1\nevery = \"day\"\non_exhausted = \"cut\"",
            "only `tokens` and `money` can be used up while an answer runs",
            "take `on_exhausted` out",
        ),
        (
            "concurrent = 1\nevery = \"day\"",
            "what runs at the same time has no `every`",
            "take `every` out",
        ),
        (
            "requests = 1\nevery = \"25h\"",
            "`25h` is no time for which a limit can count",
            "to \"24h\"",
        ),
        (
            "requests = 1\nevery = \"0s\"",
            "`0s` is no time for which a limit can count",
            "\"30s\", \"5m\" or \"1h\"",
        ),
        (
            "concurrent = 1\nper = [\"user\"]",
            "`user` is nothing that can be counted apart",
            "choose of host, key, model",
        ),
        (
            "concurrent = 1\nper = [\"key\", \"key\"]",
            "`key` stands twice in `per`",
            "take one of the two out",
        ),
        (
            "concurrent = 1\nteam = [\"a\"]",
            "unknown key `team`",
            "did you mean `teams`?",
        ),
    ] {
        let text = format!("[[limit]]\nname = \"l\"\n{limit}\n");
        refuses(&text, &[message, help]);
    }
    let named = "[[limit]]\nname = \"l\"\nconcurrent = 1\nmodels = [\"lama\"]\nteams = [\"research\"]\nworkloads = [\"x\"]\nhosts = [\"anthropi\"]\n
[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [{ name = \"llama\" }]\n";
    for (message, help) in [
        (
            "no upstream offers a model that is called `lama`",
            "did you mean `llama`?",
        ),
        (
            "no workload is of the team `research`",
            "take it out of the limit",
        ),
        ("no workload has the id `x`", "add it, or"),
        (
            "neither the registry nor an overlay knows the host `anthropi`",
            "take it out of `hosts`",
        ),
    ] {
        refuses(named, &[message, help]);
    }
    let twice = "[[limit]]\nname = \"l\"\nconcurrent = 1\n".repeat(2);
    refuses(&twice, &["`l` is no name of its own"]);
}

#[test]
fn pools_lead_to_models_that_are_there() {
    let upstreams = "\n[[upstream]]\nname = \"one\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [{ name = \"llama\" }, { name = \"other\" }]\n";
    let member = "{ upstream = \"one\", model = \"llama\" }";
    for (pool, message, help) in [
        (
            "members = []",
            "a pool without members leads nowhere",
            "add members = [",
        ),
        (
            "members = [{ upstream = \"on\", model = \"llama\" }]",
            "no upstream is named `on`",
            "did you mean `one`?",
        ),
        (
            "members = [{ upstream = \"one\", model = \"lama\" }]",
            "`one` offers no model that is called `lama`",
            "did you mean `llama`?",
        ),
        (
            "members = [{ upstream = \"one\", model = \"gemini\" }]",
            "`one` offers no model that is called `gemini`",
            "it offers llama, other",
        ),
        (
            &format!("members = [{member}, {member}]"),
            "`llama` of `one` is listed twice here",
            "take one of the two out",
        ),
        (
            "members = [{ upstream = \"one\", model = \"llama\", weight = 2 }]",
            "only the strategy `weighted` goes by weights",
            "take `weight` out",
        ),
        (
            "strategy = \"weighted\"\nmembers = [{ upstream = \"one\", model = \"llama\", weight = 0 }]",
            "every weight is 0",
            "give at least one member",
        ),
        (
            &format!("strategy = \"fastest\"\nmembers = [{member}]"),
            "`fastest` is not a strategy",
            "write \"cheapest\", \"first\", \"least-loaded\", \"nearest\" or \"weighted\"",
        ),
        (
            &format!("strategy = \"nearest\"\nmembers = [{member}]"),
            "nobody says what is near",
            "add nearest = [",
        ),
        (
            &format!("nearest = [\"DE\"]\nmembers = [{member}]"),
            "only the strategy `nearest` goes by places",
            "write strategy = \"nearest\"",
        ),
        (
            &format!("strategy = \"nearest\"\nnearest = [\"germany\"]\nmembers = [{member}]"),
            "`germany` is not a country code",
            "write two upper-case letters",
        ),
        (
            &format!("hedge_after_milliseconds = 500\nmembers = [{member}]"),
            "there is no second member that could be asked",
            "add one, or",
        ),
        (
            "member = []",
            "unknown key `member`",
            "did you mean `members`?",
        ),
    ] {
        let text = format!("[[pool]]\nname = \"p\"\n{pool}\n{upstreams}");
        refuses(&text, &[message, help]);
    }
    let taken = format!("[[pool]]\nname = \"llama\"\nmembers = [{member}]\n{upstreams}");
    let message = "the pool is called `llama`, as is a model of `one`";
    refuses(&taken, &[message, "give it a name that no model has"]);
    let twice = format!("[[pool]]\nname = \"p\"\nmembers = [{member}]\n").repeat(2);
    refuses(&(twice + upstreams), &["`p` is no name of its own"]);
    let long = "\n[routing]\nattempts = 11\nretry_percent = 1001\nbreaker_percent = 0\nstrategy = \"nearest\"\n";
    for (message, help) in [
        ("`attempts` is 11", "choose a number from 1 to 10"),
        ("`retry_percent` is 1001", "choose a number from 0 to 1000"),
        ("`breaker_percent` is 0", "choose a number from 1 to 100"),
        ("nobody says what is near", "add nearest = ["),
    ] {
        refuses(long, &[message, help]);
    }
}

#[test]
fn a_price_is_exact_and_has_a_currency() {
    for (price, message, help) in [
        (
            "{ currency = \"usd\", input = \"1\" }",
            "`usd` is not a currency's code",
            "write it as \"USD\"",
        ),
        (
            "{ currency = \"USD\", input = \"1,50\" }",
            "`1,50` is not a plain decimal number",
            "such as \"2.50\"",
        ),
        (
            "{ currency = \"USD\" }",
            "`input` is missing",
            "add `input = …`",
        ),
        (
            "{ currency = \"USD\", input = 1.5 }",
            "`input` must be a text, not a fraction",
            "put it in quotes",
        ),
    ] {
        let text = format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [{{ name = \"m\", price = {price} }}]\n"
        );
        refuses(&text, &[message, help]);
    }
}

#[test]
fn what_is_cached_has_bounds_and_names_what_is_there() {
    let text = "[policy]\npacks = [\"default\"]\n\n[cache]\nseconds = 0\nwait_seconds = 601\nbytes_max = 0\nsampled = 1\nttl = 3\n";
    let mistakes: &[(usize, &str, &str)] = &[
        (5, "`seconds` is 0", "choose a number from 1 to 86400"),
        (6, "`wait_seconds` is 601", "choose a number from 0 to 600"),
        (
            7,
            "`bytes_max` is 0",
            "choose a number from 65536 to 68719476736",
        ),
        (8, "`sampled` must be true or false", "without quotes"),
        (9, "unknown key `ttl`", "known here are bytes_max,"),
    ];
    told(&check(text).1, mistakes);
    let text = "[cache]\nbytes_max = 80000\nanswer_bytes_max = 20001\n";
    refuses(
        text,
        &[
            "`answer_bytes_max` is 20001, more than a quarter of `bytes_max`, which is 80000",
            "lower `answer_bytes_max` or raise `bytes_max`",
        ],
    );
    let text = "[[workload]]\nid = \"app\"\n\n[cache]\nworkloads = [\"ap\"]\nupstreams = []\n";
    refuses(
        text,
        &[
            "no workload has the id `ap`",
            "did you mean `app`?",
            "the list is empty",
            "name some, or leave the line out",
        ],
    );
    let text = "[cache]\nupstreams = [\"elsewhere\"]\n";
    refuses(
        text,
        &[
            "no upstream has the name `elsewhere`",
            "take it out of the list, or write its entry",
        ],
    );
}

#[test]
fn what_is_kept_of_conversations_has_bounds_that_fit_together() {
    let text = "[policy]\npacks = [\"default\"]\n\n[conversations]\nkeep_days = 31\nconversation_bytes_max = 0\nbytes = 3\n";
    let mistakes: &[(usize, &str, &str)] = &[
        (5, "`keep_days` is 31", "choose a number from 1 to 30"),
        (
            6,
            "`conversation_bytes_max` is 0",
            "choose a number from 1 to 67108864",
        ),
        (7, "unknown key `bytes`", "did you mean `bytes_max`?"),
    ];
    told(&check(text).1, mistakes);
    let text = "[conversations]\nworkload_bytes_max = 1000\nbytes_max = 500\n";
    let mistakes: &[(usize, &str, &str)] = &[
        (
            1,
            "`conversation_bytes_max` is 8388608, and `workload_bytes_max` only 1000",
            "lower `conversation_bytes_max` or raise `workload_bytes_max`",
        ),
        (
            1,
            "`workload_bytes_max` is 1000, and `bytes_max` only 500",
            "lower `workload_bytes_max` or raise `bytes_max`",
        ),
    ];
    told(&check(text).1, mistakes);
}

#[test]
fn a_mistake_of_form_makes_no_other() {
    let table = [
        (
            "[server]\nlisten = \"0.0.0.0:4390\"\nnames = \"carnet.example.org\"\n",
            "`names` must be a list",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:4391\"\nnames = [3]\n",
            "an entry of `names` must be a text",
        ),
        ("[policy]\npacks = [3]\n", "an entry of `packs` must be"),
        ("policy = \"default\"\n", "`policy` must be a table"),
        ("[upstream]\nname = \"u\"\n", "`upstream` must be a list"),
    ];
    for (text, reason) in table {
        let run = check(text).1;
        run.complains(&[reason]);
        assert_eq!(run.err.matches("error: ").count(), 1, "{run:?}");
    }
    let table = [
        ("key = { env = 3 }", "`env` must be a text"),
        ("key = \"sk-1\"", "`key` must be a table"),
        (
            "client_cert = 3\nclient_key = \"carnet.toml\"",
            "`client_cert` must be a text",
        ),
        (
            "connect_seconds = -1",
            "`connect_seconds` must be a whole number from 0, not a negative number",
        ),
    ];
    for (line, reason) in table {
        let run = check(&upstream(line)).1;
        run.complains(&[reason]);
        assert_eq!(run.err.matches("error: ").count(), 1, "{run:?}");
    }
    let run = check(&upstream("").replace("{ name = \"m\" }", "3")).1;
    run.complains(&["an entry of `models` must be a table"]);
    assert_eq!(run.err.matches("error: ").count(), 1, "{run:?}");
}

#[test]
fn limits_of_answers_and_silence_have_their_ranges() {
    let text =
        "[server]\ndecoded_bytes_max = 0\ndecoded_ratio_max = 1000001\nkeep_alive_seconds = 3601\n";
    let mistakes: &[(usize, &str, &str)] = &[
        (2, "`decoded_bytes_max` is 0", "from 1 to 17179869184"),
        (3, "`decoded_ratio_max` is 1000001", "from 1 to 1000000"),
        (
            4,
            "`keep_alive_seconds` is 3601",
            "from 1 to 3600, or 0 for none",
        ),
    ];
    told(&check(text).1, mistakes);
    let text = "[server]\ndecoded_bytes_max = 1\ndecoded_ratio_max = 1\nkeep_alive_seconds = 0\n";
    check(text).1.exits(GOOD).quietly();
}

#[test]
fn a_model_is_listed_once_in_an_upstream() {
    let twice = |other: &str| {
        format!(
            "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9\"\nmodels = [\n{{ name = \"m\" }},\n{other},\n{{ name = \"m\", upstream_model = \"other\" }},\n]\n"
        )
    };
    let mistake = (
        7,
        "the model `m` is listed twice here",
        "take one of the two out",
    );
    told(&check(&twice("{ name = \"n\" }")).1, &[mistake]);
    told(
        &check(&twice("{ name = \"m\" }")).1,
        &[(6, mistake.1, mistake.2), mistake],
    );
    // Another upstream may offer the same model: that is how one stands in for the other.
    let (_sandbox, run) = check(
        "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9\"\nmodels = [{ name = \"m\" }]\n\n[[upstream]]\nname = \"v\"\nbase_url = \"http://127.0.0.1:8\"\nmodels = [{ name = \"m\" }]\n",
    );
    run.exits(GOOD).quietly();
}

/// An upstream that needs nothing but what `lines` say.
fn upstream(lines: &str) -> String {
    format!(
        "[[workload]]\nid = \"a\"\n\n[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [{{ name = \"m\" }}]\n{lines}\n"
    )
}

#[test]
fn what_is_not_there_is_told_where_it_is_named() {
    let read = "cannot read it: No such file";
    let table: &[(&str, usize, &str, &str)] = &[
        (
            "[policy]\npacks = [\n\"default\",\n\"defualt\",\n]",
            4,
            "there is no pack `defualt`: it is neither built in nor a folder",
            "did you mean `default`?",
        ),
        (
            "[policy]\npacks = [\"nowhere\"]",
            2,
            "there is no pack `nowhere`: it is neither built in nor a folder",
            "built in are australia-pspf-001-2025, czech-nukib",
        ),
        (
            "[registry]\noverlay = [\n\"nowhere.toml\"]",
            3,
            "`nowhere.toml`: ",
            "check the path",
        ),
        (
            "[registry]\nfolder = \"nowhere\"",
            2,
            "`nowhere`: cannot read the folder: No such file",
            "check the path",
        ),
        (
            "[server]\ntls = { cert = \"nowhere.pem\", key = \"carnet.toml\" }",
            2,
            "`nowhere.pem`: ",
            "check the path",
        ),
        (
            "[server]\n[server.tls]\ncert = \"carnet.toml\"\nkey = \"nowhere.key\"",
            4,
            "`nowhere.key`: ",
            "check the path",
        ),
    ];
    for (lines, line, reason, fix) in table {
        let run = check(&format!("{lines}\n\n{}", upstream(""))).1;
        told(&run, &[(*line, reason, fix)]);
    }
    // Line 8 is the first one that an upstream has of its own.
    let table: &[(&str, usize, &str, &str)] = &[
        (
            "key = { file = \"nowhere.key\" }",
            8,
            "`nowhere.key`: ",
            "check the path",
        ),
        (
            "key = { env = \"NOT_SET\" }",
            8,
            "there is no key: the environment variable `NOT_SET` is empty or not set",
            "set it",
        ),
        (
            "key = { credential = \"api\" }",
            8,
            "the systemd credential `api` is wanted, but systemd gave none",
            "start Carnet as a systemd unit with `LoadCredential=api:…`",
        ),
        (
            "ca_file = \"nowhere.pem\"",
            8,
            "`nowhere.pem`: ",
            "check the path",
        ),
        (
            "client_cert = \"carnet.toml\"\nclient_key = \"nowhere.key\"",
            9,
            "`nowhere.key`: ",
            "check the path",
        ),
    ];
    for (lines, line, reason, fix) in table {
        let run = check(&upstream(lines)).1;
        told(&run, &[(*line, reason, fix)]);
        if reason.starts_with("`nowhere") {
            run.complains(&[read]);
        }
    }
    Sandbox::new().run("config check").complains(&[
        "cannot read it",
        "--> carnet.toml",
        "help: `carnet config init` writes a commented one",
    ]);
    Sandbox::new()
        .run("config check .")
        .complains(&["Is a directory", "help: check the path"]);
}

#[test]
fn one_run_tells_everything() {
    let sandbox = Sandbox::new();
    sandbox.pack(
        "own",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource in Country::\"US\");\n",
    );
    sandbox.write("own.toml", "[[host]]\nid = \"rack\"\ncomplete = true\n");
    sandbox.write(
        "carnet.toml",
        r#"[server]
body_bytes_max = "big"

[policy]
packs = ["default", "own", "czech-nukbi"]

[registry]
overlay = ["own.toml", "nowhere.toml"]

[[upstream]]
name = "one"
base_url = "http://127.0.0.1:9"
models = [{ name = "m" }, { name = "m" }]
regoin = "here"

[[upstream]]
name = "two"
models = [{ name = "m" }]
host = "amazon-bedrok"
platform = "olama"

[[upstream]]
name = "three"
base_url = "http://127.0.0.1:9"
models = [{ name = "m" }]
host = "nowhere"
key = { file = "nowhere.key" }

[[upstream]]
name = "four"
base_url = "ftp://127.0.0.1:9"
models = [{ name = "m" }]
host = "azure"
region = "swedencentrl"
"#,
    );
    let run = sandbox.run("config check");
    run.complains(&[
        "the host `rack` loosens",
        "--> own.toml:1:1",
        "a permit may not rest on",
        "--> own/rules.cedar:",
    ]);
    let (here, elsewhere): (Vec<&str>, Vec<&str>) = run
        .err
        .split("error: ")
        .skip(1)
        .partition(|shown| shown.contains("\n  --> carnet.toml:"));
    assert_eq!(elsewhere.len(), 3, "{run:?}");
    shown_as(
        &here,
        &[
            (2, "`body_bytes_max` must be a whole number", "its digits"),
            (
                5,
                "there is no pack `czech-nukbi`",
                "did you mean `czech-nukib`?",
            ),
            (8, "`nowhere.toml`: cannot read it", "check the path"),
            (13, "the model `m` is listed twice", "take one"),
            (14, "unknown key `regoin`", "did you mean `region`?"),
            (
                19,
                "the registry knows no address of the host `amazon-bedrok`",
                "add base_url = ",
            ),
            (
                19,
                "neither the registry nor an overlay knows the host `amazon-bedrok`",
                "did you mean `amazon-bedrock`?",
            ),
            (
                20,
                "nobody has described the ids of the platform `olama`",
                "did you mean `ollama`?",
            ),
            (
                26,
                "neither the registry nor an overlay knows the host `nowhere`",
                "describe it in an overlay",
            ),
            (27, "`nowhere.key`: cannot read it", "check the path"),
            (31, "`ftp://127.0.0.1:9` is", "write it as"),
            (
                34,
                "the host `azure` has no region `swedencentrl`",
                "did you mean `swedencentral`?",
            ),
        ],
    );
}

#[test]
fn a_region_belongs_to_the_host_that_is_meant() {
    let of = |address: &str, lines: &str| {
        let text = upstream(lines).replace("http://127.0.0.1:9/v1", address);
        check(&text).1
    };
    // The host is found by its address.
    let bedrock = "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1";
    of(bedrock, "region = \"us-west-2\"").exits(GOOD).quietly();
    told(
        &of(bedrock, "region = \"us-wset-2\""),
        &[(
            8,
            "the host `amazon-bedrock` has no region `us-wset-2`",
            "did you mean `us-west-2`?",
        )],
    );
    // Nobody can say which regions an unknown host has.
    of("http://127.0.0.1:9/v1", "region = \"here\"")
        .exits(GOOD)
        .quietly();
    let sandbox = Sandbox::with_rack();
    for (region, code) in [("us-1", GOOD), ("us-9", crate::sandbox::ERROR)] {
        let lines = format!("host = \"rack\"\nregion = \"{region}\"");
        let text = format!(
            "[registry]\noverlay = [\"rack.toml\"]\n\n{}",
            upstream(&lines)
        );
        sandbox.write("carnet.toml", text);
        let run = sandbox.run("config check");
        run.exits(code);
        if code != GOOD {
            let reason = "the host `rack` has no region `us-9`";
            told(&run, &[(12, reason, "did you mean `us-1`?")]);
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_where_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.pem", "nothing\n");
    sandbox.write("bad.key", "with\u{1}control\n");
    let text = upstream("ca_file = \"bad.pem\"").replace("http://", "https://")
        + "\n[[upstream]]\nname = \"v\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [{ name = \"m\" }]\nkey = { file = \"bad.key\" }\n";
    sandbox.write("carnet.toml", text);
    told(
        &sandbox.run("config check"),
        &[
            (
                8,
                "`bad.pem`: there is no certificate in it",
                "correct the entry",
            ),
            (
                14,
                "the key of upstream `v` has characters",
                "correct the entry",
            ),
        ],
    );
}

#[test]
fn an_empty_key_is_no_key() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", upstream("key = { file = \"api.key\" }"));
    for empty in ["", "\n", "\nsecond line\n"] {
        sandbox.write("api.key", empty);
        sandbox.run("config check").complains(&[
            "there is no key: the file `api.key` is empty",
            "--> carnet.toml:8:",
            "help: set it, or take `key` out",
        ]);
    }
    sandbox.write("api.key", "sk-secret\n");
    let run = sandbox.run("config check");
    run.exits(GOOD).quietly();
    assert!(!run.out.contains("sk-secret"), "{run:?}");
}

#[test]
fn a_host_that_nobody_described_is_refused() {
    refuses(
        &upstream("host = \"somebodys-rack\""),
        &[
            "neither the registry nor an overlay knows the host `somebodys-rack`",
            "--> carnet.toml:8:",
            "help: describe it in an overlay:",
            "id = \"somebodys-rack\"",
            "or take `host` out",
        ],
    );
}

#[test]
fn packs_and_overlays_are_checked_with_the_configuration() {
    let sandbox = Sandbox::new();
    sandbox.pack(
        "own",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource in Country::\"US\");\n",
    );
    sandbox.write("own.toml", "[[host]]\nid = \"rack\"\ncomplete = true\n");
    sandbox.write(
        "carnet.toml",
        format!(
            "[policy]\npacks = [\"own\"]\n[registry]\noverlay = [\"own.toml\"]\n{}",
            upstream("")
        ),
    );
    sandbox.run("config check").complains(&[
        "a permit may not rest on",
        "--> own/rules.cedar:",
        "the host `rack` loosens",
        "--> own.toml:1:1",
        "help: add to this entry:",
    ]);
}

#[test]
fn paths_are_taken_from_the_file_s_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("etc/rack.toml", crate::facts::RACK);
    sandbox.write(
        "etc/carnet.toml",
        format!(
            "[registry]\noverlay = [\"rack.toml\"]\n{}",
            upstream("host = \"rack\"")
        ),
    );
    sandbox
        .run("config check etc/carnet.toml")
        .exits(GOOD)
        .quietly()
        .says(&[
            "etc/carnet.toml is good: 1 upstreams with 1 models, 1 workloads, packs default",
            "configuration sha256:",
            "policies      sha256:",
            "registry      sha256:",
        ]);
    assert!(!sandbox.state().exists(), "checking changes nothing");
}

#[test]
fn init_writes_a_good_file_once() {
    let sandbox = Sandbox::new();
    sandbox
        .run("config init")
        .exits(GOOD)
        .quietly()
        .says(&["wrote carnet.toml", "carnet config check carnet.toml"]);
    sandbox.run("config check").exits(GOOD).quietly();
    sandbox.write("carnet.toml", "# mine\n");
    sandbox.run("config init").complains(&[
        "cannot write it",
        "--> carnet.toml",
        "help: it is there already and stays as it is",
    ]);
    assert_eq!(sandbox.read("carnet.toml"), "# mine\n");
    sandbox
        .run("config init nowhere/carnet.toml")
        .complains(&["--> nowhere/carnet.toml", "help: check the path"]);
    sandbox.run("config init -").exits(GOOD).quietly().says(&[
        "[server]",
        "name = \"openai\"",
        "name = \"azure\"",
        "name = \"bedrock\"",
        "name = \"ollama\"",
    ]);
}

#[test]
fn the_schema_names_the_keys_that_the_reader_accepts() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("config schema");
    run.exits(GOOD).quietly();
    let schema: Value = serde_json::from_str(&run.out).unwrap();
    let mut seen = 0;
    compare(&sandbox, &schema, &schema, &mut Vec::new(), &mut seen);
    assert!(seen >= 10, "only {seen} sections were compared");
    assert!(
        !run.out.contains("null"),
        "TOML has no null, so no key may be one: {run:?}"
    );
    let required = |section: &str| schema["$defs"][section]["required"].clone();
    assert_eq!(required("Upstream"), serde_json::json!(["models"]));
    assert_eq!(required("Server"), Value::Null, "nothing is required there");
}

/// Ask the reader what it accepts here, and compare; then in each section below.
fn compare(
    sandbox: &Sandbox,
    schema: &Value,
    section: &Value,
    path: &mut Vec<(String, bool)>,
    seen: &mut usize,
) {
    const STRANGE: &str = "zzzzzzzzzzzz";
    *seen += 1;
    let properties = section["properties"].as_object().unwrap();
    assert_eq!(section["additionalProperties"], false, "{path:?}");
    let text = path
        .iter()
        .rev()
        .fold(format!("{STRANGE} = 1"), |inner, (key, list)| {
            if *list {
                format!("{key} = [{{ {inner} }}]")
            } else {
                format!("{key} = {{ {inner} }}")
            }
        });
    sandbox.write("strange.toml", &text);
    let run = sandbox.run("config check strange.toml");
    run.complains(&[STRANGE]);
    let (_, known) = run
        .err
        .split_once("known here are ")
        .unwrap_or_else(|| panic!("{run:?}"));
    let accepted: BTreeSet<&str> = known.lines().next().unwrap().split(", ").collect();
    let named: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(named, accepted, "{path:?}");
    for (key, property) in properties {
        let list = property.get("items").is_some();
        if let Some(below) = definition(schema, property.get("items").unwrap_or(property)) {
            path.push((key.clone(), list));
            compare(sandbox, schema, below, path, seen);
            path.pop();
        }
    }
}

/// The section that a property is, if it is one.
fn definition<'a>(schema: &'a Value, property: &'a Value) -> Option<&'a Value> {
    let reference = property.get("$ref").or_else(|| {
        property["anyOf"]
            .as_array()?
            .iter()
            .find_map(|one| one.get("$ref"))
    })?;
    schema.pointer(reference.as_str()?.strip_prefix('#')?)
}

#[test]
fn an_entry_that_has_ended_is_warned_of_and_stops_nothing() {
    let sandbox = Sandbox::new();
    let ended = crate::facts::RACK.replace("2099-12-31", "2020-01-31");
    let deployment = "\n[[deployment]]\nid = \"own\"\nmodel = \"gpt-4o\"\nuntil = \"2020-02-01\"\n";
    let standing = ended
        .replace("\"rack\"", "\"other\"")
        .replace("2020-01-31", "2099-12-31");
    sandbox.write("etc/own.toml", format!("{ended}{deployment}{standing}"));
    sandbox.write(
        "etc/carnet.toml",
        format!(
            "[registry]\noverlay = [\"own.toml\"]\n{}",
            upstream("host = \"rack\"")
        ),
    );
    let run = sandbox.run("config check etc/carnet.toml");
    run.exits(GOOD).says(&["etc/carnet.toml is good: "]);
    let help = "help: take the entry out, or give it a later `until` after a new look\n";
    assert_eq!(
        run.err,
        format!(
            "warning: the host `rack` counted until 2020-01-31 and counts no more\n  --> etc/own.toml:2:1\n  {help}\
             warning: the deployment `own` counted until 2020-02-01 and counts no more\n  --> etc/own.toml:14:1\n  {help}"
        )
    );
}

#[test]
fn a_claim_that_has_ended_does_not_stop_a_start() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "rack.toml",
        crate::facts::RACK.replace("2099-12-31", "2026-01-01"),
    );
    sandbox.write(
        "carnet.toml",
        format!(
            "[registry]\noverlay = [\"rack.toml\"]\n{}",
            upstream("host = \"rack\"")
        ),
    );
    sandbox.run("config check").exits(GOOD);
    sandbox
        .run("check m --workload a")
        .exits(1)
        .says(&["[default/unknown-host]"]);
}

#[test]
fn the_address_of_a_unix_socket_is_checked() {
    let (_sandbox, run) = check(
        "[policy]\npacks = [\"default\"]\n\n[[upstream]]\nname = \"u\"\nbase_url = \"unix:\"\nmodels = [{ name = \"m\" }]\n\n[[upstream]]\nname = \"v\"\nbase_url = \"unix:/run/m.sock\"\nproxy = \"http://127.0.0.1:3128\"\nmodels = [{ name = \"n\" }]\n",
    );
    run.complains(&[
        "carnet.toml:6:",
        "`unix:` is not the address of a Unix socket",
        "help: write it as \"unix:/run/model.sock\"",
        "carnet.toml:12:",
        "a Unix socket is not reached through a proxy",
    ]);
}

#[test]
fn what_an_upstream_takes_is_checked() {
    for (lines, texts) in [
        (
            "apis = []",
            [
                "takes no requests can never be reached",
                "name at least one of `apis`",
            ],
        ),
        (
            "apis = [\"messages\", \"chat\"]",
            [
                "`chat` is not a kind of request",
                "choose of bedrock-chat, bedrock-embed-text, bedrock-embed-texts, bedrock-messages, chat-completions",
            ],
        ),
        (
            "api_version = \"2024&model=x\"",
            [
                "`2024&model=x` is not a version",
                "for example \"2024-10-21\"",
            ],
        ),
        (
            "auth = \"basic\"",
            [
                "`basic` is not a way to send a key",
                "\"x-api-key\" or \"x-goog-api-key\"",
            ],
        ),
        (
            "auth = \"aws-sigv4\"",
            [
                "signing needs a key and a region",
                "ACCESS_KEY_ID:SECRET_ACCESS_KEY",
            ],
        ),
    ] {
        refuses(&upstream(lines), &texts);
    }
}

#[test]
fn the_configurations_of_image_and_chart_are_good() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "image.toml",
        include_str!("../../../../packaging/container/carnet.toml"),
    );
    let values = include_str!("../../../../packaging/helm/carnet/values.yaml");
    let (_, rest) = values.split_once("\nconfig: |\n").unwrap();
    let lines = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("  "));
    let text: String = lines
        .map(|line| format!("{}\n", line.trim_start_matches("  ")))
        .collect();
    assert!(text.contains("[[workload]]"), "{text}");
    sandbox.write("chart.toml", text);
    for file in ["image.toml", "chart.toml"] {
        sandbox
            .run(&format!("config check {file}"))
            .exits(GOOD)
            .says(&[" is good: "]);
    }
}
