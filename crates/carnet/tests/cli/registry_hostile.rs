//! `carnet registry validate` of files that nobody would write with good intentions: a clear error
//! with file and line, exit code 2, and no crash.

use crate::registry_world::SAID;
use crate::sandbox::Sandbox;

fn world() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.world("facts");
    sandbox
}

#[test]
fn control_characters_stand_in_no_text() {
    let sandbox = world();
    for name in ["A\\u001B[2J", "A\\u0000", "A\\u202Egnp", "A\\u0085"] {
        sandbox.write("facts/producers/c.toml", format!("name = \"{name}\"\n"));
        sandbox.run("registry validate facts").complains(&[
            "`name` has control characters",
            "--> facts/producers/c.toml:1:",
            "help: write the text without them",
        ]);
    }
    // As they are, not written as escapes.
    for name in ["A\u{1b}[2J", "A\u{0}", "A\u{7}"] {
        sandbox.write("facts/producers/c.toml", format!("name = \"{name}\"\n"));
        let run = sandbox.run("registry validate facts");
        run.complains(&["--> facts/producers/c.toml:1:", "help: "]);
        assert!(!run.err.contains('\u{1b}'), "{run:?}");
    }
    sandbox.write(
        "facts/producers/c.toml",
        "name = \"C\"\nnamespaces = [\"a\\u0008\"]\n",
    );
    sandbox
        .run("registry validate facts")
        .complains(&["`namespaces` has control characters", "c.toml:2:"]);
}

#[test]
fn a_file_that_is_no_text_is_told_with_its_line() {
    let sandbox = world();
    sandbox.write(
        "facts/producers/c.toml",
        b"name = \"C\"\nnamespaces = [\"\xff\"]\n",
    );
    sandbox.run("registry validate facts").complains(&[
        "is not UTF-8 text",
        "--> facts/producers/c.toml:2:16",
        "help: save it as UTF-8",
    ]);
}

#[test]
fn a_file_of_fifty_megabytes_is_not_read() {
    let sandbox = world();
    let file = sandbox.path("facts/producers/c.toml");
    let large = std::fs::File::create(&file).unwrap();
    large.set_len(50 * 1024 * 1024).unwrap();
    sandbox.run("registry validate facts").complains(&[
        "`facts/producers/c.toml` has 52428800 bytes, more than the 16777216 that are read",
        "help: ",
    ]);
    // A bundle may be larger, but not without end.
    large.set_len(65 * 1024 * 1024).unwrap();
    sandbox
        .run("registry validate facts/producers/c.toml")
        .complains(&["more than the 67108864 that are read"]);
}

#[test]
fn deep_nesting_is_a_mistake_and_no_crash() {
    let sandbox = world();
    let deep = 200_000;
    for text in [
        format!("name = {}", "[".repeat(deep)),
        format!("name = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("name = {}", "{ a = ".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]\n", "a.".repeat(deep)),
        format!("name = \"C\"\ncountry = {{ value = {} }}", "[".repeat(deep)),
    ] {
        sandbox.write("facts/producers/c.toml", text);
        sandbox
            .run("registry validate facts")
            .complains(&["--> facts/producers/c.toml:", "help: "]);
    }
}

#[test]
fn a_circle_is_told_at_each_of_its_steps() {
    let sandbox = world();
    let base = sandbox.read("facts/models/birch-tune.toml");
    sandbox.write(
        "facts/models/alder-base.toml",
        base.replace("alder-base", "birch-deep"),
    );
    sandbox.run("registry validate facts").complains(&[
        "`alder-base` descends from itself through `birch-deep`",
        "--> facts/models/alder-base.toml:6:10",
        "--> facts/models/birch-deep.toml:6:10",
        "--> facts/models/birch-tune.toml:6:10",
        "help: one of the [[base_model]] entries on this circle points the wrong way",
    ]);
}

#[test]
fn a_name_has_one_owner() {
    let sandbox = world();
    let file = "facts/models/birch-tune.toml";
    sandbox.write(
        file,
        sandbox.read(file) + "[[alias]]\nplatform = \"*\"\nid = \"Alder-ONE\"\n",
    );
    sandbox.run("registry validate facts").complains(&[
        "`alder-one` on `*` is also claimed by models/alder-base.toml (models/alder-base.toml:7)",
        "--> facts/models/birch-tune.toml:13:7",
        "help: keep one of them",
    ]);
}

#[test]
fn every_claim_says_where_it_stands_since_when_and_how_sure_it_is() {
    let sandbox = world();
    for (claim, missing, place) in [
        (
            "country = { value = \"DE\", date = \"2025-01-01\", confidence = \"high\" }",
            "`source` is missing",
            "2:11",
        ),
        (
            "country = { value = \"DE\", source = \"s\", confidence = \"high\" }",
            "`date` is missing",
            "2:11",
        ),
        (
            "country = { value = \"DE\", source = \"s\", date = \"2025-01-01\" }",
            "`confidence` is missing",
            "2:11",
        ),
        (
            "country = { value = \"DE\", source = \" \", date = \"2025-01-01\", confidence = \"high\" }",
            "`source` is empty",
            "2:37",
        ),
        (
            "[[statement]]\ntopic = \"t\"\ntext = \"t\"\nby = \"b\"\ndate = \"2025-01-01\"\nevidence = \"e\"",
            "`source` is missing",
            "2:",
        ),
        (
            "[[statement]]\ntopic = \"t\"\ntext = \"t\"\ndate = \"2025-01-01\"\nevidence = \"e\"\nsource = \"s\"",
            "`by` is missing",
            "2:",
        ),
        (
            "[[owner]]\nname = \"O\"\nsource = \"s\"\ndate = \"2025-01-01\"",
            "`confidence` is missing",
            "2:",
        ),
        (
            "[[statement]]\ntopic = \"t\"\ntext = \"t\"\nby = \"b\"\ndate = \"2025-01-01\"\nevidence = \"e\"\nsource = \"s\"\ndisputed_source = \"d\"",
            "`disputed_source` without `disputed_by`",
            "2:",
        ),
        (
            "namespaces = [\"\"]",
            "`namespaces` has an empty text",
            "2:",
        ),
    ] {
        sandbox.write("facts/producers/c.toml", format!("name = \"C\"\n{claim}\n"));
        sandbox.run("registry validate facts").complains(&[
            missing,
            &format!("--> facts/producers/c.toml:{place}"),
            "help: ",
        ]);
    }
    std::fs::remove_file(sandbox.path("facts/producers/c.toml")).unwrap();
    let host = "name = \"H\"\nkind = \"inference\"\n";
    let region = "region = [{ id = \"r\", country = \"DE\" }]\n";
    sandbox.write("facts/hosts/h.toml", format!("{host}{region}"));
    sandbox.run("registry validate facts").complains(&[
        "nobody says that this host has the region `r`",
        "--> facts/hosts/h.toml:3:",
        "regions_known",
    ]);
    for good in [
        format!("{host}regions_known = {{ value = true, {SAID} }}\n{region}"),
        format!("{host}region = [{{ id = \"r\", country = \"DE\", {SAID} }}]\n"),
    ] {
        sandbox.write("facts/hosts/h.toml", good);
        sandbox.run("registry validate facts").exits(0);
    }
    sandbox.write(
        "facts/hosts/h.toml",
        format!("{host}region = [{{ id = \"r\", country = \"DE\", source = \"s\" }}]\n"),
    );
    sandbox
        .run("registry validate facts")
        .complains(&["`date` is missing", "`confidence` is missing"]);
}
