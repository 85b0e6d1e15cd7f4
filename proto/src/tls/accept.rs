use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{Closing, LiveTls};

/// A caller that has not proved itself by then is let go.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Handshakes at a time; further callers wait in the kernel's queue.
const HANDSHAKES: usize = 512;
/// Connections that the server has not taken yet.
const READY: usize = 64;
/// When no connection can be accepted at all (too many files), the next attempt waits.
const PAUSE: Duration = Duration::from_millis(50);
/// Refusals are said at most this often, so that nobody fills the log from outside.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Connections to `listener` whose handshakes are done, each by itself. `port` names it in the log, where refusals
/// stand. All break with `stop`.
pub fn accept(
    listener: TcpListener,
    tls: LiveTls,
    port: &'static str,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<TlsStream<Closing>>> {
    let (ready, connections) = mpsc::channel(READY);
    let door = Arc::new(Door {
        tls,
        port,
        stop,
        said: Mutex::default(),
    });
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let Ok((stream, caller)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let (door, ready) = (door.clone(), ready.clone());
            tokio::spawn(async move {
                let stream = door.handshake(stream, caller).await;
                drop(place);
                if let Some(stream) = stream {
                    let _ = ready.send(Ok(stream)).await;
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

struct Door {
    tls: LiveTls,
    port: &'static str,
    stop: CancellationToken,
    said: Mutex<Option<Instant>>,
}

impl Door {
    async fn handshake(&self, stream: TcpStream, caller: SocketAddr) -> Option<TlsStream<Closing>> {
        // The server's own setting does not reach connections that are handed to it.
        stream.set_nodelay(true).ok()?;
        let cut = self.stop.child_token();
        let stream = Closing::new(stream, cut.clone());
        let shaking = TlsAcceptor::from(self.tls.server()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_WITHIN, shaking).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                self.tls.follow(chain.to_vec(), cut);
                Some(stream)
            }
            Ok(Err(error)) => {
                self.say(caller, &error);
                None
            }
            Err(_) => None,
        }
    }

    /// Whoever only hangs up (a port scan, a balancer's check) is not worth a line.
    fn say(&self, caller: SocketAddr, error: &io::Error) {
        let refused = error.get_ref().is_some_and(|it| it.is::<rustls::Error>());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if refused && said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            drop(said);
            tracing::warn!(
                "refused a connection from {caller} to {}: {error}",
                self.port
            );
        }
    }
}
