use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

#[test]
fn an_identity_survives_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Identity::load_or_create(dir.path()).unwrap();
    first.group_id = Some(Uuid::new_v4());
    first.save(dir.path()).unwrap();
    assert_eq!(Identity::load_or_create(dir.path()).unwrap(), first);
    let mode = fs::metadata(dir.path().join(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_broken_identity_is_named_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), b"{\"format\":1").unwrap();
    let error = Identity::load_or_create(dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("identity.json is damaged"),
        "{error}"
    );
    assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"{\"format\":1");
}

#[test]
fn any_flipped_bit_in_an_identity_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut identity = Identity::load_or_create(dir.path()).unwrap();
    identity.group_id = Some(Uuid::new_v4());
    let path = dir.path().join(FILE);
    let content = file::encode(&identity);
    for bit in 0..content.len() * 8 {
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = file::decode(&path, &flipped) {
            // White space, or a digit's case.
            assert_eq!(read, identity, "bit {bit}");
        }
    }
}

#[test]
fn a_broken_identity_of_a_member_comes_back_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let mut identity = Identity::load_or_create(dir.path()).unwrap();
    fs::create_dir_all(dir.path().join("log")).unwrap();
    identity.group_id = Some(Uuid::new_v4());
    identity.save(dir.path()).unwrap();
    fs::write(dir.path().join(FILE), b"nonsense").unwrap();
    assert_eq!(Identity::load_or_create(dir.path()).unwrap(), identity);
    fs::write(dir.path().join("log/identity"), b"nonsense").unwrap();
    assert_eq!(Identity::load_or_create(dir.path()).unwrap(), identity);
}

#[test]
fn an_identity_of_the_first_format_is_read_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let old = Identity::fresh();
    let mut value = serde_json::to_value(&old).unwrap();
    value["format"] = 1.into();
    fs::write(dir.path().join(FILE), value.to_string()).unwrap();
    assert_eq!(Identity::load_or_create(dir.path()).unwrap(), old);
    let written = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(written.contains("checksum"), "{written}");
    fs::write(dir.path().join(FILE), written.replace(": 2", ": 3")).unwrap();
    let error = Identity::load_or_create(dir.path()).unwrap_err();
    assert!(
        matches!(error, IdentityError::UnknownFormat { found: 3, .. }),
        "{error}"
    );
}

#[test]
fn a_log_that_is_gone_or_belongs_to_another_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut identity = Identity::load_or_create(dir.path()).unwrap();
    assert_eq!(identity.log_owner(dir.path()).unwrap(), LogOwner::Ours);
    identity.group_id = Some(Uuid::new_v4());
    assert_eq!(identity.log_owner(dir.path()).unwrap(), LogOwner::Missing);
    fs::create_dir_all(dir.path().join("log/wal")).unwrap();
    assert_eq!(identity.log_owner(dir.path()).unwrap(), LogOwner::Missing);
    // A log of the time before the marks.
    fs::write(dir.path().join("log/wal/r-0.wal"), b"").unwrap();
    assert_eq!(identity.log_owner(dir.path()).unwrap(), LogOwner::Ours);
    identity.save_copy(dir.path()).unwrap();
    assert_eq!(identity.log_owner(dir.path()).unwrap(), LogOwner::Ours);
    let other = Identity::fresh();
    let owner = other.log_owner(dir.path()).unwrap();
    assert_eq!(owner, LogOwner::Foreign(identity.manager_id));
}
