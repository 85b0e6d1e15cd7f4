//! A disk that is nearly full, and one that does not answer.

mod support;

use std::{
    fs,
    path::Path,
    process::Command as Program,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use krakend_domain::Command;
use krakend_raft::{
    AlarmKind, DiskSettings, DiskSpace, GroupHandle, ProposeError, SnapshotSettings,
};
use support::*;

const MIB: u64 = 1024 * 1024;

async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !seen() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut seen: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = seen().await {
            return seen;
        }
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_low(handle: &GroupHandle) -> bool {
    let alarms = handle.alarms();
    alarms.iter().any(|it| it.kind == AlarmKind::DiskLow)
}

/// A disk of 1 GiB whose available bytes the test decides.
fn disk(available: &Arc<AtomicU64>) -> DiskSettings {
    let available = available.clone();
    DiskSettings {
        reserve_bytes: Some(100 * MIB),
        look_every: Duration::from_millis(20),
        probe: Arc::new(move |_: &Path| {
            Ok(DiskSpace {
                total: 1024 * MIB,
                available: available.load(Ordering::SeqCst),
            })
        }),
        ..DiskSettings::default()
    }
}

fn fleet() -> Command {
    fleet_named("second")
}

fn fleet_named(name: &str) -> Command {
    Command::CreateFleet {
        name: name.parse().unwrap(),
        by: "test".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_reserve_only_what_keeps_the_group_alive_is_written() {
    let available = Arc::new(AtomicU64::new(500 * MIB));
    let mut manager = Manager::new().await;
    manager.disk = disk(&available);
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    let group_id = handle.group_id().unwrap();
    propose(&handle, bootstrap(group_id)).await;
    let reserve = manager.data_dir().join("reserve");
    until("room is taken beforehand", || reserve.exists()).await;
    available.store(99 * MIB, Ordering::SeqCst);
    until("an alarm is raised", || is_low(&handle)).await;
    let error = handle.propose(fleet(), soon()).await.unwrap_err();
    assert!(matches!(error, ProposeError::ReadOnly { .. }), "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    propose(&handle, Command::Tick).await;
    propose(&handle, write(1)).await;
    let view = handle.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1), "reads go on");
    assert!(reserve.exists());
    available.store(MIB, Ordering::SeqCst);
    until("the room that was taken is given back", || {
        !reserve.exists()
    })
    .await;
    available.store(105 * MIB, Ordering::SeqCst);
    until("the alarm says how much room there is", || {
        let alarms = handle.alarms();
        alarms.iter().any(|it| it.message.starts_with("105 MiB"))
    })
    .await;
    let error = handle.propose(fleet(), soon()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("read-only"),
        "a little more room is not enough: {text}"
    );
    available.store(500 * MIB, Ordering::SeqCst);
    until("the alarm is over by itself", || !is_low(&handle)).await;
    propose(&handle, fleet()).await;
    until("room is taken again", || reserve.exists()).await;
    manager.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_follower_without_room_stops_nobody_and_a_majority_without_room_does() {
    let disks = Arc::new(Mutex::new(Vec::new()));
    let managers = group_with(3, |manager| {
        let available = Arc::new(AtomicU64::new(500 * MIB));
        manager.disk = disk(&available);
        disks.lock().unwrap().push(available);
    })
    .await;
    let disks = std::mem::take(&mut *disks.lock().unwrap());
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let (one, other) = ((leads + 1) % 3, (leads + 2) % 3);
    disks[one].store(MIB, Ordering::SeqCst);
    until("the follower's own alarm", || {
        is_low(&managers[one].handle())
    })
    .await;
    propose(&handle, fleet_named("third")).await;
    disks[other].store(MIB, Ordering::SeqCst);
    let refused = eventually("the leader refuses", || async {
        let error = handle.propose(fleet(), soon()).await.err();
        error.filter(|it| matches!(it, ProposeError::ReadOnly { .. }))
    })
    .await;
    let text = refused.to_string();
    for low in [one, other] {
        let name = format!("manager-{}", managers[low].address);
        assert!(text.contains(&name), "{name} is not in: {text}");
    }
    propose(&handle, Command::Tick).await;
    disks[one].store(500 * MIB, Ordering::SeqCst);
    eventually("the leader takes writes again", || async {
        handle.propose(fleet_named("fourth"), soon()).await.ok()
    })
    .await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_does_not_answer_hands_over_and_stops() {
    let mut managers = Vec::new();
    for _ in 0..3 {
        let mut manager = Manager::new().await;
        manager.disk.stall_after = Duration::from_secs(2);
        manager.disk.look_every = Duration::from_millis(50);
        managers.push(manager);
    }
    let mut managers = formed(managers).await;
    let leads = leader(&managers).await;
    let stalled = managers[leads].handle();
    propose(&stalled, bootstrap(stalled.group_id().unwrap())).await;
    managers[leads].fault.stall(true);
    let me = stalled.identity().manager_id;
    // The write makes an fsync; whether it is acknowledged does not matter here.
    let writing = tokio::spawn({
        let stalled = stalled.clone();
        async move { drop(stalled.propose(write(1), soon()).await) }
    });
    let reason = tokio::time::timeout(PATIENCE, stalled.fatal())
        .await
        .expect("it says that it has to stop");
    assert!(reason.contains("has not answered an fsync"), "{reason}");
    let other = managers[(leads + 1) % 3].handle();
    until("another manager leads", || {
        other.stale().leader.is_some_and(|it| it != me)
    })
    .await;
    propose(&other, write(2)).await;
    managers[leads].fault.stall(false);
    managers[leads].crash().await;
    writing.abort();
    let back = managers[leads].start().await;
    let view = back.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(2));
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_room_and_an_answering_disk_raises_no_alarm() {
    let managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    for manager in &managers {
        let alarms = manager.handle().alarms();
        assert!(alarms.is_empty(), "{alarms:?}");
    }
    stop_all(managers).await;
}

/// A small file system of its own, for as long as this lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(mebibytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Program::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status();
        mounted.is_ok_and(|it| it.success()).then(|| Self(dir))
    }

    /// Leaves next to nothing to anybody else. In one step, so that it does not take what is given up meanwhile.
    fn fill(&self) {
        let available = DiskSpace::of(self.0.path()).unwrap().available;
        let filled = Program::new("fallocate")
            .arg("-l")
            .arg((available - MIB / 2).to_string())
            .arg(self.0.path().join("ballast"))
            .status();
        assert!(filled.unwrap().success());
    }

    fn make_room(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_have_filled_leaves_room_for_what_must_be_written() {
    let Some(disk) = SmallDisk::mount(32) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    let mut manager = Manager::in_dir(disk.0.path()).await;
    manager.disk.reserve_bytes = Some(8 * MIB);
    manager.disk.look_every = Duration::from_millis(20);
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let reserve = manager.data_dir().join("reserve");
    until("room is taken beforehand", || {
        fs::metadata(&reserve).is_ok_and(|it| it.len() == 2 * MIB)
    })
    .await;
    disk.fill();
    until("the room is given back", || {
        is_low(&handle) && !reserve.exists()
    })
    .await;
    let error = handle.propose(fleet(), soon()).await.unwrap_err();
    assert!(matches!(error, ProposeError::ReadOnly { .. }), "{error}");
    for _ in 0..20 {
        propose(&handle, Command::Tick).await;
    }
    // Also after a restart, which writes a vote.
    manager.crash().await;
    let handle = manager.start().await;
    handle.linearizable(soon()).await.unwrap();
    until("it is low again", || is_low(&handle)).await;
    propose(&handle, Command::Tick).await;
    disk.make_room();
    until("the alarm is over by itself", || !is_low(&handle)).await;
    propose(&handle, fleet()).await;
    manager.crash().await;
}
