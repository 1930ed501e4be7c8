//! Every bound of the gateway, named, with its reason.

use std::time::Duration;

/// Largest request body by default: a long conversation with some pictures as base64. An operator
/// may raise it up to [`BODY_BYTES_CEILING`].
pub const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// No setting goes beyond this: bodies are held in memory while a request runs.
pub const BODY_BYTES_CEILING: u64 = 512 * 1024 * 1024;
/// A request body must have arrived within this time: slow senders hold a connection, no more.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Nesting that real requests (JSON schemas of tools) stay far below.
pub const JSON_DEPTH_MAX: usize = 128;
/// Request head of one HTTP/1 request, and header list of one HTTP/2 request, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields of one request; stock clients send about twenty.
pub const HEADER_FIELDS_MAX: usize = 100;
/// The head must have arrived within this time.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// A TLS handshake must be over within this time.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections open at once, by default; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Requests that run at once, by default: the log keeps room for the record of each.
pub const OPEN_MAX: u64 = 4_096;
/// The most that can be asked for: half a gibibyte of the disk.
pub const OPEN_CEILING: u64 = 65_536;
/// Length of the kernel's queue of connections not yet accepted.
pub const ACCEPT_BACKLOG: u32 = 4_096;
/// Streams open at once on one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 256;
/// Streams a caller may reset before we have looked at them (rapid reset) until the connection is closed.
pub const H2_PENDING_RESETS_MAX: usize = 32;
/// Streams we may reset because of the caller's errors until the connection is closed.
pub const H2_ERROR_RESETS_MAX: usize = 128;
/// Longest model name that is looked up, in bytes.
pub const MODEL_NAME_BYTES_MAX: usize = 512;
/// Attempts for one request, the first included, by default.
pub const ATTEMPTS: u32 = 3;
/// No setting goes beyond this: each is one more place to which a prompt may have gone, and all of them have room in the record.
pub const ATTEMPTS_MAX: u32 = 10;
/// Attempts of one request of which nothing was sent, because a kept connection turned out to be closed.
pub const UNSENT_MAX: u32 = 3;
/// Time for all attempts of a request up to the head of its answer, by default; never less than the longest that an upstream
/// is given.
pub const ATTEMPTS_TIME_MAX: Duration = Duration::from_secs(600);
/// What is waited at most before the same target is asked again for the first time, by default.
pub const BACKOFF: Duration = Duration::from_millis(250);
/// And at most however often it is asked, by default: what clients of large services do.
pub const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// The longest wait asked for by an upstream that is waited for here, by default; a longer one is passed on to the caller.
pub const RETRY_AFTER_SECONDS_MAX: u64 = 10;
/// Further attempts that the failures of an upstream may cause, in percent of the requests, by default.
pub const RETRY_PERCENT: u64 = 20;
/// The same for each second, however few requests there are.
pub const RETRIES_PER_SECOND: u64 = 3;
/// Seconds over which these are counted.
pub const RETRY_WINDOW_SECONDS: u64 = 10;
/// Failures in a row after which a target is left out, by default.
pub const BREAKER_FAILURES: u64 = 5;
/// Failures in percent of its attempts of the last seconds after which it is left out, by default.
pub const BREAKER_PERCENT: u64 = 50;
/// Attempts below which that share says nothing.
pub const BREAKER_ATTEMPTS_MIN: u32 = 20;
/// The last seconds, in parts: half a minute.
pub const BREAKER_SLOTS: usize = 10;
/// One of these parts.
pub const BREAKER_SLOT: Duration = Duration::from_secs(3);
/// How long a target is left out at first, by default.
pub const BREAKER_SECONDS: u64 = 5;
/// How long it is left out at most, when it fails again and again.
pub const BREAKER_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a target is passed over that is asked too much and does not say for how long.
pub const BUSY_REST: Duration = Duration::from_secs(1);
/// How long one is passed over at most, whatever it says: then somebody looks.
pub const REST_MAX: Duration = Duration::from_secs(60);
/// After this time, what is known of how long a target takes is worth a third.
pub const LOAD_DECAY: Duration = Duration::from_secs(10);
/// Bytes of an error that are read so that its connection can be used again, when another attempt follows.
pub const LET_GO_BYTES_MAX: usize = 64 * 1024;
/// How long that may take.
pub const LET_GO_TIME_MAX: Duration = Duration::from_secs(1);
/// Seconds after which a stream begins without the head of its answer, by default.
pub const COMMIT_AFTER_SECONDS: u64 = 15;
/// Bytes of an upstream's error that are read for what it says, when a stream has begun before it.
pub const LATE_ERROR_BYTES_MAX: usize = 64 * 1024;
/// Characters of that which the caller is told.
pub const LATE_ERROR_SHOWN: usize = 1_000;
/// Members of one pool.
pub const POOL_MEMBERS_MAX: usize = 64;
/// Time for a TCP connection to an upstream, by default.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Time until an upstream's response head, by default: reasoning models think for minutes.
pub const FIRST_BYTE_TIME_MAX: Duration = Duration::from_secs(600);
/// Time between two pieces of an answer, by default.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(300);
/// How often answers are looked at from outside: a revoked key ends one within two looks.
pub const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Beyond an upstream's time between two pieces, a caller may leave an answer unread for so long.
pub const UNREAD_GRACE: Duration = Duration::from_secs(5);
/// How long an idle connection to an upstream is kept.
pub const POOL_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Idle connections kept for one upstream.
pub const POOL_IDLE_MAX: usize = 512;
/// How long running requests may go on after a signal to stop, by default.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// How long requests that are then cut may take to say so to their callers.
pub const CUT_TIME_MAX: Duration = Duration::from_secs(1);
/// Refused credentials of one source address within [`STRANGER_WINDOW`] until it is told to wait.
pub const STRANGER_REFUSALS_MAX: u32 = 100;
/// The window for [`STRANGER_REFUSALS_MAX`].
pub const STRANGER_WINDOW: Duration = Duration::from_secs(10);
/// Source addresses counted apart; further ones share one count.
pub const STRANGER_SOURCES_MAX: usize = 4_096;
/// Refused credentials are put into the log as one record so often.
pub const STRANGER_RECORD_EVERY: Duration = Duration::from_secs(60);
/// Pairs of caller and target whose decisions are kept, by default: some hundred callers with a dozen
/// models each, in about 20 MB.
pub const DECISIONS_MAX: usize = 4_096;
/// No setting goes beyond this: every kept decision holds its document.
pub const DECISIONS_CEILING: usize = 1_048_576;
/// Decisions kept in memory for the admin listener.
pub const RECENT_DECISIONS_MAX: usize = 10_000;
/// Names that one upstream may report for one model and that are kept as known: a name and its dated form,
/// with some room for upstreams that count their deployments.
pub const REPORTED_NAMES_MAX: usize = 16;
/// Targets out of service that are kept in mind: more than any configuration names.
pub const SUSPENDED_MAX: usize = 4_096;
/// Characters of a reported name that errors, the program's log and the admin listener repeat.
pub const REPORTED_NAME_SHOWN: usize = 120;
/// Losses of a translation that are named in a response header; the record has all of them.
pub const LOSSES_SHOWN_MAX: usize = 16;
/// Bytes of an answer that is translated as a whole: the longest that models give, pictures as base64 among it.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one answer that wait for its model's name: more than is searched for it, with room for comments.
pub const HELD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Ids of kept responses that are known for one workload: a month of a busy agent, in a few megabytes. Older ones are
/// forgotten, and asked for again they are unknown.
pub const STATE_IDS_MAX: usize = 16_384;
/// How long an id is known: as long as the service that names a time keeps a response.
pub const STATE_ID_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Changes to these that wait to be written down; when there are more, the oldest are not.
pub const STATE_CHANGES_MAX: usize = 65_536;
/// Longest id of a kept response, in bytes. The longest that are known, which routers make of several parts, have some
/// hundred.
pub const STATE_ID_BYTES_MAX: usize = 512;
/// Pairs of the query with which a kept response is asked for.
pub const STORED_QUERY_PAIRS_MAX: usize = 32;
/// Longest value of one.
pub const STORED_QUERY_VALUE_BYTES_MAX: usize = 512;
/// How long a conversation is kept here, at most and by default: as long as the service that names a time keeps one.
pub const CONVERSATION_TIME_MAX: Duration = STATE_ID_TIME_MAX;
/// Bytes of one kept conversation, by default: a long one with a few pictures. Longer ones are not kept.
pub const CONVERSATION_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// No setting goes beyond this: one is read and written as a whole.
pub const CONVERSATION_BYTES_CEILING: u64 = ANSWER_BYTES_MAX as u64;
/// Bytes of the kept conversations of one workload, by default. The oldest go first.
pub const WORKLOAD_CONVERSATIONS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of all kept conversations, by default.
pub const CONVERSATIONS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// No setting goes beyond this: what is kept is counted each time that something is written.
pub const CONVERSATIONS_BYTES_CEILING: u64 = 1024 * 1024 * 1024 * 1024;
/// Bytes of conversations that are on their way or wait to be written down, of all requests together. Beyond it a further
/// one is not kept.
pub const CONVERSATIONS_HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Conversations that wait to be written down: some seconds of a busy gateway.
pub const CONVERSATIONS_WAITING_MAX: usize = 1_024;
/// Bytes of conversations that are written down at once: they are sealed in memory.
pub const CONVERSATIONS_WRITTEN_BYTES: usize = 16 * 1024 * 1024;
/// Conversations that are read at once. The store gives one after the other.
pub const CONVERSATION_READS_MAX: usize = 4;
/// Bytes of all answers that are given again, by default.
pub const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// No setting goes below this: there would be room for next to none.
pub const CACHE_BYTES_MIN: u64 = 64 * 1024;
/// No setting goes beyond this: they lie in memory.
pub const CACHE_BYTES_CEILING: u64 = 64 * 1024 * 1024 * 1024;
/// Bytes of one of them, by default: more than texts have, with room for vectors.
pub const CACHE_ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// No setting goes beyond this: one is copied and looked through as a whole.
pub const CACHE_ANSWER_BYTES_CEILING: u64 = ANSWER_BYTES_MAX as u64;
/// Seconds that one is kept, by default.
pub const CACHE_SECONDS: u64 = 300;
/// How long one is kept at most.
pub const CACHE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Seconds that a request waits for an equal one, by default.
pub const CACHE_WAIT_SECONDS: u64 = 30;
/// How long it waits at most.
pub const CACHE_WAIT_TIME_MAX: Duration = Duration::from_secs(600);
/// Requests that wait for one; further ones ask themselves.
pub const CACHE_WAITING_MAX: usize = 1_024;
/// What a kept answer takes beside its bytes: its places in the tables, its key in each, what is said of it.
pub const CACHE_ENTRY_BYTES: usize = 1_024;
/// Bytes of one that are given at once.
pub const CACHE_PIECE_BYTES: usize = 32 * 1024;
/// Those that are forgotten at once because of their age, so that nobody waits long for the others.
pub const CACHE_SWEPT_MAX: usize = 1_024;
/// How often it is looked whether kept conversations have become too old.
pub const CONVERSATION_SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// WebSockets of one key open at once: each agent of a team keeps one or a few.
pub const SOCKETS_OF_KEY_MAX: usize = 128;
/// How long a WebSocket is open at most; the service whose clients use one has the same limit, and they open another.
pub const SOCKET_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// How long an upstream may take to end its answer when all of a translated one has been passed on.
pub const LINGER: Duration = Duration::from_secs(1);
/// How long a caller may take to read one message. Answers that nobody reads are ended before, by the sweep.
pub const SOCKET_SEND_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a goodbye may take.
pub const SOCKET_CLOSE_TIME_MAX: Duration = Duration::from_millis(200);
/// How long one may be open without a request, by default: as long as somebody thinks about the next one.
pub const SOCKET_IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// Messages that may wait on one while another is answered; no further one is read until one of them is.
pub const SOCKET_WAITING_MAX: usize = 4;
/// Bytes read from one at once: its messages are conversations, but most are short.
pub const SOCKET_BUFFER_BYTES: usize = 8 * 1024;
/// Bytes of conversations that all open WebSockets remember together. Beyond it a further one is not remembered, and its
/// caller is told to send the whole conversation.
pub const SOCKET_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes that are decoded of one compressed answer, by default: as much as is translated of one.
pub const DECODED_BYTES_MAX: u64 = ANSWER_BYTES_MAX as u64;
/// No setting goes beyond this. Nothing of it is gathered, but it is still work that somebody else orders.
pub const DECODED_BYTES_CEILING: u64 = 16 * 1024 * 1024 * 1024;
/// How many times as long as its compressed form an answer may become, by default. Events of a stream, which repeat
/// each other the most, become some twenty times as long.
pub const DECODED_RATIO_MAX: u64 = 100;
/// No setting goes beyond this: it is as much as no limit.
pub const DECODED_RATIO_CEILING: u64 = 1_000_000;
/// Up to so many bytes an answer may be as dense as it likes: a short text of blank lines is no bomb.
pub const DECODED_UNMEASURED: u64 = 1024 * 1024;
/// A provider's key that is shorter is no secret, and would be masked in errors wherever its letters stand.
pub const MASKED_BYTES_MIN: usize = 8;
/// Bytes that are decoded in one go.
pub const DECODED_PIECE: usize = 16 * 1024;
/// Logarithm of the largest window that `zstd` asks to be kept: RFC 9659 allows no larger one over HTTP.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Seconds of silence in a stream after which the caller gets a comment, by default: the HTML standard recommends
/// about as many, because some proxies drop what is silent for longer.
pub const KEEP_ALIVE_SECONDS: u64 = 15;
/// No setting goes beyond this.
pub const KEEP_ALIVE_SECONDS_CEILING: u64 = 3_600;

/// The longest time for which a limit counts that is no day, week or month of the calendar: a day.
pub const LIMIT_SECONDS_MAX: u32 = 24 * 60 * 60;
/// Seconds after which a caller may ask again who has too many requests running: nobody knows when one ends.
pub const CONCURRENT_RETRY_SECONDS: u32 = 1;
/// Tokens of an answer that are reserved at most before it comes, by default: more than most answers have.
pub const RESERVED_OUTPUT_TOKENS: u64 = 4_096;
/// Tokens by which a reservation grows at once when an answer becomes longer than what was reserved: some seconds of a fast
/// model, so that the counters are not touched for each event.
pub const RESERVED_STEP_TOKENS: u64 = 512;
/// Bytes of texts of one request that are cut into tokens. Of what is beyond, each byte counts as a token, of which no text
/// has more. It is four times the largest context of most models, and takes a fifth of a second at worst.
pub const COUNTED_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a request that is counted at once; larger ones are counted beside what answers other requests.
pub const COUNTED_INLINE_BYTES_MAX: usize = 32 * 1024;
/// Requests that are counted at the same time beside others: each takes a core.
pub const COUNTED_AT_ONCE_MAX: usize = 2;
/// Bytes of a text that are cut into tokens at once: one without spaces takes longer the longer it is.
pub const COUNTED_SLICE_BYTES: usize = 512;
/// Tokens of a picture, whatever its size: more than the models of large services take for one.
pub const PICTURE_TOKENS: u64 = 5_000;
/// Tokens of a file that only its address or id tells: a document of some dozen pages with their pictures.
pub const LINKED_FILE_TOKENS: u64 = 50_000;
/// Characters of base64 of sound or film for one token: even heavily compressed speech has more for each that is counted.
pub const SOUND_CHARACTERS_PER_TOKEN: u64 = 32;
/// Characters of base64 of sealed reasoning for one token: three bytes, of which a token of text has four.
pub const SEALED_CHARACTERS_PER_TOKEN: u64 = 4;
/// Bytes for one token of an answer that cannot be read, such as one that broke off: about as many as a token of text has.
pub const UNREAD_BYTES_PER_TOKEN: usize = 4;
/// Most proxies that a request may have passed on its way; few setups have more than three.
pub const PROXIES_MAX: usize = 32;

/// Rules for certificates of callers.
pub const CERTIFICATE_RULES_MAX: usize = 1_024;
/// Names that are read of one certificate.
pub const CERTIFICATE_NAMES_MAX: usize = 64;
/// Most issuers of tokens: each keeps its keys fresh, and a token is looked for at all of them.
pub const ISSUERS_MAX: usize = 16;
/// Most rules of one issuer: a new token may be held against each.
pub const ISSUER_RULES_MAX: usize = 256;
/// Seconds by which the clock of an issuer may differ, unless the configuration says otherwise.
pub const ISSUER_LEEWAY_SECONDS: u64 = 60;
/// The most that it can say: RFC 7519 speaks of a few minutes.
pub const ISSUER_LEEWAY_SECONDS_MAX: u64 = 300;
/// Most keys of one issuer; large ones have about ten.
pub const ISSUER_KEYS_MAX: usize = 64;
/// Bytes of a key set or a discovery document: the largest known have about 20,000.
pub const ISSUER_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Time for a fetch, document and keys together.
pub const ISSUER_FETCH_TIME_MAX: Duration = Duration::from_secs(15);
/// Time for a connection to an issuer.
pub const ISSUER_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Keys are fetched again after this time: so long may a key count that its issuer has withdrawn.
pub const ISSUER_REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// For a token with an unknown key, keys are fetched before their time at most so often.
pub const ISSUER_HURRY_EVERY: Duration = Duration::from_secs(30);
/// After a failure keys are tried again after this time, and after each further one after twice as long…
pub const ISSUER_RETRY_FIRST: Duration = Duration::from_secs(1);
/// …up to this.
pub const ISSUER_RETRY_MAX: Duration = Duration::from_secs(60);
/// So long are keys used after they were fetched, when there are no newer ones to be had.
pub const ISSUER_KEYS_TIME_MAX: Duration = Duration::from_secs(12 * 3600);
/// How long a request waits for keys.
pub const ISSUER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest token, in bytes; those of large directories with many groups have about 5,000.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest subject of a token, in bytes: OpenID Connect Core has 255 characters of ASCII.
pub const SUBJECT_BYTES_MAX: usize = 255;
/// Checked tokens that are known of one issuer, at about 500 bytes each; what goes beyond is checked again.
pub const TOKENS_KNOWN_MAX: usize = 32 * 1024;
/// Parts into which they are divided, so that requests seldom meet at one lock.
pub const TOKENS_KNOWN_PARTS: usize = 16;
/// Bytes of `tracestate` that are passed on: as many as W3C Trace Context asks everybody to.
pub const TRACE_STATE_BYTES_MAX: usize = 512;
/// Lines that wait for the access log: about a tenth of a second of all that one machine serves.
pub const ACCESS_LOG_LINES_MAX: usize = 8_192;
/// Ended requests that wait for telemetry, each some kilobytes.
pub const TELEMETRY_REQUESTS_MAX: usize = 4_096;
/// Spans that are sent together: far below the 4 MiB that collectors take by default.
pub const TELEMETRY_BATCH_SPANS: usize = 512;
/// Batches that wait while the collector is slow.
pub const TELEMETRY_BATCHES_MAX: usize = 8;
/// Spans wait this long for others.
pub const TELEMETRY_BATCH_EVERY: Duration = Duration::from_secs(1);
/// A collector must have taken a batch within this time.
pub const TELEMETRY_SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// A batch that a collector could not take is sent once more after this time.
pub const TELEMETRY_RETRY_AFTER: Duration = Duration::from_secs(1);
/// At the end of the server what is left may take this long.
pub const TELEMETRY_END_TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of a collector's answer that are read; nothing in it is needed.
pub const TELEMETRY_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Headers with which a collector can be asked.
pub const TELEMETRY_HEADERS_MAX: usize = 8;
/// Series of one measure; what is beyond is told as one.
pub const TELEMETRY_SERIES_MAX: usize = 1_000;
/// Bytes of one text in a span: names of models are chosen by callers and upstreams.
pub const TELEMETRY_TEXT_BYTES_MAX: usize = 256;
