//! 3. Without a configuration 503; then the first version is published and served.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use serde::Serialize;

use super::SOON;
use crate::documents::{self, ENDPOINTS};
use crate::http::Ask;
use crate::stage::Stage;
use crate::wait::ms_since;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub version: u64,
    pub endpoints: usize,
    /// From publication until every node has acknowledged and serves.
    pub served_ms: u64,
    /// Status before the first version, on every node.
    pub before: u16,
}

/// Checks the state before, publishes version 1, and asks each endpoint of each node.
///
/// # Errors
/// Another status before, a refused publication, or a node that does not serve.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    for node in &stage.nodes {
        // No endpoint of the configuration to come: the node must not count it as one.
        let answer = Ask::get("/before-any-version")
            .send(node.target.address, Duration::from_secs(5))
            .await?;
        let name = &node.target.name;
        ensure!(
            answer.status == StatusCode::SERVICE_UNAVAILABLE,
            "{name} answers {} without a configuration instead of 503",
            answer.status
        );
        let status = stage.node_status(node.target.index).await?;
        ensure!(
            status["ready"] != true,
            "{name} says it is ready without a configuration: {status}"
        );
    }
    let version = publish_next(stage).await?;
    let start = Instant::now();
    stage.until_all_serve(version, SOON).await?;
    let served_ms = ms_since(start);
    for node in &stage.nodes {
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            let path = endpoint.path(7);
            let answer = Ask::get(&path)
                .send(node.target.address, Duration::from_secs(10))
                .await?;
            stage
                .ledger
                .answered(node.target.index, index, answer.status.as_u16());
            let what = || format!("{} of {}", path, node.target.name);
            ensure!(
                answer.status == StatusCode::OK,
                "{} answered {}: {}",
                what(),
                answer.status,
                answer.excerpt()
            );
            ensure!(
                endpoint.is_answer(7, &answer.json().with_context(what)?),
                "{} answered {}",
                what(),
                answer.excerpt()
            );
        }
    }
    Ok(Figures {
        version,
        endpoints: ENDPOINTS.len(),
        served_ms,
        before: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
    })
}

/// Publishes the next version after those that the stage remembers.
///
/// # Errors
/// Not taken within the time, or under another number.
pub async fn publish_next(stage: &mut Stage) -> Result<u64> {
    let number = stage.digests.len() as u64 + 1;
    let document = documents::version(number, &stage.backend.url());
    let parent = stage.digests.last().map(String::as_str);
    let published = stage.api.publish(&document, parent, SOON).await?;
    ensure!(
        published.number == number,
        "published as number {} instead of {number}",
        published.number
    );
    stage.digests.push(published.digest);
    Ok(number)
}
