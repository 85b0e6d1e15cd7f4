//! 2. Nodes join with a seed each; one more than the licence allows is refused and keeps trying.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::SOON;
use crate::log_lines;
use crate::managers::write_private;
use crate::nodes::Node;
use crate::stage::Stage;
use crate::wait::{Seen, ms_since, until};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub nodes: usize,
    pub licensed: usize,
    /// From the start of the first node until all are active.
    pub joined_ms: u64,
    /// How often the node without a seat was refused, as it said itself.
    pub refusals: usize,
    /// Its exit code after SIGTERM.
    pub refused_node_exit: i32,
}

/// Installs a licence for exactly the nodes, starts them, and one more.
///
/// # Errors
/// Not all get in, the log lines are other than the documents', or the one too many behaves otherwise.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let licensed = stage.options.nodes;
    stage.license(licensed).await?;
    let token = stage.api.join_token().await?;
    write_private(&stage.join_token_file(), &format!("{token}\n"))?;
    let start = Instant::now();
    start_nodes(stage).await?;
    let joined_ms = ms_since(start);
    limits_are_logged_once(stage).await?;
    let (refusals, refused_node_exit) = one_too_many(stage).await?;
    let seats = stage.api.get("/v1/license").await?["seats_used"].as_u64();
    ensure!(
        seats == Some(licensed as u64),
        "{seats:?} seats are used instead of {licensed}"
    );
    Ok(Figures {
        nodes: stage.nodes.len(),
        licensed,
        joined_ms,
        refusals,
        refused_node_exit,
    })
}

/// Starts all licensed nodes and learns their ids.
///
/// # Errors
/// One does not become active.
pub async fn start_nodes(stage: &mut Stage) -> Result<()> {
    for index in 0..stage.options.nodes {
        let mut node = stage.lay_out_node(index)?;
        node.start()?;
        stage.nodes.push(node);
    }
    let api = &stage.api;
    let wanted = stage.nodes.len();
    let seen = until("every node is active", SOON, || async {
        let seen = api.nodes().await?;
        let active = seen.iter().filter(|node| node["state"] == "active").count();
        Ok(if active == wanted {
            Seen::Yes(seen)
        } else {
            Seen::No(format!("{active} of {wanted} active"))
        })
    })
    .await?;
    for node in &mut stage.nodes {
        let name = node.target.name.as_str();
        let found = seen
            .iter()
            .find(|seen| seen["name"] == name)
            .with_context(|| format!("{name} is not in /v1/nodes"))?;
        node.id = found["id"]
            .as_str()
            .context("a node without an id")?
            .to_owned();
    }
    Ok(())
}

async fn limits_are_logged_once(stage: &Stage) -> Result<()> {
    for node in &stage.nodes {
        let what = format!(
            "the managers log once that the limits went to krakend_{}",
            node.id
        );
        until(&what, Duration::from_secs(10), || async {
            let mut count = 0;
            for manager in &stage.managers {
                let lines = log_lines::read(&manager.log())?;
                count += lines
                    .iter()
                    .filter(|line| log_lines::limits_sent_to(line) == Some(node.id.as_str()))
                    .count();
            }
            Ok(if count == 1 {
                Seen::Yes(())
            } else {
                Seen::No(format!("{count} such lines"))
            })
        })
        .await?;
    }
    Ok(())
}

/// Starts a node for which there is no seat, waits until it was refused twice, and stops it.
async fn one_too_many(stage: &mut Stage) -> Result<(usize, i32)> {
    let index = stage.nodes.len();
    let mut node = stage.lay_out_node(index)?;
    node.start()?;
    stage.refused = Some(node);
    let node = stage.refused.as_ref().context("no refused node")?;
    let refusals = until("the node without a seat is refused, tries again and is refused again", SOON, || async {
        let at_managers = refusals_logged(stage)?;
        let at_node = log_lines::read(&node.log())?.iter().filter(|line| line.contains(log_lines::REFUSAL)).count();
        let seen = format!("{at_managers} refusals in the managers' logs, {at_node} on the node's standard error");
        // A manager does not say the same again within a minute.
        Ok(if at_managers >= 1 && at_node >= 2 { Seen::Yes(at_node) } else { Seen::No(seen) })
    })
    .await?;
    let exit = stop_refused(stage.refused.as_mut().context("no refused node")?).await?;
    Ok((refusals, exit))
}

fn refusals_logged(stage: &Stage) -> Result<usize> {
    let mut count = 0;
    for manager in &stage.managers {
        count += log_lines::read(&manager.log())?
            .iter()
            .filter(|line| log_lines::is_refusal(line))
            .count();
    }
    Ok(count)
}

async fn stop_refused(node: &mut Node) -> Result<i32> {
    let process = node.process()?;
    process
        .expect_running()
        .context("a refused node must go on running")?;
    process.terminate()?;
    let status = process.wait(Duration::from_secs(15)).await?;
    match status.code() {
        Some(0) => Ok(0),
        _ => bail!("the refused node ended with {status} instead of 0"),
    }
}
