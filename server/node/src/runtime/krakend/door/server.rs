//! Connections: accepted, served, closed without losing a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forward::handle;
use crate::runtime::krakend::shared::Shared;

/// A connection that sends no complete head for so long is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long open connections may still bring a request once the door closes:
/// a client may have sent one that has not arrived.
const LINGER: Duration = Duration::from_secs(2);

/// The public port.
pub(crate) struct FrontDoor {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// No new connections.
    closed: CancellationToken,
    /// Idle connections end, busy ones after their answer.
    finish: CancellationToken,
    /// Everything ends now.
    abandon: CancellationToken,
    tasks: TaskTracker,
}

impl FrontDoor {
    /// Serves `listener` until [`FrontDoor::close`].
    pub(crate) fn open(
        listener: TcpListener,
        shared: Arc<Shared>,
        max_connections: usize,
        abandon: CancellationToken,
    ) -> std::io::Result<Self> {
        let door = Self {
            address: listener.local_addr()?,
            shared: Arc::clone(&shared),
            closed: CancellationToken::new(),
            finish: CancellationToken::new(),
            abandon,
            tasks: TaskTracker::new(),
        };
        let connections = Connections {
            shared,
            finish: door.finish.clone(),
            abandon: door.abandon.clone(),
            tasks: door.tasks.clone(),
        };
        let permits = Arc::new(Semaphore::new(max_connections));
        door.tasks
            .spawn(accept(listener, connections, permits, door.closed.clone()));
        Ok(door)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, answers what is open with `Connection: close`, and
    /// returns when all connections are gone, at the latest after `grace`.
    pub(crate) async fn close(&self, grace: Duration) {
        self.shared.close();
        self.closed.cancel();
        self.tasks.close();
        let linger = LINGER.min(grace / 2);
        let all_gone = async {
            if tokio::time::timeout(linger, self.tasks.wait())
                .await
                .is_err()
            {
                self.finish.cancel();
                self.tasks.wait().await;
            }
        };
        if tokio::time::timeout(grace, all_gone).await.is_err() {
            tracing::warn!(target: "gateway", open = self.tasks.len(), "connections did not end within the grace time");
        }
        self.abandon.cancel();
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Connections {
    shared: Arc<Shared>,
    finish: CancellationToken,
    abandon: CancellationToken,
    tasks: TaskTracker,
}

async fn accept(
    listener: TcpListener,
    connections: Connections,
    permits: Arc<Semaphore>,
    closed: CancellationToken,
) {
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed.cancelled() => break,
            () = connections.abandon.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => connections.spawn(stream, peer, permit),
            Err(error) => {
                tracing::warn!(target: "gateway", %error, "cannot accept a connection");
                // Out of file descriptors: others must end first.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Closing the listener resets what the kernel has queued: serve those too.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            return;
        };
        connections.spawn(stream, peer, permit);
    }
}

impl Connections {
    fn spawn(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let this = self.clone();
        let open = this.shared.statistics.record_connection();
        self.tasks.spawn(async move {
            tokio::select! {
                () = this.serve(stream, peer) => {}
                () = this.abandon.cancelled() => {}
            }
            drop((permit, open));
        });
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
        }
        let service = service_fn(|request| {
            let shared = Arc::clone(&self.shared);
            async move { Ok::<_, Infallible>(handle(shared, peer, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.finish.cancelled() => None,
        };
        if ended.is_none() {
            connection.as_mut().graceful_shutdown();
            ended = Some(connection.await);
        }
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }
}
