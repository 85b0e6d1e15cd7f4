//! A manager whose state is not what the others have.

mod support;

use std::time::{Duration, Instant};

use krakend_raft::{AlarmKind, GroupHandle, ReadError, SnapshotSettings};
use support::*;

fn raised(handle: &GroupHandle, kind: AlarmKind) -> bool {
    handle.alarms().iter().any(|it| it.kind == kind)
}

async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !seen() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_quarantined_and_comes_back(spoils_leader: bool) {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let seen = propose(&handle, write(1)).await;
    for manager in &managers {
        applied(&manager.handle(), seen.index).await;
    }
    handle.compare_states().await;
    for manager in &managers {
        assert!(
            !manager.handle().is_quarantined(),
            "equal states are left alone"
        );
        assert!(!raised(&manager.handle(), AlarmKind::StatesDiffer));
    }
    let spoiled = if spoils_leader {
        leads
    } else {
        (leads + 1) % 3
    };
    let bad = managers[spoiled].handle();
    bad.spoil(write(99));
    assert_eq!(value(&bad.stale().state), Some(99));
    handle.compare_states().await;
    assert!(bad.is_quarantined());
    assert!(raised(&bad, AlarmKind::StateDiverged));
    assert!(raised(&handle, AlarmKind::StatesDiffer));
    let error = bad.linearizable(soon()).await.unwrap_err();
    assert!(matches!(error, ReadError::Quarantined), "{error}");
    let me = bad.identity().manager_id;
    until("another manager leads", || {
        let others = managers.iter().map(|it| it.handle().stale().leader);
        others.flatten().filter(|it| *it != me).count() == 3
    })
    .await;
    let good = managers[(spoiled + 1) % 3].handle();
    assert!(!good.is_quarantined());
    let last = propose(&good, write(2)).await;
    // A restart is the way out.
    managers[spoiled].crash().await;
    let back = managers[spoiled].start().await;
    applied(&back, last.index).await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(2));
    assert_eq!(back.identity().manager_id, me, "id, log and vote stay");
    let leads = leader(&managers).await;
    managers[leads].handle().compare_states().await;
    assert!(!back.is_quarantined());
    let leads = managers[leads].handle();
    assert!(!raised(&leads, AlarmKind::StatesDiffer));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_another_state_gives_no_reads_until_it_is_rebuilt() {
    is_quarantined_and_comes_back(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_another_state_hands_over_and_is_rebuilt() {
    is_quarantined_and_comes_back(true).await;
}
