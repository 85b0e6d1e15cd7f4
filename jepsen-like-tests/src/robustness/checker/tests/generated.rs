//! Histories from a generator that runs a real register, and the same with one thing made wrong. Small ones are also
//! decided by trying every order.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::linearizability::Model;
use super::super::register::Newest;
use super::*;

/// Runs clients against one register; each operation takes effect at one moment between its two times. Some answers are
/// lost, and what was lost may take effect much later or never.
fn run_register(seed: u64, operations: usize, clients: usize) -> Vec<Timed<Call>> {
    let mut rng = StdRng::seed_from_u64(seed);
    // (moment of effect, from, to or none, number of the operation)
    let mut effects: Vec<(u64, u64, Option<u64>)> = Vec::new();
    let mut free = vec![0_u64; clients];
    for _ in 0..operations {
        let client = rng.random_range(0..clients);
        let from = free[client] + rng.random_range(1..10);
        let takes = rng.random_range(1..30);
        let lost = rng.random_bool(0.1);
        let late = if lost { rng.random_range(0..300) } else { 0 };
        let moment = from + rng.random_range(0..takes) + late;
        free[client] = from + takes;
        effects.push((moment, from, (!lost).then_some(from + takes)));
    }
    effects.sort_unstable();
    let mut state: Newest = None;
    let mut older: Vec<Option<u64>> = vec![None];
    let mut history = Vec::new();
    for (value, (_, from_ns, to_ns)) in (1_u64..).zip(effects) {
        let call = if rng.random_bool(0.4) && to_ns.is_some() {
            Call::Read(state)
        } else {
            let parent = if rng.random_bool(0.7) {
                state.map(|it| it.1)
            } else {
                older[rng.random_range(0..older.len())]
            };
            let never = to_ns.is_none() && rng.random_bool(0.5);
            let fits = parent == state.map(|it| it.1) && !never;
            let number = state.map_or(1, |it| it.0 + 1);
            if fits {
                state = Some((number, value));
                older.push(Some(value));
            }
            match to_ns {
                Some(_) if !fits => Call::Conflict { parent },
                Some(_) => Call::Publish {
                    parent,
                    value,
                    number: Some(number),
                },
                None => Call::Publish {
                    parent,
                    value,
                    number: None,
                },
            }
        };
        history.push(Timed {
            call,
            from_ns,
            to_ns,
        });
    }
    history
}

/// Tries every order: the definition itself, for short histories.
fn by_definition(history: &[Timed<Call>], done: &mut Vec<bool>, state: Newest) -> bool {
    let left = |at: usize, done: &[bool]| !done[at] && history[at].to_ns.is_some();
    if !(0..history.len()).any(|at| left(at, done)) {
        return true;
    }
    for next in 0..history.len() {
        if done[next] {
            continue;
        }
        let waits = (0..history.len()).any(|other| {
            let before = history[other].to_ns;
            other != next
                && left(other, done)
                && before.is_some_and(|it| it < history[next].from_ns)
        });
        if waits {
            continue;
        }
        let Some(after) = Register.step(&state, &history[next].call) else {
            continue;
        };
        done[next] = true;
        if by_definition(history, done, after) {
            return true;
        }
        done[next] = false;
    }
    false
}

/// Makes a read show what was replaced before the read began: that is always wrong, since values never come back.
fn make_stale(history: &mut [Timed<Call>], pick: usize) -> bool {
    let writes: Vec<(u64, u64, u64)> = history
        .iter()
        .filter_map(|timed| match timed.call {
            Call::Publish {
                value,
                number: Some(number),
                ..
            } => Some((number, value, timed.to_ns?)),
            _ => None,
        })
        .collect();
    let candidates: Vec<(usize, (u64, u64))> = history
        .iter()
        .enumerate()
        .filter(|(_, timed)| matches!(timed.call, Call::Read(_)))
        .flat_map(|(at, timed)| {
            let from_ns = timed.from_ns;
            let gone = |number: u64| {
                writes
                    .iter()
                    .any(|(other, _, to_ns)| *other > number && *to_ns < from_ns)
            };
            let old = writes.iter().filter(move |(number, ..)| gone(*number));
            old.map(move |(number, value, _)| (at, (*number, *value)))
                .collect::<Vec<_>>()
        })
        .collect();
    let Some((at, seen)) = candidates.get(pick % candidates.len().max(1)) else {
        return false;
    };
    history[*at].call = Call::Read(Some(*seen));
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_a_register_did_is_linearizable(seed: u64, operations in 1_usize..300, clients in 1_usize..8) {
        prop_assert!(holds(&run_register(seed, operations, clients)));
    }

    #[test]
    fn a_stale_read_in_what_a_register_did_is_found(seed: u64, operations in 20_usize..200, clients in 1_usize..8, pick: usize) {
        let mut history = run_register(seed, operations, clients);
        prop_assume!(make_stale(&mut history, pick));
        prop_assert!(!holds(&history));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_found(seed: u64, operations in 1_usize..200, number in 1_u64..50) {
        let mut history = run_register(seed, operations, 4);
        let end = history.iter().filter_map(|timed| timed.to_ns).max().unwrap_or(0);
        history.push(read(number, u64::MAX, (end / 2, end + 1)));
        prop_assert!(!holds(&history));
    }

    #[test]
    fn an_acknowledged_write_that_is_missing_is_found(seed: u64, operations in 1_usize..200) {
        let mut history = run_register(seed, operations, 4);
        let chosen = history.iter().position(|timed| matches!(timed.call, Call::Publish { number: Some(_), .. }));
        prop_assume!(chosen.is_some());
        // Said to have been refused for a parent that fits nobody else.
        let Some(at) = chosen else { return Ok(()) };
        let Call::Publish { value, .. } = history[at].call else { return Ok(()) };
        prop_assume!(history.iter().any(|timed| matches!(timed.call, Call::Read(Some((_, seen))) if seen == value)));
        history.remove(at);
        prop_assert!(!holds(&history));
    }

    #[test]
    fn short_histories_are_decided_as_by_trying_every_order(seed: u64, operations in 1_usize..8, changes in proptest::collection::vec((0_usize..8, 0_u64..4, 0_u64..5), 0..3)) {
        let mut history = run_register(seed, operations, 3);
        for (at, number, value) in changes {
            let at = at % history.len();
            if let Call::Read(seen) = &mut history[at].call {
                *seen = (number > 0).then_some((number, value));
            }
        }
        let expected = by_definition(&history, &mut vec![false; history.len()], None);
        prop_assert_eq!(holds(&history), expected, "{:?}", history);
    }
}
