//! Backups that the leader writes by itself, each manager into a directory of its own. What came of them is in the
//! state, so every manager can tell, and a new leader goes on where the last one stopped.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, ensure};
use krakend_api as api;
use krakend_domain::{BackupReport, BackupStatus, ClusterState, Command, Millis};
use krakend_raft::{BackupMeta, Frozen};
use krakend_storage::BackupFile;

use crate::{app::App, clock, control::propose, settings::BackupSettings};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const READ_WITHIN: Duration = Duration::from_secs(10);
/// After a failure it is tried again this soon, or sooner where backups are more frequent.
const RETRY_MS: Millis = 60_000;
const PREFIX: &str = "krakend-";
const SUFFIX: &str = ".backup";
/// What a crash left half written is removed when it is this old; a younger one may be somebody's at work.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// `krakend-<time of the newest entry>-<index>.backup`: in the order of their names they are in the order of time.
pub fn file_name(meta: &BackupMeta) -> String {
    let time: String = clock::rfc3339(meta.time_ms)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{PREFIX}{time}-{:020}{SUFFIX}", meta.index)
}

/// Writes backups whenever this manager leads and one is due.
pub async fn run(app: App) -> anyhow::Result<()> {
    let Some(settings) = app.settings.backups.clone() else {
        app.stop.cancelled().await;
        return Ok(());
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
        if !app.group.leadership().borrow().is_me {
            continue;
        }
        let state = app.group.stale().state;
        let now_ms = clock::now_ms().max(state.meta().time_ms);
        if state.meta().group_id.is_some() && is_due(state.backup(), &settings, now_ms) {
            back_up(&app, &settings).await;
        }
    }
}

fn is_due(status: &BackupStatus, settings: &BackupSettings, now_ms: Millis) -> bool {
    let after = |at_ms: Millis, pause_ms: Millis| now_ms >= at_ms.saturating_add(pause_ms);
    match (&status.failing, &status.last) {
        (Some(failing), _) => after(failing.last_ms, settings.every_ms.min(RETRY_MS)),
        (None, Some(last)) => after(last.at_ms, settings.every_ms),
        (None, None) => true,
    }
}

async fn back_up(app: &App, settings: &BackupSettings) {
    let manager_id = app.group.identity().manager_id;
    let report = match write(app, settings).await {
        Ok((meta, bytes)) => {
            let file = file_name(&meta);
            tracing::info!(
                "wrote the backup {file}, {bytes} bytes, index {}",
                meta.index
            );
            BackupReport::Saved {
                manager_id,
                file,
                index: meta.index,
                bytes,
            }
        }
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::warn!(
                "no backup was written to {}: {reason}",
                settings.dir.display()
            );
            BackupReport::Failed { manager_id, reason }
        }
    };
    if let Err(error) = propose(app, Command::ReportBackup(report)).await {
        tracing::warn!("what came of the backup is not in the state: {error}");
    }
}

async fn write(app: &App, settings: &BackupSettings) -> anyhow::Result<(BackupMeta, u64)> {
    // A leader that was deposed unnoticed must not write what is old.
    app.group
        .linearizable(Instant::now() + READ_WITHIN)
        .await
        .context("reading the state")?;
    let frozen = app.group.frozen();
    let (dir, keep) = (settings.dir.clone(), settings.keep);
    tokio::task::spawn_blocking(move || write_file(&dir, &frozen, keep)).await?
}

fn write_file(dir: &Path, frozen: &Frozen, keep: usize) -> anyhow::Result<(BackupMeta, u64)> {
    ensure!(
        dir.is_dir(),
        "{} is no directory: make it, or mount what belongs there",
        dir.display()
    );
    let meta = frozen.meta().context("the group has not begun")?;
    remove_abandoned(dir)?;
    // The same index has the same content, so replacing it changes nothing.
    let file = BackupFile::create(&dir.join(file_name(&meta)), true)?;
    let (out, written) = frozen
        .write(std::io::BufWriter::new(file), &meta)
        .context("writing the backup")?;
    let file = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .context("writing the backup")?;
    file.publish(true)?;
    remove_oldest(dir, keep)?;
    Ok((meta, written.bytes))
}

/// Names of the backups in `dir`, oldest first. Other files are not ours.
fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn remove_oldest(dir: &Path, keep: usize) -> anyhow::Result<()> {
    let names = names(dir).with_context(|| format!("listing {}", dir.display()))?;
    let surplus = names.len().saturating_sub(keep);
    for name in &names[..surplus] {
        fs::remove_file(dir.join(name))
            .with_context(|| format!("removing the old backup {name}"))?;
    }
    Ok(())
}

fn remove_abandoned(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let part = name.starts_with(PREFIX) && name.ends_with(".part");
        let changed = entry.metadata().and_then(|it| it.modified());
        let age = changed
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if part && age.is_some_and(|age| age > ABANDONED_AFTER) {
            fs::remove_file(entry.path()).with_context(|| format!("removing {name}"))?;
        }
    }
    Ok(())
}

/// The newest scheduled backup, for the status.
pub fn last(state: &ClusterState) -> Option<api::LastBackup> {
    let last = state.backup().last.as_ref()?;
    let manager = state.manager(last.manager_id);
    Some(api::LastBackup {
        at: clock::rfc3339(last.at_ms),
        manager: manager.map_or_else(|| last.manager_id.to_string(), |it| it.name.clone()),
        file: last.file.clone(),
        index: last.index,
        bytes: last.bytes,
    })
}

/// Backups that fail or do not come, as this manager's settings expect them.
pub fn alarm(app: &App, state: &ClusterState) -> Option<api::Alarm> {
    alarm_at(
        state.backup(),
        app.settings.backups.as_ref(),
        clock::now_ms().max(state.meta().time_ms),
    )
}

fn alarm_at(
    status: &BackupStatus,
    settings: Option<&BackupSettings>,
    now_ms: Millis,
) -> Option<api::Alarm> {
    if let Some(failing) = &status.failing {
        return Some(api::Alarm {
            kind: "backup-failing".into(),
            message: format!("no backup is written: {}", failing.reason),
            since: clock::rfc3339(failing.since_ms),
        });
    }
    let last = status.last.as_ref()?;
    let due_ms = last.at_ms + settings?.every_ms.saturating_mul(2);
    (now_ms > due_ms.saturating_add(RETRY_MS)).then(|| api::Alarm {
        kind: "backup-overdue".into(),
        message: format!(
            "the newest backup is of {}: set `backup_dir` on every manager, because only the leader writes",
            clock::rfc3339(last.at_ms)
        ),
        since: clock::rfc3339(due_ms),
    })
}

#[cfg(test)]
mod tests {
    use krakend_domain::{FailedBackup, SavedBackup};

    use super::*;

    const HOUR: Millis = 3_600_000;

    fn settings() -> BackupSettings {
        BackupSettings {
            dir: "/b".into(),
            every_ms: HOUR,
            keep: 2,
        }
    }

    fn saved(at_ms: Millis) -> Option<SavedBackup> {
        Some(SavedBackup {
            manager_id: uuid::Uuid::nil(),
            file: "f".into(),
            index: 1,
            bytes: 1,
            at_ms,
        })
    }

    fn failing(last_ms: Millis) -> Option<FailedBackup> {
        Some(FailedBackup {
            manager_id: uuid::Uuid::nil(),
            reason: "no room".into(),
            since_ms: 1,
            last_ms,
        })
    }

    #[test]
    fn a_backup_is_due_at_first_after_its_time_and_soon_after_a_failure() {
        let now = 100 * HOUR;
        for (last, failing, due) in [
            (None, None, true),
            (saved(now - HOUR + 1), None, false),
            (saved(now - HOUR), None, true),
            (saved(now - 9 * HOUR), failing(now - RETRY_MS + 1), false),
            (saved(now - HOUR / 2), failing(now - RETRY_MS), true),
        ] {
            let status = BackupStatus { last, failing };
            assert_eq!(is_due(&status, &settings(), now), due, "{status:?}");
        }
    }

    #[test]
    fn failing_and_missing_backups_raise_an_alarm() {
        let now = 100 * HOUR;
        let kind = |last, failing, settings| {
            let found = alarm_at(&BackupStatus { last, failing }, settings, now);
            found.map(|alarm| alarm.kind)
        };
        let settings = settings();
        assert_eq!(kind(saved(now), None, Some(&settings)), None);
        assert_eq!(kind(saved(0), None, None), None, "none are expected");
        let overdue = kind(saved(now - 3 * HOUR), None, Some(&settings));
        assert_eq!(overdue.as_deref(), Some("backup-overdue"));
        let failed = kind(saved(now), failing(now), None);
        assert_eq!(failed.as_deref(), Some("backup-failing"));
    }

    #[test]
    fn names_are_in_the_order_of_time_and_only_the_newest_of_them_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let meta = |time_ms, index| BackupMeta {
            group_id: uuid::Uuid::nil(),
            epoch: 1,
            generation: 0,
            index,
            term: 1,
            time_ms,
            version: String::new(),
            managers: Vec::new(),
        };
        let names = [(999, 9), (1_000, 10), (1_800_000_000_000, 11)]
            .map(|(time, index)| file_name(&meta(time, index)));
        assert!(names.is_sorted(), "{names:?}");
        for name in names.iter().map(String::as_str).chain(["other.backup"]) {
            fs::write(dir.path().join(name), "").expect("written");
        }
        remove_oldest(dir.path(), 2).expect("removed");
        assert_eq!(super::names(dir.path()).expect("listed"), names[1..]);
        assert!(dir.path().join("other.backup").exists());
    }

    #[test]
    fn a_missing_directory_is_named_and_not_made() {
        let dir = tempfile::tempdir()
            .expect("a directory")
            .path()
            .join("gone");
        let frozen = krakend_raft::Frozen::default();
        let error = write_file(&dir, &frozen, 1).expect_err("refused");
        assert!(error.to_string().contains("gone"), "{error}");
        assert!(!dir.exists());
    }
}
