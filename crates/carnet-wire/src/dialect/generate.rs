//! `generateContent`, as a dialect of services: clients do not speak it to us.
//!
//! The model's name and whether to stream stand in the address there, not in the body.

mod answer_read;
mod ask_write;
mod failure;
mod stream_read;

pub(crate) use answer_read::read_answer;
pub(crate) use ask_write::write_ask;
pub(crate) use failure::read_failure;
pub(crate) use stream_read::Reader;
