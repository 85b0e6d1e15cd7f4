//! Damaged files on one of the managers: it says which, does not vote with them, and comes back through the others.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use krakend_raft::{AlarmKind, GroupHandle, Identity, OpenError, SnapshotSettings};
use support::*;
use uuid::Uuid;

/// Snapshots as soon as anything was written, and hardly any log behind them.
fn often() -> SnapshotSettings {
    SnapshotSettings {
        every_bytes: 1,
        every: Duration::from_secs(3600),
        keep_entries: 5,
        look_every: Duration::from_millis(100),
    }
}

async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let end = Instant::now() + 2 * PATIENCE;
    while !seen() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    found.sort();
    found
}

fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let at = content.len() / 2;
    content[at] ^= 8;
    fs::write(path, content).unwrap();
}

fn ruin(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::write(&path, vec![0xa5; length]).unwrap();
        }
    }
}

/// Waits until a manager has written down who else is there.
async fn knows_the_others(manager: &Manager) {
    let path = manager.data_dir().join("known-managers.json");
    until("it writes down the other managers", || {
        fs::read_to_string(&path).is_ok_and(|it| it.matches("raft_address").count() == 3)
    })
    .await;
}

async fn three(snapshots: SnapshotSettings) -> (Vec<Manager>, usize) {
    let managers = group(3, snapshots).await;
    let leads = leader(&managers).await;
    let group_id = managers[leads].handle().group_id().unwrap();
    propose(&managers[leads].handle(), bootstrap(group_id)).await;
    for manager in &managers {
        knows_the_others(manager).await;
    }
    (managers, leads)
}

fn voters(handle: &GroupHandle) -> Vec<Uuid> {
    let members = handle.status().members;
    let voters = members.into_iter().filter(|it| it.voter);
    voters.map(|it| it.id).collect()
}

fn says(handle: &GroupHandle, kind: AlarmKind) -> Option<String> {
    let alarms = handle.alarms();
    let alarm = alarms.into_iter().find(|it| it.kind == kind);
    alarm.map(|it| it.message)
}

/// The one that was damaged has its place again, under another id.
async fn has_its_place(managers: &[Manager], damaged: usize, old: Uuid) {
    let back = managers[damaged].handle();
    let new = back.identity().manager_id;
    assert_ne!(new, old);
    let other = managers[(damaged + 1) % 3].handle();
    until("the ids are exchanged", || {
        let voters = voters(&other);
        voters.len() == 3 && voters.contains(&new) && !voters.contains(&old)
    })
    .await;
    until("it forgets its old id", || {
        back.identity().replaces.is_empty() && says(&back, AlarmKind::TakingOldPlace).is_none()
    })
    .await;
    assert_eq!(other.status().members.len(), 3);
}

async fn heals_after(damage: impl Fn(&Path), damages_leader: bool) {
    let (mut managers, leads) = three(SnapshotSettings::default()).await;
    let damaged = if damages_leader {
        leads
    } else {
        (leads + 1) % 3
    };
    let seen = propose(&managers[leads].handle(), write(1)).await;
    applied(&managers[damaged].handle(), seen.index).await;
    let old = managers[damaged].handle().identity().manager_id;
    managers[damaged].crash().await;
    damage(&managers[damaged].data_dir());
    let back = managers[damaged].start().await;
    assert_eq!(
        back.identity().replaces.first().map(|it| it.manager_id),
        Some(old)
    );
    assert_eq!(value(&back.stale().state), None, "nothing of it is served");
    // As the manager does after each start.
    tokio::time::timeout(2 * PATIENCE, back.form(&[], 1))
        .await
        .expect("the group lets it in")
        .unwrap();
    has_its_place(&managers, damaged, old).await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1));
    until("the files that were set aside are an alarm", || {
        says(&back, AlarmKind::DamagedFiles).is_some()
    })
    .await;
    // It counts as a voter: with it, one of the others may go.
    let other = (damaged + 1) % 3;
    managers[other].crash().await;
    // The one that went may have led: then it is not known at first whether this was written.
    let end = soon();
    while let Err(error) = back.propose(write(2), end).await {
        assert!(Instant::now() < end, "{error}");
    }
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_a_flipped_bit_in_its_log_takes_its_place_under_a_new_id() {
    heals_after(|dir| flip(&files(&dir.join("log/wal"), "wal")[0]), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_a_truncated_log_takes_its_place_under_a_new_id() {
    let truncate = |dir: &Path| {
        let path = files(&dir.join("log/wal"), "wal").pop().unwrap();
        let content = fs::read(&path).unwrap();
        fs::write(&path, &content[..content.len() / 2]).unwrap();
    };
    heals_after(truncate, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_whose_log_was_deleted_does_not_vote_under_its_old_id() {
    heals_after(|dir| fs::remove_dir_all(dir.join("log")).unwrap(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_given_only_when_a_majority_of_the_others_is_there() {
    let (mut managers, leads) = three(SnapshotSettings::default()).await;
    let (damaged, away) = ((leads + 1) % 3, (leads + 2) % 3);
    let old = managers[damaged].handle().identity().manager_id;
    managers[damaged].crash().await;
    managers[away].crash().await;
    flip(&files(&managers[damaged].data_dir().join("log/wal"), "wal")[0]);
    let back = managers[damaged].start().await;
    until("it says what it waits for", || {
        says(&back, AlarmKind::TakingOldPlace).is_some_and(|it| it.contains(&old.to_string()))
    })
    .await;
    assert_eq!(voters(&managers[leads].handle()).len(), 3);
    assert!(voters(&managers[leads].handle()).contains(&old));
    // A crash in between changes nothing.
    let new = back.identity().manager_id;
    managers[damaged].crash().await;
    let back = managers[damaged].start().await;
    assert_eq!(back.identity().manager_id, new);
    managers[away].start().await;
    has_its_place(&managers, damaged, old).await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_alone_with_a_damaged_log_changes_nothing_and_says_what_to_do() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    manager.crash().await;
    let path = files(&manager.data_dir().join("log/wal"), "wal").remove(0);
    flip(&path);
    let damaged = fs::read(&path).unwrap();
    for _ in 0..2 {
        let error = manager.try_start().await.unwrap_err();
        assert!(matches!(error, OpenError::DamagedAlone(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("record"), "{text}");
        assert!(text.contains("restore a backup"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

/// A manager whose log was purged, stopped.
async fn purged() -> (Vec<Manager>, usize, u64) {
    let (mut managers, leads) = three(often()).await;
    let target = (leads + 1) % 3;
    let handle = managers[target].handle();
    let mut n = 0;
    while handle.status().purged.is_none() {
        n += 1;
        assert!(n < 10_000, "the log is purged");
        propose(&managers[leads].handle(), write(n)).await;
    }
    managers[target].crash().await;
    (managers, target, n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_state_and_snapshot_it_keeps_its_id_and_fetches_a_snapshot() {
    let (mut managers, target, n) = purged().await;
    let dir = managers[target].data_dir();
    let before = Identity::load_or_create(&dir).unwrap();
    ruin(&dir.join("state"));
    for snapshot in files(&dir.join("snapshots"), "snapshot") {
        flip(&snapshot);
    }
    let back = managers[target].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(n));
    assert_eq!(back.identity(), before);
    until("the damaged snapshots are an alarm", || {
        says(&back, AlarmKind::DamagedFiles).is_some_and(|it| it.contains(".snapshot.damaged"))
    })
    .await;
    for file in files(&dir.join("snapshots"), "damaged") {
        fs::remove_file(file).unwrap();
    }
    until("and over when they are deleted", || {
        says(&back, AlarmKind::DamagedFiles).is_none()
    })
    .await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_beside_a_good_state_is_written_anew() {
    let (mut managers, target, n) = purged().await;
    let dir = managers[target].data_dir().join("snapshots");
    let damaged = files(&dir, "snapshot");
    damaged.iter().for_each(|it| flip(it));
    let back = managers[target].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(n));
    assert_eq!(files(&dir, "damaged").len(), damaged.len());
    until("it has a snapshot again", || {
        !files(&dir, "snapshot").is_empty()
    })
    .await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_damaged_while_its_manager_runs_is_not_given_away() {
    let (mut managers, target, n) = purged().await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    // Everything that the stopped one needs is purged here, too.
    let behind = managers[target].dir.path().join("data");
    let last = Identity::load_or_create(&behind).unwrap();
    assert_eq!(last.group_id, handle.group_id());
    let reached = handle.status().last_log_index;
    let mut m = n;
    while handle.status().purged <= reached {
        m += 1;
        assert!(m < n + 10_000, "the leader purges: {:?}", handle.status());
        propose(&handle, write(m)).await;
    }
    let dir = managers[leads].data_dir().join("snapshots");
    for snapshot in files(&dir, "snapshot") {
        flip(&snapshot);
    }
    let back = managers[target].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(m));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_bounded_while_a_manager_is_away() {
    let (mut managers, leads) = three(often()).await;
    let away = (leads + 1) % 3;
    managers[away].crash().await;
    let handle = managers[leads].handle();
    let mut n = 0;
    for round in 1..=3 {
        let reached = handle.status().last_log_index;
        let begun = n;
        while handle.status().purged <= reached {
            n += 1;
            let status = handle.status();
            assert!(
                n < begun + 5_000,
                "round {round}: the leader purges: {status:?}"
            );
            propose(&handle, write(n)).await;
        }
    }
    let back = managers[away].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(n));
    stop_all(managers).await;
}
