use std::collections::HashMap;

use super::Finding;
use crate::robustness::history::{Action, Operation, Outcome, Seen};

/// A version as a manager lists it at the end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Link {
    pub number: u64,
    pub value: u64,
    pub digest: String,
    pub parent: Option<String>,
}

/// All versions that one manager lists at the end: a chain for each key.
pub type Chains = Vec<Vec<Link>>;

/// The whole history of versions, read at the end from every manager: the same everywhere, each version on top of the one
/// before, every acknowledged write in it once, under its key and number, and no write that was said to have failed.
pub fn chain(lists: &[Chains], operations: &[Operation]) -> Finding {
    let Some(keys) = lists.iter().map(Vec::len).min() else {
        return Finding::fail("chain", "no manager listed its versions", Vec::new());
    };
    let mut complaints = Vec::new();
    for key in 0..keys {
        let of_key: Vec<&Vec<Link>> = lists.iter().map(|chains| &chains[key]).collect();
        one_key(key, &of_key, operations, &mut complaints);
    }
    let strays = operations.iter().filter(|operation| {
        let acknowledged = matches!(operation.outcome, Outcome::Ok(Seen::Published { .. }));
        acknowledged && operation.action.key().is_some_and(|key| key >= keys)
    });
    complaints.extend(strays.map(|operation| {
        let text = format!("operation {}: its key is not listed", operation.id);
        (text, vec![operation.id])
    }));
    let versions: usize = lists[0].iter().map(Vec::len).sum();
    let looked_at = format!("{versions} versions of {keys} keys");
    Finding::of("chain", looked_at, complaints)
}

fn one_key(
    key: usize,
    lists: &[&Vec<Link>],
    operations: &[Operation],
    complaints: &mut Vec<(String, Vec<usize>)>,
) {
    let list = lists[0];
    for (at, other) in lists.iter().enumerate().skip(1) {
        if *other != list {
            let text = format!(
                "the first manager and number {} list different versions of key {key}",
                at + 1
            );
            complaints.push((text, Vec::new()));
        }
    }
    let mut parent: Option<&str> = None;
    let mut numbers: HashMap<u64, Vec<u64>> = HashMap::new();
    for (at, link) in list.iter().enumerate() {
        if link.number != at as u64 + 1 || link.parent.as_deref() != parent {
            let text = format!(
                "version {} of key {key} does not follow the one before",
                link.number
            );
            complaints.push((text, Vec::new()));
        }
        parent = Some(&link.digest);
        numbers.entry(link.value).or_default().push(link.number);
    }
    let of_key = operations
        .iter()
        .filter(|operation| operation.action.key() == Some(key));
    for operation in of_key {
        let Action::Publish { value, keyed, .. } = operation.action else {
            continue;
        };
        let found = numbers.remove(&value).unwrap_or_default();
        if let Some(text) = wrong(operation, keyed, &found) {
            complaints.push((format!("{text} (value {value})"), vec![operation.id]));
        }
    }
    for value in numbers.into_keys() {
        complaints.push((
            format!("a version of key {key} with value {value} that nobody published"),
            Vec::new(),
        ));
    }
}

fn wrong(operation: &Operation, keyed: bool, found: &[u64]) -> Option<String> {
    let id = operation.id;
    match &operation.outcome {
        Outcome::Ok(Seen::Published { number, .. }) => match found {
            [one] if one == number => None,
            [] => Some(format!(
                "operation {id}: acknowledged version {number} is lost"
            )),
            other => Some(format!(
                "operation {id}: acknowledged as version {number}, listed as {other:?}"
            )),
        },
        Outcome::Conflict if !found.is_empty() && keyed => Some(format!(
            "operation {id}: resent with one Idempotency-Key, it was refused for its own first success"
        )),
        Outcome::Conflict | Outcome::Failed(_) if !found.is_empty() => Some(format!(
            "operation {id}: said to have failed, listed as {found:?}"
        )),
        _ if found.len() > 1 => Some(format!("operation {id}: happened {} times", found.len())),
        _ => None,
    }
}
