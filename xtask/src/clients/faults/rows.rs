//! The rows of the table: what goes wrong in each, and what callers may see of it.

use super::caller::View;

/// How an upstream goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    BadChunking,
    BadEvents,
    BadJson,
    CloseInBody,
    /// It closes the connection instead of answering.
    CloseInstead,
    /// It takes the connection and never reads.
    Deaf,
    /// One byte at a time.
    Drip,
    /// More than a caller who does not read may have kept for it.
    Endless,
    Good,
    HalfHead,
    HugeHead,
    LongLength,
    NotHttp,
    Refuse,
    /// Another model's name than was decided on.
    Reports,
    ResetAtOnce,
    ResetInBody,
    ResetInstead,
    ShortLength,
    /// A long stream with pauses.
    Slow,
    StallInBody,
    StallInstead,
    Status(u16),
}

impl Fault {
    /// Whether it goes wrong before a request is known, so that it takes a listener of its own and reads nothing.
    pub(super) fn is_of_connection(self) -> bool {
        matches!(self, Self::Deaf | Self::Refuse | Self::ResetAtOnce)
    }
}

/// What callers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// They send and read.
    Well,
    /// They read the first piece and hang up.
    HangUp,
    /// They do not read.
    Unread,
    /// They send one byte at a time.
    SendSlowly,
    /// They send half of the body and hang up.
    StopSending,
}

impl Callers {
    /// Whether what they do takes a stream.
    pub(super) fn take_streams(self) -> bool {
        matches!(self, Self::HangUp | Self::Unread)
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Also the name of the model that its requests ask for.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) fault: Fault,
    pub(super) callers: Callers,
    /// What callers may see of a whole answer and of a stream where no other upstream takes over. Where one does, they
    /// may see the good answer too.
    pub(super) whole: &'static [View],
    pub(super) stream: &'static [View],
    /// Whether nothing of it has come before it goes wrong, so that another upstream always takes over.
    pub(super) taken_over: bool,
}

const fn row(
    name: &'static str,
    what: &'static str,
    fault: Fault,
    (whole, stream): (&'static [View], &'static [View]),
    taken_over: bool,
) -> Row {
    Row {
        name,
        what,
        fault,
        callers: Callers::Well,
        whole,
        stream,
        taken_over,
    }
}

const fn slow(name: &'static str, what: &'static str, fault: Fault, callers: Callers) -> Row {
    Row {
        name,
        what,
        fault,
        callers,
        whole: &[View::Good],
        stream: &[View::Good],
        taken_over: false,
    }
}

const fn error(status: u16) -> View {
    View::Error(status)
}

/// What else goes wrong, with models that only well upstreams offer.
pub(super) const SURROUNDINGS: [&str; 3] = ["clock", "disk", "store"];

/// All rows with a faulty upstream or a slow caller.
pub(super) const ROWS: [Row; 28] = [
    row(
        "refuse",
        "refuses connections",
        Fault::Refuse,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "reset-at-once",
        "resets connections at once",
        Fault::ResetAtOnce,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "deaf",
        "takes connections and reads nothing",
        Fault::Deaf,
        (&[error(504)], &[error(504)]),
        true,
    ),
    row(
        "close-instead",
        "closes instead of answering",
        Fault::CloseInstead,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "reset-instead",
        "resets instead of answering",
        Fault::ResetInstead,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "stall-instead",
        "is silent before the head",
        Fault::StallInstead,
        (&[error(504)], &[error(504)]),
        true,
    ),
    row(
        "half-head",
        "is silent in the middle of the head",
        Fault::HalfHead,
        (&[error(504)], &[error(504)]),
        true,
    ),
    row(
        "huge-head",
        "sends a head without end",
        Fault::HugeHead,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "not-http",
        "does not speak HTTP",
        Fault::NotHttp,
        (&[error(502)], &[error(502)]),
        true,
    ),
    row(
        "stall-in-body",
        "is silent in mid-body",
        Fault::StallInBody,
        (&[error(504), View::Broken], &[View::Told]),
        false,
    ),
    row(
        "close-in-body",
        "closes in mid-body",
        Fault::CloseInBody,
        (&[error(502), View::Broken], &[View::Told]),
        false,
    ),
    row(
        "reset-in-body",
        "resets in mid-body",
        Fault::ResetInBody,
        (&[error(502), View::Broken], &[View::Told]),
        false,
    ),
    row(
        "drip",
        "sends one byte at a time",
        Fault::Drip,
        (&[View::Good], &[View::Good]),
        false,
    ),
    row(
        "long-length",
        "announces more than it sends",
        Fault::LongLength,
        (
            &[error(502), View::Broken],
            &[View::Told, View::Broken, View::Good],
        ),
        false,
    ),
    row(
        "short-length",
        "announces less than it sends, and a forged answer behind",
        Fault::ShortLength,
        (
            &[error(502), View::AsSent],
            &[View::AsSent, View::Told, View::Good],
        ),
        false,
    ),
    row(
        "bad-chunking",
        "sends chunks that are none",
        Fault::BadChunking,
        (&[error(502), View::Broken], &[View::Told]),
        false,
    ),
    row(
        "bad-json",
        "sends JSON that is none",
        Fault::BadJson,
        (&[error(502), View::AsSent], &[error(502), View::AsSent]),
        false,
    ),
    row(
        "bad-events",
        "sends events that are none",
        Fault::BadEvents,
        (&[error(502), View::AsSent], &[View::Told, View::AsSent]),
        false,
    ),
    row(
        "status-429",
        "answers 429",
        Fault::Status(429),
        (&[error(429)], &[error(429)]),
        true,
    ),
    row(
        "status-500",
        "answers 500",
        Fault::Status(500),
        (&[error(500)], &[error(500)]),
        true,
    ),
    row(
        "status-529",
        "answers 529",
        Fault::Status(529),
        (&[error(529)], &[error(529)]),
        true,
    ),
    row(
        "other-model",
        "reports another model",
        Fault::Reports,
        (&[error(502), error(503)], &[View::Told, error(503)]),
        false,
    ),
    row(
        "other-provider",
        "reports another provider's model",
        Fault::Reports,
        (&[error(502), error(503)], &[View::Told, error(503)]),
        false,
    ),
    row(
        "other-digest",
        "reports another digest",
        Fault::Reports,
        (&[error(502), error(503)], &[View::Told, error(503)]),
        false,
    ),
    slow(
        "unread",
        "a caller does not read",
        Fault::Endless,
        Callers::Unread,
    ),
    slow(
        "hang-up",
        "a caller hangs up in mid-answer",
        Fault::Slow,
        Callers::HangUp,
    ),
    slow(
        "send-slowly",
        "a caller sends one byte at a time",
        Fault::Good,
        Callers::SendSlowly,
    ),
    slow(
        "stop-sending",
        "a caller stops in mid-request",
        Fault::Good,
        Callers::StopSending,
    ),
];
