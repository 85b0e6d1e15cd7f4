//! Three managers on loopback in one process.

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use krakend_raft::{FormError, ProposeError, RaftRole, SnapshotSettings};
use support::*;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_managers_form_one_group_and_any_of_them_takes_writes() {
    let managers = group(3, SnapshotSettings::default()).await;
    let groups: BTreeSet<_> = managers.iter().map(|it| it.handle().group_id()).collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    let group_id = groups.into_iter().next().flatten().unwrap();
    propose(&managers[0].handle(), bootstrap(group_id)).await;
    for (n, manager) in managers.iter().enumerate() {
        let written = propose(&manager.handle(), write(n as u64)).await;
        for reader in &managers {
            let view = reader.handle().linearizable(soon()).await.unwrap();
            assert_eq!(value(&view.state), Some(n as u64));
            assert!(view.applied_index >= written.index);
        }
    }
    let leads = leader(&managers).await;
    let status = managers[leads].handle().status();
    assert_eq!(status.role, RaftRole::Leader);
    assert_eq!(status.members.len(), 3);
    assert!(status.members.iter().all(|it| it.voter));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_catches_up_when_it_is_back() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let first = leader(&managers).await;
    let group_id = managers[first].handle().group_id().unwrap();
    propose(&managers[first].handle(), bootstrap(group_id)).await;
    managers[first].shutdown().await;
    let second = leader(&managers).await;
    assert_ne!(first, second);
    let mut last = 0;
    for n in 0..50 {
        last = propose(&managers[second].handle(), write(n)).await.index;
    }
    let back = managers[first].start().await;
    applied(&back, last).await;
    assert_eq!(value(&back.stale().state), Some(49));
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(49));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_killed_and_restarted_at_once_lose_nothing_acknowledged() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let group_id = managers[0].handle().group_id().unwrap();
    propose(&managers[0].handle(), bootstrap(group_id)).await;
    let mut n = 0;
    for _ in 0..4 {
        let leads = leader(&managers).await;
        for _ in 0..10 {
            n += 1;
            propose(&managers[leads].handle(), write(n)).await;
        }
        managers[leads].crash().await;
        managers[leads].start().await;
        let view = managers[leads].handle().linearizable(soon()).await.unwrap();
        assert_eq!(value(&view.state), Some(n));
    }
    for manager in &mut managers {
        manager.crash().await;
    }
    for manager in &mut managers {
        manager.start().await;
    }
    for manager in &managers {
        let view = manager.handle().linearizable(soon()).await.unwrap();
        assert_eq!(value(&view.state), Some(n));
        assert_eq!(view.state.meta().group_id, Some(group_id));
    }
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_far_behind_gets_a_snapshot() {
    let often = SnapshotSettings {
        every_bytes: 1,
        every: Duration::from_secs(3600),
        keep_entries: 5,
        look_every: Duration::from_millis(100),
    };
    let mut managers = group(3, often).await;
    let leads = leader(&managers).await;
    let behind = (leads + 1) % 3;
    let group_id = managers[leads].handle().group_id().unwrap();
    let seen = propose(&managers[leads].handle(), bootstrap(group_id)).await;
    managers[behind].crash().await;
    // A leader keeps what it is sending to a member that is away, so the other follower purges first, and leads.
    let other = managers[(leads + 2) % 3].handle();
    let until = Instant::now() + PATIENCE;
    let mut n = 0;
    while other.status().purged <= Some(seen.index) {
        n += 1;
        propose(&managers[leads].handle(), write(n)).await;
        assert!(
            Instant::now() < until,
            "the log is purged: {:?}",
            other.status()
        );
    }
    let id = other.identity().manager_id;
    other.transfer_leadership(id).await.unwrap();
    let handle = other;
    let last = propose(&handle, write(n + 1)).await;
    let back = managers[behind].start().await;
    applied(&back, last.index).await;
    assert_eq!(value(&back.stale().state), Some(n + 1));
    // Raft's own figures follow the state by a moment.
    while back.status().snapshot <= Some(seen.index) {
        assert!(Instant::now() < until, "it got a snapshot");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What was installed is on disk as well.
    managers[behind].crash().await;
    let back = managers[behind].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(n + 1));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_state_is_rebuilt_from_snapshot_and_log() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    propose(&handle, write(1)).await;
    handle.snapshot().await.unwrap();
    let until = Instant::now() + PATIENCE;
    while handle.status().snapshot.is_none() {
        assert!(Instant::now() < until, "a snapshot is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    propose(&handle, write(2)).await;
    manager.crash().await;
    for entry in std::fs::read_dir(manager.data_dir().join("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = std::fs::metadata(&path).unwrap().len() as usize;
            std::fs::write(&path, vec![0xa5; length]).unwrap();
        }
    }
    let handle = manager.start().await;
    let view = handle.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(2));
    manager.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_joins_a_group_of_one_and_the_group_survives_on_both() {
    let mut first = Manager::new().await;
    let handle = first.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let mut second = Manager::new().await;
    let joining = second.start().await;
    let peers = [first.address.clone(), second.address.clone()];
    tokio::time::timeout(PATIENCE, joining.form(&peers, 1))
        .await
        .expect("it joins")
        .unwrap();
    assert_eq!(joining.group_id(), handle.group_id());
    propose(&joining, write(1)).await;
    let view = handle.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1));
    let id = joining.identity().manager_id;
    handle.promote(id).await.unwrap();
    propose(&joining, write(3)).await;
    handle.remove(id).await.unwrap();
    assert_eq!(handle.status().members.len(), 1);
    second.crash().await;
    propose(&handle, write(2)).await;
    first.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_member_with_its_old_id_is_refused() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let wiped = (leads + 1) % 3;
    let group_id = managers[leads].handle().group_id().unwrap();
    let seen = propose(&managers[leads].handle(), bootstrap(group_id)).await;
    applied(&managers[wiped].handle(), seen.index).await;
    managers[wiped].crash().await;
    let dir = managers[wiped].data_dir();
    let mut identity = krakend_raft::Identity::load_or_create(&dir).unwrap();
    let known = std::fs::read(dir.join("known-managers.json")).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("known-managers.json"), known).unwrap();
    identity.store_id = Uuid::new_v4();
    identity.save(&dir).unwrap();
    let back = managers[wiped].start().await;
    assert_ne!(back.identity().manager_id, identity.manager_id);
    let told = async {
        let way_out =
            |it: &krakend_raft::Alarm| it.message.contains("a wiped manager needs a new id");
        while !back.alarms().iter().any(way_out) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("it is told why it gets nothing");
    propose(&managers[leads].handle(), write(1)).await;
    assert_eq!(back.stale().applied_index, 0, "it gets no entries");
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_fsync_nothing_is_acknowledged_and_the_manager_gives_up() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    manager.fault.fail();
    let error = handle
        .propose(write(1), Instant::now() + Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProposeError::Indeterminate { .. }),
        "{error}"
    );
    let reason = tokio::time::timeout(PATIENCE, handle.fatal())
        .await
        .unwrap();
    assert!(reason.contains("fsync"), "{reason}");
    manager.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_nothing_is_written_and_stale_reads_go_on() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let group_id = managers[leads].handle().group_id().unwrap();
    let seen = propose(&managers[leads].handle(), bootstrap(group_id)).await;
    let left = (leads + 1) % 3;
    applied(&managers[left].handle(), seen.index).await;
    managers[leads].crash().await;
    managers[(leads + 2) % 3].crash().await;
    let handle = managers[left].handle();
    let deadline = Instant::now() + Duration::from_secs(3);
    let error = handle.propose(write(1), deadline).await.unwrap_err();
    assert!(
        matches!(
            error,
            ProposeError::NoLeader | ProposeError::Indeterminate { .. }
        ),
        "{error}"
    );
    handle
        .linearizable(Instant::now() + Duration::from_secs(1))
        .await
        .unwrap_err();
    let view = handle.stale();
    assert_eq!(view.state.meta().group_id, Some(group_id));
    let ages = async {
        while handle.stale().staleness_ms <= view.staleness_ms.max(1000) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ages)
        .await
        .expect("the state's age grows while no leader is heard");
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_form_a_group_are_named() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    let peers = [manager.address.clone()];
    let error = handle.form(&peers, 3).await.unwrap_err();
    assert!(matches!(
        error,
        FormError::PeerCount {
            expect: 3,
            peers: 1
        }
    ));
    manager.crash().await;
}
