use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use super::*;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn records(count: u32) -> Records {
    (0..count)
        .map(|n| (n.to_be_bytes().to_vec(), format!("value {n}").into_bytes()))
        .collect()
}

fn backup(count: u32) -> (Vec<u8>, WrittenBackup) {
    let mut writer = BackupWriter::begin(Vec::new(), b"{\"where\":\"here\"}").unwrap();
    for (key, value) in records(count) {
        writer.push(&key, &value).unwrap();
    }
    writer.finish().unwrap()
}

fn read(path: &Path) -> Result<Records, BackupError> {
    BackupReader::open(path)?.collect()
}

#[test]
fn a_backup_comes_back_with_its_metadata_length_and_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.backup");
    let (content, written) = backup(1000);
    fs::write(&path, &content).unwrap();
    let reader = BackupReader::open(&path).unwrap();
    assert_eq!(reader.meta(), b"{\"where\":\"here\"}");
    assert_eq!(reader.bytes(), content.len() as u64);
    assert_eq!(
        (written.bytes, written.sha256),
        (reader.bytes(), reader.sha256())
    );
    assert_eq!(
        reader.collect::<Result<Records, _>>().unwrap(),
        records(1000)
    );
    assert_eq!(backup(1000).0, content, "equal states give equal bytes");
}

#[test]
fn a_backup_cut_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.backup");
    let (content, _) = backup(20);
    for length in 0..content.len() {
        fs::write(&path, &content[..length]).unwrap();
        match read(&path).unwrap_err() {
            BackupError::Truncated { bytes, .. } => assert_eq!(bytes, length as u64),
            BackupError::NoBackup { .. } => assert_eq!(length, 0),
            error => panic!("cut at {length}: {error}"),
        }
    }
}

#[test]
fn any_flipped_bit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flipped.backup");
    let (content, _) = backup(20);
    for bit in 0..content.len() * 8 {
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let error = read(&path).expect_err(&format!("bit {bit}"));
        let byte = bit / 8;
        let fits = match error {
            BackupError::NoBackup { .. } => byte < 8,
            BackupError::UnknownFormat { .. } => (8..12).contains(&byte),
            BackupError::Truncated { .. } => byte >= content.len() - TAIL_BYTES,
            BackupError::Digest { .. } => true,
            _ => false,
        };
        assert!(fits, "bit {bit}: {error}");
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longer.backup");
    let (mut content, _) = backup(20);
    content.push(0);
    fs::write(&path, &content).unwrap();
    assert!(matches!(read(&path), Err(BackupError::Truncated { .. })));
}

#[test]
fn other_files_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other");
    for content in [
        "",
        "{}",
        "KRKNSNAP and more, long enough to hold a head and a tail of a file",
    ] {
        fs::write(&path, content).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, BackupError::NoBackup { .. }), "{error}");
    }
    let mut newer = backup(1).0;
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    let text = read(&path).unwrap_err().to_string();
    assert!(text.contains("has format 2"), "{text}");
}

#[test]
fn a_well_digested_file_with_nonsense_inside_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nonsense.backup");
    let (content, _) = backup(3);
    // The body is not a frame; the digest is made to fit.
    let mut wrong = content[..content.len() - TAIL_BYTES - 8].to_vec();
    wrong.extend_from_slice(CLOSING);
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(&wrong);
    wrong.extend_from_slice(&digest);
    fs::write(&path, wrong).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, BackupError::Malformed { .. }), "{error}");
}

#[test]
fn a_file_gets_its_name_whole_and_replaces_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("kept.backup");
    let mut file = BackupFile::create(&target, false).unwrap();
    file.write_all(b"first").unwrap();
    assert!(!target.exists());
    file.publish(false).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"first");
    let mode = fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = BackupFile::create(&target, false).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    let mut second = BackupFile::create(&target, true).unwrap();
    second.write_all(b"second").unwrap();
    second.publish(true).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"second");
    drop(BackupFile::create(&target, true).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("raced.backup");
    let file = BackupFile::create(&target, false).unwrap();
    fs::write(&target, "somebody else's").unwrap();
    assert!(matches!(
        file.publish(false),
        Err(TargetError::Exists { .. })
    ));
    assert_eq!(fs::read(&target).unwrap(), b"somebody else's");
}
