//! Statistics are counted once, whoever dies: totals are compared with what the load program was answered.

mod group;
mod pool;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::backend::Backend;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::ledger::now_ms;
use jepsen_like_tests::ports;
use jepsen_like_tests::wait::{Seen, until};
use pool::Pool;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const NODES: usize = 3;
const ROUNDS: usize = 4;
/// A killed node lacks what came after its last sample was on disk: a period of one second, and the time to write it.
const LOST_WITHIN_MS: u64 = 1_000 + 1_500;
const TOLD_WITHIN_MS: u64 = 3_000;
const DEAD_FOR: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(5);

/// When requests to a node were answered, and how many got no answer.
#[derive(Default)]
struct Account {
    answered_ms: Vec<u64>,
    unanswered: u64,
    bytes: u64,
    /// Of those the ones that came before the node can have heard whether managers take bytes.
    early_bytes: u64,
    killed_ms: Vec<u64>,
}

type Accounts = Arc<Vec<Mutex<Account>>>;

fn of(accounts: &Accounts, node: usize) -> std::sync::MutexGuard<'_, Account> {
    accounts[node]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

async fn load(node: usize, address: SocketAddr, accounts: Accounts, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let answer = Ask::get("/users/7").send(address, LIMIT).await;
        let at_ms = now_ms();
        match answer {
            Ok(answer) => {
                let account = &mut *of(&accounts, node);
                let first = *account.answered_ms.first().unwrap_or(&at_ms);
                let bytes = answer.body.len() as u64;
                account.bytes += bytes;
                if at_ms < first + TOLD_WITHIN_MS {
                    account.early_bytes += bytes;
                }
                account.answered_ms.push(at_ms);
            }
            // It may have been counted before the node died.
            Err(_) => of(&accounts, node).unanswered += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_or_doubled_when_leaders_and_nodes_are_killed() -> Result<()> {
    let seed = match std::env::var("EXACTLY_ONCE_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => rand::rng().random(),
    };
    println!("EXACTLY_ONCE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut group = Group::start(3).await?;
    let mut pool = Pool::start(&group, NODES).await?;
    pool.all_joined(LIMIT).await?;
    let backend = Backend::start(ports::free(1)?[0]).await?;
    let document = json!({
        "version": 3,
        "host": [backend.url()],
        "endpoints": [{"endpoint": "/users/{id}", "backend": [{"url_pattern": "/users/{id}"}]}],
    });
    pool.publish_document(&group, &document).await?;
    let accounts: Accounts = Arc::new((0..NODES).map(|_| Mutex::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..NODES)
        .map(|at| tokio::spawn(load(at, pool.public(at), accounts.clone(), stop.clone())))
        .collect();
    for round in 0..ROUNDS {
        let pause = Duration::from_millis(random.random_range(500..3_000));
        tokio::time::sleep(pause).await;
        let leader = group.leader().await?;
        group.kill(leader).await?;
        // The first node lives through all of it.
        if round % 2 == 1 {
            let node = random.random_range(1..NODES);
            pool.kill(node).await?;
            of(&accounts, node).killed_ms.push(now_ms());
            println!("round {round}: manager {leader} and node {node} are killed");
            // A gap shorter than what it sampled before it first joined would not show.
            tokio::time::sleep(DEAD_FOR).await;
            pool.restart(node).await?;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        group.restart(leader)?;
        let _ = group.leader().await?;
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await?;
    }
    settled(&group, &pool).await?;
    let statistics = group
        .ask(0, Ask::get("/v1/statistics?fleet=default"))
        .await?;
    let statistics = statistics.ok()?.json()?;
    for at in 0..NODES {
        compare(pool.id(at), &of(&accounts, at), &statistics)?;
    }
    // The fleet's windows and the nodes' tell the same.
    let endpoints = statistics["endpoints"].as_array().context("endpoints")?;
    let all: u64 = endpoints
        .iter()
        .filter_map(|it| it["requests"].as_u64())
        .sum();
    let nodes = statistics["nodes"].as_array().context("nodes")?;
    let each: u64 = nodes.iter().filter_map(|it| it["requests"].as_u64()).sum();
    ensure!(
        all == each && statistics["totals"]["requests"] == all,
        "{statistics}"
    );
    Ok(())
}

/// Every node has a session, has sampled after the traffic's end, and nothing waits in its spool.
async fn settled(group: &Group, pool: &Pool) -> Result<()> {
    let end = now_ms();
    pool.all_joined(Duration::from_secs(120)).await?;
    until(
        "everything is reported",
        Duration::from_secs(120),
        || async {
            for at in 0..NODES {
                let status = pool.status(at).await?;
                if status["samples_waiting"] != 0 {
                    return Ok(Seen::No(status.to_string()));
                }
            }
            let statistics = group
                .ask(0, Ask::get("/v1/statistics"))
                .await?
                .ok()?
                .json()?;
            let nodes = statistics["nodes"].as_array().context("nodes")?;
            let until_ms = |node: &Value| -> Option<i64> {
                let time: jiff::Timestamp = node["reported_until"].as_str()?.parse().ok()?;
                Some(time.as_millisecond())
            };
            let late = nodes
                .iter()
                .any(|node| until_ms(node).is_none_or(|it| it < end as i64));
            Ok(match nodes.len() == NODES && !late {
                true => Seen::Yes(()),
                false => Seen::No(statistics["nodes"].to_string()),
            })
        },
    )
    .await
}

fn compare(id: &str, account: &Account, statistics: &Value) -> Result<()> {
    let nodes = statistics["nodes"].as_array().context("nodes")?;
    let node = nodes.iter().find(|it| it["node_id"] == id);
    let node = node.with_context(|| format!("{id} is missing"))?;
    let endpoints = node["endpoints"].as_array().context("endpoints")?;
    let ours = endpoints
        .iter()
        .filter(|it| it["endpoint"] == "/users/{id}");
    let told: u64 = (ours.clone())
        .filter_map(|it| it["requests"].as_u64())
        .sum();
    let bytes: u64 = (ours.clone())
        .filter_map(|it| it["bytes_sent"].as_u64())
        .sum();
    let answered = account.answered_ms.len() as u64;
    let may_lack = account.answered_ms.iter().filter(|at| {
        let mut killed = account.killed_ms.iter();
        killed.any(|killed| (killed.saturating_sub(LOST_WITHIN_MS)..=*killed).contains(at))
    });
    let least = answered - may_lack.count() as u64;
    let most = answered + account.unanswered;
    println!(
        "{id}: answered {answered}, told {told}, killed {} times",
        account.killed_ms.len()
    );
    ensure!(answered > 100, "only {answered} requests were answered");
    ensure!(
        (least..=most).contains(&told),
        "{id}: {told} requests are told, {least} to {most} were sent"
    );
    if account.killed_ms.is_empty() {
        ensure!(
            account.unanswered == 0,
            "{} requests failed",
            account.unanswered
        );
        ensure!(told == answered, "{id} lived: {told} instead of {answered}");
        let least = account.bytes - account.early_bytes;
        ensure!(
            least > 0 && (least..=account.bytes).contains(&bytes),
            "{id} lived: {bytes} bytes are told, {least} to {} were received",
            account.bytes
        );
    } else {
        ensure!(
            node["missing_ms"].as_u64() > Some(0),
            "no gap is shown: {node}"
        );
    }
    Ok(())
}
