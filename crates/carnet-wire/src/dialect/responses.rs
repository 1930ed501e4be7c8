//! Responses: items in place of turns, and streams that name the beginning and end of each.

mod answer_read;
mod answer_write;
mod ask_read;
mod ask_write;
mod failure;
mod items;
mod resource;
mod stream_read;
mod stream_write;
mod unknown;
mod usage;

pub(crate) use answer_read::read_answer;
pub(crate) use answer_write::write_answer;
pub(crate) use ask_read::read_ask;
pub(crate) use ask_write::write_ask;
pub(crate) use failure::{read_failure, write_failure};
pub(crate) use stream_read::Reader;
pub(crate) use stream_write::Writer;
pub(crate) use unknown::{ANSWERED, ASKED, lose};
pub(crate) use usage::read_usage;
