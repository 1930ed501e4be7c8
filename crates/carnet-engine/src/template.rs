//! Renders a conversation with the model's own chat template, which is somebody else's program: it
//! gets no files and no clock of its own, and its work, depth and output are bounded.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jiff::civil::DateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use serde::Serialize;

use crate::codes::Code;
use crate::limits::{
    PROMPT_BYTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_FUEL, TEMPLATE_STACK_BYTES,
    TEMPLATE_TIME,
};
use crate::refusal::Refusal;

const NAME: &str = "chat";

/// A chat template that compiles.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    /// For messages.
    place: Arc<str>,
}

/// What `raise_exception` in a template was called with.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    ///
    /// One that is too long or not a template.
    pub(crate) fn new(source: &str, place: String) -> Result<Template, Refusal> {
        if source.len() > TEMPLATE_BYTES_MAX {
            let reason = format!(
                "has {} bytes; it can have {TEMPLATE_BYTES_MAX}",
                source.len()
            );
            return Err(over_limit(&place, reason));
        }
        let mut environment = Environment::new();
        let mut layout = SyntaxConfig::builder();
        layout.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(layout.build().map_err(|error| broken(&place, &error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(TEMPLATE_FUEL));
        environment.set_recursion_limit(TEMPLATE_DEPTH_MAX);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise);
        environment.add_filter("tojson", tojson);
        // Both print values with an indent, in time that grows with the square of their depth.
        environment.remove_filter("pprint");
        environment.remove_global("debug");
        let source = without_generation_marks(source);
        let named: Arc<str> = place.as_str().into();
        let environment = deep(&place, TEMPLATE_TIME, move || {
            let added = environment.add_template_owned(NAME, source);
            added.map_err(|error| broken(&named, &error))?;
            Ok(environment)
        })?;
        Ok(Template {
            environment,
            place: place.into(),
        })
    }

    /// The prompt for what `context` holds. `now` is what `strftime_now` tells; without it a
    /// template that asks for the time fails.
    pub(crate) fn render(&self, context: Value, now: Option<DateTime>) -> Result<String, Refusal> {
        let mut environment = self.environment.clone();
        if let Some(now) = now {
            environment.add_function("strftime_now", move |format: &str| strftime(&now, format));
        }
        let place = Arc::clone(&self.place);
        deep(&self.place, TEMPLATE_TIME, move || {
            let mut output = Bounded(Vec::new());
            environment
                .get_template(NAME)
                .and_then(|template| template.render_captured_to(context, &mut output).map(drop))
                .map_err(|error| failed(&place, &error))?;
            String::from_utf8(output.0).map_err(|_| over_limit(&place, "made no text"))
        })
    }
}

fn failed(place: &str, error: &Error) -> Refusal {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return Refusal::new(
                Code::TemplateRefused,
                "messages",
                format!("the model's chat template refuses them: `{message}`"),
                "order the roles and fill the fields as this model wants them",
            );
        }
        cause = inner.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel => over_limit(place, "did more work than a conversation needs"),
        ErrorKind::WriteFailure => {
            over_limit(place, format!("made more than {PROMPT_BYTES_MAX} bytes"))
        }
        _ => broken(place, error),
    }
}

/// Runs this on a thread of its own, with a stack that what a template may do does not exhaust, and
/// waits for it only so long. A thread that takes longer works on for nobody; it cannot be ended.
fn deep<T: Send + 'static>(
    place: &str,
    longest: Duration,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let builder = thread::Builder::new().stack_size(TEMPLATE_STACK_BYTES);
    // The receiver is gone if nobody waits any more.
    let spawned = builder.spawn(move || drop(sender.send(work())));
    let failed = |reason: String| {
        let fix = "free memory, or take the chat template that the model's maker published";
        Refusal::new(Code::ComputeFailed, place, reason, fix)
    };
    spawned.map_err(|error| failed(format!("no thread for it: {error}")))?;
    match receiver.recv_timeout(longest) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            let reason = format!("took more than {} seconds", longest.as_secs());
            Err(over_limit(place, reason))
        }
        Err(RecvTimeoutError::Disconnected) => Err(failed("the template engine failed".into())),
    }
}

fn over_limit(place: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::TemplateOverLimit,
        place,
        reason,
        "send less text; if a short message fails too, the template is not fit for use",
    )
}

fn broken(place: &str, error: &Error) -> Refusal {
    let place = match error.line() {
        Some(line) => format!("{place}:{line}"),
        None => place.to_owned(),
    };
    Refusal::new(
        Code::TemplateInvalid,
        place,
        format!(
            "{}: {}",
            error.kind(),
            error.detail().unwrap_or("no detail")
        ),
        "take the chat template that the model's maker published",
    )
}

fn raise(message: String) -> Result<Value, Error> {
    let error = Error::new(
        ErrorKind::InvalidOperation,
        "the template refuses the messages",
    );
    Err(error.with_source(Raised(message)))
}

fn strftime(now: &DateTime, format: &str) -> Result<String, Error> {
    let failed = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    jiff::fmt::strtime::format(format, *now).map_err(failed)
}

/// Output that ends in an error instead of filling memory.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > PROMPT_BYTES_MAX {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `tojson` as templates expect it, which is Python's `json.dumps` with `ensure_ascii=False`: the
/// engine's own filter escapes for HTML and leaves no space after separators, and models were
/// trained on the other form.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Other options of Python's function change nothing that matters here.
    for known in ["ensure_ascii", "separators", "sort_keys"] {
        let _: Option<Value> = options.get(known)?;
    }
    options.assert_all_used()?;
    let mut output = Bounded(Vec::new());
    let layout = Python {
        indent: indent.map(|width| width.min(16)),
        depth: 0,
        filled: false,
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut output, layout);
    let failed =
        |error: &dyn std::error::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    value.serialize(&mut serializer).map_err(|e| failed(&e))?;
    let text = String::from_utf8(output.0).map_err(|e| failed(&e))?;
    Ok(Value::from(text))
}

/// The layout of Python's `json.dumps`.
struct Python {
    indent: Option<usize>,
    depth: usize,
    /// Whether what was written last is an item, so that the bracket gets a line of its own.
    filled: bool,
}

impl Python {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.line(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(if self.indent.is_some() { b"," } else { b", " })?;
        }
        self.line(writer)
    }

    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        let Some(width) = self.indent else {
            return Ok(());
        };
        writer.write_all(b"\n")?;
        (0..width * self.depth).try_for_each(|_| writer.write_all(b" "))
    }
}

impl serde_json::ser::Formatter for Python {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

/// The template without `{% generation %}`, a tag that only marks the answer for training and that
/// the template engine does not have. Its blocks become ones that are always taken.
fn without_generation_marks(source: &str) -> String {
    let mut rest = source;
    let mut out = String::with_capacity(source.len());
    while let Some((before, after)) = rest.split_once("{%") {
        let Some((tag, after)) = after.split_once("%}") else {
            break;
        };
        out.push_str(before);
        let word = tag.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let tag = match word {
            "generation" => tag.replace(word, "if true"),
            "endgeneration" => tag.replace(word, "endif"),
            _ => tag.to_owned(),
        };
        out.extend(["{%", &tag, "%}"]);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
