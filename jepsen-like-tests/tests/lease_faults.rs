//! Leases under faults: three managers and three nodes on hosts of their own, partitions between them, paused and killed
//! processes, clocks that jump. What nodes say of themselves is held against what managers had committed.
//!
//! `KRAKEND_LEASE_SEED` and `KRAKEND_LEASE_TIME_S` say which faults, and for how long.

mod common;
mod lease_lab;

use std::time::Duration;

use anyhow::{Result, ensure};
use jepsen_like_tests::robustness::host::LabError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use lease_lab::{Cluster, LEASE_MS, check};

const SEED: u64 = 20_261_121;
const TIME: Duration = Duration::from_secs(100);
/// Also on a machine that does much else.
const RECOVERED_WITHIN: Duration = Duration::from_secs(240);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_is_licensed_after_its_lease_and_none_is_degraded_before() -> Result<()> {
    let seed = number("KRAKEND_LEASE_SEED").unwrap_or(SEED);
    let time = number("KRAKEND_LEASE_TIME_S").map_or(TIME, Duration::from_secs);
    eprintln!("seed {seed}, {time:?} of faults");
    let mut cluster = match Cluster::start().await {
        Ok(cluster) => cluster,
        Err(LabError::NotPermitted(reason)) => {
            common::say_skipped(&format!("leases under faults: {reason}"));
            return Ok(());
        }
        Err(LabError::Broken(error)) => return Err(error),
    };
    let mut rng = StdRng::seed_from_u64(seed);
    let end = tokio::time::Instant::now() + time;
    // Each fault at least once, whatever the seed.
    let mut round = 0;
    while tokio::time::Instant::now() < end || round < lease_lab::FAULTS {
        let fault = match round < lease_lab::FAULTS {
            true => round,
            false => rng.random_range(0..lease_lab::FAULTS),
        };
        round += 1;
        let hold = Duration::from_millis(rng.random_range(LEASE_MS / 4..LEASE_MS * 3 / 2));
        let node = rng.random_range(0..lease_lab::NODES);
        cluster.fault(fault, node, hold).await?;
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..LEASE_MS / 2))).await;
    }
    cluster.all_in_cluster(RECOVERED_WITHIN).await?;
    let history = cluster.end().await;
    let (claims, ended) = (history.claims(), history.free());
    eprintln!(
        "{round} faults; {claims} times licensed, {ended} times the free version, {} leases seen",
        history.leases()
    );
    // Without these nothing was tested.
    ensure!(
        claims > 100 && ended > 10,
        "too little was seen: {claims}, {ended}"
    );
    let wrong = check(&history);
    ensure!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    Ok(())
}
