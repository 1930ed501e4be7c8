//! Whether the data listener of a configuration answers: what a container's health check asks.
//!
//! Only the section `[server]` is read, so that asking every half a minute costs nothing.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::config::Draft;
use crate::trouble::{Trouble, Troubles};

/// Time for each step of it.
const TIME_MAX: Duration = Duration::from_secs(3);
/// The answer is a line; more is read of none.
const ANSWER_BYTES_MAX: u64 = 4096;

/// The listener as it is to be asked.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    host: String,
    /// The certificate that it must show.
    certificate: Option<PathBuf>,
}

impl Listener {
    /// The listener of a configuration, or that of the demonstration; `address` is asked instead of its own.
    pub(crate) fn of(draft: &Draft, address: Option<SocketAddr>) -> Result<Self, Troubles> {
        let server = draft.sections.server.as_ref();
        let own = server.and_then(|server| server.listen.given());
        let parsed = own.map_or("127.0.0.1:4390", |listen| &listen.value).parse();
        let Ok(own) = parsed else {
            return Err(vec![Trouble::new(
                "`listen` in the configuration is not an address with a port",
                "`carnet config check` shows the line",
            )]);
        };
        let address = address.unwrap_or(own);
        let first = server
            .and_then(|server| server.names.given())
            .and_then(|names| names.value.first().cloned());
        let certificate = server
            .and_then(|server| server.tls.given())
            .and_then(|tls| tls.value.cert.given())
            .map(|cert| draft.base.join(&cert.value));
        Ok(Self {
            address: reachable(address),
            host: first.unwrap_or_else(|| "localhost".to_owned()),
            certificate,
        })
    }

    /// Ask for a path: the status, and the first line of what it says.
    pub(crate) fn ask(&self, path: &str) -> io::Result<(u16, String)> {
        let mut tcp = TcpStream::connect_timeout(&self.address, TIME_MAX)?;
        tcp.set_read_timeout(Some(TIME_MAX))?;
        tcp.set_write_timeout(Some(TIME_MAX))?;
        match &self.certificate {
            None => self.exchange(&mut tcp, path),
            Some(file) => self.exchange(&mut self.tls(file, tcp)?, path),
        }
    }

    fn exchange(&self, io: &mut (impl Read + Write), path: &str) -> io::Result<(u16, String)> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nuser-agent: carnet-doctor\r\n\r\n",
            self.host
        );
        let written = io.write_all(request.as_bytes()).and_then(|()| io.flush());
        let mut answer = Vec::new();
        let read = io.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        // Some end without a farewell; what came is what counts.
        if answer.is_empty() {
            match read {
                // It has shown its own certificate, and wants one of whoever asks (`client_required`).
                Err(error) if wants_certificate(&error) => {
                    return Ok((200, "it answers those who show a certificate".to_owned()));
                }
                read => written.and(read.map(drop))?,
            }
        }
        let text = String::from_utf8_lossy(&answer);
        let status = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other("the answer is not one of HTTP"))?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((
            status,
            body.trim().lines().next().unwrap_or_default().to_owned(),
        ))
    }

    fn tls(
        &self,
        file: &std::path::Path,
        tcp: TcpStream,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let expected = CertificateDer::from_pem_file(file).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Same { expected, provider }))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, tcp))
    }
}

fn wants_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(
        cause,
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
        ))
    )
}

/// An address that listens everywhere is asked on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Trusts the one certificate that the configuration names, whoever signed it and for whatever name: it is our own.
#[derive(Debug)]
struct Same {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Same {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "the listener shows another certificate than the configuration names".to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
