//! Real nodes and managers: what a lease and its end mean for them. The only thing scaled is the duration.

mod common;
mod group;
mod pool;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::wait::{Seen, until};

use group::{Group, LIMIT};
use pool::Pool;

/// Long enough that a busy machine renews it in time, short enough to wait for its end.
const LEASE_S: u64 = 15;

/// The group has lost every manager; the nodes go on as a cluster, then each degrades and leaves, and when managers are
/// back all join by themselves. Requests are served throughout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_managers_stay_a_cluster_then_degrade_and_come_back_by_themselves()
-> Result<()> {
    let mut group = Group::start_saying(3, &format!("lease_s: {LEASE_S}\n")).await?;
    let mut pool = Pool::start(&group, 3).await?;
    pool.publish(&group).await?;
    pool.all_are("cluster", LIMIT).await?;
    stay_in_the_cluster(&pool).await?;
    for at in 0..3 {
        group.kill(at).await?;
    }
    // They recognise each other without any manager.
    let table = pool.members_table(0).await?;
    ensure!(table.matches(" node ").count() == 3, "{table}");
    ensure!(table.matches("(this node)").count() == 1, "{table}");
    pool.all_are("free", Duration::from_secs(LEASE_S) + LIMIT)
        .await?;
    for at in 0..3 {
        let status = pool.status(at).await?;
        ensure!(status["limits"]["level"] == "free", "{status}");
        ensure!(status["limits"]["max_nodes"] == 3, "{status}");
        let reason = status["free_version"]["reason"]
            .as_str()
            .unwrap_or_default();
        ensure!(reason.contains("the lease has ended"), "{status}");
        ensure!(
            status["applied"]["number"] == 1,
            "the last good one: {status}"
        );
        pool.serves(at).await?;
        pool.log_says(at, "degrading to the free version").await?;
        pool.log_says(at, "left the cluster: the free version serves on")
            .await?;
        let figures = pool.figures(at).await?;
        ensure!(
            figures.contains("krakend_node_mode{mode=\"free\"} 1"),
            "{figures}"
        );
        ensure!(
            figures.contains("krakend_node_lease_remaining_seconds 0"),
            "{figures}"
        );
    }
    let table = pool.members_table(1).await?;
    ensure!(table.contains("in no cluster"), "{table}");
    // A restart of the node does not change that.
    pool.restart(2).await?;
    pool.all_are("free", LIMIT).await?;
    pool.serves(2).await?;
    for at in 0..3 {
        group.restart(at)?;
    }
    pool.all_are("cluster", LIMIT * 2).await?;
    pool.all_joined(LIMIT).await?;
    until("they see each other again", LIMIT, || async {
        let members = pool.members(0).await?;
        let alive = |it: &&serde_json::Value| it["role"] == "node" && it["state"] == "alive";
        Ok(match members.iter().filter(alive).count() {
            3 => Seen::Yes(()),
            _ => Seen::No(format!("{members:?}")),
        })
    })
    .await?;
    until("the managers see them as active", LIMIT, || async {
        let nodes = group.ask(0, Ask::get("/v1/nodes")).await?.ok()?.json()?;
        let nodes = nodes["nodes"].as_array().cloned().context("nodes")?;
        let active = nodes
            .iter()
            .filter(|node| node["state"] == "active")
            .count();
        Ok(match (active, nodes.len()) {
            (3, 3) => Seen::Yes(()),
            _ => Seen::No(format!("{active} of {} active", nodes.len())),
        })
    })
    .await
}

/// Two leases long all are members. Where this whole machine stood still for half a lease, nobody could renew: it begins anew.
async fn stay_in_the_cluster(pool: &Pool) -> Result<()> {
    let mut start = Instant::now();
    let mut last = start;
    while start.elapsed() < Duration::from_secs(2 * LEASE_S) {
        for at in 0..3 {
            let status = pool.status(at).await?;
            if last.elapsed() > Duration::from_secs(LEASE_S / 2) {
                pool.all_are("cluster", LIMIT * 2).await?;
                start = Instant::now();
            } else {
                ensure!(
                    status["mode"] == "cluster",
                    "degraded while a manager is there: {status}"
                );
            }
            last = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A node that is killed, and whose machine's clock is set, charges what has passed and not less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_and_a_clock_set_back_do_not_extend_a_lease() -> Result<()> {
    let Some(library) = pool::faketime() else {
        common::skip("libfaketime is not installed");
        return Ok(());
    };
    let mut group = Group::start_saying(1, &format!("lease_s: {LEASE_S}\n")).await?;
    let mut pool = Pool::start_with_clocks(&group, 1, library).await?;
    pool.all_are("cluster", LIMIT).await?;
    group.kill(0).await?;
    pool.set_clock(0, "-30d")?;
    pool.kill(0).await?;
    pool.restart(0).await?;
    pool.set_clock(0, "-60d")?;
    pool.all_are("free", Duration::from_secs(LEASE_S) + LIMIT)
        .await?;
    pool.log_says(0, "clock was set back by").await?;
    // Ahead by a year while it runs: told, and nothing else.
    group.restart(0)?;
    pool.all_are("cluster", LIMIT).await?;
    pool.set_clock(0, "+365d")?;
    pool.log_says(0, "clock was set forward by").await?;
    pool.all_are("cluster", LIMIT).await?;
    let status = pool.status(0).await?;
    let moved = status["lease"]["clock_moved_ms"]
        .as_i64()
        .unwrap_or_default();
    ensure!(moved > 364 * 86_400_000, "{status}");
    Ok(())
}

/// `krakend-node leave` frees the seat at once; a clean stop without a manager ends in time and is told in gossip.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_frees_the_seat_and_a_stop_without_managers_is_bounded() -> Result<()> {
    let mut group = Group::start(1).await?;
    let mut pool = Pool::start(&group, 3).await?;
    pool.all_are("cluster", LIMIT).await?;
    pool.all_joined(LIMIT).await?;
    let said = pool.leave(0).await?;
    ensure!(said.contains("the seat is free"), "{said}");
    let seats = group.ask(0, Ask::get("/v1/license")).await?.ok()?.json()?;
    ensure!(seats["seats_used"] == 2, "{seats}");
    let again = pool.leave(0).await.err().map(|error| error.to_string());
    ensure!(
        again.as_ref().is_some_and(|it| it.contains("nodes remove")),
        "{again:?}"
    );
    group.kill(0).await?;
    let start = Instant::now();
    pool.terminate(1).await?;
    ensure!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    pool.log_says(1, "the other members know through gossip")
        .await?;
    let left = pool.id(1).to_owned();
    until("the other node knows that it left", LIMIT, || async {
        let members = pool.members(2).await?;
        let member = members.iter().find(|member| member["id"] == left.as_str());
        let state = member.map_or("unknown".to_owned(), |it| it["state"].to_string());
        Ok(match state.contains("left") {
            true => Seen::Yes(()),
            false => Seen::No(state),
        })
    })
    .await
}

/// What is damaged is told, and the gateway serves whatever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_damaged_files_serves_and_finds_back() -> Result<()> {
    let group = Group::start(1).await?;
    let mut pool = Pool::start(&group, 1).await?;
    pool.publish(&group).await?;
    pool.all_are("cluster", LIMIT).await?;
    let id = pool.id(0).to_owned();
    // One file, which comes back from its copy; the lease, which a manager gives anew.
    pool.kill(0).await?;
    pool.damage(0, "node.json")?;
    pool.damage(0, "lease.json")?;
    pool.restart(0).await?;
    pool.serves(0).await?;
    pool.log_says(0, "written anew from its copy").await?;
    pool.log_says(0, "the lease on disk is not accepted")
        .await?;
    pool.all_are("cluster", LIMIT).await?;
    pool.all_joined(LIMIT).await?;
    ensure!(pool.status(0).await?["node_id"] == id.as_str());
    // Both: it enrols again, and is who it was once the other one counts as down.
    pool.kill(0).await?;
    pool.damage(0, "node.json")?;
    pool.damage(0, "node.copy.json")?;
    pool.restart(0).await?;
    pool.serves(0).await?;
    pool.log_says(0, "has to enrol again").await?;
    pool.all_are("cluster", LIMIT * 2).await
}
