use std::fs;

use super::*;
use crate::{LogPosition, SnapshotError};

fn at(index: u64) -> LogPosition {
    LogPosition { term: 1, index }
}

fn records(count: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count)
        .map(|n| (n.to_be_bytes().to_vec(), format!("value {n}").into_bytes()))
        .collect()
}

#[test]
fn a_snapshot_comes_back_and_the_newest_two_stay() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotFiles::open(dir.path()).unwrap();
    assert_eq!(files.newest().unwrap(), None);
    for index in 1..=4 {
        files.write(at(index), b"meta", records(1000)).unwrap();
    }
    let kept: Vec<_> = files.list().unwrap().iter().map(|it| it.position).collect();
    assert_eq!(kept, [at(4), at(3)]);
    let newest = files.newest().unwrap().unwrap();
    let reader = SnapshotReader::open(&newest.path).unwrap();
    assert_eq!(reader.meta(), b"meta");
    let read: Result<Vec<_>, _> = reader.collect();
    assert_eq!(read.unwrap(), records(1000));
}

#[test]
fn a_received_snapshot_is_verified_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotFiles::open(dir.path()).unwrap();
    let sent = files.write(at(7), b"meta", records(500)).unwrap();
    let content = fs::read(&sent.path).unwrap();
    let mut incoming = files.receive().unwrap();
    incoming.write(&content[..100]).unwrap();
    incoming.write(&content[100..]).unwrap();
    files.accept(incoming, at(8)).unwrap();
    let mut incoming = files.receive().unwrap();
    incoming.write(&content[..content.len() - 1]).unwrap();
    let error = files.accept(incoming, at(9)).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    assert_eq!(files.newest().unwrap().unwrap().position, at(8));
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "nothing temporary stays");
}

#[test]
fn any_flipped_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotFiles::open(dir.path()).unwrap();
    let file = files.write(at(1), b"meta", records(20)).unwrap();
    let content = fs::read(&file.path).unwrap();
    for byte in 0..content.len() {
        let mut flipped = content.clone();
        flipped[byte] ^= 0x20;
        fs::write(&file.path, &flipped).unwrap();
        let read = SnapshotReader::open(&file.path)
            .and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        if let Ok(read) = read {
            // The frame's own header has bits that change nothing.
            assert_eq!(read, records(20), "byte {byte}");
        }
    }
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_the_one_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let files = SnapshotFiles::open(dir.path()).unwrap();
    for index in 1..=2 {
        files.write(at(index), b"meta", records(200)).unwrap();
    }
    let newest = files.newest().unwrap().unwrap();
    let mut content = fs::read(&newest.path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&newest.path, &content).unwrap();
    let mut told = Vec::new();
    let found = files.newest_verified(|it| told.push(it)).unwrap().unwrap();
    assert_eq!(found.position, at(1));
    let name = newest.path.display().to_string();
    assert!(told.len() == 1 && told[0].contains(&name), "{told:?}");
    assert_eq!(files.newest().unwrap().unwrap().position, at(1));
    let aside = files.damaged().unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(&aside[0]).unwrap(), content);
    // A truncated one as well, and then there is none.
    fs::write(&found.path, &fs::read(&found.path).unwrap()[..40]).unwrap();
    assert_eq!(files.newest_verified(drop).unwrap(), None);
    assert_eq!(files.damaged().unwrap().len(), 2);
}
