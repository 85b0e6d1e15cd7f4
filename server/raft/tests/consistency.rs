//! Reads and writes through every manager, whoever leads.

mod support;

use std::time::{Duration, Instant};

use krakend_domain::{Applied, Command, Digest};
use krakend_raft::{GroupHandle, ProposeError, SnapshotSettings};
use support::*;
use uuid::Uuid;

fn keyed(key: &str, n: u64) -> Command {
    Command::Idempotent {
        key: key.into(),
        request: Digest([n as u8; 32]),
        command: Box::new(write(n)),
    }
}

async fn begun() -> Vec<Manager> {
    let managers = group(3, SnapshotSettings::default()).await;
    let group_id = managers[0].handle().group_id().unwrap();
    propose(&managers[0].handle(), bootstrap(group_id)).await;
    managers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_a_leader_instead_of_failing() {
    let mut managers = begun().await;
    let first = leader(&managers).await;
    managers[first].crash().await;
    // Nobody leads now, and nobody is told.
    let other = managers[(first + 1) % 3].handle();
    let written = other.propose(keyed("k", 1), soon()).await.unwrap();
    assert_eq!(written.applied, Applied::Done);
    let view = other.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyed_write_through_dying_leaders_is_done_once() {
    let mut managers = begun().await;
    for round in 1..=3u64 {
        let leads = leader(&managers).await;
        let other = managers[(leads + 1) % 3].handle();
        let key = format!("round-{round}");
        let command = keyed(&key, round);
        let writing = {
            let (other, command) = (other.clone(), command.clone());
            tokio::spawn(async move { other.propose(command, soon()).await })
        };
        managers[leads].crash().await;
        let first = writing.await.unwrap().unwrap();
        // Somebody else writes in between; the retry must not undo that.
        propose(&other, write(100 + round)).await;
        let again = other.propose(command, soon()).await.unwrap();
        let index = match first.applied {
            Applied::Replayed { index, .. } => index,
            _ => first.index,
        };
        match again.applied {
            Applied::Replayed { index: of, result } => {
                assert_eq!(of, index);
                assert_eq!(*result, Ok(Applied::Done));
            }
            other => panic!("done twice: {other:?}"),
        }
        let view = other.linearizable(soon()).await.unwrap();
        assert_eq!(value(&view.state), Some(100 + round));
        managers[leads].start().await;
    }
    stop_all(managers).await;
}

async fn ages(handle: &GroupHandle, beyond_ms: u64) {
    let aged = async {
        while handle.stale().staleness_ms <= beyond_ms {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let aged = tokio::time::timeout(PATIENCE, aged).await;
    assert!(aged.is_ok(), "its state ages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_as_old_as_the_last_living_leader_it_was_compared_with() {
    let mut managers = begun().await;
    let leads = leader(&managers).await;
    let left = (leads + 1) % 3;
    let handle = managers[left].handle();
    let fresh = async {
        while handle.stale().staleness_ms >= 2_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let fresh = tokio::time::timeout(PATIENCE, fresh).await;
    assert!(fresh.is_ok(), "a living leader keeps it fresh");
    managers[leads].crash().await;
    managers[(leads + 2) % 3].crash().await;
    ages(&handle, 3_000).await;
    // A restart does not make it younger.
    managers[left].crash().await;
    let back = managers[left].start().await;
    let view = back.stale();
    assert!(view.leader.is_none());
    assert!(view.staleness_ms >= 3_000, "{}", view.staleness_ms);
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_its_quorum_ages_and_says_what_it_does_not_know() {
    let mut managers = begun().await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    managers[(leads + 1) % 3].crash().await;
    managers[(leads + 2) % 3].crash().await;
    let deadline = Instant::now() + Duration::from_secs(2);
    let error = handle.propose(keyed("k", 1), deadline).await.unwrap_err();
    // Appended or not: it must not claim that nothing was written unless it knows.
    match error {
        ProposeError::Indeterminate { .. } => {}
        ProposeError::NoLeader => {
            let last = handle.status().last_log_index;
            assert_eq!(last, handle.status().committed, "it appended something");
        }
        other => panic!("{other}"),
    }
    ages(&handle, 1_500).await;
    handle
        .linearizable(Instant::now() + Duration::from_millis(500))
        .await
        .unwrap_err();
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_its_deadline_a_write_without_a_leader_has_not_happened() {
    let mut managers = begun().await;
    let leads = leader(&managers).await;
    let left = (leads + 1) % 3;
    managers[leads].crash().await;
    managers[(leads + 2) % 3].crash().await;
    managers[left].crash().await;
    // Freshly started it knows of no leader, so it has nobody to ask.
    let handle = managers[left].start().await;
    let begun = Instant::now();
    let error = handle
        .propose(keyed("k", 1), begun + Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error, ProposeError::NoLeader), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "it waited");
    assert_eq!(value(&handle.stale().state), None);
    assert_ne!(handle.identity().manager_id, Uuid::nil());
    stop_all(managers).await;
}
