use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::lane;

/// What is done to nodes. All of it is undone at its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeFault {
    /// kill -9, started again after a while or at once.
    Kill { nodes: Vec<usize>, ms: u64 },
    /// SIGTERM, started again after a while.
    Stop { nodes: Vec<usize>, ms: u64 },
    /// SIGSTOP, SIGCONT after a while.
    Pause { nodes: Vec<usize>, ms: u64 },
    /// Cut off from managers and from other nodes.
    Cut { nodes: Vec<usize>, ms: u64 },
    /// Cut and healed again and again.
    Flap {
        nodes: Vec<usize>,
        times: u64,
        ms: u64,
    },
}

/// A fault and its time from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStep {
    pub at_ms: u64,
    pub fault: NodeFault,
}

/// All faults of nodes in a run of `time_ms`. The same arguments give the same plan.
pub fn plan(seed: u64, nodes: usize, time_ms: u64) -> Vec<NodeStep> {
    let mut rng = lane(seed);
    let mut steps = Vec::new();
    // The joins have begun.
    let mut at_ms = rng.random_range(2_000..6_000);
    loop {
        let fault = fault(&mut rng, nodes);
        let lasts_ms = lasts_ms(&fault);
        if at_ms + lasts_ms > time_ms {
            return steps;
        }
        steps.push(NodeStep { at_ms, fault });
        at_ms += lasts_ms + rng.random_range(500..6_000);
    }
}

fn lasts_ms(fault: &NodeFault) -> u64 {
    match fault {
        NodeFault::Kill { ms, .. }
        | NodeFault::Stop { ms, .. }
        | NodeFault::Pause { ms, .. }
        | NodeFault::Cut { ms, .. } => *ms,
        NodeFault::Flap { times, ms, .. } => times * ms * 2,
    }
}

fn fault(rng: &mut StdRng, nodes: usize) -> NodeFault {
    // One, half, or all of them.
    let count = [1, 1, 2, nodes / 2, nodes][rng.random_range(0..5)];
    let mut some: Vec<_> = (0..nodes).collect();
    some.shuffle(rng);
    some.truncate(count);
    some.sort_unstable();
    // Shorter than silence is noticed, longer than that, and longer than grace.
    let ms = [
        rng.random_range(0..2_000),
        rng.random_range(2_000..9_000),
        rng.random_range(9_000..25_000),
    ][rng.random_range(0..3)];
    match rng.random_range(0..6) {
        0 | 1 => NodeFault::Kill { nodes: some, ms },
        2 => NodeFault::Stop { nodes: some, ms },
        3 => NodeFault::Pause { nodes: some, ms },
        4 => NodeFault::Cut { nodes: some, ms },
        _ => NodeFault::Flap {
            nodes: some,
            times: rng.random_range(2..6),
            ms: rng.random_range(300..5_000),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_ends_in_time() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let steps = plan(seed, 9, 60_000);
            assert_eq!(steps, plan(seed, 9, 60_000));
            for step in &steps {
                assert!(step.at_ms + lasts_ms(&step.fault) <= 60_000, "seed {seed}");
                kinds.insert(
                    format!("{:?}", step.fault)
                        .split(" ")
                        .next()
                        .map(str::to_owned),
                );
            }
        }
        assert_eq!(kinds.len(), 5, "every kind comes: {kinds:?}");
    }
}
