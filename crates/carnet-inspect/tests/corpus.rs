//! The labelled GGUF and safetensors files of public scanners: what is safe is well formed, and what no scanner can
//! follow is refused.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use std::fs::{self, File};
use std::path::Path;

use carnet_inspect::{Finding, Limits, gguf, safetensors};

const ABSENT: &str = "the labelled files are not on this machine";

/// Files whose label is about something other than the form of their header.
const WELL_FORMED_BUT_INCONCLUSIVE: &[(&str, &str)] = &[
    (
        "bounded-array.gguf",
        "two elements, over the limit that the scanner was given",
    ),
    (
        "bounded-total-array-items.gguf",
        "two elements, over the limit that the scanner was given",
    ),
    (
        "malformed-eocd.gguf",
        "the end of a broken archive lies within the weights",
    ),
];

/// Files that are labelled safe because nothing in them is harmful, and that no loader would read.
const HARMLESS_BUT_MALFORMED: &[(&str, &str)] = &[(
    "zero-padded.gguf",
    "zeros between metadata and tensors, where the format has none",
)];

#[test]
fn headers_are_judged_as_their_files_are_labelled() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/scan-corpus");
    let Ok(manifest) = fs::read_to_string(corpus.join("MANIFEST.jsonl")) else {
        not_run("headers_are_judged_as_their_files_are_labelled", ABSENT);
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in manifest.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| entry[name].as_str().unwrap_or_default();
        let file = field("file");
        let Some(outcome) = read(&corpus.join(file), field("format")) else {
            continue;
        };
        seen += 1;
        let among = |list: &[(&str, &str)]| list.iter().any(|(name, _)| file.ends_with(name));
        let agrees = match field("expected") {
            "safe" => outcome.is_ok() != among(HARMLESS_BUT_MALFORMED),
            "inconclusive" => outcome.is_err() != among(WELL_FORMED_BUT_INCONCLUSIVE),
            // Unsafe are texts within well-formed headers, and bytes beside the tensors.
            _ => true,
        };
        if !agrees {
            wrong.push(format!("{file}: {outcome:?}"));
        }
    }
    assert!(seen > 0 && wrong.is_empty(), "of {seen}: {wrong:#?}");
    println!("{seen} files");
}

/// Says that a test had nothing to judge, so that it does not count as passed.
#[expect(clippy::print_stdout, reason = "for who runs it by hand")]
fn not_run(test: &str, reason: &str) {
    if let Ok(folder) = std::env::var("CARNET_NOT_RUN") {
        fs::write(Path::new(&folder).join(test), reason).unwrap();
    }
    println!("not run: {reason}");
}

fn read(path: &Path, format: &str) -> Option<Result<(), Finding>> {
    let mut file = match format {
        "gguf" | "safetensors" => File::open(path).unwrap(),
        _ => return None,
    };
    let len = file.metadata().unwrap().len();
    let limits = Limits::default();
    Some(match format {
        "gguf" => gguf::read(&mut file, len, &limits).map(drop),
        _ => safetensors::read(&mut file, len, &limits).map(drop),
    })
}

#[test]
fn an_archive_hidden_before_the_data_is_refused() {
    let path = "../../../shared/scan-corpus/modelaudit-tests/362de202/high-alignment-polyglot.gguf";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if !path.exists() {
        not_run("an_archive_hidden_before_the_data_is_refused", ABSENT);
        return;
    }
    let finding = read(&path, "gguf").and_then(Result::err);
    assert!(finding.is_some(), "its padding is an archive");
}
