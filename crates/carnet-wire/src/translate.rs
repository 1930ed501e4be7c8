//! From one dialect to another: requests, answers, errors and streams, each through the internal form.
//!
//! What the target has no words for is named as a loss, or refused where the answer would depend on it.
//!
//! ```
//! use carnet_wire::dialect::{ClientDialect, Dialect, Options};
//! use carnet_wire::translate;
//!
//! let body = br#"{"model":"m","messages":[{"role":"user","content":"hello"}],"seed":1}"#;
//! let ask = translate::ask(ClientDialect::Chat, Dialect::Messages, body, &Options::default())?;
//!
//! assert_eq!(ask.body, br#"{"model":"m","max_tokens":4096,"messages":[{"role":"user","content":"hello"}]}"#);
//! assert_eq!(ask.losses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sampling:seed"]);
//! # Ok::<(), carnet_wire::dialect::TranslateError>(())
//! ```

use crate::dialect::{ClientDialect, Dialect, Options, StreamReader, StreamWriter, TranslateError};
use crate::form::{Event, Failure, FailureKind, Losses, Piece, Reply, Usage};
use crate::json::{Document, Text};
use crate::limits::{MAX_DEPTH, MAX_ID, MAX_MODEL_NAME};

/// Room for what a target says at greater length than the source.
const GROWTH: usize = 1_024;

/// A request in another dialect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TranslatedAsk {
    /// The body for the service.
    pub body: Vec<u8>,
    /// What did not come over.
    pub losses: Losses,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
    /// Whether the client wants a stream to tell its usage.
    pub include_usage: bool,
}

/// Translates a request.
///
/// # Errors
/// When the body is not a request of its dialect, or the answer depends on something that the target lacks.
pub fn ask(
    from: ClientDialect,
    to: Dialect,
    body: &[u8],
    options: &Options,
) -> Result<TranslatedAsk, TranslateError> {
    let document = Document::read(body, MAX_DEPTH)?;
    let mut ask = from.read_ask(&document)?;
    ask.stream |= options.caller.stream;
    let mut losses = Losses::default();
    let mut out = Vec::with_capacity(body.len() + GROWTH);
    to.write_ask(&ask, &options.target, &mut out, &mut losses)?;
    if Dialect::from(from) != to {
        from.lose_beside(document.root(), &mut losses);
    }
    Ok(TranslatedAsk {
        body: out,
        losses,
        stream: ask.stream,
        include_usage: ask.include_usage,
    })
}

/// An answer in another dialect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TranslatedAnswer {
    /// The body for the client.
    pub body: Vec<u8>,
    /// What did not come over.
    pub losses: Losses,
    /// What it has used, if the service says so.
    pub usage: Option<Usage>,
    /// What went wrong, if the service sends an error as a success; the body is that error then.
    pub failed: Option<FailureKind>,
}

/// Translates a whole answer with a status of success, from the dialect of the service to that of the client.
///
/// # Errors
/// When the body is not an answer of its dialect, or is one that the client's dialect has no words for.
pub fn answer(
    from: Dialect,
    to: ClientDialect,
    body: &[u8],
    options: &Options,
) -> Result<TranslatedAnswer, TranslateError> {
    let document = Document::read(body, MAX_DEPTH)?;
    let mut losses = Losses::default();
    let mut out = Vec::with_capacity(body.len() + GROWTH);
    let (usage, failed) = match from.read_answer(&document, &mut losses)? {
        Reply::Answer(mut answer) => {
            name_model(&mut answer.model, &options.caller.model);
            to.write_answer(&answer, &options.caller, &mut out, &mut losses)?;
            if Dialect::from(to) != from {
                from.lose_beside(document.root(), &mut losses);
            }
            (answer.usage, None)
        }
        Reply::Failure(failure) => {
            to.write_failure(&failure, &mut out);
            (None, Some(failure.kind))
        }
    };
    Ok(TranslatedAnswer {
        body: out,
        losses,
        usage,
        failed,
    })
}

/// Gives an answer a name for its model where it comes without one, or with an empty one.
fn name_model(model: &mut Option<Text<'_>>, asked: &str) {
    if !asked.is_empty() && model.as_ref().is_none_or(Text::is_empty) {
        *model = Some(Text::new(asked).into_owned());
    }
}

/// Translates the body of an error with a status of failure. A body that nobody understands, such as a page for
/// people, becomes an error of the same sort that says no more.
pub fn failure(
    from: Dialect,
    to: ClientDialect,
    status: u16,
    body: &[u8],
) -> (FailureKind, Vec<u8>) {
    let document = Document::read(body, MAX_DEPTH);
    let failure = match &document {
        Ok(document) => from.read_failure(status, document.root()),
        Err(_) => Failure::told(FailureKind::of_status(status), None, None),
    };
    let mut out = Vec::new();
    to.write_failure(&failure, &mut out);
    (failure.kind, out)
}

/// A streamed answer, translated event by event.
#[derive(Debug)]
pub struct Stream {
    reader: Box<dyn StreamReader>,
    writing: Writing,
}

#[derive(Debug)]
struct Writing {
    writer: Box<dyn StreamWriter>,
    /// The model of an answer that does not say it.
    model: Box<str>,
    losses: Losses,
    usage: Usage,
    state: State,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The client has had the event that ends a stream.
    Ended,
    /// The client has had an error, and gets nothing more.
    Failed(FailureKind),
    /// There is more to come.
    Open,
}

impl Stream {
    /// Begins a stream from the dialect of the service to that of the client.
    pub fn new(from: Dialect, to: ClientDialect, options: &Options) -> Self {
        Self {
            reader: from.reader(),
            writing: Writing {
                writer: to.writer(&options.caller),
                model: options.caller.model.as_str().into(),
                losses: Losses::default(),
                usage: Usage::default(),
                state: State::Open,
            },
        }
    }

    /// Takes the data of one event and puts behind `out` what the client is to get for it, framed.
    ///
    /// `name` is what its framing calls the event, or its exception; one dialect says it nowhere else. An event that is
    /// none of the dialect ends the stream with an error.
    pub fn push(&mut self, name: &str, data: &[u8], out: &mut Vec<u8>) {
        if self.writing.state != State::Open {
            return;
        }
        let writing = &mut self.writing;
        let read = self
            .reader
            .push(name, data, &mut |event| writing.write(event, out));
        if read.is_err() {
            let message = "the upstream sent an event that cannot be read";
            self.fail(&Failure::new(FailureKind::Server, message), out);
        }
    }

    /// The upstream has closed the stream: ends it for the client, or says that it was cut off.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let writing = &mut self.writing;
        self.reader.close(&mut |event| writing.write(event, out));
    }

    /// Ends the stream with an error of our own.
    pub fn fail(&mut self, failure: &Failure<'_>, out: &mut Vec<u8>) {
        self.writing.write(Event::Failure(failure.clone()), out);
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.writing.state
    }

    /// What did not come over so far.
    pub fn losses(&self) -> &Losses {
        &self.writing.losses
    }

    /// What has been used so far, as far as the service says so.
    pub fn usage(&self) -> &Usage {
        &self.writing.usage
    }
}

impl Writing {
    fn write(&mut self, mut event: Event<'_>, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        match &mut event {
            Event::Start(start) => {
                start.id.take_if(|id| id.plain().len() > MAX_ID);
                start
                    .model
                    .take_if(|model| model.plain().len() > MAX_MODEL_NAME);
                name_model(&mut start.model, &self.model);
            }
            Event::PartStart(Piece::ToolUse { id, name })
                if id.plain().len() > MAX_ID || name.plain().len() > MAX_ID =>
            {
                let message = "the upstream named a call of a tool by more than can be repeated";
                event = Event::Failure(Failure::new(FailureKind::Server, message));
                self.state = State::Failed(FailureKind::Server);
            }
            Event::Usage(usage) => self.usage.update(usage),
            Event::Failure(failure) => self.state = State::Failed(failure.kind),
            Event::End => self.state = State::Ended,
            _ => {}
        }
        self.writer.write(event, out, &mut self.losses);
        if self.state == State::Open && self.writer.is_full() {
            let message = "the answer is longer than what can be repeated at its end";
            self.write(
                Event::Failure(Failure::new(FailureKind::Server, message)),
                out,
            );
        }
    }
}
