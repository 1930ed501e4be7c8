//! Every bound of the admin side, named, with its reason.

use std::time::Duration;

/// Largest request body: a workload's name and a remark need far less.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// A request body must have arrived within this time.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The request head must have arrived within this time; an idle connection is closed after it.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// Request head in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of one request; browsers send about twenty.
pub const HEADER_FIELDS_MAX: usize = 64;
/// Connections of one listener open at once; further ones wait in the kernel's queue. Operators and
/// a few scrapers need a handful.
pub const CONNECTIONS_MAX: usize = 128;
/// Length of the socket's queue of connections not yet accepted.
pub const SOCKET_BACKLOG: u32 = 128;
/// How long running admin requests may go on after a signal to stop.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Decisions in one answer unless the caller asks for another number.
pub const DECISIONS_DEFAULT: usize = 100;
/// Longest name of a workload in a request, in bytes.
pub const WORKLOAD_BYTES_MAX: usize = 256;
/// Longest remark on a key, in bytes: it is shown in lists.
pub const NOTE_BYTES_MAX: usize = 1024;
/// Longest name of a model, scope or network in a key's terms, in bytes.
pub const TERM_BYTES_MAX: usize = 256;
/// Most models, scopes or networks of one key: each request of the key may look at all of them.
pub const TERMS_MAX: usize = 64;
/// Most former secrets of one key: each is one more that somebody may still hold.
pub const FORMER_SECRETS_MAX: usize = 8;
/// Longest time for which a former secret works on: 90 days.
pub const GRACE_TIME_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long it does unless somebody says otherwise.
pub const GRACE_TIME_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// Longest property of policies that is put on record, in bytes.
pub const PROPERTY_BYTES_MAX: usize = 4096;
/// How long a store call waits for another process that holds the database.
pub const STORE_BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest file that may hold a token: ours have 65 bytes.
pub const SECRET_FILE_BYTES_MAX: u64 = 4096;
/// Fewest characters of a token that an operator wrote: 128 bits as hex.
pub const TOKEN_LENGTH_MIN: usize = 32;
/// Largest answer that the client of the socket reads: lists of many thousand keys fit.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the client of the socket waits for an answer: a reload compiles every pack first.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a reload may take until it is given up; keys stand still meanwhile.
pub const RELOAD_TIME_MAX: Duration = Duration::from_secs(60);
