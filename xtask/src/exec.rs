//! Running other programs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::console;

fn shown(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// Runs a command with its output on the terminal; true if it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    Ok(status.success())
}

/// Runs a command that must succeed, and returns its standard output. What it complained of is in
/// the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !out.status.success() {
        let complaint = String::from_utf8_lossy(&out.stderr);
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            out.status,
            complaint.trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs a command, passes each line of its standard output to `line` as it comes, and says whether
/// it succeeded.
pub(crate) fn lines(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if let Some(out) = child.stdout.take() {
        for text in BufReader::new(out).split(b'\n') {
            line(&String::from_utf8_lossy(&text?));
        }
    }
    Ok(child.wait()?.success())
}

/// `cargo` with these arguments, in the repository.
pub(crate) fn cargo(root: &std::path::Path, args: &[&str]) -> Command {
    console::say(format_args!("$ cargo {}", args.join(" ")));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(args);
    command
}
