use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::run::{Outcome, run, run_with_lost_entries, run_with_lost_join};
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

/// What many seeds came to.
#[derive(Default)]
struct Summary {
    events: u64,
    took: Duration,
    /// The first seed that fails.
    failure: Option<(u64, Outcome)>,
}

/// Runs seeds on all cores until one fails.
fn first_failure(seeds: std::ops::Range<u64>, bug: Option<Bug>) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    let look = || {
        PLANTED.set(bug);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run(seed);
            let mut summary = summary.lock().expect("no panic");
            summary.events += outcome.trace.events;
            summary.took += outcome.took;
            let is_first = summary.failure.as_ref().is_none_or(|(it, _)| seed < *it);
            if outcome.result.is_err() && is_first {
                next.store(seeds.end, Ordering::Relaxed);
                summary.failure = Some((seed, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(look);
        }
    });
    summary.into_inner().expect("no panic")
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
    let summary = first_failure(first..first + count, None);
    if let Some((seed, outcome)) = summary.failure {
        panic!("{}", outcome.tell(seed));
    }
    println!(
        "{count} seeds from {first}: {} events in {:.0?} of simulated time, {:.1?} of real time",
        summary.events,
        summary.took,
        begun.elapsed()
    );
}

#[test]
fn a_manager_whose_state_is_ahead_of_its_log_starts_again() {
    for seed in 0..5 {
        let outcome = run_with_lost_entries(seed);
        assert!(outcome.result.is_ok(), "{}", outcome.tell(seed));
    }
}

#[test]
fn a_newcomer_asks_again_when_the_entry_that_let_it_in_is_lost() {
    for seed in 0..5 {
        let outcome = run_with_lost_join(seed);
        assert!(outcome.result.is_ok(), "{}", outcome.tell(seed));
    }
}

/// Silence means something only where a bug is found.
mod planted {
    use super::{Bug, FOUND_WITHIN, first_failure};

    fn is_found(bug: Bug) {
        let found = first_failure(0..FOUND_WITHIN, Some(bug)).failure;
        let (seed, outcome) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let reason = outcome.result.unwrap_err();
        println!("{bug:?} is found by seed {seed}: {reason}");
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

    #[test]
    fn a_precondition_that_is_ignored_is_found() {
        is_found(Bug::PreconditionIgnored);
    }
}
