//! Repository checks, generators and the test command.

fn main() {}
