//! Chat completions, as most services speak them.

mod answer_read;
mod answer_write;
mod ask_read;
mod ask_write;
mod calls;
mod failure;
mod parts;
mod parts_write;
mod stream_read;
mod stream_write;
mod unknown;
mod usage;

pub(crate) use answer_read::read_answer;
pub(crate) use answer_write::write_answer;
pub(crate) use ask_read::read_ask;
pub(crate) use ask_write::write_ask;
pub(crate) use calls::as_number;
pub(crate) use failure::{read_failure, write_failure};
pub(crate) use parts::tool_use;
pub(crate) use parts_write::{lose_order, write_tool_call};
pub(crate) use stream_read::Reader;
pub(crate) use stream_write::Writer;
pub(crate) use unknown::{ANSWERED, ASKED, lose};
pub(crate) use usage::read_usage;
