//! What callers ask of a response that an upstream keeps: by which paths, and what their queries may say.

use carnet_wire::responses::kept::Page;
use http::Method;
use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::decoded;
use crate::codes::Code;
use crate::error::Fault;
use crate::limits::{STATE_ID_BYTES_MAX, STORED_QUERY_PAIRS_MAX, STORED_QUERY_VALUE_BYTES_MAX};

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The id of the response, as its upstream gave it.
    pub(crate) id: Box<str>,
    pub(crate) action: Action,
}

/// What is to be done with a response that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// End it while it runs in the background.
    Cancel,
    /// Keep it no longer.
    Delete,
    /// List what it was made from.
    InputItems,
    /// Give it again.
    Retrieve,
}

/// What a query says, written anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    text: String,
    /// Whether the answer shall be streamed.
    pub(crate) stream: bool,
    /// Which items shall be listed.
    pub(crate) page: Page,
}

impl Stored {
    /// Read what stands behind `/responses/`.
    pub(super) fn find(method: &Method, below: &str) -> Option<Self> {
        let (id, action) = match below.split_once('/') {
            None if method == Method::DELETE => (below, Action::Delete),
            None => (below, Action::Retrieve),
            Some((id, "cancel")) => (id, Action::Cancel),
            Some((id, "input_items")) => (id, Action::InputItems),
            Some(_) => return None,
        };
        // A call of its own at the service, which is not served here.
        let other_call = action == Action::Retrieve && id == "input_tokens";
        let id = decoded(id).filter(|id| is_id(id) && !other_call)?;
        Some(Self { id, action })
    }

    /// The methods with which its path is served.
    pub(super) fn allowed(&self) -> &'static str {
        match self.action {
            Action::Cancel => "POST",
            Action::Delete | Action::Retrieve => "GET, DELETE",
            Action::InputItems => "GET",
        }
    }

    /// Read the query: only what is known, and only values that need no escape.
    pub(crate) fn query(&self, query: Option<&str>) -> Result<Query, Fault> {
        let mut read = Query::default();
        let pairs = query.unwrap_or_default().split('&');
        for (count, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key), decoded(value).unwrap_or_default());
            let key = key.unwrap_or_default();
            // The version of Azure's API is that of the upstream's own entry.
            if &*key == "api-version" {
                continue;
            }
            if count >= STORED_QUERY_PAIRS_MAX || !self.may_say(&key, &value) {
                return Err(self.refused(&key));
            }
            match &*key {
                "after" => read.page.after = Some(value.clone()),
                "before" => read.page.before = Some(value.clone()),
                // Nothing has so many entries as a number that is too long for one.
                "limit" => read.page.limit = Some(value.parse().unwrap_or(usize::MAX)),
                "order" => read.page.ascending = &*value == "asc",
                "stream" => read.stream |= &*value == "true",
                _ => {}
            }
            if !read.text.is_empty() {
                read.text.push('&');
            }
            read.text.extend(utf8_percent_encode(&key, RESERVED));
            read.text.push('=');
            read.text.extend(utf8_percent_encode(&value, RESERVED));
        }
        Ok(read)
    }

    fn known(&self) -> &'static [&'static str] {
        match self.action {
            Action::Cancel | Action::Delete => &[],
            Action::InputItems => &["after", "before", "include", "include[]", "limit", "order"],
            Action::Retrieve => &[
                "include",
                "include[]",
                "include_obfuscation",
                "starting_after",
                "stream",
            ],
        }
    }

    fn may_say(&self, key: &str, value: &str) -> bool {
        let number = || !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:,".contains(&byte);
        self.known().contains(&key)
            && value.len() <= STORED_QUERY_VALUE_BYTES_MAX
            && match key {
                "include_obfuscation" | "stream" => matches!(value, "true" | "false"),
                "limit" | "starting_after" => number(),
                "order" => matches!(value, "asc" | "desc"),
                _ => !value.is_empty() && value.bytes().all(word),
            }
    }

    fn refused(&self, key: &str) -> Fault {
        let message = match self.known() {
            [] => "this path takes no query; take it out".to_owned(),
            known => format!(
                "the query has something else than a plain value for each of {}; correct `{}`",
                known.join(", "),
                key.escape_debug()
            ),
        };
        Fault::new(Code::InvalidRequest, message).param(key)
    }

    /// The method with which an upstream is asked.
    pub(crate) fn method(&self) -> Method {
        match self.action {
            Action::Cancel => Method::POST,
            Action::Delete => Method::DELETE,
            Action::InputItems | Action::Retrieve => Method::GET,
        }
    }

    /// Where an upstream is asked that makes responses at this address, which may have a query of its own.
    pub(crate) fn url(&self, responses: &Uri, query: &Query) -> Option<Uri> {
        let id = utf8_percent_encode(&self.id, RESERVED);
        let below = match self.action {
            Action::Cancel => "/cancel",
            Action::Delete | Action::Retrieve => "",
            Action::InputItems => "/input_items",
        };
        let queries = [responses.query().unwrap_or_default(), &query.text];
        let queries = queries.into_iter().filter(|query| !query.is_empty());
        let mut text = format!("{}/{id}{below}", responses.path());
        for (at, query) in queries.enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(query);
        }
        let mut parts = responses.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
        Uri::from_parts(parts).ok()
    }

    /// What the record says of it where Carnet keeps the response.
    pub(crate) fn told_here(&self) -> &'static str {
        match self.action {
            Action::Cancel => "cancels a response kept here",
            Action::Delete => "deletes a response kept here",
            Action::InputItems => "lists the input of a response kept here",
            Action::Retrieve => "retrieves a response kept here",
        }
    }

    /// What the record says of it.
    pub(crate) fn told(&self) -> &'static str {
        match self.action {
            Action::Cancel => "cancels a kept response",
            Action::Delete => "deletes a kept response",
            Action::InputItems => "lists the input of a kept response",
            Action::Retrieve => "retrieves a kept response",
        }
    }

    /// Whether its answer is the response, which names its model.
    pub(crate) fn gives_response(&self) -> bool {
        matches!(self.action, Action::Cancel | Action::Retrieve)
    }
}

/// Whether this can be an id that a service gives. One that could be read as a part of a path is none.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#%".contains(&byte);
    !text.is_empty()
        && text.len() <= STATE_ID_BYTES_MAX
        && text.bytes().all(plain)
        && !text.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: Method, below: &str) -> Option<(String, Action)> {
        let stored = Stored::find(&method, below)?;
        Some((stored.id.into(), stored.action))
    }

    #[test]
    fn paths_tell_what_is_asked_of_which_response() {
        let found = |id: &str, action| Some((id.to_owned(), action));
        for (method, below, want) in [
            (Method::GET, "resp_1", found("resp_1", Action::Retrieve)),
            (Method::DELETE, "resp_1", found("resp_1", Action::Delete)),
            (
                Method::POST,
                "resp_1/cancel",
                found("resp_1", Action::Cancel),
            ),
            (
                Method::GET,
                "resp%5F1%3D/input_items",
                found("resp_1=", Action::InputItems),
            ),
            (Method::GET, "", None),
            (Method::GET, "resp_1/", None),
            (Method::GET, "resp_1/other", None),
            (Method::GET, "..", None),
            (Method::GET, "%2e%2e", None),
            (Method::GET, "a%2Fb", None),
            (Method::GET, "a%3Fb", None),
            (Method::GET, "a%5Cb", None),
            (Method::GET, "a%00b", None),
            (Method::GET, "a%20b", None),
            (Method::GET, "%ff", None),
            (Method::POST, "input_tokens", None),
        ] {
            assert_eq!(find(method, below), want, "{below}");
        }
        let long = "a".repeat(STATE_ID_BYTES_MAX + 1);
        assert_eq!(find(Method::GET, &long), None);
    }

    #[test]
    fn an_address_keeps_the_upstreams_own_query() {
        let stored = Stored::find(&Method::GET, "a:b%3D").unwrap();
        let query = stored.query(Some(
            "stream=true&starting_after=7&include%5B%5D=a.b&api-version=x",
        ));
        let query = query.unwrap();
        assert!(query.stream);
        for (base, want) in [
            (
                "https://x.example/v1/responses",
                "https://x.example/v1/responses/a%3Ab%3D?stream=true&starting_after=7&include%5B%5D=a.b",
            ),
            (
                "https://x.example/openai/responses?api-version=preview",
                "https://x.example/openai/responses/a%3Ab%3D?api-version=preview&stream=true&starting_after=7&include%5B%5D=a.b",
            ),
        ] {
            let url = stored.url(&base.parse().unwrap(), &query).unwrap();
            assert_eq!(url.to_string(), want);
        }
        let cancel = Stored::find(&Method::POST, "a/cancel").unwrap();
        let url = cancel.url(
            &"https://x.example/v1/responses".parse().unwrap(),
            &Query::default(),
        );
        assert_eq!(
            url.unwrap().to_string(),
            "https://x.example/v1/responses/a/cancel"
        );
    }

    #[test]
    fn queries_say_only_what_is_known() {
        let retrieve = Stored::find(&Method::GET, "a").unwrap();
        let list = Stored::find(&Method::GET, "a/input_items").unwrap();
        let delete = Stored::find(&Method::DELETE, "a").unwrap();
        for query in ["", "&", "stream=false", "include=a&include=b"] {
            assert!(retrieve.query(Some(query)).is_ok(), "{query}");
        }
        for query in [
            "limit=20&order=asc&after=msg_1&before=msg_9",
            "include[]=a.b-c",
        ] {
            assert!(list.query(Some(query)).is_ok(), "{query}");
        }
        for (stored, query) in [
            (&retrieve, "stream=yes"),
            (&retrieve, "stream"),
            (&retrieve, "starting_after=-1"),
            (&retrieve, "starting_after="),
            (&retrieve, "include=a%26b"),
            (&retrieve, "limit=1"),
            (&retrieve, "store=true"),
            (&retrieve, "%ff=1"),
            (&list, "order=up"),
            (&list, "stream=true"),
            (&delete, "stream=true"),
        ] {
            let fault = stored.query(Some(query)).unwrap_err();
            assert_eq!(fault.code, Code::InvalidRequest, "{query}");
        }
        let many = "include=a&".repeat(STORED_QUERY_PAIRS_MAX + 1);
        assert!(retrieve.query(Some(&many)).is_err());
    }
}
