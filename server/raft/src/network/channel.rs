use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use krakend_proto::{
    join::SERVER_NAME,
    tls::{self, LiveTls},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::transport::{Channel, Endpoint};

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
/// A peer with another secret is told of at most this often.
const SAY_EVERY: Duration = Duration::from_secs(30);

trait Io: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// Makes connections to other managers.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    tls: Option<LiveTls>,
    said: Arc<Mutex<Option<Instant>>>,
}

impl Dialer {
    pub(crate) fn new(tls: Option<LiveTls>) -> Self {
        Self {
            tls,
            said: Arc::default(),
        }
    }

    pub(crate) fn tls(&self) -> Option<LiveTls> {
        self.tls.clone()
    }

    /// A connection that is dialled at its first use, and again whenever it is needed and broken; each time where
    /// `address` says, with the certificate and the trust of then.
    pub(crate) fn lazy(
        &self,
        address: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<Transport, tonic::transport::Error> {
        #[cfg(test)]
        if crate::simulation::is_running() {
            return Ok(Transport::simulated(address));
        }
        let endpoint = endpoint(&address())?;
        let dialer = self.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (dialer, address) = (dialer.clone(), address());
            async move { dialer.dial(&address).await }
        });
        Ok(transport(endpoint.connect_with_connector_lazy(connector)))
    }

    /// A connection that stands on return.
    pub(crate) async fn connect(&self, address: &str) -> Result<Transport, tower::BoxError> {
        #[cfg(test)]
        if crate::simulation::is_running() {
            return Transport::connected(address.into()).await;
        }
        let (dialer, to) = (self.clone(), address.to_owned());
        let connector = tower::service_fn(move |_: http::Uri| {
            let (dialer, address) = (dialer.clone(), to.clone());
            async move { dialer.dial(&address).await }
        });
        let channel = endpoint(address)?.connect_with_connector(connector).await?;
        Ok(transport(channel))
    }

    async fn dial(&self, address: &str) -> io::Result<TokioIo<Pin<Box<dyn Io>>>> {
        let stream = self.open(address);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(TokioIo::new(stream))
    }

    async fn open(&self, address: &str) -> io::Result<Pin<Box<dyn Io>>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::pin(stream));
        };
        match tls::connect(stream, tls.client(), SERVER_NAME).await {
            Ok(stream) => Ok(Box::pin(stream)),
            Err(error) if tls::is_untrusted(&error) => Err(self.untrusted(address, &error)),
            Err(error) => Err(error),
        }
    }

    fn untrusted(&self, address: &str, error: &io::Error) -> io::Error {
        let reason = format!(
            "the manager at {address} does not hold any group secret that this manager holds ({error}): it belongs to another group, or the group's secret was rotated while this manager was away; then put the group's present secret into this manager's secret file, `krakend-cluster-manager secret status` on another manager names it"
        );
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!("{reason}");
        }
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    }
}

/// TLS is made by the connector, so that it can change; the scheme therefore never says so.
fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}
