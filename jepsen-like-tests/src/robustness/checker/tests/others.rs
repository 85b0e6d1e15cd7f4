//! The other checks, each with something that it must find.

use super::super::*;
use crate::robustness::history::{Action, Event, Operation, Outcome, Seen, Version};

fn operation(id: usize, action: Action, outcome: Outcome) -> Operation {
    let at = id as u64 * 10;
    Operation {
        id,
        client: 0,
        manager: 0,
        action,
        invoked_ns: at,
        completed_ns: at + 5,
        outcome,
    }
}

fn write(id: usize, value: u64, outcome: Outcome) -> Operation {
    write_to(0, id, value, outcome)
}

fn write_to(key: usize, id: usize, value: u64, outcome: Outcome) -> Operation {
    let action = Action::Publish {
        key,
        parent: None,
        value,
        keyed: false,
    };
    operation(id, action, outcome)
}

fn published(number: u64, index: u64) -> Outcome {
    Outcome::Ok(Seen::Published { number, index })
}

fn stale(id: usize, value: u64, index: u64, run: u32) -> Operation {
    let version = Some(Version {
        number: 1,
        value,
        digest: format!("d{value}"),
    });
    let seen = Seen::Newest {
        version,
        index,
        run: Some(run),
    };
    operation(id, Action::StaleRead { key: 0 }, Outcome::Ok(seen))
}

fn link(number: u64, value: u64) -> Link {
    Link {
        number,
        value,
        digest: format!("d{number}"),
        parent: (number > 1).then(|| format!("d{}", number - 1)),
    }
}

fn token(name: &str, id: &str) -> Listed {
    Listed {
        name: name.into(),
        id: id.into(),
    }
}

fn create(id: usize, name: &str, outcome: Outcome) -> Operation {
    operation(id, Action::CreateToken { name: name.into() }, outcome)
}

#[test]
fn a_stale_read_of_an_invented_or_refused_value_is_found() {
    let good = [write(0, 7, published(1, 5)), stale(1, 7, 5, 1)];
    assert!(stale_reads(&good).ok);
    assert!(!stale_reads(&[stale(1, 7, 5, 1)]).ok);
    assert!(!stale_reads(&[write(0, 7, Outcome::Conflict), stale(1, 7, 5, 1)]).ok);
}

#[test]
fn a_value_that_turns_up_under_another_key_is_found() {
    let elsewhere = write_to(1, 0, 7, published(1, 5));
    assert!(!stale_reads(&[elsewhere.clone(), stale(1, 7, 5, 1)]).ok);
    let (empty, one) = (Vec::new(), vec![link(1, 7)]);
    let operations = [elsewhere];
    let listed = |first: &Vec<Link>, second: &Vec<Link>| {
        chain(&[vec![first.clone(), second.clone()]], &operations).ok
    };
    assert!(listed(&empty, &one));
    assert!(!listed(&one, &empty));
    assert!(
        !chain(&[vec![empty]], &operations).ok,
        "its key is not listed"
    );
}

#[test]
fn each_key_is_a_register_of_its_own() {
    let numbered = |key, id, value, number| write_to(key, id, value, published(number, id as u64));
    let budget = linearizability::Budget::default();
    // On one key the second would have needed the first as its parent.
    assert!(linearizable(&[numbered(0, 0, 7, 1), numbered(1, 1, 8, 1)], budget).ok);
    let one_key = [numbered(1, 0, 7, 1), numbered(1, 1, 8, 1)];
    let finding = linearizable(&one_key, budget);
    assert!(
        !finding.ok && finding.detail.starts_with("key 1"),
        "{finding:?}"
    );
}

#[test]
fn two_keys_may_differ_at_one_index() {
    let mut other = stale(1, 8, 5, 1);
    other.action = Action::StaleRead { key: 1 };
    assert!(agreement(&[stale(0, 7, 5, 1), other]).ok);
}

#[test]
fn an_index_that_goes_back_is_found_within_one_run_only() {
    let write = write(0, 7, published(1, 5));
    let back = |run| [write.clone(), stale(1, 7, 9, 1), stale(2, 7, 8, run)];
    assert!(!stale_reads(&back(1)).ok);
    assert!(stale_reads(&back(2)).ok);
}

#[test]
fn two_states_at_one_index_are_found() {
    assert!(agreement(&[stale(0, 7, 5, 1), stale(1, 7, 5, 1)]).ok);
    assert!(!agreement(&[stale(0, 7, 5, 1), stale(1, 8, 5, 1)]).ok);
}

#[test]
fn a_lost_write_and_a_fork_are_found_in_the_chain() {
    let operations = [write(0, 7, published(1, 5)), write(1, 8, published(2, 6))];
    let list = vec![link(1, 7), link(2, 8)];
    let (whole, short) = (vec![list.clone()], vec![list[..1].to_vec()]);
    assert!(chain(&[whole.clone(), whole.clone()], &operations).ok);
    assert!(!chain(std::slice::from_ref(&short), &operations).ok);
    assert!(!chain(&[whole, short], &operations).ok);
    let mut forked = list;
    forked[1].parent = Some("other".into());
    assert!(!chain(&[vec![forked]], &operations).ok);
}

#[test]
fn a_refused_write_that_happened_is_found_in_the_chain() {
    let lists = [vec![vec![link(1, 7)]]];
    let with = |outcome| chain(&lists, &[write(0, 7, outcome)]).ok;
    assert!(!with(Outcome::Conflict));
    assert!(!with(Outcome::Failed("503".into())));
    let open = Outcome::Indeterminate("lost".into());
    assert!(with(open.clone()));
    assert!(chain(&[vec![Vec::new()]], &[write(0, 7, open)]).ok);
    assert!(!chain(&lists, &[]).ok);
}

#[test]
fn a_write_that_happened_twice_or_never_is_found() {
    let made = Outcome::Ok(Seen::Token {
        id: "1".into(),
        again: None,
    });
    let operations = [create(0, "t", made)];
    assert!(idempotence(&[vec![token("t", "1")]], &operations).ok);
    assert!(!idempotence(&[vec![]], &operations).ok);
    assert!(!idempotence(&[vec![token("t", "1"), token("t", "2")]], &operations).ok);
    let open = [create(0, "t", Outcome::Indeterminate("lost".into()))];
    assert!(idempotence(&[vec![]], &open).ok);
    assert!(!idempotence(&[vec![token("t", "1"), token("t", "2")]], &open).ok);
}

#[test]
fn an_answer_that_names_another_token_is_found() {
    let answered = |id: &str, again: Option<&str>| {
        let seen = Seen::Token {
            id: id.into(),
            again: again.map(str::to_owned),
        };
        [create(0, "t", Outcome::Ok(seen))]
    };
    let lists = [vec![token("t", "1")]];
    assert!(replayed(&lists, &answered("1", Some("1"))).ok);
    assert!(!replayed(&lists, &answered("2", None)).ok);
    assert!(!replayed(&lists, &answered("1", Some("2"))).ok);
}

fn event(index: u64, position: u32) -> Event {
    Event {
        index,
        position,
        kind: "version_published".into(),
        fleet: Some("default".into()),
        version: Some(index),
        message: format!("at {index}"),
    }
}

fn stream(reader: usize, events: &[Event]) -> Stream {
    Stream {
        reader,
        events: events.to_vec(),
        connections: 1,
        broken: None,
    }
}

#[test]
fn lost_repeated_and_reordered_events_are_found() {
    let all = [event(1, 0), event(2, 0), event(2, 1), event(3, 0)];
    let whole = stream(0, &all);
    let with = |events: &[Event]| watch(&[whole.clone(), stream(1, events)], &[], 0, 3).ok;
    assert!(with(&all));
    assert!(!with(&[event(1, 0), event(2, 0), event(3, 0)]), "lost");
    assert!(!with(&all[..3]), "not at the end");
    let repeated = [all.as_slice(), &all[3..]].concat();
    assert!(!with(&repeated), "repeated");
    let swapped = [event(1, 0), event(2, 1), event(2, 0), event(3, 0)];
    assert!(!with(&swapped), "out of order");
    let mut other = all.clone();
    other[1].message = "else".into();
    assert!(!with(&other), "another text");
}

#[test]
fn an_acknowledged_write_without_an_event_is_found() {
    let streams = [stream(0, &[event(1, 0), event(3, 0)])];
    assert!(watch(&streams, &[write(0, 7, published(3, 3))], 0, 3).ok);
    assert!(!watch(&streams, &[write(0, 7, published(2, 2))], 0, 3).ok);
    assert!(!watch(&streams, &[write_to(1, 0, 7, published(3, 3))], 0, 3).ok);
}

#[test]
fn an_unexpected_answer_fails_the_run() {
    assert!(answers(&[write(0, 7, Outcome::Conflict)]).ok);
    assert!(!answers(&[write(0, 7, Outcome::Unexpected("401".into()))]).ok);
}

#[test]
fn the_longest_time_without_a_write_is_measured_to_both_ends() {
    let at = |id: usize, ms: u64| {
        let mut write = write(id, 1, published(1, 1));
        write.completed_ns = ms * 1_000_000;
        write
    };
    let operations = [at(0, 100), at(1, 150), at(2, 400)];
    assert_eq!(longest_unavailable_ms(&operations, 0, 500_000_000), 250);
    assert_eq!(longest_unavailable_ms(&operations, 0, 900_000_000), 500);
    assert_eq!(longest_unavailable_ms(&[], 0, 900_000_000), 900);
}
