use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::robustness::checker::{Chains, Finding, Listed, Stream};
use crate::robustness::workload::{self, Client, Reader};
use crate::wait;

/// After the last fault is healed the group must serve within this time.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);
const READERS_WITHIN: Duration = Duration::from_secs(60);
/// A group that has not come back by then is not waited for once more.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// What is known after the faults.
#[derive(Debug, Default)]
pub struct AtEnd {
    pub chains: Vec<Chains>,
    pub tokens: Vec<Vec<Listed>>,
    pub streams: Vec<Stream>,
    /// Index after which the readers began, and the one that they must reach.
    pub watched: (u64, u64),
}

/// Everything is healed: every manager must answer, and a write must be taken. Clients go on until then.
pub async fn recover(client: &Client, stop: CancellationToken, tasks: JoinSet<()>) -> Finding {
    let start = Instant::now();
    let again = async {
        workload::read_everywhere(client, RECOVER_WITHIN).await?;
        workload::barrier_write(client, RECOVER_WITHIN).await
    };
    let recovered = again.await;
    stop.cancel();
    tasks.join_all().await;
    match recovered {
        Ok(_) => Finding::pass("recovery", format!("{} ms", start.elapsed().as_millis())),
        Err(error) => Finding::fail("recovery", format!("{error:#}"), Vec::new()),
    }
}

/// Reads everything from everywhere.
pub async fn at_end(
    client: &Client,
    readers: &[Reader],
    from: u64,
    recovered: bool,
) -> (AtEnd, Finding) {
    let patience = if recovered { RECOVER_WITHIN } else { GIVEN_UP };
    let mut found = AtEnd::default();
    let all = read_all(client, readers, from, patience, &mut found).await;
    found.streams = readers.iter().map(Reader::so_far).collect();
    let finding = match all {
        Ok(()) => Finding::pass("final-reads", format!("{} managers", found.chains.len())),
        Err(error) => Finding::fail("final-reads", format!("{error:#}"), Vec::new()),
    };
    (found, finding)
}

async fn read_all(
    client: &Client,
    readers: &[Reader],
    from: u64,
    patience: Duration,
    found: &mut AtEnd,
) -> Result<()> {
    let until = workload::barrier_write(client, patience).await?;
    found.watched = (from, until);
    workload::read_everywhere(client, patience).await?;
    for manager in client.shared.members() {
        found
            .chains
            .push(workload::versions(client, manager).await?);
        found.tokens.push(workload::tokens(client, manager).await?);
    }
    // Whether they arrive is for the checker to say.
    let _ = wait::until(
        "every reader has the last event",
        READERS_WITHIN,
        async || {
            let behind = readers
                .iter()
                .filter(|reader| reader.last_index() < until)
                .count();
            Ok(if behind == 0 {
                wait::Seen::Yes(())
            } else {
                wait::Seen::No(format!("{behind} do not"))
            })
        },
    )
    .await;
    Ok(())
}
