//! The node service on 7000/tcp: enrolment, sessions, downloads.

mod ask;
mod certified;
mod enroll;
mod lease;
mod operate;
mod questions;
mod session;
mod sessions;
mod waiting;

use std::pin::Pin;

use anyhow::Context;
use futures::Stream;
use krakend_proto::{
    node::{
        self as wire,
        node_service_server::{NodeService, NodeServiceServer},
    },
    tls::accept,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::app::App;
use certified::Unfit;

pub use ask::{AskNodeError, answer_relayed, ask_node};
pub use sessions::{SessionInfo, Sessions};

const MAX_MESSAGE_BYTES: usize = 4 << 20;
const CHUNK_BYTES: usize = 256 << 10;
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Serves the node port until the manager stops.
pub async fn serve(app: App, listener: TcpListener) -> anyhow::Result<()> {
    let stop = app.stop.clone();
    // Sessions end with a word, so their connections are not cut with the manager.
    let incoming = accept(
        listener,
        app.trust.nodes().clone(),
        "the nodes' port",
        CancellationToken::new(),
    );
    let service =
        NodeServiceServer::new(Service { app }).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .context("the node port failed")
}

/// A sign of life, and what a node may send.
fn heartbeat(app: &App) -> wire::Heartbeat {
    wire::Heartbeat {
        ready: true,
        sent_ms: 0,
        feature_level: app.group.stale().state.meta().feature_level,
    }
}

struct Service {
    app: App,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl NodeService for Service {
    type SessionStream = Outgoing<wire::ManagerMessage>;
    type DownloadStream = Outgoing<wire::DocumentChunk>;

    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        enroll::enroll(&self.app, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn enroll_manager(
        &self,
        request: Request<wire::EnrollManagerRequest>,
    ) -> Result<Response<wire::EnrollManagerResponse>, Status> {
        enroll::enroll_manager(&self.app, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn session(
        &self,
        request: Request<Streaming<wire::NodeMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let certified = match certified::certified(&self.app, &request) {
            Ok(certified) => certified,
            Err(Unfit::Status(status)) => return Err(status),
            Err(Unfit::Refused(refused)) => {
                tracing::warn!(peer = ?request.remote_addr(), "refused a node: {}", refused.message);
                let message = Some(wire::manager_message::Message::Refused(refused));
                let last = futures::stream::iter([Ok(wire::ManagerMessage { message })]);
                return Ok(Response::new(Box::pin(last)));
            }
        };
        let messages = request.into_inner();
        let stream = session::run(self.app.clone(), certified, messages);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::RenewResponse>, Status> {
        let certified = certified::certified_once(&self.app, &request)?;
        certified::renew(&self.app, &certified, request.get_ref()).map(Response::new)
    }

    async fn download(
        &self,
        request: Request<wire::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let node_id = certified::certified(&self.app, &request)?.node_id;
        let digest = krakend_proto::digest_from("digest", &request.get_ref().digest)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let state = self.app.group.stale().state;
        let node = state.node(node_id);
        let node = node.ok_or_else(|| Status::permission_denied("this node is not registered"))?;
        let version = state
            .version_by_digest(&node.fleet, &digest)
            .ok_or_else(|| {
                Status::not_found(format!(
                    "fleet {} has no version {digest} on this manager",
                    node.fleet
                ))
            })?;
        let body = zstd::bulk::decompress(&version.body, MAX_DOCUMENT_BYTES)
            .map_err(|error| Status::data_loss(format!("version {}: {error}", version.number)))?;
        let chunks: Vec<_> = body
            .chunks(CHUNK_BYTES)
            .map(|chunk| {
                Ok(wire::DocumentChunk {
                    data: chunk.to_vec().into(),
                })
            })
            .collect();
        Ok(Response::new(Box::pin(futures::stream::iter(chunks))))
    }
}
