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
        let changes = [
            (vec![n % 5], Some(vec![n; PACKED_AT_MOST + 1])),
            (vec![9], None),
        ];
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

#[test]
fn whatever_was_written_last_comes_back_and_what_is_dead_is_bounded() {
    use rand::{Rng, SeedableRng};
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |it| it.parse().unwrap());
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut model = std::collections::BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let (mut store, _) = StateStore::open(dir.path()).unwrap();
    for round in 0..60_u64 {
        let mut changes = std::collections::BTreeMap::new();
        for _ in 0..random.random_range(0..1_200) {
            let key = random.random_range(0..3_000_u32).to_be_bytes().to_vec();
            let value = match random.random_range(0..10) {
                0..3 => None,
                // Some stand alone, some of them in a pack at another time.
                3 if random.random_range(0..20) == 0 => Some(vec![
                    round as u8;
                    PACKED_AT_MOST
                        + random.random_range(0..2)
                ]),
                _ => Some(vec![round as u8; random.random_range(0..900)]),
            };
            changes.insert(key, value);
        }
        for (key, value) in &changes {
            match value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(key),
            };
        }
        store.write(&round.to_be_bytes(), changes).unwrap();
        if round % 7 == 6 {
            let (dead, live) = store.tally().packs.weigh();
            assert!(
                dead <= 2 * live.max(1024 * 1024),
                "{dead} dead, {live} live"
            );
            drop(store);
            let (opened, loaded) = StateStore::open(dir.path()).unwrap();
            assert_eq!(loaded.meta.as_deref(), Some(&round.to_be_bytes()[..]));
            assert!(
                loaded.records.iter().map(|(k, v)| (k, v)).eq(&model),
                "round {round}"
            );
            store = opened;
        }
        if round == 30 {
            let keep: Vec<_> = model.clone().into_iter().step_by(2).collect();
            model = keep.iter().cloned().collect();
            store.replace(b"half", keep).unwrap();
        }
    }
}

#[test]
fn a_pack_that_is_damaged_or_lost_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = StateStore::open(dir.path()).unwrap();
    for n in 0..3_u8 {
        store.write(b"1", [(vec![n], Some(vec![n; 10]))]).unwrap();
    }
    let pack = store.db.remove(pack_key(2)).unwrap().unwrap();
    drop(store);
    let error = StateStore::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("2 records"), "{error}");

    let sealed = record::seal(&pack_key(2), &pack[5..pack.len() - 1]);
    sled::open(dir.path())
        .unwrap()
        .insert(pack_key(2), sealed)
        .unwrap();
    let error = StateStore::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("no pack"), "{error}");
}
