//! The node's loopback port: probes and figures. Changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::status::StatusBoard;

type Board = State<Arc<StatusBoard>>;

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen} for the node's own API: {source}; set `api_listen`")]
pub struct ApiError {
    listen: SocketAddr,
    source: std::io::Error,
}

/// Opens the port and serves it for as long as the program runs.
pub async fn start(listen: SocketAddr, board: Arc<StatusBoard>) -> Result<SocketAddr, ApiError> {
    let failed = |source| ApiError { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/v1/status",
            get(|State(board): Board| async move { Json(board.json()) }),
        )
        .route(
            "/v1/members",
            get(|State(board): Board| async move { Json(board.members()) }),
        )
        .with_state(board);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the node's own API ended: {error}");
        }
    });
    Ok(address)
}

async fn ready(State(board): Board) -> impl IntoResponse {
    if board.runtime.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node is draining\n");
    }
    match board.runtime.is_ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway has no configuration or is down\n",
        ),
    }
}

async fn metrics(State(board): Board) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4";
    ([(header::CONTENT_TYPE, kind)], crate::metrics::page(&board))
}
