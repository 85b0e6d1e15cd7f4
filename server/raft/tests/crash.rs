//! A crash at every place where something is written: nothing acknowledged is lost, and the state is what a replay
//! of snapshot and log gives.
//!
//! The process that dies is this test program itself, started a second time. It writes and notes what was
//! acknowledged; the first opens what is left.

mod support;

use std::{
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use krakend_raft::{SnapshotSettings, failpoint};
use support::*;

const DIR: &str = "CRASH_TEST_DIR";
const PLACE: &str = "CRASH_TEST_PLACE";
const NTH: &str = "CRASH_TEST_NTH";
const SIGABRT: i32 = 6;
/// More writes than any failpoint lets through.
const WRITES: u64 = 3_000;

fn often() -> SnapshotSettings {
    SnapshotSettings {
        every_bytes: 1,
        every: Duration::from_secs(3600),
        keep_entries: 5,
        look_every: Duration::from_millis(100),
    }
}

fn installs(place: &str) -> bool {
    place.starts_with("install")
}

/// The first and a later time; some places are come to only once or twice in a short run.
fn times(place: &str) -> &'static [u64] {
    match place {
        "log-append" | "log-appended" | "log-synced" | "apply" | "applied" => &[1, 40],
        "state-write" | "state-written" => &[1, 4],
        _ => &[1],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_anywhere_loses_nothing_that_was_acknowledged() {
    for place in failpoint::PLACES {
        for nth in times(place) {
            let dir = tempfile::tempdir().unwrap();
            die_at(dir.path(), place, *nth);
            let acknowledged = acknowledged(dir.path());
            println!("{place}, time {nth}: {acknowledged:?} was acknowledged");
            if installs(place) {
                three_come_back(dir.path(), place, acknowledged).await;
            } else {
                one_comes_back(dir.path(), place, acknowledged).await;
            }
        }
    }
}

fn die_at(dir: &Path, place: &str, nth: u64) {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_process_that_dies",
            "--ignored",
            "--nocapture",
        ])
        .env(DIR, dir)
        .env(PLACE, place)
        .env(NTH, nth.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        ended.signal(),
        Some(SIGABRT),
        "{place} was not come to: {ended}"
    );
}

fn acknowledged(dir: &Path) -> Option<u64> {
    let text = fs::read_to_string(dir.join("acknowledged")).unwrap_or_default();
    text.lines().last().map(|line| line.parse().unwrap())
}

/// Not a test: what [`die_at`] starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test in this file"]
async fn the_process_that_dies() {
    let dir = std::path::PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    let place = std::env::var(PLACE).unwrap();
    failpoint::arm(&place, std::env::var(NTH).unwrap().parse().unwrap());
    let count = if installs(&place) { 3 } else { 1 };
    let mut managers = group_in(&dir, count, often()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let away = (leads + 1) % count;
    if count == 3 {
        managers[away].crash().await;
    }
    let mut notes = fs::File::create(dir.join("acknowledged")).unwrap();
    for n in 1..=WRITES {
        propose(&handle, write(n)).await;
        writeln!(notes, "{n}").unwrap();
        if count == 3 && handle.status().purged > Some(20) {
            managers[away].start().await;
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

async fn one_comes_back(dir: &Path, place: &str, acknowledged: Option<u64>) {
    let mut manager = Manager::in_dir(&dir.join("0")).await;
    manager.snapshots = often();
    let handle = manager.start().await;
    // A crash before the group was formed is made good by the next start.
    tokio::time::timeout(PATIENCE, handle.form(&[], 1))
        .await
        .unwrap_or_else(|_| panic!("{place}: the group is formed"))
        .unwrap();
    let view = handle.linearizable(soon()).await.unwrap();
    let found = value(&view.state);
    assert!(
        found >= acknowledged,
        "{place}: {found:?} of {acknowledged:?}"
    );
    manager.crash().await;
    fs::remove_dir_all(dir.join("0/data/state")).unwrap();
    let handle = manager.start().await;
    let replayed = handle.linearizable(soon()).await.unwrap();
    let (stored, replayed): (Vec<_>, Vec<_>) = (
        view.state.records().collect(),
        replayed.state.records().collect(),
    );
    assert_eq!(
        stored, replayed,
        "{place}: the state is what a replay gives"
    );
    let next = found.unwrap_or(0) + 1;
    if view.state.meta().group_id.is_none() {
        propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    }
    propose(&handle, write(next)).await;
    assert_eq!(value(&handle.stale().state), Some(next));
    manager.crash().await;
}

async fn three_come_back(dir: &Path, place: &str, acknowledged: Option<u64>) {
    let mut managers = Vec::new();
    for n in 0..3 {
        let mut manager = Manager::in_dir(&dir.join(n.to_string())).await;
        manager.snapshots = often();
        manager.start().await;
        managers.push(manager);
    }
    leader(&managers).await;
    let mut states = Vec::new();
    for manager in &managers {
        let view = manager.handle().linearizable(soon()).await.unwrap();
        let found = value(&view.state);
        assert!(
            found >= acknowledged,
            "{place}: {found:?} of {acknowledged:?}"
        );
        states.push(view.state.records().collect::<Vec<_>>());
    }
    assert!(states.iter().all(|it| *it == states[0]), "{place}");
    stop_all(managers).await;
}
