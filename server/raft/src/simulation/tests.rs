use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::run::{Outcome, run};
use crate::planted::{Bug, PLANTED};

/// In every test run; more on demand.
const SEEDS: u64 = 500;
const THREADS: usize = 2;
/// Within so many seeds each planted bug has to be found.
const FOUND_WITHIN: u64 = 400;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs seeds on all cores until one fails, and returns the first that does.
fn first_failure(seeds: std::ops::Range<u64>, bug: Option<Bug>) -> Option<(u64, Outcome)> {
    let next = AtomicU64::new(seeds.start);
    let look = || {
        PLANTED.set(bug);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return None;
            }
            let outcome = run(seed);
            if outcome.result.is_err() {
                next.store(seeds.end, Ordering::Relaxed);
                return Some((seed, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(look)).collect();
        let found = threads.into_iter().filter_map(|it| it.join().expect("no panic"));
        found.min_by_key(|(seed, _)| *seed)
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 3] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.trace.hash(), second.trace.hash(), "seed {seed}");
        assert_eq!(first.trace.events, second.trace.events, "seed {seed}");
        assert_eq!(first.took, second.took, "seed {seed}");
    }
    assert_ne!(run(1).trace.hash(), run(3).trace.hash(), "the seed decides");
}

/// `KRAKEND_SIM_SEEDS` says how many, `KRAKEND_SIM_SEED` from which on; one alone is told event by event.
#[test]
fn no_seed_breaks_a_group() {
    let first = number("KRAKEND_SIM_SEED");
    let count = number("KRAKEND_SIM_SEEDS").unwrap_or(first.map_or(SEEDS, |_| 1));
    let first = first.unwrap_or(0);
    if count == 1 {
        let outcome = run(first);
        outcome.trace.told().for_each(|line| println!("{line}"));
        assert!(outcome.result.is_ok(), "{}", outcome.tell(first));
        return;
    }
    let begun = Instant::now();
    if let Some((seed, outcome)) = first_failure(first..first + count, None) {
        panic!("{}", outcome.tell(seed));
    }
    let took = begun.elapsed();
    println!("{count} seeds from {first} in {took:.1?}");
}

#[test]
fn a_virtual_minute_is_no_minute() {
    let outcome = run(0);
    assert!(outcome.took > Duration::from_secs(4), "{:?}", outcome.took);
}

/// Silence means something only where a bug is found.
fn is_found(bug: Bug) {
    let found = first_failure(0..FOUND_WITHIN, Some(bug));
    let (seed, outcome) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
    println!("{bug:?} is found by seed {seed}: {}", outcome.result.unwrap_err());
}

#[test]
fn a_vote_that_is_not_on_disk_is_found() {
    is_found(Bug::VoteNotPersisted);
}

#[test]
fn an_acknowledgement_before_the_fsync_is_found() {
    is_found(Bug::AckBeforeFsync);
}

#[test]
fn a_read_without_a_read_index_is_found() {
    is_found(Bug::ReadWithoutReadIndex);
}

#[test]
fn an_entry_that_is_applied_twice_is_found() {
    is_found(Bug::ApplyTwice);
}

#[test]
fn a_forgotten_idempotency_key_is_found() {
    is_found(Bug::IdempotencyForgotten);
}
