use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::node::node_service_client::NodeServiceClient;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::SERVER_NAME;

/// TCP, TLS and HTTP/2 together.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Samples are 1 MiB at most, chunks 256 KiB.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// An open connection to one manager.
pub struct Connection {
    pub client: NodeServiceClient<Channel>,
    /// This machine's address towards that manager.
    pub local_ip: IpAddr,
}

/// Why a manager was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the manager at {0} did not answer within {CONNECT_WITHIN:?}")]
    Timeout(String),
    #[error("the manager at {at} is not reached: {source}")]
    Tcp { at: String, source: io::Error },
    #[error(
        "the manager at {at} does not hold this group's CA: it is another group's manager, or the join token is another group's, or the group secret was rotated and the old one removed meanwhile; then a new join token is needed (`krakend-cluster-manager token create-join`) ({reason})"
    )]
    OtherGroup { at: String, reason: String },
    #[error("TLS with the manager at {at} failed: {reason}")]
    Tls { at: String, reason: String },
    #[error("{at} is no manager's node port: {reason}")]
    Protocol { at: String, reason: String },
}

/// Opens one connection; `address` is host:port, the name is resolved now.
pub async fn connect(address: &str, tls: Arc<ClientConfig>) -> Result<Connection, ConnectError> {
    tokio::time::timeout(CONNECT_WITHIN, open(address, tls))
        .await
        .unwrap_or_else(|_| Err(ConnectError::Timeout(address.into())))
}

async fn open(address: &str, tls: Arc<ClientConfig>) -> Result<Connection, ConnectError> {
    let at = || address.to_owned();
    let tcp_error = |source| ConnectError::Tcp { at: at(), source };
    let stream = TcpStream::connect(address).await.map_err(tcp_error)?;
    stream.set_nodelay(true).map_err(tcp_error)?;
    let local_ip = stream.local_addr().map_err(tcp_error)?.ip();
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| ConnectError::Tls {
        at: at(),
        reason: error.to_string(),
    })?;
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(|error| tls_error(address, &error))?;
    // A session is one connection: tonic gets this one and no second.
    let ready = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
    let connector = tower::service_fn(move |_| {
        let taken = ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let protocol = |error: tonic::transport::Error| ConnectError::Protocol {
        at: at(),
        reason: error.to_string(),
    };
    let channel = Endpoint::try_from(format!("http://{SERVER_NAME}"))
        .map_err(protocol)?
        .connect_with_connector(connector)
        .await
        .map_err(protocol)?;
    let client = NodeServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(Connection { client, local_ip })
}

fn tls_error(address: &str, error: &io::Error) -> ConnectError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (at, reason) = (address.to_owned(), error.to_string());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => ConnectError::OtherGroup { at, reason },
        _ => ConnectError::Tls { at, reason },
    }
}
