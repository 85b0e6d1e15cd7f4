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

/// The whole history of versions, read at the end from every manager: the same everywhere, each version on top of the one
/// before, every acknowledged write in it once and under its number, no write that was said to have failed.
pub fn chain(lists: &[Vec<Link>], operations: &[Operation]) -> Finding {
    let mut complaints = Vec::new();
    let Some(list) = lists.first() else {
        return Finding::fail("chain", "no manager listed its versions", Vec::new());
    };
    for (at, other) in lists.iter().enumerate().skip(1) {
        if other != list {
            let text = format!("manager-1 and manager-{} list different versions", at + 1);
            complaints.push((text, Vec::new()));
        }
    }
    let mut parent: Option<&str> = None;
    let mut numbers: HashMap<u64, Vec<u64>> = HashMap::new();
    for (at, link) in list.iter().enumerate() {
        if link.number != at as u64 + 1 || link.parent.as_deref() != parent {
            let text = format!("version {} does not follow the one before", link.number);
            complaints.push((text, Vec::new()));
        }
        parent = Some(&link.digest);
        numbers.entry(link.value).or_default().push(link.number);
    }
    for operation in operations {
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
            format!("a version of value {value} that nobody published"),
            Vec::new(),
        ));
    }
    Finding::of("chain", format!("{} versions", list.len()), complaints)
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
