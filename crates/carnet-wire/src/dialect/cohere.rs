//! Cohere's chat, version 2, as a dialect of services: clients do not speak it to us.
//!
//! It words messages and calls of tools as chat completions do, and has events, reasons and counts of its own.

mod answer_read;
mod ask_write;
mod failure;
mod stream_read;

pub(crate) use answer_read::{read_answer, read_usage};
pub(crate) use ask_write::write_ask;
pub(crate) use failure::read_failure;
pub(crate) use stream_read::Reader;
