//! A leader's wrong clock stamps nothing.

mod support;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use krakend_domain::{ClockVerdict, Command, MAX_JUMP_MS};
use krakend_raft::{ProposeError, SnapshotSettings};
use support::*;

const YEAR_MS: i64 = 365 * 86_400_000;

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what}");
}

async fn a_leader_off_by(ahead_ms: i64) {
    let managers = group(3, SnapshotSettings::default()).await;
    let first = leader(&managers).await;
    let group_id = managers[first].handle().group_id().unwrap();
    propose(&managers[first].handle(), bootstrap(group_id)).await;
    managers[first].ahead_ms.store(ahead_ms, Ordering::Relaxed);
    let wrong = managers[first].handle();
    until("the leader notices its clock", || {
        let off = matches!(wrong.clocks().verdict, ClockVerdict::Off { .. });
        off || wrong.stale().leader != Some(wrong.identity().manager_id)
    })
    .await;
    // Written through the manager whose clock is wrong: held until another one leads.
    propose(&wrong, write(1)).await;
    assert_ne!(leader(&managers).await, first, "it has handed on");
    let view = wrong.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1));
    let stamped = view.state.meta().time_ms;
    assert!(stamped.abs_diff(clock()) < 60_000, "stamped {stamped}");
    assert!(view.state.clock_hold().is_none());
    let leads = managers[leader(&managers).await].handle();
    let id = wrong.identity().manager_id;
    until("the new leader sees whose clock it is", || {
        let readings = leads.clocks().readings;
        let reading = readings.iter().find(|it| it.id == id);
        reading.is_some_and(|it| it.ahead_ms.abs_diff(ahead_ms) < 5_000)
    })
    .await;
    assert!(matches!(leads.clocks().verdict, ClockVerdict::Fits { .. }));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_a_year_ahead_stamps_nothing_and_hands_on() {
    a_leader_off_by(YEAR_MS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_ten_seconds_behind_stamps_nothing_and_hands_on() {
    a_leader_off_by(-10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_very_entry_after_a_jump_is_refused_by_name() {
    let managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    until("the others' clocks are known", || {
        handle.clocks().readings.len() == 2
    })
    .await;
    managers[leads].ahead_ms.store(YEAR_MS, Ordering::Relaxed);
    let at_once = Instant::now();
    let refused = handle.propose(write(1), at_once).await.unwrap_err();
    assert!(
        matches!(refused, ProposeError::ClockOff { .. }),
        "{refused}"
    );
    let text = refused.to_string();
    assert!(text.contains("days ahead of the others"), "{text}");
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_one_has_nobody_to_compare_with_and_holds_the_jump() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    manager.ahead_ms.store(YEAR_MS, Ordering::Relaxed);
    propose(&handle, Command::Tick).await;
    let state = handle.stale().state;
    let hold = state.clock_hold().expect("held").clone();
    assert!(hold.ahead_ms > MAX_JUMP_MS);
    assert!(state.meta().time_ms.abs_diff(clock()) < 60_000);
    // It is still held after a restart.
    manager.crash().await;
    let handle = manager.start().await;
    let state = handle.linearizable(soon()).await.unwrap().state;
    assert_eq!(state.clock_hold(), Some(&hold));
    let by = "admin".to_owned();
    // What is new waits for the group's consent.
    let confirm = || Command::ConfirmClock { by: "admin".into() };
    let early = handle.propose(confirm(), soon()).await.unwrap_err();
    assert!(
        matches!(early, ProposeError::FeatureLevel { needs: 2, is: 1 }),
        "{early}"
    );
    let raise = |level| Command::RaiseFeatureLevel {
        level,
        by: "admin".into(),
    };
    let beyond = handle.propose(raise(99), soon()).await.unwrap_err();
    assert!(
        matches!(beyond, ProposeError::NotSupported { .. }),
        "{beyond}"
    );
    propose(&handle, raise(2)).await;
    propose(&handle, confirm()).await;
    assert!(handle.stale().state.clock_hold().is_none());
    manager.ahead_ms.store(0, Ordering::Relaxed);
    propose(&handle, Command::ResetClock { by }).await;
    let time_ms = handle.stale().state.meta().time_ms;
    assert!(time_ms.abs_diff(clock()) < 60_000, "{time_ms}");
    manager.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feature_level_is_raised_when_every_voter_is_known_to_support_it() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let raise = || Command::RaiseFeatureLevel {
        level: 2,
        by: "admin".into(),
    };
    let away = (leads + 1) % 3;
    // A leader that has not heard of a voter since its own start does not know what it supports.
    managers[away].crash().await;
    managers[leads].crash().await;
    managers[leads].start().await;
    let other = managers[(leads + 2) % 3].handle();
    let id = managers[leads].handle().identity().manager_id;
    other.linearizable(soon()).await.unwrap();
    other.transfer_leadership(id).await.unwrap();
    let refused = other.propose(raise(), soon()).await.unwrap_err();
    assert!(
        matches!(refused, ProposeError::NotSupported { .. }),
        "{refused}"
    );
    managers[away].start().await;
    let raised = async {
        while other.propose(raise(), soon()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, raised).await.unwrap();
    let view = other.linearizable(soon()).await.unwrap();
    assert_eq!(view.state.meta().feature_level, 2);
    stop_all(managers).await;
}
