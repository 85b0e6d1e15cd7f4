//! Backup, restore, and the recovery of a lost quorum, on real data directories.

mod support;

use std::{fs, path::Path};

use krakend_domain::EventKind;
use krakend_raft::{
    BackupContents, FormError, GroupHandle, ManagerNode, OfflineError, RestoreOrder,
    SnapshotSettings, read_backup, recover, restore, survey,
};
use support::*;
use uuid::Uuid;

/// A group that has begun and holds `writes` writes.
async fn begun(count: usize, writes: u64) -> Vec<Manager> {
    let managers = group(count, SnapshotSettings::default()).await;
    let handle = managers[0].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    for n in 1..=writes {
        propose(&handle, write(n)).await;
    }
    managers
}

fn back_up(handle: &GroupHandle, file: &Path) -> BackupContents {
    let frozen = handle.frozen();
    let meta = frozen.meta().expect("a group that has begun");
    let (content, written) = frozen.write(Vec::new(), &meta).unwrap();
    fs::write(file, &content).unwrap();
    let read = read_backup(file).unwrap();
    assert_eq!((read.bytes, read.sha256), (written.bytes, written.sha256));
    assert_eq!(read.meta, meta);
    read
}

fn order(manager: &Manager, epoch: Option<u64>) -> RestoreOrder {
    RestoreOrder {
        node: ManagerNode {
            name: "restored".into(),
            raft_address: manager.address.clone(),
            ..ManagerNode::default()
        },
        epoch,
        now_ms: clock(),
    }
}

/// Everything that a new epoch must leave as it was.
fn kept(state: &krakend_domain::ClusterState) -> (Vec<Uuid>, u64, usize) {
    let tokens = state.tokens().map(|token| token.id).collect();
    (tokens, state.meta().generation, state.fleets().count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_becomes_a_group_of_one_that_another_manager_can_join() {
    let managers = begun(1, 20).await;
    let old = managers[0].handle().group_id();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.backup");
    let contents = back_up(&managers[0].handle(), &file);
    let (before, index) = (kept(&contents.state), contents.meta.index);
    assert!(contents.kinds["tokens"].count == 1 && contents.kinds["tokens"].bytes > 0);
    stop_all(managers).await;

    let mut first = Manager::new().await;
    let data_dir = first.data_dir();
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("group-secret"), "stays").unwrap();
    let low = restore(contents.clone(), &file, &data_dir, order(&first, Some(1))).await;
    assert!(matches!(low, Err(OfflineError::Rejected(_))), "{low:?}");
    let founded = restore(contents, &file, &data_dir, order(&first, None))
        .await
        .unwrap();
    assert_eq!((founded.epoch, founded.index), (2, index + 1));
    assert_eq!(
        (Some(founded.former_group_id), founded.archive),
        (old, None)
    );
    let handle = first.start().await;
    assert_eq!(handle.group_id(), Some(founded.group_id));
    let peers = [first.address.clone()];
    handle.form(&peers, 1).await.unwrap();
    let written = propose(&handle, write(21)).await;
    assert!(written.index > index + 1);
    let state = handle.linearizable(soon()).await.unwrap().state;
    assert_eq!(kept(&state), before);
    assert_eq!(state.meta().group_id, Some(founded.group_id));
    let restored = state
        .events()
        .find(|it| it.kind == EventKind::GroupRestored);
    let message = &restored.expect("an event").message;
    assert!(message.contains("one.backup") && message.contains(&format!("index {index}")));

    let mut second = Manager::new().await;
    let joined = second.start().await;
    let peers = [first.address.clone(), second.address.clone()];
    tokio::time::timeout(PATIENCE, joined.form(&peers, 2))
        .await
        .expect("the second joins")
        .unwrap();
    applied(&joined, written.index).await;
    assert_eq!(value(&joined.stale().state), Some(21));
    stop_all(vec![first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_indexes_give_equal_backups_on_every_manager() {
    let managers = begun(3, 5).await;
    let dir = tempfile::tempdir().unwrap();
    let index = managers[0].handle().linearizable(soon()).await.unwrap();
    let mut files = Vec::new();
    for (at, manager) in managers.iter().enumerate() {
        applied(&manager.handle(), index.applied_index).await;
        let file = dir.path().join(at.to_string());
        back_up(&manager.handle(), &file);
        files.push(fs::read(file).unwrap());
    }
    assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_lost_its_quorum_recovers_alone_with_everything_in_its_log() {
    let mut managers = begun(3, 30).await;
    let old = managers[0].handle().group_id().unwrap();
    let last = propose(&managers[0].handle(), write(31)).await.index;
    for manager in &managers {
        applied(&manager.handle(), last).await;
    }
    let in_use = survey(&managers[2].data_dir()).await.unwrap_err();
    assert!(matches!(in_use, OfflineError::Lock(_)), "{in_use}");
    for manager in &mut managers {
        manager.crash().await;
    }
    let data_dir = managers[2].data_dir();
    let identity = fs::read(data_dir.join("identity.json")).unwrap();
    let surveyed = survey(&data_dir).await.unwrap();
    assert_eq!(surveyed.group_id, old);
    assert!(surveyed.last_index >= last);
    assert_eq!(surveyed.dropped().count(), 2);
    assert_eq!(value(&surveyed.state), Some(31));
    let other = recover(&data_dir, Uuid::from_u128(9), clock()).await;
    assert!(matches!(other, Err(OfflineError::OtherGroup { .. })));
    let after = fs::read(data_dir.join("identity.json")).unwrap();
    assert_eq!(after, identity, "a refused recovery changes nothing");

    let founded = recover(&data_dir, old, clock()).await.unwrap();
    assert_eq!((founded.epoch, founded.former_group_id), (2, old));
    let archive = founded.archive.expect("the old content is kept");
    assert!(archive.join("log").is_dir() && archive.join("identity.json").is_file());
    let alone = managers[2].start().await;
    let peers: Vec<String> = managers.iter().map(|it| it.address.clone()).collect();
    alone.form(&peers, 3).await.unwrap();
    propose(&alone, write(32)).await;
    let state = alone.linearizable(soon()).await.unwrap().state;
    assert_eq!(value(&state), Some(32));
    assert!(
        state
            .events()
            .any(|it| it.kind == EventKind::GroupRecovered)
    );
    assert_eq!(alone.status().members.len(), 1);

    old_members_are_refused_by_name(&mut managers, &peers, founded.group_id).await;
    stop_all(managers).await;
}

/// The two that had been lost come back with their old directories: neither takes part, nor do both together.
async fn old_members_are_refused_by_name(managers: &mut [Manager], peers: &[String], new: Uuid) {
    for manager in managers.iter_mut().take(2) {
        let back = manager.start().await;
        let refused = back.form(peers, 3).await.unwrap_err();
        let FormError::OtherGroup { theirs, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(*theirs, new);
    }
    let alone = managers[2].handle();
    let written = propose(&alone, write(33)).await;
    applied(&alone, written.index).await;
    assert_eq!(alone.status().members.len(), 1);
    for manager in &managers[..2] {
        assert_eq!(value(&manager.handle().stale().state), Some(31));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_in_use_or_in_a_group_takes_no_backup() {
    let mut managers = begun(1, 3).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.backup");
    let contents = back_up(&managers[0].handle(), &file);
    let data_dir = managers[0].data_dir();
    let order = order(&managers[0], None);
    for running in [true, false] {
        if !running {
            managers[0].crash().await;
        }
        let refused = restore(contents.clone(), &file, &data_dir, order.clone()).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, OfflineError::NotEmpty { .. }),
            "{refused}"
        );
    }
    managers[0].start().await;
    assert_eq!(value(&managers[0].handle().stale().state), Some(3));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_without_a_group_has_nothing_to_recover() {
    let dir = tempfile::tempdir().unwrap();
    let missing = survey(&dir.path().join("none")).await.unwrap_err();
    assert!(
        matches!(missing, OfflineError::NoDirectory { .. }),
        "{missing}"
    );
    let empty = survey(dir.path()).await.unwrap_err();
    assert!(matches!(empty, OfflineError::NoGroup { .. }), "{empty}");
    let mut fresh = Manager::new().await;
    fresh.start().await;
    fresh.crash().await;
    let fresh = survey(&fresh.data_dir()).await.unwrap_err();
    assert!(matches!(fresh, OfflineError::NoGroup { .. }), "{fresh}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_recovers_from_its_snapshot_and_the_log_behind_it_more_than_once() {
    let mut managers = begun(1, 10).await;
    let handle = managers[0].handle();
    handle.snapshot().await.unwrap();
    let until = soon();
    while handle.status().snapshot.is_none() {
        assert!(std::time::Instant::now() < until, "no snapshot was written");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    propose(&handle, write(11)).await;
    let data_dir = managers[0].data_dir();
    for round in 1..=2u64 {
        let group_id = managers[0].handle().group_id().unwrap();
        managers[0].crash().await;
        let founded = recover(&data_dir, group_id, clock()).await.unwrap();
        assert_eq!(founded.epoch, round + 1);
        let handle = managers[0].start().await;
        propose(&handle, write(100 + round)).await;
        let state = handle.linearizable(soon()).await.unwrap().state;
        assert_eq!(value(&state), Some(100 + round));
        assert_eq!(state.lineage().count() as u64, round);
    }
    stop_all(managers).await;
}
