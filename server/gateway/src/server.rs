//! An engine on a port.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::engine::Engine;

const BACKLOG: u32 = 1024;
/// More clients than this wait in the listener's queue.
const MAX_CONNECTIONS: usize = 65_536;
/// How long a stopping server still answers on kept connections, so that their clients learn of it from an answer.
const LINGER: Duration = Duration::from_secs(1);
/// Pause after a failed accept (mostly: out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error(
        "cannot listen on {address}: the port is in use; stop the program that has it (find it with `ss -ltnp`), or choose another port"
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// This process may not have the port.
    #[error(
        "cannot listen on {address}: permission denied; choose a port from 1024 up, or give the program CAP_NET_BIND_SERVICE"
    )]
    Denied {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}; check that the address belongs to this machine")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// How a graceful stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off because the grace was over.
    pub unfinished: usize,
}

/// The states of a server, in their only order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// No new connections; answers carry `Connection: close`.
    Lingering,
    /// Idle connections are closed, busy ones after their answer.
    Closing,
}

/// A listening server. Dropping it cuts everything off; [`Server::shutdown`] ends well.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    /// Every connection and the accept loop hold a receiver: when all are gone, the server is drained.
    stage: watch::Sender<Stage>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on an address and serves it with the engine. Must be called inside a Tokio runtime.
    pub fn bind(address: SocketAddr, engine: Engine) -> Result<Server, BindError> {
        let listen = || -> io::Result<TcpListener> {
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()
            } else {
                TcpSocket::new_v6()
            }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = listen().map_err(|source| BindError::new(address, source))?;
        Self::start(listener, engine).map_err(|source| BindError::new(address, source))
    }

    /// Serves a listener that is bound already. Must be called inside a Tokio runtime.
    pub fn from_listener(listener: std::net::TcpListener, engine: Engine) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        Self::start(TcpListener::from_std(listener)?, engine)
    }

    fn start(listener: TcpListener, engine: Engine) -> io::Result<Server> {
        let local_addr = listener.local_addr()?;
        let (stage, receiver) = watch::channel(Stage::Serving);
        let accepting = tokio::spawn(accept(listener, engine, receiver));
        Ok(Server {
            local_addr,
            stage,
            accepting,
        })
    }

    /// The address with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops well: no new connections, requests in flight finish, kept connections are told to close and then closed.
    /// What is not done after `grace` is cut off and counted.
    pub async fn shutdown(self, grace: Duration) -> Drained {
        let deadline = tokio::time::Instant::now() + grace;
        self.stage.send_replace(Stage::Lingering);
        let linger = LINGER.min(grace / 2);
        if tokio::time::timeout(linger, self.stage.closed())
            .await
            .is_err()
        {
            self.stage.send_replace(Stage::Closing);
            // Connections that were idle are gone as soon as their tasks have run.
            let _ = tokio::time::timeout_at(deadline, self.stage.closed()).await;
        }
        Drained {
            unfinished: self.stage.receiver_count(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::AddrInUse => BindError::InUse { address },
            ErrorKind::PermissionDenied => BindError::Denied { address },
            _ => BindError::Other { address, source },
        }
    }
}

async fn accept(listener: TcpListener, engine: Engine, mut stage: watch::Receiver<Stage>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            _ = stage.changed() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = serve(stream, peer, engine.clone(), stage.clone());
                tokio::spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a client connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Clients in the queue believe that they are connected: closing the listener would reset them.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        tokio::spawn(serve(stream, peer, engine.clone(), stage.clone()));
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    engine: Engine,
    mut stage: watch::Receiver<Stage>,
) {
    let _open = engine.statistics().record_connection();
    // Small answers must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "the connection has no TCP_NODELAY");
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(engine.read_header_timeout());
    let stopping = AtomicBool::new(*stage.borrow() != Stage::Serving);
    let service = service_fn(|request| {
        let (engine, stopping) = (&engine, &stopping);
        async move {
            let mut response = engine.handle(request, peer).await;
            if stopping.load(Ordering::Relaxed) || engine.is_draining() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a client connection ended early");
                }
                return;
            }
            changed = stage.changed() => {
                if changed.is_err() {
                    return; // the server is gone
                }
                stopping.store(true, Ordering::Relaxed);
                if *stage.borrow_and_update() == Stage::Closing {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
