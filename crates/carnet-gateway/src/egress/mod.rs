//! Stage 5, send: a cleared request goes out once, to the origin that its permit names.

mod address;
mod aws;
mod coding;
mod connect;
mod google;
mod masked;
mod reach;
mod secret;
#[cfg(test)]
mod tests;
mod unpacked;
mod urls;

use std::error::Error as StdError;
use std::fmt::Display;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use carnet_provenance::KeyStyle;
use carnet_wire::carrier::Carrier;
use carnet_wire::stream::aws as event_stream;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    USER_AGENT,
};
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connect, HttpConnector, capture_connection,
};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use smallvec::SmallVec;
use thiserror::Error;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub(crate) use self::address::is_public;
use self::address::{AddressRefused, Resolver};
use self::aws::Signer;
pub(crate) use self::coding::{AnswerBody, Coding, forget_bytes};
pub(crate) use self::connect::ConnectionFacts;
use self::connect::{Connector, HandshakeFailed};
use self::google::{Account, ServiceAccount};
use self::masked::Mask;
pub use self::reach::{Reached, reach};
pub use self::secret::Secret;
pub use self::urls::Urls;
use crate::codes::Code;
use crate::config::{DecodedMax, TlsFiles, UpstreamConfig};
use crate::error::Fault;
use crate::ingress::Call;
use crate::limits::{LET_GO_BYTES_MAX, LET_GO_TIME_MAX, POOL_IDLE_MAX, POOL_IDLE_TIME_MAX};
use crate::screen::Cleared;
use crate::traffic::Traffic;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("carnet/", env!("CARGO_PKG_VERSION")));
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AWS_EVENT_STREAM: HeaderValue = HeaderValue::from_static(event_stream::MEDIA_TYPE);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// An upstream with its connections.
pub(crate) struct Upstream {
    config: UpstreamConfig,
    client: Client<Connector, SegmentsBody>,
    auth: Auth,
    traffic: Arc<Traffic>,
}

/// How requests say who sends them.
#[derive(Clone, Debug)]
enum Auth {
    Header(HeaderName, HeaderValue),
    None,
    ServiceAccount(ServiceAccount),
    Signature(Signer),
}

impl Auth {
    /// Hides the key that travels, where one does.
    fn mask(&self) -> Option<Mask> {
        let Self::Header(_, value) = self else {
            return None;
        };
        let value = value.as_bytes();
        Mask::of(value.strip_prefix(b"Bearer ").unwrap_or(value))
    }

    fn new(config: &UpstreamConfig, files: &UpstreamFiles) -> Result<Self, UpstreamProblem> {
        let Some(key) = &files.key else {
            return Ok(Self::None);
        };
        if config.auth == KeyStyle::GoogleServiceAccount {
            let problem = || UpstreamProblem::AccountKey(config.name.clone());
            let (account, uri) = Account::read(key).ok_or_else(problem)?;
            // The upstream's own authorities and certificate are for the upstream alone.
            let client = client(tcp(&uri, &Line::of(config, &UpstreamFiles::default()))?);
            let account = ServiceAccount::new(account, uri, client);
            return account.map(Self::ServiceAccount).ok_or_else(problem);
        }
        if config.auth == KeyStyle::AwsSigV4 {
            let region = config.region.as_deref().unwrap_or_default();
            let signer = Signer::new(key, region);
            return signer
                .map(Self::Signature)
                .ok_or_else(|| UpstreamProblem::SigningKey(config.name.clone()));
        }
        key.header(config.auth)
            .map(|(name, value)| Self::Header(name, value))
            .ok_or_else(|| UpstreamProblem::Key(config.name.clone()))
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, Error)]
pub enum UpstreamProblem {
    /// A PEM file could not be used.
    #[error("`{file}`: {why}")]
    Pem {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key has characters that no header may carry.
    #[error("the key of upstream `{0}` has characters that cannot stand in a header")]
    Key(Arc<str>),
    /// The key is not one that signs.
    #[error(
        "the key of upstream `{0}` is not of the form ACCESS_KEY_ID:SECRET_ACCESS_KEY or ACCESS_KEY_ID:SECRET_ACCESS_KEY:SESSION_TOKEN"
    )]
    SigningKey(Arc<str>),
    /// The key is not that of a service account.
    #[error(
        "the key of upstream `{0}` is not the JSON key file of a service account with an https `token_uri`"
    )]
    AccountKey(Arc<str>),
    /// The host in the base address is no name for a certificate.
    #[error("`{0}` is not a name that a certificate can be checked against")]
    ServerName(String),
    /// The TLS settings do not fit together.
    #[error("TLS settings of upstream `{upstream}`: {why}")]
    Tls {
        /// The upstream.
        upstream: Arc<str>,
        /// What the TLS library says.
        why: rustls::Error,
    },
}

/// The files that an upstream needs, read by the caller. They cannot be printed.
#[derive(Default)]
pub struct UpstreamFiles {
    /// The provider's key.
    pub key: Option<Secret>,
    /// PEM of the certificate authorities.
    pub ca: Option<Vec<u8>>,
    /// PEM of client certificate chain and key.
    pub client_cert: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for UpstreamFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamFiles(…)")
    }
}

impl Upstream {
    pub(crate) fn new(
        config: UpstreamConfig,
        files: &UpstreamFiles,
    ) -> Result<Self, UpstreamProblem> {
        let client = client(match &config.socket {
            Some(socket) => Connector::unix(socket, config.connect_timeout),
            None => tcp(config.urls.base(), &Line::of(&config, files))?,
        });
        let auth = Auth::new(&config, files)?;
        let traffic = Arc::new(Traffic::new(config.name.clone()));
        Ok(Self {
            config,
            client,
            auth,
            traffic,
        })
    }

    /// The same upstream with another key: connections stay.
    pub(crate) fn with_key(&self, files: &UpstreamFiles) -> Result<Self, UpstreamProblem> {
        Ok(Self {
            config: self.config.clone(),
            client: self.client.clone(),
            auth: Auth::new(&self.config, files)?,
            traffic: self.traffic.clone(),
        })
    }

    /// The same upstream, counted on with these counters.
    pub(crate) fn counted_on(self, traffic: Arc<Traffic>) -> Self {
        Self { traffic, ..self }
    }

    /// What became of its attempts.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, SegmentsBody> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .pool_idle_timeout(POOL_IDLE_TIME_MAX)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        // A silent second attempt would spend one permit twice.
        .retry_canceled_requests(false)
        .build(connector)
}

/// A certificate and its key, both in PEM.
type PemPair = (Vec<u8>, Vec<u8>);

/// How somebody is reached over the network.
pub(crate) struct Line<'a> {
    /// The name that problems are told with.
    pub(crate) name: &'a Arc<str>,
    /// Certificate authorities instead of the public ones: their file, and its PEM.
    pub(crate) authorities: Option<(&'a Path, &'a [u8])>,
    /// Our own certificate: its files, and the PEM of chain and key.
    pub(crate) client_cert: Option<(&'a TlsFiles, &'a PemPair)>,
    /// CONNECT proxy.
    pub(crate) proxy: Option<&'a Uri>,
    /// Whether a name may resolve to a private address.
    pub(crate) private_addresses: bool,
    /// Time for a connection.
    pub(crate) connect_timeout: Duration,
}

impl<'a> Line<'a> {
    fn of(config: &'a UpstreamConfig, files: &'a UpstreamFiles) -> Self {
        Self {
            name: &config.name,
            authorities: config.ca_file.as_deref().zip(files.ca.as_deref()),
            client_cert: config.client_cert.as_ref().zip(files.client_cert.as_ref()),
            proxy: config.proxy.as_ref(),
            private_addresses: config.private_addresses,
            connect_timeout: config.connect_timeout,
        }
    }
}

/// Ask for a document that is not an answer to any caller: status and body, of at most so many bytes. Redirects are not followed.
pub(crate) async fn get(
    uri: &Uri,
    line: &Line<'_>,
    bytes_max: usize,
) -> Result<(StatusCode, Bytes), String> {
    let client = client(tcp(uri, line).map_err(|problem| problem.to_string())?);
    let mut request = Request::get(uri.clone())
        .body(SegmentsBody::new(SmallVec::new()))
        .map_err(|error| error.to_string())?;
    for (name, value) in [
        (ACCEPT, JSON),
        (ACCEPT_ENCODING, IDENTITY),
        (USER_AGENT, AGENT),
    ] {
        request.headers_mut().insert(name, value);
    }
    let answer = client
        .request(request)
        .await
        .map_err(|error| root(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    let body = body.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

/// Somebody who is told what is no request of a caller: a collector of telemetry.
pub(crate) struct Mailbox {
    client: Client<Connector, SegmentsBody>,
    headers: HeaderMap,
}

impl Mailbox {
    /// At the origin of this address, with these headers in every message.
    pub(crate) fn new(
        base: &Uri,
        line: &Line<'_>,
        headers: &[(HeaderName, Secret)],
    ) -> Result<Self, UpstreamProblem> {
        let client = client(tcp(base, line)?);
        let mut all = HeaderMap::new();
        for (name, secret) in headers {
            let value = secret.value();
            let value = value.ok_or_else(|| UpstreamProblem::Key(line.name.clone()))?;
            all.insert(name.clone(), value);
        }
        all.insert(USER_AGENT, AGENT);
        Ok(Self {
            client,
            headers: all,
        })
    }

    /// Leave a message; what is answered, but for its status, is read and thrown away, up to so many bytes.
    pub(crate) async fn leave(
        &self,
        uri: &Uri,
        kind: HeaderValue,
        message: Bytes,
        bytes_max: usize,
    ) -> Result<StatusCode, String> {
        let mut request = Request::new(SegmentsBody::new([message].into_iter().collect()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| root(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        body.map_err(|error| error.to_string())?;
        Ok(status)
    }
}

/// The way to somebody over the network.
fn tcp(base: &Uri, line: &Line<'_>) -> Result<Connector, UpstreamProblem> {
    let host = base.host().unwrap_or_default();
    let names_itself_local = host == "localhost" || host.ends_with(".localhost");
    let mut tcp = HttpConnector::new_with_resolver(Resolver {
        // A proxy is the operator's own and may well be private; behind it we resolve nothing.
        private_addresses: line.private_addresses || names_itself_local || line.proxy.is_some(),
    });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(line.connect_timeout));
    let tls = match base.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Some(tls(line, host)?),
        _ => None,
    };
    Ok(Connector::new(tcp, line.proxy, tls, line.connect_timeout))
}

fn tls(
    line: &Line<'_>,
    host: &str,
) -> Result<(TlsConnector, ServerName<'static>), UpstreamProblem> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| UpstreamProblem::ServerName(host.to_owned()))?;
    let problem = |why| UpstreamProblem::Tls {
        upstream: line.name.clone(),
        why,
    };
    let mut roots = RootCertStore::empty();
    match line.authorities {
        Some((file, pem)) => {
            for certificate in certificates(pem, &file.display().to_string())? {
                roots.add(certificate).map_err(problem)?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(crate::server::crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(problem)?
        .with_root_certificates(roots);
    let mut client = match line.client_cert {
        Some((paths, (chain, key))) => {
            let chain = certificates(chain, &paths.cert.display().to_string())?;
            builder
                .with_client_auth_cert(chain, private_key(key, &paths.key.display().to_string())?)
                .map_err(problem)?
        }
        None => builder.with_no_client_auth(),
    };
    // One request at a time has a connection. The streams of an HTTP/2 connection share a window:
    // a few answers that callers leave unread would hold up those of all others.
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsConnector::from(Arc::new(client)), name))
}

/// All certificates of a PEM text; none is an error.
pub(crate) fn certificates(
    pem: &[u8],
    file: &str,
) -> Result<Vec<CertificateDer<'static>>, UpstreamProblem> {
    let problem = |why: String| UpstreamProblem::Pem {
        file: file.to_owned(),
        why,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|why| problem(why.to_string()))?;
    if certificates.is_empty() {
        return Err(problem("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// The private key of a PEM text.
pub(crate) fn private_key(
    pem: &[u8],
    file: &str,
) -> Result<PrivateKeyDer<'static>, UpstreamProblem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|why| UpstreamProblem::Pem {
        file: file.to_owned(),
        why: why.to_string(),
    })
}

/// An upstream's response head, with its body still to come.
pub(crate) struct Answer {
    pub(crate) response: Response<AnswerBody>,
    /// How the body is compressed on the wire; here it is not.
    pub(crate) coding: Option<Coding>,
}

/// A cleared request on its way: where it went is known as soon as a connection is chosen.
#[derive(Debug)]
pub(crate) struct Sent(CaptureConnection);

impl Sent {
    /// The connection that carries the prompt, if one was made.
    pub(crate) fn connection(&self) -> Option<Arc<ConnectionFacts>> {
        let mut extensions = http::Extensions::new();
        self.0
            .connection_metadata()
            .as_ref()?
            .get_extras(&mut extensions);
        extensions.remove::<Arc<ConnectionFacts>>()
    }
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct SendFailed {
    pub(crate) fault: Fault,
    /// Nothing was sent: a kept connection turned out to be closed.
    pub(crate) unsent: bool,
}

/// Begin an attempt: the returned future does the work, `Sent` tells where it went. Who waits for it says for how long.
pub(crate) fn send(
    upstream: &Arc<Upstream>,
    cleared: Cleared,
    decoded_max: DecodedMax,
    now: Timestamp,
) -> (Sent, Sending) {
    let (call, stream) = (cleared.call(), cleared.stream());
    let model = cleared.permit().upstream_model().clone();
    // INVARIANT: the destination is the permit's. The upstream was found by it, and differs only if
    // the generation was built wrongly; then nothing is sent.
    let permitted = *cleared.permit().origin() == upstream.config.origin
        && *cleared.permit().upstream() == upstream.config.name;
    let method = cleared.method();
    let url = upstream
        .config
        .urls
        .of(call, &model, cleared.extras().query);
    let url = url.filter(|_| permitted).and_then(|url| cleared.url(url));
    let (body, extras) = cleared.into_parts();
    let signer = match &upstream.auth {
        Auth::Signature(signer) => Some((signer, body.clone())),
        _ => None,
    };
    let mut request = Request::new(SegmentsBody::new(body));
    let has_body = !request.body().is_end_stream();
    *request.method_mut() = method;
    *request.uri_mut() = url.unwrap_or_default();
    let headers = request.headers_mut();
    if has_body {
        headers.insert(CONTENT_TYPE, JSON);
    }
    headers.insert(ACCEPT, accepted(call, stream));
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers.insert(USER_AGENT, AGENT);
    for (name, value) in extras.headers {
        headers.append(name, value);
    }
    if let Auth::Header(name, value) = &upstream.auth {
        headers.insert(name.clone(), value.clone());
    }
    let signed = match signer {
        Some((signer, body)) => signer.sign(&mut request, &body, now),
        None => Ok(()),
    };
    let sent = Sent(capture_connection(&mut request));
    let state = match (signed, &upstream.auth) {
        (Err(why), _) => Asked::Not(Some(unauthenticated(upstream, &why))),
        (Ok(()), Auth::ServiceAccount(account)) => {
            let (account, client) = (account.clone(), upstream.client.clone());
            Asked::WithToken(Box::pin(async move {
                let token = account.header(now).await;
                let token = token.map_err(|why| why.to_string())?;
                request.headers_mut().insert(AUTHORIZATION, token);
                Ok(client.request(request).await)
            }))
        }
        (Ok(()), _) => Asked::Now(upstream.client.request(request)),
    };
    let sending = Sending {
        upstream: upstream.clone(),
        decoded_max,
        state,
    };
    (sent, sending)
}

/// A request on its way, up to the head of its answer. Dropped, it goes no further.
pub(crate) struct Sending {
    upstream: Arc<Upstream>,
    decoded_max: DecodedMax,
    state: Asked,
}

type Answering = Result<Response<Incoming>, legacy::Error>;

enum Asked {
    Not(Option<Fault>),
    Now(legacy::ResponseFuture),
    /// Once there is a token, or why there is none.
    WithToken(Pin<Box<dyn Future<Output = Result<Answering, String>> + Send>>),
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending")
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

impl Future for Sending {
    type Output = Result<Answer, SendFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match &mut self.state {
            Asked::Not(fault) => {
                let fault = fault.take().unwrap_or_else(|| closed(&self.upstream));
                return Poll::Ready(Err(failed(fault)));
            }
            Asked::Now(answer) => ready!(Pin::new(answer).poll(cx)),
            Asked::WithToken(answer) => match ready!(answer.as_mut().poll(cx)) {
                Ok(answered) => answered,
                Err(why) => {
                    return Poll::Ready(Err(failed(unauthenticated(&self.upstream, &why))));
                }
            },
        };
        Poll::Ready(self.answered(answered))
    }
}

impl Sending {
    fn answered(&self, answered: Answering) -> Result<Answer, SendFailed> {
        let upstream = &self.upstream;
        match answered {
            Ok(response) if response.status().is_redirection() => Err(failed(Fault::new(
                Code::UpstreamRedirect,
                format!(
                    "upstream `{}` answered with a redirect ({}), which is never followed; correct its `base_url`",
                    upstream.name(),
                    response.status().as_u16()
                ),
            ))),
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                let (mut body, coding) =
                    AnswerBody::new(upstream.name(), &mut head.headers, body, self.decoded_max)
                        .map_err(failed)?;
                if !head.status.is_success()
                    && let Some(mut mask) = upstream.auth.mask()
                {
                    mask.clean(&mut head.headers);
                    body = body.masked(mask);
                }
                Ok(Answer {
                    response: Response::from_parts(head, body),
                    coding,
                })
            }
            Err(error) => Err(explain(upstream, &error)),
        }
    }
}

impl Answer {
    /// Nobody reads it. What is short is read to its end, beside everything else, so that its connection can be used again.
    pub(crate) fn let_go(self) {
        let body = self.response.into_body();
        let length = body.size_hint().upper();
        if body.is_end_stream() || length.is_some_and(|length| length > LET_GO_BYTES_MAX as u64) {
            return;
        }
        tokio::spawn(async move {
            let rest = Limited::new(body, LET_GO_BYTES_MAX).collect();
            // Either way it is over.
            let _ = timeout(LET_GO_TIME_MAX, rest).await;
        });
    }
}

fn unauthenticated(upstream: &Upstream, why: &dyn Display) -> Fault {
    let message = format!(
        "upstream `{}` cannot be told who asks: {why}",
        upstream.name()
    );
    Fault::new(Code::UpstreamUnauthenticated, message)
}

/// An upstream did not begin to answer in the time that it had.
pub(crate) fn too_late(upstream: &Upstream, time: Duration) -> Fault {
    let message = format!(
        "upstream `{}` did not begin to answer within {} seconds",
        upstream.name(),
        time.as_secs()
    );
    Fault::new(Code::UpstreamTimeout, message)
}

/// The kind of answer that a call asks for.
fn accepted(call: Call, stream: bool) -> HeaderValue {
    match call {
        Call::ConverseStream
        | Call::Carried(Carrier::BedrockChat | Carrier::BedrockMessages, true) => AWS_EVENT_STREAM,
        _ if stream => EVENT_STREAM,
        _ => JSON,
    }
}

fn failed(fault: Fault) -> SendFailed {
    SendFailed {
        fault,
        unsent: false,
    }
}

/// Tell a connection that failed from one that broke, and say it without the upstream's address.
fn explain(upstream: &Upstream, error: &legacy::Error) -> SendFailed {
    let name = upstream.name();
    if let Some(refused) = cause::<AddressRefused>(error) {
        let message = format!(
            "upstream `{name}`: {refused}; if that is meant, set `private_addresses = true` for it"
        );
        return failed(Fault::new(Code::UpstreamAddressRefused, message));
    }
    if let Some(handshake) = cause::<HandshakeFailed>(error) {
        return failed(Fault::new(
            Code::UpstreamUnreachable,
            format!("upstream `{name}`: {handshake}"),
        ));
    }
    if error.is_connect() {
        let why = root(error);
        return failed(Fault::new(
            Code::UpstreamUnreachable,
            format!("upstream `{name}` cannot be reached: {why}"),
        ));
    }
    SendFailed {
        fault: closed(upstream),
        unsent: unsent(error),
    }
}

fn closed(upstream: &Upstream) -> Fault {
    let name = upstream.name();
    Fault::new(
        Code::UpstreamClosed,
        format!("upstream `{name}` closed the connection before it answered"),
    )
}

/// Whether the connection ended before a byte of the request was written.
///
/// INVARIANT: once a byte was written this is false, whatever came back: the upstream may have acted
/// on the request, and only its caller can know whether to ask again.
fn unsent(error: &legacy::Error) -> bool {
    cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled)
}

fn cause<T: StdError + 'static>(error: &legacy::Error) -> Option<&T> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn root(error: &legacy::Error) -> String {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// A request body in pieces that were never copied together.
pub(crate) struct SegmentsBody {
    segments: smallvec::IntoIter<[Bytes; 4]>,
    left: u64,
}

impl SegmentsBody {
    fn new(segments: SmallVec<[Bytes; 4]>) -> Self {
        let left = segments.iter().map(|segment| segment.len() as u64).sum();
        Self {
            segments: segments.into_iter(),
            left,
        }
    }
}

impl Body for SegmentsBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = self.segments.next() else {
            return Poll::Ready(None);
        };
        self.left = self.left.saturating_sub(next.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
