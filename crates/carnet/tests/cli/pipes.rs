//! Pipes that close early.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::sandbox::Sandbox;

#[test]
fn a_reader_that_has_enough_ends_the_command_quietly() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command()
        .args(["resolve", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ids = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    ids.write_all(b"first\n").unwrap();
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    assert!(line.starts_with(r#"{"id":"first""#), "{line}");
    drop(answers);
    // The next answer finds the pipe closed.
    ids.write_all(b"second\n").unwrap();
    drop(ids);
    let mut complaint = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaint)
        .unwrap();
    assert_eq!(complaint, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
