# Short verbs; what they do lives in xtask, and plain `cargo test` works without either.

# Formatting, lints and repository checks
check: lint
    cargo xtask check

# Everything, with what it needs installed into target/tools
test *flags:
    cargo xtask test {{flags}}

# rustfmt and clippy
lint:
    cargo xtask lint

# Generated reference pages
docs:
    cargo xtask generate
