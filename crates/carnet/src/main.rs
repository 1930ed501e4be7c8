//! The `carnet` command.

fn main() {}
