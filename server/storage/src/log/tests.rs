use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::LogError;

fn position(term: u64, index: u64) -> LogPosition {
    LogPosition { term, index }
}

fn records(term: u64, indexes: std::ops::Range<u64>) -> Vec<LogRecord> {
    indexes
        .map(|index| LogRecord {
            position: position(term, index),
            bytes: Bytes::from(format!("entry {index}").into_bytes()),
        })
        .collect()
}

fn vote(term: u64) -> VoteRecord {
    VoteRecord {
        term,
        committed: true,
        bytes: vec![term as u8; 17],
    }
}

async fn append(log: &LogStore, records: Vec<LogRecord>) -> std::io::Result<()> {
    let (sender, receiver) = oneshot::channel();
    log.append(records, |result| drop(sender.send(result)))
        .await?;
    receiver.await.expect("the callback is always called")
}

fn open(dir: &Path) -> Result<LogStore, LogError> {
    LogStore::open(dir, LogSettings::default())
}

fn log_file(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "wal"))
        .unwrap()
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.save_vote(vote(3)).await.unwrap();
    append(&log, records(3, 0..100)).await.unwrap();
    log.save_committed(position(3, 50)).await.unwrap();
    log.truncate_after(Some(position(3, 89))).await.unwrap();
    log.purge(position(3, 9)).await.unwrap();
    log.close().await;
    let log = open(dir.path()).unwrap();
    let summary = log.summary().await.unwrap();
    assert_eq!(summary.last, Some(position(3, 89)));
    assert_eq!(summary.purged, Some(position(3, 9)));
    assert_eq!(summary.committed, Some(position(3, 50)));
    assert_eq!(summary.vote, Some(vote(3)));
    let read = log.read(0, 1000, usize::MAX).await.unwrap();
    assert_eq!(read, records(3, 10..90));
    log.close().await;
}

#[tokio::test]
async fn a_read_ends_at_its_byte_limit_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, records(1, 0..10)).await.unwrap();
    assert_eq!(log.read(2, 9, 1).await.unwrap(), records(1, 2..3));
    assert_eq!(log.read(2, 9, 14).await.unwrap(), records(1, 2..4));
    log.close().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let fault = SyncFault::default();
    let settings = LogSettings {
        fault: Some(fault.clone()),
        ..LogSettings::default()
    };
    let log = LogStore::open(dir.path(), settings).unwrap();
    append(&log, records(1, 0..1)).await.unwrap();
    fault.fail();
    append(&log, records(1, 1..2)).await.unwrap_err();
    append(&log, records(1, 2..3)).await.unwrap_err();
    log.save_vote(vote(9)).await.unwrap_err();
    log.close().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_the_rest_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, records(1, 0..10)).await.unwrap();
    log.close().await;
    let path = log_file(dir.path());
    let mut content = fs::read(&path).unwrap();
    content.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0]);
    fs::write(&path, content).unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(log.summary().await.unwrap().last, Some(position(1, 9)));
    append(&log, records(1, 10..11)).await.unwrap();
    log.close().await;
    open(dir.path()).unwrap().close().await;
}

#[tokio::test]
async fn a_flipped_bit_or_a_short_file_is_named_and_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, records(1, 0..50)).await.unwrap();
    log.close().await;
    let path = log_file(dir.path());
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 16;
    for damaged in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(&path, &damaged).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, LogError::Damaged { file, .. } if *file == path),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(dir.path()), Err(LogError::Damaged { .. })));
}

#[tokio::test]
async fn the_newer_copy_of_the_vote_wins() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.save_vote(vote(4)).await.unwrap();
    log.close().await;
    super::vote_file::write(dir.path(), &vote(5)).unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(log.summary().await.unwrap().vote, Some(vote(5)));
    log.close().await;
    fs::write(dir.path().join("vote"), b"nonsense").unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(log.summary().await.unwrap().vote, Some(vote(5)));
    log.close().await;
}

/// A log in several small files.
async fn several_files(dir: &Path) -> Vec<PathBuf> {
    let settings = LogSettings {
        file_bytes: 1000,
        ..LogSettings::default()
    };
    let log = LogStore::open(dir, settings).unwrap();
    for n in 0..10 {
        append(&log, records(1, n * 10..n * 10 + 10)).await.unwrap();
    }
    log.close().await;
    let mut files: Vec<_> = fs::read_dir(dir.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "wal"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

#[tokio::test]
async fn a_flipped_bit_in_any_log_file_is_named_with_its_record() {
    let dir = tempfile::tempdir().unwrap();
    for file in several_files(dir.path()).await {
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() * 2 / 3] ^= 4;
        fs::write(&file, &flipped).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, LogError::Damaged { file: named, .. } if *named == file),
            "{error}"
        );
        assert!(error.to_string().contains("record"), "{error}");
        fs::write(&file, &good).unwrap();
    }
    open(dir.path()).unwrap().close().await;
}

#[tokio::test]
async fn any_missing_log_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for file in several_files(dir.path()).await {
        let away = dir.path().join("away");
        fs::rename(&file, &away).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(error.is_damage(), "{}: {error}", file.display());
        fs::rename(&away, &file).unwrap();
    }
    open(dir.path()).unwrap().close().await;
}
