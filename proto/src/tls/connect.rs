use std::{io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// TLS on a connection that stands. `name` has to be in the other end's certificate.
pub async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    tls: Arc<ClientConfig>,
    name: &'static str,
) -> io::Result<TlsStream<T>> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    TlsConnector::from(tls).connect(name, stream).await
}

/// Whether the other end's certificate was not believed, or it did not believe ours.
pub fn is_untrusted(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        inner,
        Some(
            rustls::Error::InvalidCertificate(_)
                | rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)
        )
    )
}
