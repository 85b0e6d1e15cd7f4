use crate::robustness::history::{Operation, Outcome};

/// The longest time between one acknowledged write and the next, within `from_ns..to_ns`, in milliseconds.
pub fn longest_unavailable_ms(operations: &[Operation], from_ns: u64, to_ns: u64) -> u64 {
    let mut times: Vec<u64> = operations
        .iter()
        .filter(|operation| operation.is_write() && matches!(operation.outcome, Outcome::Ok(_)))
        .map(|operation| operation.completed_ns)
        .filter(|at| (from_ns..=to_ns).contains(at))
        .collect();
    times.extend([from_ns, to_ns]);
    times.sort_unstable();
    let longest = times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or(0);
    longest / 1_000_000
}
