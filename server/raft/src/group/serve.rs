use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use krakend_proto::manager::manager_peer_server::ManagerPeerServer;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Inner;
use crate::{
    error::ServeError,
    network::{Closing, MAX_MESSAGE_BYTES, PeerService, PeerVerify},
};

pub(super) fn service(
    inner: &Arc<Inner>,
    verify: Option<PeerVerify>,
) -> ManagerPeerServer<PeerService> {
    ManagerPeerServer::new(PeerService::new(inner.clone(), verify))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

pub(super) async fn serve(
    inner: &Arc<Inner>,
    listener: TcpListener,
    verify: Option<PeerVerify>,
    until: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let mut server = Server::builder();
    if let Some(tls) = &inner.tls {
        server = server
            .tls_config(tls.server())
            .map_err(|error| ServeError::Tls(error.to_string()))?;
    }
    let stop = CancellationToken::new();
    let closing = stop.clone();
    let incoming = TcpListenerStream::new(listener).map(move |io| {
        // The server's own setting does not reach connections that are handed to it.
        let io = io.and_then(|io| io.set_nodelay(true).map(|()| io))?;
        Ok::<_, std::io::Error>(Closing::new(io, &closing))
    });
    let served = server
        .add_service(service(inner, verify))
        .serve_with_incoming(incoming);
    let served = on(inner.threads.clone(), served);
    // Connections are cut and not drained: append streams last as long as the peer does.
    let _cut = stop.drop_guard();
    tokio::select! {
        () = until => Ok(()),
        served = served => served.map_err(|error| ServeError::Transport(error.to_string())),
    }
}

/// Has what `future` spawns, connections above all, run on those threads: between Raft and its messages lies no other
/// thread then, and nothing that an API caller does keeps them waiting.
async fn on<F: Future>(threads: Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = threads.enter();
        future.as_mut().poll(context)
    })
    .await
}
