use super::*;

#[test]
fn records_and_their_position_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, loaded) = StateStore::open(dir.path()).unwrap();
    assert!(loaded.meta.is_none() && loaded.records.is_empty());
    store
        .write(
            b"1",
            [
                (b"a".to_vec(), Some(b"one".to_vec())),
                (b"b".to_vec(), Some(vec![7; 50_000])),
            ],
        )
        .unwrap();
    store.write(b"2", [(b"a".to_vec(), None)]).unwrap();
    drop(store);
    let (store, loaded) = StateStore::open(dir.path()).unwrap();
    assert_eq!(loaded.meta.as_deref(), Some(&b"2"[..]));
    assert_eq!(loaded.records, [(b"b".to_vec(), vec![7; 50_000])]);
    store
        .replace(b"3", [(b"c".to_vec(), b"new".to_vec())])
        .unwrap();
    drop(store);
    let (_, loaded) = StateStore::open(dir.path()).unwrap();
    assert_eq!(loaded.records, [(b"c".to_vec(), b"new".to_vec())]);
}

#[test]
fn a_damaged_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = StateStore::open(dir.path()).unwrap();
    store
        .write(b"1", [(b"k".to_vec(), Some(b"v".to_vec()))])
        .unwrap();
    store.db.insert(b"rk", &b"\x01nonsense"[..]).unwrap();
    drop(store);
    let error = StateStore::open(dir.path()).unwrap_err();
    assert!(
        matches!(&error, StateError::DamagedRecord { key, .. } if key == "726b"),
        "{error}"
    );
    StateStore::delete(dir.path()).unwrap();
    StateStore::open(dir.path()).unwrap();
}

#[test]
fn a_record_that_the_engine_lost_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = StateStore::open(dir.path()).unwrap();
    for n in 0..10_u8 {
        let changes = [(vec![n % 5], Some(vec![n; 10])), (vec![9], None)];
        store.write(b"1", changes).unwrap();
    }
    drop(store);
    let (store, loaded) = StateStore::open(dir.path()).unwrap();
    assert_eq!(loaded.records.len(), 5);
    store.db.remove(b"r\x02").unwrap();
    drop(store);
    let error = StateStore::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("4 records"), "{error}");
}
