use std::collections::HashMap;

use super::Finding;
use crate::robustness::history::{Operation, Outcome, Seen};

/// Managers that have applied the same index have the same newest version of a key, and a value has one digest.
pub fn agreement(operations: &[Operation]) -> Finding {
    let mut by_index = HashMap::new();
    let mut digests: HashMap<u64, (&str, usize)> = HashMap::new();
    let mut complaints = Vec::new();
    let mut looked_at = 0_usize;
    for operation in operations {
        let Outcome::Ok(Seen::Newest { version, index, .. }) = &operation.outcome else {
            continue;
        };
        looked_at += 1;
        let (first, id) = by_index
            .entry((operation.action.key(), *index))
            .or_insert((version, operation.id));
        if *first != version {
            let text = format!("two states at index {index}: {first:?} and {version:?}");
            complaints.push((text, vec![*id, operation.id]));
        }
        let Some(version) = version else { continue };
        let (digest, id) = digests
            .entry(version.value)
            .or_insert((&version.digest, operation.id));
        if *digest != version.digest {
            let text = format!("two digests for value {}", version.value);
            complaints.push((text, vec![*id, operation.id]));
        }
    }
    Finding::of("agreement", format!("{looked_at} answers"), complaints)
}
