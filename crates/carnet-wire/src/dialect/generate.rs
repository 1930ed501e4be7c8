//! `generateContent`: turns of parts, with instructions and tools beside them.
//!
//! The model's name and whether to stream stand in the address there, not in the body.

mod answer_read;
mod answer_write;
mod ask_read;
mod ask_write;
mod failure;
mod parts;
mod proofs;
mod schema;
mod spelling;
mod stream_read;
mod stream_write;
mod unknown;

pub(crate) use answer_read::{read_answer, read_usage};
pub(crate) use answer_write::write_answer;
pub(crate) use ask_read::read_ask;
pub(crate) use ask_write::write_ask;
pub(crate) use failure::{read_failure, write_failure};
pub(crate) use stream_read::Reader;
pub(crate) use stream_write::Writer;
pub(crate) use unknown::{ASKED, lose};
