//! A dead leader is succeeded at once. The election timeout is longer here than any test waits, so whoever leads has
//! not waited for it.

mod support;

use krakend_raft::Timers;
use support::*;

/// Longer than `PATIENCE`.
fn patient() -> Timers {
    Timers {
        election_min_ms: 300_000,
        election_max_ms: 400_000,
        ..Timers::lan()
    }
}

async fn patient_group() -> Vec<Manager> {
    // The first election needs a timeout, so the group forms with short ones.
    let mut managers = group_with(3, |_| {}).await;
    let handle = managers[0].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    drop(handle);
    let first = leader(&managers).await;
    for (n, manager) in managers.iter_mut().enumerate() {
        if n != first {
            manager.timers = patient();
            manager.crash().await;
            manager.start().await;
        }
    }
    managers
}

/// Waits until every follower has a connection open that tells of the leader's end.
async fn settled(managers: &[Manager]) {
    let leads = leader(managers).await;
    let written = propose(&managers[leads].handle(), write(1)).await;
    for manager in managers {
        applied(&manager.handle(), written.index).await;
    }
    for (n, manager) in managers.iter().enumerate() {
        if n != leads {
            manager.handle().attending().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_is_succeeded_without_an_election_timeout() {
    let mut managers = patient_group().await;
    settled(&managers).await;
    let first = leader(&managers).await;
    managers[first].crash().await;
    let second = leader(&managers).await;
    assert_ne!(first, second);
    propose(&managers[second].handle(), write(2)).await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_restarted_at_once_is_succeeded_too() {
    let mut managers = patient_group().await;
    settled(&managers).await;
    let first = leader(&managers).await;
    managers[first].timers = patient();
    managers[first].crash().await;
    managers[first].start().await;
    leader(&managers).await;
    propose(&managers[first].handle(), write(2)).await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_follower_alone_does_not_depose_a_leader_that_it_lost() {
    let mut managers = patient_group().await;
    settled(&managers).await;
    let first = leader(&managers).await;
    let term = managers[first].handle().status().term;
    // The two others are gone, so nobody confirms anything to the one that is left.
    let (gone, left) = ((first + 1) % 3, (first + 2) % 3);
    managers[gone].crash().await;
    managers[first].crash().await;
    let handle = managers[left].handle();
    let write = handle.propose(
        write(2),
        std::time::Instant::now() + std::time::Duration::from_secs(2),
    );
    write.await.unwrap_err();
    assert_eq!(handle.status().term, term);
    stop_all(managers).await;
}
