use std::{fmt, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig,
};

/// What requests to another manager go through.
#[cfg(not(test))]
pub(crate) type Transport = Channel;
#[cfg(test)]
pub(crate) use crate::simulation::Transport;

#[cfg(not(test))]
fn transport(channel: Channel) -> Transport {
    channel
}
#[cfg(test)]
fn transport(channel: Channel) -> Transport {
    Transport::Real(channel)
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// A peer that answers no ping for this long is dialled anew.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What this manager shows to the others, and whom it believes. Used for both directions.
#[derive(Clone)]
pub struct PeerTls {
    /// The group's CA.
    pub ca_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    /// The name in every manager's certificate: it stands for the role, not for an address.
    pub server_name: String,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl PeerTls {
    fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate_pem, &self.key_pem)
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity())
            .client_ca_root(Certificate::from_pem(&self.ca_pem))
    }

    fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(self.identity())
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .domain_name(&self.server_name)
    }
}

/// Makes connections to other managers.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    tls: Option<PeerTls>,
}

impl Dialer {
    pub(crate) fn new(tls: Option<PeerTls>) -> Self {
        Self { tls }
    }

    pub(crate) fn tls(&self) -> Option<PeerTls> {
        self.tls.clone()
    }

    /// A connection that is dialled at its first use, and again whenever it is needed and broken; each time where
    /// `address` says.
    pub(crate) fn lazy(
        &self,
        address: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<Transport, tonic::transport::Error> {
        #[cfg(test)]
        if crate::simulation::is_running() {
            return Ok(Transport::simulated(address));
        }
        let endpoint = self.endpoint(&address())?;
        let connector = tower::service_fn(move |_: http::Uri| {
            let address = address();
            async move {
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&address))
                    .await
                    .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        Ok(transport(endpoint.connect_with_connector_lazy(connector)))
    }

    /// A connection that stands on return.
    pub(crate) async fn connect(&self, address: &str) -> Result<Transport, tower::BoxError> {
        #[cfg(test)]
        if crate::simulation::is_running() {
            return Transport::connected(address.into()).await;
        }
        Ok(transport(self.endpoint(address)?.connect().await?))
    }

    /// Fails when the TLS material or the address cannot be used.
    pub(crate) fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.client()),
            None => Ok(endpoint),
        }
    }
}
