use super::*;

fn sample(seq: u64, start_ms: u64) -> Sample {
    Sample {
        seq,
        start_ms,
        end_ms: start_ms + 10,
        endpoints: vec![],
        backends: vec![],
        connections: 0,
        memory_bytes: 0,
        cpu_ms: 0,
        restarts: 0,
    }
}

fn put(spool: &Spool, stream: u128, seq: u64, start_ms: u64) {
    spool
        .put(Uuid::from_u128(stream), &sample(seq, start_ms))
        .expect("kept");
}

fn shape(batch: Option<Batch>) -> Option<(u128, usize, u64)> {
    batch.map(|batch| {
        (
            batch.stream.as_u128(),
            batch.samples.len(),
            batch.through_seq,
        )
    })
}

#[test]
fn after_a_restart_the_older_runs_leftovers_are_sent_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(dir.path()).expect("opened");
    put(&spool, 9, 1, 1_000);
    put(&spool, 9, 2, 2_000);
    drop(spool);
    let spool = Spool::open(dir.path()).expect("opened");
    put(&spool, 3, 1, 3_000);
    drop(spool);
    let spool = Spool::open(dir.path()).expect("opened");
    assert_eq!(*spool.waiting().borrow(), 3);
    assert_eq!(shape(spool.next_batch()), Some((9, 2, 2)));
    spool.acknowledge(Uuid::from_u128(9), 2);
    assert_eq!(shape(spool.next_batch()), Some((3, 1, 1)));
}

#[test]
fn an_acknowledgement_deletes_what_it_covers_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(dir.path()).expect("opened");
    (1..=5).for_each(|seq| put(&spool, 1, seq, seq));
    spool.acknowledge(Uuid::from_u128(2), 5);
    spool.acknowledge(Uuid::from_u128(1), 3);
    assert_eq!(shape(spool.next_batch()), Some((1, 2, 5)));
    drop(spool);
    let spool = Spool::open(dir.path()).expect("opened");
    assert_eq!(*spool.waiting().borrow(), 2);
    spool.acknowledge(Uuid::from_u128(1), 5);
    assert_eq!(spool.next_batch(), None);
    put(&spool, 1, 6, 6);
    assert_eq!(shape(spool.next_batch()), Some((1, 1, 6)));
}

#[test]
fn a_torn_file_is_skipped_and_the_others_are_sent() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(dir.path()).expect("opened");
    (1..=3).for_each(|seq| put(&spool, 1, seq, seq));
    let torn = dir
        .path()
        .join(Uuid::from_u128(1).to_string())
        .join("2.sample");
    let bytes = std::fs::read(&torn).expect("read");
    std::fs::write(&torn, &bytes[..bytes.len() - 2]).expect("torn");
    assert!(file::read(&torn).is_err_and(|reason| reason.contains("checksum")));
    drop(spool);
    let spool = Spool::open(dir.path()).expect("opened");
    assert_eq!(shape(spool.next_batch()), Some((1, 2, 3)));
    assert_eq!(*spool.waiting().borrow(), 2);
}

#[test]
fn batches_are_bounded_and_a_full_spool_drops_its_oldest() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::with_limits(dir.path(), 70, u64::MAX).expect("opened");
    (1..=75).for_each(|seq| put(&spool, 1, seq, seq));
    assert_eq!(*spool.waiting().borrow(), 70);
    assert_eq!(shape(spool.next_batch()), Some((1, 64, 69)));
}

#[test]
fn a_spool_never_takes_more_of_the_disk_than_its_bytes_allow() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::with_limits(dir.path(), 1_000, u64::MAX).expect("opened");
    put(&spool, 1, 1, 1);
    let each = spool.bytes();
    drop(spool);
    let spool = Spool::with_limits(dir.path(), 1_000, each * 5).expect("opened");
    (2..=9).for_each(|seq| put(&spool, 1, seq, seq));
    assert!(spool.bytes() <= each * 5, "{} bytes", spool.bytes());
    assert_eq!(*spool.waiting().borrow(), 5);
    assert_eq!(spool.dropped(), 4);
    let files = std::fs::read_dir(dir.path().join(Uuid::from_u128(1).to_string()));
    assert_eq!(files.expect("listed").count(), 5);
}

#[test]
fn what_a_crash_left_half_written_is_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(dir.path()).expect("opened");
    put(&spool, 1, 1, 1);
    drop(spool);
    let half = dir
        .path()
        .join(Uuid::from_u128(1).to_string())
        .join("2.new");
    std::fs::write(&half, b"half").expect("written");
    let spool = Spool::open(dir.path()).expect("opened");
    assert!(!half.exists());
    assert_eq!(shape(spool.next_batch()), Some((1, 1, 1)));
}
