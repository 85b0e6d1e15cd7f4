use std::collections::{HashMap, HashSet};

use super::Finding;
use crate::robustness::history::{Action, Operation, Outcome, Seen};

/// Stale reads may be old, but never invented: a value must have been asked for before, of the same key, and on one run of a
/// manager the applied index must not go back from one read to a later one.
pub fn stale_reads(operations: &[Operation]) -> Finding {
    let mut invoked: HashMap<u64, (usize, u64)> = HashMap::new();
    let mut refused = HashSet::new();
    for operation in operations {
        if let Action::Publish { key, value, .. } = operation.action {
            invoked.insert(value, (key, operation.invoked_ns));
            if matches!(operation.outcome, Outcome::Failed(_) | Outcome::Conflict) {
                refused.insert(value);
            }
        }
    }
    let mut complaints = Vec::new();
    let mut looked_at = 0_usize;
    let mut by_run: HashMap<(usize, u32), Vec<(&Operation, u64)>> = HashMap::new();
    for operation in operations {
        let Outcome::Ok(Seen::Newest {
            version,
            index,
            run,
        }) = &operation.outcome
        else {
            continue;
        };
        if matches!(operation.action, Action::StaleRead { .. }) {
            looked_at += 1;
        }
        if let Some(version) = version {
            let asked = invoked.get(&version.value);
            if asked.is_none_or(|(key, asked)| {
                operation.action.key() != Some(*key) || *asked > operation.completed_ns
            }) {
                complaints.push((
                    format!(
                        "operation {} read a value that nobody wrote there",
                        operation.id
                    ),
                    vec![operation.id],
                ));
            } else if refused.contains(&version.value) {
                complaints.push((
                    format!(
                        "operation {} read a value whose write was said to have failed",
                        operation.id
                    ),
                    vec![operation.id],
                ));
            }
        }
        if let Some(run) = run {
            let reads = by_run.entry((operation.manager, *run)).or_default();
            reads.push((operation, *index));
        }
    }
    for reads in by_run.into_values() {
        backwards(reads, &mut complaints);
    }
    Finding::of("stale-reads", format!("{looked_at} reads"), complaints)
}

/// A read that began after another had ended must not show an older index.
fn backwards(mut reads: Vec<(&Operation, u64)>, complaints: &mut Vec<(String, Vec<usize>)>) {
    let mut ended: Vec<(u64, u64, usize)> = reads
        .iter()
        .map(|(operation, index)| (operation.completed_ns, *index, operation.id))
        .collect();
    ended.sort_unstable();
    reads.sort_unstable_by_key(|(operation, _)| operation.invoked_ns);
    let mut ended = ended.into_iter().peekable();
    let mut highest = (0, 0);
    for (operation, index) in reads {
        while let Some((_, before, id)) =
            ended.next_if(|(completed, ..)| *completed < operation.invoked_ns)
        {
            highest = highest.max((before, id));
        }
        if index < highest.0 {
            let text = format!(
                "manager-{} went back from index {} to {index}",
                operation.manager + 1,
                highest.0
            );
            complaints.push((text, vec![highest.1, operation.id]));
        }
    }
}
