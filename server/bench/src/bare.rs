//! What HTTP alone costs on this machine: one axum server that keeps the last body of each fleet in memory and looks at nothing,
//! asked by the same clients with the same requests. No group behind the same API can answer more.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::json;

use crate::args::BareArguments;
use crate::managers::{MAX_CLIENTS, Publisher};
use crate::peer::{Client, Peer, REQUEST_LIMIT};
use crate::process::{Members, Start, free_ports, loopback};

/// By fleet: how many bodies there were, and the last of them.
type Kept = Arc<Mutex<HashMap<String, (u64, Bytes)>>>;

/// One server, in a process of its own as the others are.
#[derive(Debug)]
pub struct Bare {
    members: Members,
    address: SocketAddr,
}

impl Bare {
    /// Prepares the server; it does not run yet.
    ///
    /// # Errors
    /// No port is free, or this program does not know where it is.
    pub fn new(dir: &FilePath) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let ports = free_ports(1)?;
        let port = *ports.first().context("a free port")?;
        let start = Start {
            name: "bare-http".into(),
            program: std::env::current_exe().context("find this program's own path")?,
            arguments: vec!["bare".into(), "--port".into(), port.to_string()],
            log: dir.join("bare-http.log"),
        };
        Ok(Self {
            members: Members::new(vec![start]),
            address: loopback(port),
        })
    }
}

impl Peer for Bare {
    type Client = Publisher;

    const NAME: &'static str = "bare HTTP";

    fn members(&self) -> &Members {
        &self.members
    }

    fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    /// The only one, once it answers.
    async fn leader(&self) -> Result<usize> {
        let mut publisher = Publisher::bare(self.address, 0)?;
        publisher.write(REQUEST_LIMIT).await.map(|()| 0)
    }

    async fn connect(&self, _: usize, number: usize) -> Result<Publisher> {
        Publisher::bare(self.address, number)
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// The port is taken.
pub async fn serve(arguments: &BareArguments) -> Result<()> {
    let routes = Router::new()
        .route("/v1/fleets/{fleet}/versions", get(last).post(keep))
        .route("/v1/fleets/{fleet}/versions/{number}", get(last_of))
        .with_state(Kept::default());
    let listener = tokio::net::TcpListener::bind(loopback(arguments.port)).await?;
    axum::serve(listener, routes).await.context("serve")
}

async fn keep(State(kept): State<Kept>, Path(fleet): Path<String>, body: Bytes) -> Response {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_CLIENTS && !kept.contains_key(&fleet) {
        return StatusCode::CONFLICT.into_response();
    }
    let (number, last) = kept.entry(fleet).or_default();
    (*number, *last) = (*number + 1, body);
    let version = json!({ "number": number, "digest": number.to_string() });
    (StatusCode::CREATED, Json(version)).into_response()
}

async fn last_of(state: State<Kept>, Path((fleet, _)): Path<(String, u64)>) -> Response {
    last(state, Path(fleet)).await
}

async fn last(State(kept): State<Kept>, Path(fleet): Path<String>) -> Response {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.get(&fleet) {
        Some((_, body)) => ([(CONTENT_TYPE, "application/json")], body.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
