use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use krakend_proto::{
    manager::manager_peer_server::ManagerPeerServer,
    tls::{Closing, accept},
};
use tokio::{net::TcpListener, runtime::Handle};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::Inner;
use crate::{
    error::ServeError,
    network::{MAX_MESSAGE_BYTES, PeerService, PeerVerify},
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
    let stop = CancellationToken::new();
    // Connections are cut and not drained: append streams last as long as the peer does.
    let _cut = stop.clone().drop_guard();
    let mut server = Server::builder();
    let router = server.add_service(service(inner, verify));
    let Some(tls) = inner.tls.clone() else {
        let incoming = TcpListenerStream::new(listener).map(move |io| {
            // The server's own setting does not reach connections that are handed to it.
            let io = io.and_then(|io| io.set_nodelay(true).map(|()| io))?;
            Ok::<_, std::io::Error>(Closing::new(io, stop.child_token()))
        });
        let served = router.serve_with_incoming(incoming);
        return serving(on(inner.threads.clone(), served), until).await;
    };
    let incoming = {
        let _entered = inner.threads.as_ref().map(Handle::enter);
        accept(listener, tls, "the managers' port", stop)
    };
    let served = router.serve_with_incoming(incoming);
    serving(on(inner.threads.clone(), served), until).await
}

async fn serving(
    served: impl Future<Output = Result<(), tonic::transport::Error>>,
    until: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    tokio::select! {
        () = until => Ok(()),
        served = served => served.map_err(|error| ServeError::Transport(error.to_string())),
    }
}

/// Has what `future` spawns, connections above all, run on those threads: between Raft and its messages lies no other
/// thread then, and nothing that an API caller does keeps them waiting.
async fn on<F: Future>(threads: Option<Handle>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = threads.as_ref().map(Handle::enter);
        future.as_mut().poll(context)
    })
    .await
}
