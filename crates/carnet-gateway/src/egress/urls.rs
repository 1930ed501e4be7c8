//! Where an upstream takes which call.

use http::Uri;
use http::uri::InvalidUri;

use crate::ingress::Call;

/// The addresses of an upstream, all below its base address, one for each call that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    call: Call,
    url: Uri,
    /// The same for callers that ask with `?beta=true`.
    beta: Uri,
}

impl Urls {
    /// The addresses below a base address without a slash at its end.
    ///
    /// # Errors
    /// When that is none.
    pub(crate) fn below(base: &str, calls: &[Call]) -> Result<Self, InvalidUri> {
        let entry = |call: &Call| {
            let url = format!("{base}{}", call.path());
            Ok(Entry {
                call: *call,
                beta: format!("{url}?beta=true").parse()?,
                url: url.parse()?,
            })
        };
        calls.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// Where it takes a call, if it does.
    pub(crate) fn of(&self, call: Call, beta: bool) -> Option<&Uri> {
        let entry = self.0.iter().find(|entry| entry.call == call)?;
        Some(if beta { &entry.beta } else { &entry.url })
    }

    /// Whether it takes a call.
    pub(crate) fn take(&self, call: Call) -> bool {
        self.calls().any(|one| one == call)
    }

    /// The calls that it takes.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Call> {
        self.0.iter().map(|entry| entry.call)
    }

    /// One of them; all have the same scheme, host and port.
    pub(crate) fn any(&self) -> Option<&Uri> {
        self.0.first().map(|entry| &entry.url)
    }
}
