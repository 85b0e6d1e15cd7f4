//! Connections to managers, plain or with TLS.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Context as _;
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

/// Where systems keep the authorities that they trust.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Dials `http://` and `https://`.
#[derive(Clone)]
pub struct Connector {
    plain: HttpConnector,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// `https`: whether TLS is needed at all. `ca_file`: PEM of the authorities to trust in place of the system's.
    ///
    /// # Errors
    /// There is no authority to trust.
    pub fn new(https: bool, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        let tls = https.then(|| tls(ca_file)).transpose()?;
        Ok(Self { plain, tls })
    }
}

fn tls(ca_file: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = match ca_file {
        Some(path) => path.to_owned(),
        None => system_file().context(
            "this system has no list of trusted authorities: name one with --ca-file (a manager with `https: auto` writes https-ca.pem into its data directory)",
        )?,
    };
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&path);
    let certificates = certificates.with_context(|| format!("reading {}", path.display()))?;
    for certificate in certificates.flatten() {
        // One of a system's many that cannot be used is no reason to trust none.
        let _ = store.add(certificate);
    }
    anyhow::ensure!(
        !store.is_empty(),
        "{} has no certificate in PEM",
        path.display()
    );
    let config = ClientConfig::builder()
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn system_file() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = SYSTEM_FILES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|path| path.exists())
}

type Dialled = Pin<Box<dyn Future<Output = anyhow::Result<TokioIo<Wire>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = anyhow::Error;
    type Future = Dialled;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        self.plain.poll_ready(cx).map_err(anyhow::Error::new)
    }

    fn call(&mut self, uri: Uri) -> Dialled {
        let host = uri.host().unwrap_or_default().to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => self.tls.clone(),
            _ => None,
        };
        let dialled = self.plain.call(uri);
        Box::pin(async move {
            let stream = dialled.await?.into_inner();
            let Some(tls) = tls else {
                return Ok(TokioIo::new(Wire::Plain(stream)));
            };
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            let stream = tls.connect(name, stream).await.context(
                "the TLS handshake failed (--ca-file names the authority that signed the manager's certificate)",
            )?;
            Ok(TokioIo::new(Wire::Tls(Box::new(stream))))
        })
    }
}

/// A connection to a manager.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
