//! Every bound on outside data in this crate, each with its reason.

/// Open objects and arrays in a request. The usual limit of strict parsers, far above any real prompt or tool
/// schema, and below what makes a recursive parser behind us overflow its stack.
pub const MAX_DEPTH: usize = 128;

/// Segments of one watched path, so that the walk along watched paths may recurse.
pub const MAX_PATH_SEGMENTS: usize = 16;

/// Keys of one object that can be watched: one bit each in a register says which have been seen.
pub const MAX_WATCHED_KEYS: usize = 128;

/// Values reported by one scan. A conversation of ten thousand messages stays below it; without it a body of many
/// tiny watched values would cost fifty times its size in memory.
pub const MAX_HITS: usize = 65_536;

/// Unknown top-level keys that are listed by one scan; one is enough to refuse a body, the rest helps its author.
pub const MAX_UNKNOWN_KEYS: usize = 32;

/// Characters of a caller's key that an error message repeats.
pub const MAX_KEY_SHOWN: usize = 64;

/// Bytes of a stream in which the reported model must be seen. Services send it with the first event; what is not
/// there by then is absent, because the answer is held back until it is known.
pub const MAX_SNIFFED: usize = 64 * 1024;

/// The same of the first event of a stream, which repeats a request's instructions before the model's name, and of an
/// answer that comes as a whole: some services write its members in the order of the alphabet, so that the text stands
/// before the name.
pub const MAX_SNIFFED_WHOLE: usize = 1024 * 1024;

/// Bytes of a reported model name, escapes included. Longer than any id that can be resolved.
pub const MAX_MODEL_NAME: usize = 3 * 1024;

/// The first event of a stream of the Responses API, kept for the event that may have to end it: it repeats
/// instructions and tools.
pub const MAX_FIRST_EVENT: usize = 256 * 1024;

/// Bytes of one event or line of a streamed answer. An image that is drawn in a stream comes as one event of several
/// million bytes in base64; more than this is no answer but a leak of memory.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Bytes of one message of an AWS event stream, prelude and checksums included: what all readers of the format take.
/// Newer ones take half as much again, which no part of an answer needs.
pub const MAX_AWS_MESSAGE: usize = 16 * 1024 * 1024;

/// Bytes of the id of an answer or of a call of a tool, as its service gives it. Some dialects repeat them in every
/// event, so that a long one would be paid for many times over.
pub const MAX_ID: usize = 1024;

/// Bytes of the name of an application's user in OpenAI's dialects, which refuse a longer one
/// (<https://github.com/maximhq/bifrost/issues/1000>).
pub const MAX_USER: usize = 64;

/// Values and keys of one JSON document that is translated: each costs memory beside its own few bytes. An answer of
/// ten thousand tokens with the probabilities of twenty others each stays below it.
pub const MAX_NODES: usize = 4 * 1024 * 1024;

/// Bytes of the headers of one message of an AWS event stream: what all readers of the format take.
pub const MAX_AWS_HEADERS_LENGTH: usize = 128 * 1024;

/// Headers of one message of an AWS event stream. Real ones have three or four; the bound keeps it cheap to look for
/// a name that occurs twice.
pub const MAX_AWS_HEADERS: usize = 64;

/// Losses that one translation lists by name; a body can be made of nothing but unknown members.
pub const MAX_LOSSES: usize = 32;

/// Bytes of a name that a loss repeats.
pub const MAX_LOSS_PLACE: usize = 64;

/// Texts that one request wants vectors of: what the API's maker takes.
pub const MAX_TEXTS: usize = 2_048;

/// Trials of a dialect that one request names. There are a few dozen in all; each is compared with the others.
pub const MAX_BETAS: usize = 64;

/// Turns of a conversation. One that fills the largest context with one-word turns
/// stays below it.
pub const MAX_TURNS: usize = 100_000;

/// Calls of tools in one answer or conversation, and tools that a request declares. More than any model makes or can
/// choose from; what is kept of each outlives its event.
pub const MAX_TOOL_CALLS: usize = 4_096;

/// Bytes of calls of tools that are held back in a stream until the call before them is complete. Services send one
/// call after the other; what comes interleaved has to wait, because not every dialect can say it that way.
pub const MAX_HELD_BACK: usize = 1024 * 1024;

/// Bytes of a streamed answer that are kept because its dialect repeats the answer at the end. Far above what a model
/// writes in one answer.
pub const MAX_ANSWER_KEPT: usize = 16 * 1024 * 1024;

/// Bytes of an object that tells usage; real ones have some hundred. A longer one is not read.
pub const MAX_USAGE: usize = 16 * 1024;

/// Bytes of an event in which usage is looked for that the caller did not ask for; those that tell it have some hundred.
/// A longer one is passed on as it is.
pub const MAX_UNASKED: usize = 64 * 1024;

/// Bytes of an answer that comes as a whole and is kept until its end, in case it has to be counted; the longest texts
/// that models write have half as many.
pub const MAX_SAID: usize = 2 * 1024 * 1024;

/// Characters of base64 that are taken for a file. A shorter run is a name, a digest or an id.
pub const MIN_FILE: usize = 256;
